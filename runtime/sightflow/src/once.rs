//! `sightflow run`: one definition, once. The whole service runs in this process, reachable for nobody but us.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Map, Value, json};
use sightflow_images::{EncodeFormat, Image, encode};
use sightflow_types::ImageRef;

use crate::cli::RunOptions;
use crate::files;
use crate::local::Local;
use crate::logging::{self, say};
use crate::signal::StopSignals;
use crate::wiring::Runtime;

pub(crate) fn run(options: &RunOptions) -> Result<ExitCode> {
    let _log = logging::start("warn")?;
    if options.runtime.workers == Some(0) {
        bail!("`--workers 0` computes nothing, and a run would wait for ever; leave it out");
    }
    let definition = definition(&options.file)?;
    // Goes after the threads that may still write into it.
    let temporary = tempfile::TempDir::new()?;
    let data = options.data.as_deref().unwrap_or(temporary.path());
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(execute(options, data, definition))
}

/// A definition file: bare, or the body of `POST /workflows`.
pub(crate) fn definition(path: &Path) -> Result<Value> {
    let text = files::read(path, files::MOST_TEXT)?;
    let mut document = sightflow_api::read_document(&text).map_err(|reason| anyhow!("{}: {reason}", path.display()))?;
    Ok(document.remove("definition").unwrap_or(Value::Object(document)))
}

async fn execute(options: &RunOptions, data: &Path, definition: Value) -> Result<ExitCode> {
    let mut signals = StopSignals::catch()?;
    let runtime = tokio::select! {
        () = signals.received() => bail!("stopped before the run had begun"),
        started = Runtime::start(data, &options.runtime) => started?,
    };
    let service = Local::new(sightflow_api::router(runtime.api.clone()));
    let done = tokio::select! {
        done = run_once(&service, options, definition) => done,
        reason = runtime.failed() => Err(anyhow!(reason)),
        () = signals.received() => Err(anyhow!("stopped before the run had ended")),
    };
    runtime.api.drain();
    runtime.shutdown().await;
    done
}

async fn run_once(service: &Local, options: &RunOptions, definition: Value) -> Result<ExitCode> {
    if let Some(directory) = &options.out {
        // Now, not after all the work.
        std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let mut input = Map::new();
    for (at, (name, value)) in options.inputs.iter().enumerate() {
        if options.inputs[..at].iter().any(|(earlier, _)| earlier == name) {
            bail!("--input {name} is given twice");
        }
        add_input(service, &mut input, name, value).await?;
    }
    let parameters: Map<String, Value> =
        options.parameters.iter().map(|(name, text)| (name.clone(), json_or_text(text))).collect();
    let request = json!({"definition": definition, "input": input, "parameters": parameters});
    let accepted = service.post("/api/v1/run", &request).await?;
    let status_url = accepted["status_url"].as_str().context("the answer has no status_url")?;
    follow(service, accepted["events_url"].as_str().context("the answer has no events_url")?).await?;
    let execution = service.get(status_url).await?;
    let outputs = &execution["outputs"];
    if let Some(directory) = &options.out {
        write_pictures(service, outputs, directory).await?;
    }
    logging::print(format_args!("{outputs:#}"))?;
    if execution["status"] == "completed" {
        return Ok(ExitCode::SUCCESS);
    }
    let error = &execution["error"];
    let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
    bail!("the run ended as {}: {} at `{}`: {}", execution["status"], text("code"), text("node_id"), text("message"));
}

/// A file becomes an image; anything else is a value of its own.
async fn add_input(service: &Local, input: &mut Map<String, Value>, name: &str, value: &str) -> Result<()> {
    let path = PathBuf::from(value);
    if name != "image" && !path.is_file() {
        input.insert(name.to_owned(), json_or_text(value));
        return Ok(());
    }
    let picture = files::read(&path, files::MOST_PICTURE).with_context(|| format!("--input {name}={value}"))?;
    let blob = service.upload("/api/v1/blobs", picture).await;
    let image = blob.with_context(|| path.display().to_string())?["digest"].clone();
    if name == "image" {
        input.insert("image".to_owned(), image);
    } else if let Value::Object(images) = input.entry("images").or_insert_with(|| json!({})) {
        images.insert(name.to_owned(), image);
    }
    Ok(())
}

/// A line for each event of a node, until the run has ended.
async fn follow(service: &Local, events_url: &str) -> Result<()> {
    let mut after = 0;
    loop {
        let page = service.get(&format!("{events_url}?after={after}&wait=20s")).await?;
        for event in page["items"].as_array().into_iter().flatten() {
            after = event["seq"].as_i64().unwrap_or(after);
            let Some(node) = event["node_id"].as_str() else { continue };
            let time = event["duration_ms"].as_u64().map_or_else(String::new, |ms| format!("  {ms} ms"));
            say(format_args!("{:<16} {node}{time}", event["event"].as_str().unwrap_or_default()));
        }
        if page["terminal"] == true {
            return Ok(());
        }
    }
}

async fn write_pictures(service: &Local, outputs: &Value, directory: &Path) -> Result<()> {
    let mut found = Vec::new();
    pictures(outputs, "", &mut found);
    for (name, image) in found {
        let mut bytes = service.bytes(image["url"].as_str().context("an output image has no url")?).await?;
        let reference: ImageRef = serde_json::from_value(image.clone())?;
        let mut format = reference.format.clone().unwrap_or_else(|| "png".to_owned());
        if reference.view.is_some() {
            // The URL leads to the whole picture that this is a part of.
            bytes = encode(&Image::from_reference(bytes, &reference)?, EncodeFormat::Png)?;
            "png".clone_into(&mut format);
        }
        let path = directory.join(file_name(&name, &format));
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        say(format_args!("wrote {}", path.display()));
    }
    Ok(())
}

/// A name that leads nowhere else, whatever the output and the keys below it are called.
pub(crate) fn file_name(name: &str, format: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
    let stem: String = name.chars().map(plain).collect();
    format!("{}.{}", stem.trim_start_matches('.'), format.chars().map(plain).collect::<String>())
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

pub(crate) fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn pictures_stay_in_their_folder() {
        for (name, expected) in [
            ("annotated", "annotated.png"),
            ("crop.crops.0", "crop.crops.0.png"),
            ("../escaped", "_escaped.png"),
            ("/etc/passwd", "_etc_passwd.png"),
            ("..", ".png"),
            ("a\\b:c", "a_b_c.png"),
            ("größe", "größe.png"),
        ] {
            assert_eq!(file_name(name, "png"), expected, "{name}");
        }
    }
}
