//! A package that reaches out. `config` says to where: `METHOD URL`, then header lines, then, after an empty line, the body.

wit_bindgen::generate!({ path: "../../../../wit/v0_1", world: "block-package" });

use exports::sightflow::block::blocks::{BlockError, Guest, Payload};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, IncomingBody, Method, OutgoingBody, OutgoingRequest, Scheme};

struct Package;

fn failed(what: impl std::fmt::Debug) -> BlockError {
    BlockError::Failed(format!("{what:?}"))
}

/// Status and body of the answer.
fn request(text: &str) -> Result<(u16, Vec<u8>), BlockError> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let (method, url) = lines.next().and_then(|line| line.split_once(' ')).ok_or_else(|| failed("no request line"))?;
    let headers = Fields::new();
    for line in lines {
        let (name, value) = line.split_once(": ").ok_or_else(|| failed("no header"))?;
        headers.append(name, value.as_bytes()).map_err(failed)?;
    }
    let (scheme, rest) = url.split_once("://").ok_or_else(|| failed("no scheme"))?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let request = OutgoingRequest::new(headers);
    let method = if method == "POST" { Method::Post } else { Method::Get };
    let scheme = match scheme {
        "https" => Scheme::Https,
        "http" => Scheme::Http,
        other => Scheme::Other(other.to_owned()),
    };
    request.set_method(&method).map_err(failed)?;
    request.set_scheme(Some(&scheme)).map_err(failed)?;
    request.set_authority(Some(authority)).map_err(failed)?;
    request.set_path_with_query(Some(path)).map_err(failed)?;
    let outgoing = request.body().map_err(failed)?;
    let response = handle(request, None).map_err(failed)?;
    let stream = outgoing.write().map_err(failed)?;
    for piece in body.as_bytes().chunks(4096) {
        stream.blocking_write_and_flush(piece).map_err(failed)?;
    }
    drop(stream);
    OutgoingBody::finish(outgoing, None).map_err(failed)?;
    response.subscribe().block();
    let response = response.get().ok_or_else(|| failed("no answer"))?.map_err(failed)?.map_err(failed)?;
    let (status, incoming) = (response.status(), response.consume().map_err(failed)?);
    let stream = incoming.stream().map_err(failed)?;
    let mut read = Vec::new();
    while let Ok(piece) = stream.blocking_read(64 << 10) {
        read.extend(piece);
    }
    drop(stream);
    IncomingBody::finish(incoming);
    Ok((status, read))
}

fn text(value: &str) -> String {
    let escaped: String = value.chars().flat_map(char::escape_default).collect();
    format!("\"{}\"", escaped.replace("\\'", "'").replace("\\u{", "u{"))
}

impl Guest for Package {
    fn catalog() -> String {
        let block = |name: &str, effect: bool| {
            format!(
                r#"{{"name":"{name}","title":"t","description":"d","category":"output","inputs":[],"outputs":[],
                "config":{{"type":"object","additionalProperties":false}},"effect":{effect},
                "capabilities":["http:*","secret:KEY"]}}"#
            )
        };
        let blocks = ["request", "many", "environment", "sleep", "files", "spin"].map(|name| block(name, name == "many"));
        format!("[{}]", blocks.join(","))
    }

    fn run(block: String, config: String, _: Payload) -> Result<Payload, BlockError> {
        let document = match block.as_str() {
            "request" => {
                let (status, body) = request(&config)?;
                let length = body.len();
                let body = text(&String::from_utf8_lossy(&body[..length.min(2000)]));
                format!(r#"{{"status":{status},"length":{length},"body":{body}}}"#)
            }
            // As often as it can.
            "many" => {
                for count in 0..1000 {
                    if let Err(BlockError::Failed(reason)) = request(&config) {
                        return Err(BlockError::Failed(format!("after {count}: {reason}")));
                    }
                }
                "{}".to_owned()
            }
            "environment" => {
                let variables: Vec<_> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
                format!(r#"{{"variables":{}}}"#, text(&variables.join(" ")))
            }
            "sleep" => {
                std::thread::sleep(std::time::Duration::from_millis(config.parse().map_err(failed)?));
                "{}".to_owned()
            }
            "files" => {
                let found = [
                    std::fs::read("/etc/passwd").map(drop).map_err(|error| error.to_string()),
                    std::net::TcpStream::connect("127.0.0.1:80").map(drop).map_err(|error| error.to_string()),
                    std::net::UdpSocket::bind("0.0.0.0:0").map(drop).map_err(|error| error.to_string()),
                ];
                format!(r#"{{"opened":{}}}"#, found.iter().filter(|found| found.is_ok()).count())
            }
            "spin" => loop {
                std::hint::spin_loop();
            },
            other => return Err(BlockError::Failed(other.to_owned())),
        };
        Ok(Payload { document, images: Vec::new(), buffers: Vec::new() })
    }
}

export!(Package);
