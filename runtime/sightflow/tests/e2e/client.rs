//! A small HTTP client that speaks JSON.

use serde_json::{Value, json};

use crate::server::root;

/// Talks to one server.
#[derive(Clone)]
pub(crate) struct Client {
    address: String,
    agent: ureq::Agent,
}

impl Client {
    pub(crate) fn new(address: String) -> Self {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        Self { address, agent }
    }

    /// `http://…`, without a path.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        answer(self.agent.get(self.url(path)).call())
    }

    /// With an API key.
    pub(crate) fn get_with_key(&self, path: &str, key: &str) -> (u16, Value) {
        answer(self.agent.get(self.url(path)).header("Authorization", format!("Bearer {key}")).call())
    }

    pub(crate) fn bytes(&self, path: &str) -> (u16, Vec<u8>) {
        let mut response = self.agent.get(self.url(path)).call().unwrap();
        let bytes = response.body_mut().with_config().limit(64 << 20).read_to_vec().unwrap();
        (response.status().as_u16(), bytes)
    }

    pub(crate) fn delete(&self, path: &str) -> (u16, Value) {
        answer(self.agent.delete(self.url(path)).call())
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.agent.put(self.url(path)).send_json(body))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send(path, "application/json", &serde_json::to_vec(body).unwrap())
    }

    pub(crate) fn send(&self, path: &str, content_type: &str, body: &[u8]) -> (u16, Value) {
        answer(self.agent.post(self.url(path)).content_type(content_type).send(body))
    }

    /// Saves a definition; it must be accepted.
    pub(crate) fn save(&self, definition: &Value) -> String {
        let (status, workflow) = self.post("/api/v1/workflows", &json!({"name": "test", "definition": definition}));
        assert_eq!(status, 201, "{workflow:#}");
        workflow["id"].as_str().unwrap().to_owned()
    }

    /// Saves a file of `examples/workflows`.
    pub(crate) fn save_example(&self, name: &str) -> String {
        self.save(&example(name)["definition"])
    }

    /// Stores a photograph of `examples/images` and answers its digest.
    pub(crate) fn upload(&self, photo: &[u8]) -> String {
        let (status, blob) = self.send("/api/v1/blobs", "application/octet-stream", photo);
        assert!(matches!(status, 200 | 201), "{status} {blob:#}");
        blob["digest"].as_str().unwrap().to_owned()
    }

    /// Starts a run of `workflow` on one image and answers the execution's id; the answer must be 202.
    pub(crate) fn start(&self, workflow: &str, digest: &str) -> String {
        let (status, accepted) =
            self.post(&format!("/api/v1/workflows/{workflow}/run"), &json!({"input": {"image": digest}}));
        assert_eq!(status, 202, "{accepted:#}");
        accepted["execution_id"].as_str().unwrap().to_owned()
    }

    /// As `start`, with an `Idempotency-Key`.
    pub(crate) fn start_with_key(&self, workflow: &str, digest: &str, key: &str) -> String {
        let request =
            self.agent.post(self.url(&format!("/api/v1/workflows/{workflow}/run"))).header("idempotency-key", key);
        let (status, accepted) = answer(request.send_json(json!({"input": {"image": digest}})));
        assert_eq!(status, 202, "{accepted:#}");
        accepted["execution_id"].as_str().unwrap().to_owned()
    }

    /// Waits for an execution's end.
    pub(crate) fn finished(&self, execution: &str) -> Value {
        for _ in 0..4 {
            let (status, execution) = self.get(&format!("/api/v1/executions/{execution}?wait=60s"));
            assert_eq!(status, 200, "{execution:#}");
            if matches!(execution["status"].as_str(), Some("completed" | "failed" | "cancelled")) {
                return execution;
            }
        }
        panic!("{execution} did not end in four minutes");
    }

    /// Runs a workflow on one photograph to its end; it must complete.
    pub(crate) fn run(&self, workflow: &str, photo: &[u8]) -> Value {
        let execution = self.finished(&self.start(workflow, &self.upload(photo)));
        assert_eq!(execution["status"], "completed", "{execution:#}");
        execution
    }

    /// Saves and runs an example workflow on a bundled photograph.
    pub(crate) fn run_example(&self, name: &str, photo_name: &str) -> Value {
        self.run(&self.save_example(name), &photo(photo_name))
    }

    /// The jobs of an execution, complete rows.
    pub(crate) fn jobs(&self, execution: &str) -> Vec<Value> {
        let (status, list) = self.get(&format!("/api/v1/inference-jobs?execution_id={execution}"));
        assert_eq!(status, 200, "{list:#}");
        let ids = list["items"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned());
        ids.map(|id| self.get(&format!("/api/v1/inference-jobs/{id}")).1).collect()
    }

    /// The events of an execution from the first on, each with its name under `event`.
    pub(crate) fn events(&self, execution: &str) -> Vec<Value> {
        let mut response = self
            .agent
            .get(self.url(&format!("/api/v1/executions/{execution}/events")))
            .header("accept", "text/event-stream")
            .call()
            .unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        let mut name = String::new();
        let mut events = Vec::new();
        for line in text.lines() {
            if let Some(value) = line.strip_prefix("event: ") {
                value.clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                let mut event: Value = serde_json::from_str(data).unwrap();
                event["event"] = json!(name);
                events.push(event);
            }
        }
        events
    }
}

fn answer(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> (u16, Value) {
    let mut response = result.unwrap();
    let status = response.status().as_u16();
    let text = response.body_mut().with_config().limit(64 << 20).read_to_string().unwrap();
    if text.is_empty() {
        return (status, Value::Null);
    }
    (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: not JSON: {text}")))
}

pub(crate) fn example(name: &str) -> Value {
    let path = root().join("examples/workflows").join(format!("{name}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// One component, no picture: cheap, and every run writes log lines.
pub(crate) fn logic() -> Value {
    let config = json!({"field": "confidence", "operator": "greater_equal", "value": 0.1});
    json!({"nodes": [{"id": "keep", "type": "filter", "config": config, "inputs": {"items": "$inputs.items"}}]})
}

/// A run of [`logic`].
pub(crate) fn logic_run() -> Value {
    json!({"input": {"items": [{"confidence": 0.9}, {"confidence": 0.05}]}})
}

pub(crate) fn photo(name: &str) -> Vec<u8> {
    std::fs::read(root().join("examples/images").join(name)).unwrap()
}
