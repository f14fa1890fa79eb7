//! Packages that reach out: only where they were granted, as much as they may, and without learning a secret.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use sightflow_sandbox::{
    CallConditions, CallFailure, CallLimits, Grants, GuestError, GuestOutcome, GuestPayload, HttpClient, HttpFailure,
    Level, Outgoing, Package, Sandbox, SandboxConfig, Secret,
};
use sightflow_types::TenantId;
use sightflow_types::error::code;
use tokio_util::sync::CancellationToken;

use crate::guests::{Bench, built, config, version};

/// What was sent: method, address, headers, body, and whether a secret was among it.
#[derive(Debug, Clone, Default, PartialEq)]
struct Sent {
    line: String,
    headers: Vec<(String, String)>,
    body: String,
    secret: bool,
}

/// Answers by the path of the request.
#[derive(Default)]
struct Wire {
    sent: Mutex<Vec<Sent>>,
}

#[async_trait]
impl HttpClient for Wire {
    async fn send(&self, outgoing: Outgoing) -> Result<http::Response<Bytes>, HttpFailure> {
        let Outgoing { request, secret, most_bytes } = outgoing;
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        let body = String::from_utf8_lossy(request.body()).into_owned();
        let line = format!("{} {}", request.method(), request.uri());
        self.sent.lock().unwrap().push(Sent { line, headers, body, secret });
        let response = http::Response::builder();
        match request.uri().path() {
            "/slow" => std::future::pending().await,
            "/denied" => Err(HttpFailure::Denied("10.0.0.1 is a private address".to_owned())),
            "/broken" => Err(HttpFailure::Failed("connection reset".to_owned())),
            "/large" if most_bytes < 1 << 20 => Err(HttpFailure::TooLarge(most_bytes)),
            "/large" => Ok(response.body(Bytes::from(vec![b'x'; 1 << 20])).unwrap()),
            "/moved" => {
                let moved = response.status(302).header("location", "http://127.0.0.1/");
                Ok(moved.body(Bytes::new()).unwrap())
            }
            _ => Ok(response.body(Bytes::from_static(b"pong")).unwrap()),
        }
    }
}

struct Desk {
    sandbox: Sandbox,
    package: Package,
    wire: Arc<Wire>,
    hosts: Vec<&'static str>,
    limits: CallLimits,
    cancel: CancellationToken,
}

fn package(sandbox: &Sandbox) -> Package {
    static COMPONENT: OnceLock<Vec<u8>> = OnceLock::new();
    let component = COMPONENT.get_or_init(|| built("effects", "effects_guest"));
    sandbox.load("test/effects", &version(), component).expect("the guest loads")
}

impl Desk {
    fn new() -> Self {
        Self::with(&config())
    }

    fn with(config: &SandboxConfig) -> Self {
        let sandbox = Sandbox::new(config).expect("a sandbox starts");
        let package = package(&sandbox);
        let limits = CallLimits { wall: Duration::from_secs(20), ..CallLimits::default() };
        let (wire, cancel) = (Arc::default(), CancellationToken::new());
        Self { sandbox, package, wire, hosts: vec!["api.example.com", "*.example.org:8443"], limits, cancel }
    }

    fn conditions(&self) -> CallConditions {
        let hosts = self.hosts.iter().map(|host| host.parse().expect("a host")).collect();
        let secrets = vec![Secret { name: "KEY".to_owned(), value: "sk-12345".to_owned() }];
        let grants = Grants { hosts, secrets, client: Arc::clone(&self.wire) as Arc<dyn HttpClient> };
        let (limits, cancel) = (self.limits.clone(), self.cancel.clone());
        CallConditions { tenant: TenantId::BUILT_IN, limits, cancel, grants: Some(grants) }
    }

    fn call(&self, block: &str, config: &str) -> Result<GuestOutcome, Box<CallFailure>> {
        let payload = GuestPayload { document: "{}".to_owned(), images: Vec::new() };
        self.sandbox.call_blocking(&self.package, block, config, payload, &self.conditions())
    }

    fn ok(&self, config: &str) -> GuestOutcome {
        self.call("request", config).unwrap_or_else(|failure| panic!("{config}: {failure}"))
    }

    /// The failure's text, after its log.
    fn refused(&self, block: &str, config: &str) -> String {
        let failure = self.call(block, config).expect_err(config);
        let lines: Vec<_> = failure.logs.lines.iter().map(|line| line.message.as_str()).collect();
        format!("{} | {}", lines.join(" "), failure.error)
    }

