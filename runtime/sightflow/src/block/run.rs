//! `sightflow block run`: one call in the sandbox that the server uses, with the same limits.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use sightflow_api::outgoing::{Network, Outgoing};
use sightflow_engine::{BlockEntry, Granted, fitting};
use sightflow_images::{EncodeFormat, Image, encode};
use sightflow_memory::MemoryPool;
use sightflow_sandbox::{CallConditions, Grants, GuestPayload, Level, Logs, Profile, Secret};
use sightflow_types::capability::{Capability, HostPattern};
use sightflow_types::manifest::{Port, PortKind};
use sightflow_types::{IMAGE_KEY, ImageRef};

use super::component::{Loaded, load};
use super::{block_on, check, print_findings};
use crate::cli::block::RunOptions;
use crate::host::WAITS;
use crate::logging::{print, say};
use crate::once::{file_name, json_or_text};
use crate::{effects, files};

pub(super) fn run(options: &RunOptions) -> Result<ExitCode> {
    if let Some(directory) = &options.out {
        // Now, not after all the work.
        std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let loaded = match block_on(load(&options.component))? {
        Ok(loaded) => loaded,
        Err(problems) => return check::refused(&options.component, &problems),
    };
    let entry = block(&loaded, &options.block)?;
    let config = config(&options.config)?;
    let Given { inputs, images } =
        Given::read(&entry.manifest.inputs, |port| entry.schema.takes_record(port), &options.inputs)?;
    let config = match fitting(entry, config, &inputs) {
        Ok(config) => config,
        Err(problems) => {
            print_findings(&problems)?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let code = entry.block.code.here().map_err(|error| anyhow!(error))?;
    let package = code.get::<sightflow_sandbox::Package>().context("the package has no code")?;
    let payload = GuestPayload { document: Value::Object(inputs).to_string(), images };
    let config = Value::Object(config).to_string();
    let grants = grants(options, &entry.manifest.capabilities)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let _within = runtime.enter();
    let mut conditions = CallConditions { grants, ..CallConditions::default() };
    if conditions.grants.is_some() {
        conditions.limits.wall = WAITS;
    }
    let called = loaded.sandbox.call_blocking(package, &entry.block.name, &config, payload, &conditions);
    let (logs, profile) = match &called {
        Ok(outcome) => (&outcome.logs, &outcome.profile),
        Err(failure) => (&failure.logs, &failure.profile),
    };
    show_logs(logs);
    if options.profile {
        show_profile(profile);
    }
    let outcome = called.map_err(|failure| anyhow!("{}: {}", failure.error.code(), failure.error))?;
    let mut answer: Value = serde_json::from_str(outcome.document.text()).context("the answer is not JSON")?;
    Pictures { images: &outcome.images, directory: options.out.as_deref(), written: Vec::new() }
        .place(&mut answer, "")?;
    print(format_args!("{answer:#}"))?;
    Ok(ExitCode::SUCCESS)
}

/// What the author gives the block of what it asks for.
fn grants(options: &RunOptions, requested: &[Capability]) -> Result<Option<Grants>> {
    let mut granted: Vec<_> = options.allow_host.iter().cloned().map(Capability::Http).collect();
    granted.extend(options.secrets.iter().cloned().map(Capability::Secret));
    if requested.is_empty() {
        ensure!(granted.is_empty(), "the block asks for no host and no secret");
        return Ok(None);
    }
    let granted = Granted { capabilities: granted, ceiling: [HostPattern::ANY].into() };
    match requested.iter().find(|one| granted.of(std::slice::from_ref(*one)).is_empty()) {
        Some(Capability::Http(host)) => bail!("the block asks for requests to {host}: `--allow-host HOST` gives them"),
        Some(Capability::Secret(name)) => bail!("the block asks for the secret {name}: `--secret {name}` gives it"),
        None => {}
    }
    let (mut hosts, mut secrets) = (Vec::new(), Vec::new());
    for capability in granted.of(requested) {
        match capability {
            Capability::Http(host) => hosts.push(host),
            Capability::Secret(name) => {
                let value = std::env::var(&name);
                let value = value.with_context(|| format!("the value of the secret {name} is no variable here"))?;
                secrets.push(Secret { name, value });
            }
        }
    }
    let networks: Vec<Network> =
        options.allow_network.iter().map(|text| text.parse()).collect::<Result<_, _>>().context("--allow-network")?;
    let client = effects::client(Outgoing::new(networks, MemoryPool::process().clone())?);
    Ok(Some(Grants { hosts, secrets, client }))
}

/// The block with this name, with or without its package's.
fn block<'l>(loaded: &'l Loaded, name: &str) -> Result<&'l BlockEntry> {
    let found = loaded.blocks().find(|entry| entry.block.name == name || entry.block_type == name);
    found.map(AsRef::as_ref).with_context(|| {
        let names: Vec<_> = loaded.blocks().map(|entry| entry.block.name.as_str()).collect();
        format!("the package has no block `{name}`; it has: {}", names.join(", "))
    })
}

fn config(text: &str) -> Result<Map<String, Value>> {
    let value = match text.strip_prefix('@') {
        Some(path) => json_file(Path::new(path))?,
        None => serde_json::from_str(text).context("--config is neither JSON nor `@FILE`")?,
    };
    match value {
        Value::Object(config) => Ok(config),
        other => bail!("--config is a JSON object, not {other}"),
    }
}

fn json_file(path: &Path) -> Result<Value> {
    let text = files::read(path, files::MOST_TEXT)?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))
}

