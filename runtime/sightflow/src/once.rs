//! `sightflow run`: one definition, once. The whole service runs in this process, reachable for nobody but us.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use sightflow_images::{EncodeFormat, Image, encode};
use sightflow_types::ImageRef;
use tokio::net::TcpListener;

use crate::cli::RunOptions;
use crate::wiring::{self, Runtime};

pub(crate) fn run(options: &RunOptions) -> Result<ExitCode> {
    wiring::log("warn");
    let definition = definition(&options.file)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(execute(options, definition))
}

/// A definition file: bare, or the body of `POST /workflows`.
pub(crate) fn definition(path: &Path) -> Result<Value> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut value: Value = serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    Ok(match value.get_mut("definition") {
        Some(inner) => inner.take(),
        None => value,
    })
}

async fn execute(options: &RunOptions, definition: Value) -> Result<ExitCode> {
    let temporary = tempfile::TempDir::new()?;
    let data = options.data.clone().unwrap_or_else(|| temporary.path().to_owned());
    let runtime = Runtime::start(&data, &options.runtime).await?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let client = Client {
        http: reqwest::Client::builder().no_proxy().build()?,
        address: format!("http://{}", listener.local_addr()?),
    };
    let serving = tokio::spawn(axum::serve(listener, sightflow_api::router(runtime.api.clone())).into_future());
    let done = client.run(options, definition).await;
    runtime.api.drain();
    serving.abort();
    runtime.shutdown().await;
    done
}

struct Client {
    http: reqwest::Client,
    address: String,
}

impl Client {
    async fn run(&self, options: &RunOptions, definition: Value) -> Result<ExitCode> {
        let mut input = Map::new();
        for (name, value) in &options.inputs {
            self.add_input(&mut input, name, value).await?;
        }
        let parameters: Map<String, Value> =
            options.parameters.iter().map(|(name, text)| (name.clone(), json_or_text(text))).collect();
        let request = json!({"definition": definition, "input": input, "parameters": parameters});
        let accepted = self.post("/api/v1/run", request).await?;
        let status_url = accepted["status_url"].as_str().context("the answer has no status_url")?;
        self.follow(accepted["events_url"].as_str().context("the answer has no events_url")?).await?;
        let execution = self.get(status_url).await?;
        let outputs = &execution["outputs"];
        if let Some(directory) = &options.out {
            self.write_pictures(outputs, directory).await?;
        }
        println!("{}", serde_json::to_string_pretty(outputs)?);
        if execution["status"] == "completed" {
            return Ok(ExitCode::SUCCESS);
        }
        let error = &execution["error"];
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        bail!(
            "the run ended as {}: {} at `{}`: {}",
            execution["status"],
            text("code"),
            text("node_id"),
            text("message")
        );
    }

    /// A file becomes an image; anything else is a value of its own.
    async fn add_input(&self, input: &mut Map<String, Value>, name: &str, value: &str) -> Result<()> {
        let path = PathBuf::from(value);
        if !path.is_file() {
            if name == "image" {
                bail!("--input image={value}: there is no such file");
            }
            input.insert(name.to_owned(), json_or_text(value));
            return Ok(());
        }
        let response =
            self.http.post(format!("{}/api/v1/blobs", self.address)).header("content-type", "application/octet-stream");
        let blob = answer(response.body(std::fs::read(&path)?)).await.with_context(|| path.display().to_string())?;
        let image = blob["digest"].clone();
        if name == "image" {
            input.insert("image".to_owned(), image);
        } else if let Value::Object(images) = input.entry("images").or_insert_with(|| json!({})) {
            images.insert(name.to_owned(), image);
        }
        Ok(())
    }

    /// A line for each event of a node, until the run has ended.
    async fn follow(&self, events_url: &str) -> Result<()> {
        let mut after = 0;
        loop {
            let page = self.get(&format!("{events_url}?after={after}&wait=20s")).await?;
            for event in page["items"].as_array().into_iter().flatten() {
                after = event["seq"].as_i64().unwrap_or(after);
                let Some(node) = event["node_id"].as_str() else { continue };
                let time = event["duration_ms"].as_u64().map_or_else(String::new, |ms| format!("  {ms} ms"));
                eprintln!("{:<16} {node}{time}", event["event"].as_str().unwrap_or_default());
            }
            if page["terminal"] == true {
                return Ok(());
            }
        }
    }

    async fn write_pictures(&self, outputs: &Value, directory: &Path) -> Result<()> {
        let mut found = Vec::new();
        pictures(outputs, "", &mut found);
        std::fs::create_dir_all(directory)?;
        for (name, image) in found {
            let url = image["url"].as_str().context("an output image has no url")?;
            let response = self.http.get(format!("{}{url}", self.address)).send().await?.error_for_status()?;
            let mut bytes = response.bytes().await?;
            let reference: ImageRef = serde_json::from_value(image.clone())?;
            let mut format = reference.format.clone().unwrap_or_else(|| "png".to_owned());
            if reference.view.is_some() {
                // The URL leads to the whole picture that this is a part of.
                bytes = encode(&Image::from_reference(bytes, &reference)?, EncodeFormat::Png)?;
                "png".clone_into(&mut format);
            }
            let path = directory.join(format!("{name}.{format}"));
            std::fs::write(&path, bytes)?;
            eprintln!("wrote {}", path.display());
        }
        Ok(())
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        answer(self.http.post(format!("{}{path}", self.address)).json(&body)).await
    }

    async fn get(&self, path: &str) -> Result<Value> {
        answer(self.http.get(format!("{}{path}", self.address)).header("accept", "application/json")).await
    }
}

/// The answer's JSON; an error status becomes an error with every detail.
async fn answer(request: reqwest::RequestBuilder) -> Result<Value> {
    let response = request.send().await?;
    let failed = !response.status().is_success();
    let body: Value = response.json().await?;
    if !failed {
        return Ok(body);
    }
    let error = &body["error"];
    let mut text = error["message"].as_str().unwrap_or("the request was refused").to_owned();
    for detail in error["details"].as_array().into_iter().flatten() {
        let part = |key: &str| detail[key].as_str().unwrap_or_default().to_owned();
        text.push_str(&format!("\n  {} {}: {}", part("code"), part("pointer"), part("message")));
    }
    bail!(text)
}

/// Every image in the outputs, named by its way there: `draw.image`, `crop.crops.0`.
fn pictures<'a>(value: &'a Value, name: &str, found: &mut Vec<(String, &'a Value)>) {
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match value {
        Value::Object(object) => match object.get(sightflow_types::IMAGE_KEY) {
            Some(image) => found.push((name.to_owned(), image)),
            None => object.iter().for_each(|(key, value)| pictures(value, &below(key), found)),
        },
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, value)| pictures(value, &below(&i.to_string()), found));
        }
        _ => {}
    }
}

fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