    fn sent(&self) -> Vec<Sent> {
        std::mem::take(&mut self.wire.sent.lock().unwrap())
    }
}

#[test]
fn a_request_goes_out_as_it_was_written_and_the_answer_comes_back() {
    let desk = Desk::new();
    let outcome = desk.ok("POST https://api.example.com/ask?q=private\ncontent-type: text/plain\n\nping");
    assert_eq!(outcome.document.text(), r#"{"status":200,"length":4,"body":"pong"}"#);
    let [sent] = &desk.sent()[..] else { panic!("one request") };
    assert_eq!(
        (sent.line.as_str(), sent.body.as_str(), sent.secret),
        ("POST https://api.example.com/ask?q=private", "ping", false)
    );
    assert!(sent.headers.contains(&("content-type".to_owned(), "text/plain".to_owned())), "{sent:?}");
    let used = outcome.profile;
    assert_eq!((used.http_requests, used.http_sent_bytes, used.http_received_bytes), (1, 4, 4));
    let [line] = &outcome.logs.lines[..] else { panic!("{:?}", outcome.logs) };
    assert!(line.message.starts_with("POST https://api.example.com/ask: 200 in "), "no query in a log: {line:?}");
    assert_eq!(line.level, Level::Debug);
}

#[test]
fn headers_that_frame_a_request_are_the_host_s() {
    let desk = Desk::new();
    let refused = ["connection: upgrade", "host: evil.net", "transfer-encoding: chunked", "upgrade: websocket"];
    for header in refused {
        let said = desk.refused("request", &format!("POST http://api.example.com/\n{header}\n\nping"));
        assert!(said.contains("Forbidden"), "{header}: {said}");
        assert_eq!(desk.sent(), [], "{header}");
    }
    // Said rightly it is taken and left to the client, and said wrongly it sends nothing.
    desk.ok("POST http://api.example.com/\ncontent-length: 4\n\nping");
    assert!(desk.sent()[0].headers.iter().all(|(name, _)| name != "content-length"));
    for length in ["3", "5", "-1", "4, 4"] {
        let called = desk.call("request", &format!("POST http://api.example.com/\ncontent-length: {length}\n\nping"));
        for sent in desk.sent() {
            assert!(sent.headers.iter().all(|(name, _)| name != "content-length"), "{length}: {sent:?} {called:?}");
        }
    }
}

#[test]
fn only_granted_hosts_are_reached() {
    let mut desk = Desk::new();
    for allowed in ["http://api.example.com/", "https://api.example.com:443/", "https://eu.example.org:8443/"] {
        desk.ok(&format!("GET {allowed}"));
        assert_eq!(desk.sent().len(), 1, "{allowed}");
    }
    for other in [
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data",
        "http://api.example.com:8080/",
        "http://api.example.com.evil.net/",
        "http://evil.net/api.example.com",
        "http://example.org:8443/",
        "https://eu.example.org/",
        "http://user@api.example.com/",
        "http://api.example.com@evil.net/",
        "ftp://api.example.com/",
    ] {
        let said = desk.refused("request", &format!("GET {other}"));
        assert!(said.contains("Http") || said.contains("InvalidUri") || said.contains("failed"), "{other}: {said}");
        assert_eq!(desk.sent(), [], "{other}");
    }
    assert!(
        desk.refused("request", "GET http://evil.net/").contains("granted are api.example.com, *.example.org:8443")
    );
    desk.hosts.clear();
    assert!(desk.refused("request", "GET http://api.example.com/").contains("not granted"));
    assert_eq!(desk.sent(), []);
}

#[test]
fn nothing_is_sent_without_grants() {
    let desk = Desk::new();
    let payload = GuestPayload { document: "{}".to_owned(), images: Vec::new() };
    let call = |block: &str, config: &str| {
        desk.sandbox.call_blocking(&desk.package, block, config, payload.clone(), &CallConditions::default())
    };
    let failure = call("request", "GET http://api.example.com/").expect_err("nobody sends");
    assert!(failure.logs.lines[0].message.contains("nothing was granted"), "{failure:?}");
    let outcome = call("environment", "").expect("it has none");
    assert_eq!(outcome.document.text(), r#"{"variables":""}"#);
}

#[test]
fn a_secret_is_a_placeholder_until_it_leaves() {
    let desk = Desk::new();
    let seen = desk.call("environment", "").expect("it has one");
    assert_eq!(seen.document.text(), r#"{"variables":"KEY={secret:KEY}"}"#);
    let outcome =
        desk.ok("POST https://api.example.com/\nauthorization: Bearer {secret:KEY}\n\nthe body keeps {secret:KEY}");
    let [sent] = &desk.sent()[..] else { panic!("one request") };
    assert!(sent.headers.contains(&("authorization".to_owned(), "Bearer sk-12345".to_owned())));
    assert_eq!((sent.body.as_str(), sent.secret), ("the body keeps {secret:KEY}", true));
    assert!(!format!("{outcome:?}").contains("sk-12345"), "neither the answer nor the log has it");
    let said = desk.refused("request", "GET https://api.example.com/?key={secret:KEY}");
    assert!(!said.contains("sk-12345"), "{said}");
    assert_eq!(desk.sent(), []);
    // Nor to a host that was not granted.
    desk.refused("request", "GET https://evil.net/\nauthorization: {secret:KEY}");
    assert_eq!(desk.sent(), []);
    assert!(!format!("{:?}", desk.conditions()).contains("sk-12345"));
}

#[test]
fn requests_bytes_and_time_are_bounded() {
    let mut desk = Desk::new();
    desk.limits = CallLimits { http_requests: 5, http_sent_bytes: 10_000, http_received_bytes: 1 << 19, ..desk.limits };
    let said = desk.refused("many", "GET http://api.example.com/");
    assert!(said.contains("after 5: ") && said.contains("its 5 requests"), "{said}");
    assert_eq!(desk.sent().len(), 5);
    assert!(desk.refused("request", "GET http://api.example.com/large").contains("more than 524288 bytes"));
    desk.sent();
    let body = "x".repeat(10_001);
    let said = desk.refused("request", &format!("POST http://api.example.com/\n\n{body}"));
    assert!(said.contains("may send 10000 bytes") || said.contains("Closed"), "{said}");
    assert_eq!(desk.sent(), []);
    // What all requests of a call send is counted together.
    let said = desk.refused("many", &format!("POST http://api.example.com/\n\n{}", "x".repeat(3_000)));
    assert!(said.contains("after 3: ") && said.contains("may send 10000 bytes"), "{said}");
    assert_eq!(desk.sent().len(), 3);
    for (path, words) in [("/denied", "private address"), ("/broken", "connection reset")] {
        let said = desk.refused("request", &format!("GET http://api.example.com{path}"));
        assert!(said.contains(words), "{said}");
    }
    // A redirect is an answer; to follow it is another request, which is looked at like any other.
    let moved = desk.ok("GET http://api.example.com/moved");
    assert!(moved.document.text().contains(r#""status":302"#));

    desk.limits.wall = Duration::from_millis(300);
    let started = Instant::now();
    let failure = desk.call("request", "GET http://api.example.com/slow").expect_err("nobody answers");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(matches!(failure.error, GuestError::Wall(_) | GuestError::Failed(_)), "{failure}");
    let failure = desk.call("sleep", "60000").expect_err("too long");
    assert_eq!(failure.error.code(), code::TIMEOUT);
    desk.limits = CallLimits { cpu: Duration::from_millis(50), ..CallLimits::default() };
    assert_eq!(desk.call("spin", "").expect_err("it never ends").error.code(), code::BLOCK_CPU);
}

#[test]
fn files_and_sockets_are_not_there() {
    let desk = Desk::new();
    assert_eq!(desk.call("files", "").expect("an answer").document.text(), r#"{"opened":0}"#);
    assert!(desk.call("sleep", "20").expect("it slept").profile.wall_us >= 20_000, "its clock goes");
}

#[test]
fn who_waits_keeps_nobody_from_computing_and_can_be_taken_back() {
    let bench = Bench::with(&SandboxConfig { slots: 2, waiting_slots: 4, ..config() });
    let sandbox = bench.sandbox.clone();
    let desk = Desk { package: package(&sandbox), sandbox, ..Desk::new() };
    std::thread::scope(|scope| {
        let waiting: Vec<_> =
            (0..8).map(|_| scope.spawn(|| desk.call("request", "GET http://api.example.com/slow"))).collect();
        // Three of four places: the last one is for other tenants.
        while desk.wire.sent.lock().unwrap().len() < 3 {
            std::thread::sleep(Duration::from_millis(5));
        }
        for _ in 0..20 {
            bench.ok("echo", "");
        }
        let sent = desk.wire.sent.lock().unwrap().len();
        desk.cancel.cancel();
        assert_eq!(sent, 3, "the others wait for a place");
        for call in waiting {
            let failure = call.join().expect("no panic").expect_err("taken back");
            assert_eq!(failure.error, GuestError::Cancelled);
        }
    });
}