/// Inputs as the block gets them.
#[derive(Debug, Default)]
struct Given {
    inputs: Map<String, Value>,
    images: Vec<Image>,
}

impl Given {
    /// Ports that take a record get the value of one edge, as it is.
    fn read(ports: &[Port], record: impl Fn(&str) -> bool, assignments: &[(String, String)]) -> Result<Self> {
        let mut given = Self::default();
        for (name, text) in assignments {
            let port = ports.iter().find(|port| port.name == *name || port.aliases.contains(name));
            let value =
                given.value(port.map(|port| port.kind), text).with_context(|| format!("--input {name}={text}"))?;
            let many = port.is_some_and(|port| (port.many && !record(&port.name)) || port.kind == PortKind::Images);
            let name = port.map_or(name, |port| &port.name);
            match given.inputs.get_mut(name) {
                Some(Value::Array(list)) if many => list.push(value),
                Some(_) => bail!("--input {name} is given twice"),
                None => {
                    // A list that is given as a whole is the list.
                    let value = if many && !value.is_array() { json!([value]) } else { value };
                    given.inputs.insert(name.clone(), value);
                }
            }
        }
        Ok(given)
    }

    /// What a text means at a port of this kind.
    fn value(&mut self, kind: Option<PortKind>, text: &str) -> Result<Value> {
        let picture = match kind {
            Some(PortKind::Image | PortKind::Images) => true,
            Some(PortKind::Any) => Path::new(text).is_file(),
            _ => false,
        };
        if picture {
            return self.picture(Path::new(text));
        }
        let value = match text.strip_prefix('@') {
            Some(path) => json_file(Path::new(path))?,
            None if kind == Some(PortKind::String) => {
                let quoted = serde_json::from_str(text).ok().filter(Value::is_string);
                quoted.unwrap_or_else(|| Value::String(text.to_owned()))
            }
            None => json_or_text(text),
        };
        ensure!(!holds_image(&value), "JSON cannot hold `{IMAGE_KEY}` here: give a picture as a file");
        Ok(value)
    }

    fn picture(&mut self, path: &Path) -> Result<Value> {
        let bytes = Bytes::from(files::read(path, files::MOST_PICTURE)?);
        let reference = ImageRef::whole(sightflow_blobs::digest_of(&bytes));
        let image =
            Image::from_reference(bytes, &reference).with_context(|| format!("{} is no picture", path.display()))?;
        self.images.push(image);
        Ok(json!({IMAGE_KEY: self.images.len() - 1}))
    }
}

fn holds_image(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(holds_image),
        Value::Object(object) => object.contains_key(IMAGE_KEY) || object.values().any(holds_image),
        _ => false,
    }
}

/// The pictures of an answer.
struct Pictures<'a> {
    images: &'a [Image],
    directory: Option<&'a Path>,
    written: Vec<PathBuf>,
}

impl Pictures<'_> {
    /// Says of every picture in a value how large it is, and where it lies if it was written.
    fn place(&mut self, value: &mut Value, name: &str) -> Result<()> {
        let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
        match value {
            Value::Array(items) => {
                items.iter_mut().enumerate().try_for_each(|(at, item)| self.place(item, &below(&at.to_string())))
            }
            Value::Object(object) => match object.get(IMAGE_KEY).and_then(Value::as_u64) {
                Some(index) => {
                    let index = usize::try_from(index)?;
                    let image = self.images.get(index).context("the answer names a picture that is not there")?;
                    *value = json!({IMAGE_KEY: self.write(image, name)?});
                    Ok(())
                }
                None => object.iter_mut().try_for_each(|(key, item)| self.place(item, &below(key))),
            },
            _ => Ok(()),
        }
    }

    fn write(&mut self, image: &Image, name: &str) -> Result<Value> {
        let (width, height) = image.size();
        let mut said = json!({"width": width, "height": height});
        let Some(directory) = self.directory else { return Ok(said) };
        // Two names may become one where characters were replaced.
        let names = std::iter::once(name.to_owned()).chain((2..).map(|number| format!("{name}-{number}")));
        let mut paths = names.map(|name| directory.join(file_name(&name, "png")));
        let path = paths.find(|path| !self.written.contains(path)).context("there is always another name")?;
        let bytes = encode(image, EncodeFormat::Png)?;
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        said["file"] = json!(path);
        self.written.push(path);
        Ok(said)
    }
}

fn show_logs(logs: &Logs) {
    for line in &logs.lines {
        let level = match line.level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        say(format_args!("{level:<5} {}", line.message));
    }
    if logs.dropped > 0 {
        say(format_args!("{} more lines were not kept", logs.dropped));
    }
}

fn show_profile(profile: &Profile) {
    let Profile {
        cpu_us,
        host_cpu_us,
        wall_us,
        queue_us,
        host_steps,
        peak_memory,
        peak_image_bytes,
        bytes_copied,
        handles,
        http_requests,
        http_sent_bytes,
        http_received_bytes,
    } = *profile;
    let kib = |bytes: u64| format!("{} KiB", bytes.div_ceil(1024));
    for (what, used) in [
        ("guest CPU", format!("{cpu_us} µs")),
        ("host CPU", format!("{host_cpu_us} µs, {host_steps} steps of image operations")),
        ("wall", format!("{wall_us} µs, after {queue_us} µs of waiting")),
        ("peak memory", kib(peak_memory as u64)),
        ("peak pixels", kib(peak_image_bytes)),
        ("bytes moved", kib(bytes_copied)),
        ("handles", handles.to_string()),
    ] {
        say(format_args!("{what:<12} {used}"));
    }
    if http_requests > 0 {
        say(format_args!(
            "HTTP         {http_requests} requests, {http_sent_bytes} bytes sent, {http_received_bytes} received"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, kind: PortKind, many: bool) -> Port {
        Port {
            name: name.to_owned(),
            kind,
            required: false,
            many,
            exclusive: false,
            aliases: vec![format!("{name}_too")],
            description: String::new(),
        }
    }

    #[test]
    fn inputs_are_read_by_the_kind_of_their_port() {
        let ports = [
            port("text", PortKind::String, false),
            port("number", PortKind::Number, false),
            port("list", PortKind::Array, false),
            port("values", PortKind::Any, true),
            port("image", PortKind::Image, false),
            port("record", PortKind::Any, true),
        ];
        for (given, expected) in [
            (&["text=5"][..], Ok(json!({"text": "5"}))),
            (&["text=\"5\""], Ok(json!({"text": "5"}))),
            (&["text_too=a"], Ok(json!({"text": "a"}))),
            (&["number=5"], Ok(json!({"number": 5}))),
            (&["list=[1, 2]"], Ok(json!({"list": [1, 2]}))),
            (&["values=1", "values=x"], Ok(json!({"values": [1, "x"]}))),
            (&["values=[1]"], Ok(json!({"values": [1]}))),
            (&["record=1"], Ok(json!({"record": 1}))),
            (&["record=1", "record=2"], Err("given twice")),
            (&["unknown=1"], Ok(json!({"unknown": 1}))),
            (&["number=5", "number=6"], Err("given twice")),
            (&["list=[{\"$image\": 0}]"], Err("give a picture as a file")),
            (&["image=/no/such/file"], Err("cannot read")),
            (&["list=@/no/such/file"], Err("cannot read")),
        ] {
            let pairs: Vec<_> = given.iter().map(|text| text.split_once('=').expect("a pair")).collect();
            let pairs: Vec<_> = pairs.into_iter().map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
            match (Given::read(&ports, |port| port == "record", &pairs), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(Value::Object(found.inputs), expected, "{given:?}"),
                (Err(error), Err(part)) => assert!(format!("{error:#}").contains(part), "{given:?}: {error:#}"),
                (found, _) => panic!("{given:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn pictures_stay_in_their_folder_and_apart() {
        let out = tempfile::tempdir().expect("a directory");
        let pixels = sightflow_images::Pixels::filled(2, 3, sightflow_images::PixelFormat::Rgb8, &[1, 2, 3]);
        let image = Image::from_pixels(pixels.expect("pixels"));
        let mut answer = json!({"../up": {"$image": 0}, "_up": {"$image": 0}, "list": [{"$image": 0}], "n": 1});
        let mut pictures = Pictures { images: &[image], directory: Some(out.path()), written: Vec::new() };
        pictures.place(&mut answer, "").expect("written");
        let mut names: Vec<_> = std::fs::read_dir(out.path())
            .expect("a listing")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        assert_eq!(names, ["_up-2.png", "_up.png", "list.0.png"]);
        assert_eq!(answer["list"][0]["$image"]["height"], 3);
    }
}
