//! `sightflow block push` and `pull`: packages in registries of container images.
//!
//! Media types and configuration are those of the CNCF's "Wasm OCI Artifact layout", so that other tools of WebAssembly
//! read what is pushed here, and the other way round.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::TryStreamExt as _;
use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use serde_json::json;
use sightflow_sandbox::{MAX_PACKAGE_BYTES, screen};

use super::{block_on, check, component, sign};
use crate::cli::block::{PullOptions, PushOptions};
use crate::logging::{print, say};

const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const LAYER: &str = "application/wasm";
/// Where a publisher's signature travels beside the component.
const SIGNATURE: &str = "io.sightflow.signature";

const TITLE: &str = "org.opencontainers.image.title";
const VERSION: &str = "org.opencontainers.image.version";

/// A registry that does not answer for so long is given up.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn push(options: &PushOptions) -> Result<ExitCode> {
    let reference = reference(&options.reference)?;
    if reference.digest().is_some() {
        bail!("--to {}: a digest cannot be chosen; name a tag", options.reference);
    }
    let bytes = component::read(&options.component)?;
    let screened = match screen(&bytes) {
        Ok(screened) => screened,
        Err(problems) => return check::refused(&options.component, &problems),
    };
    let mut annotations = BTreeMap::new();
    if let Some(said) = &screened.identity {
        annotations.insert(TITLE.to_owned(), said.name.clone());
        annotations.insert(VERSION.to_owned(), said.version.to_string());
    }
    if let Some(key) = &options.sign {
        annotations.insert(SIGNATURE.to_owned(), sign::signature(key, &options.component, &bytes)?);
    }
    let config = json!({
        // The layout wants a time; one that stands still gives the same bytes the same digest.
        "created": "1970-01-01T00:00:00Z",
        "author": null,
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [sightflow_blobs::digest_of(&bytes).to_string()],
        "component": {"exports": screened.exports, "imports": screened.imports, "target": null},
    });
    let config = Config::new(config.to_string().into_bytes(), CONFIG.to_owned(), None);
    let layers = [ImageLayer::new(bytes, LAYER.to_owned(), None)];
    let mut manifest = OciImageManifest::build(&layers, &config, Some(annotations));
    manifest.media_type = Some(OCI_IMAGE_MEDIA_TYPE.to_owned());
    let digest = block_on(async {
        let (client, auth) = (client(&reference), credentials(&reference));
        let pushed = client.push(&reference, &layers, config, &auth, Some(manifest)).await;
        pushed.with_context(|| format!("cannot push to {}", options.reference))?;
        let digest = client.fetch_manifest_digest(&reference, &auth).await;
        digest.with_context(|| format!("pushed, but {} does not give it back", options.reference))
    })?;
    print(format_args!("oci://{}/{}@{digest}", reference.registry(), reference.repository()))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn pull(options: &PullOptions) -> Result<ExitCode> {
    let reference = reference(&options.reference)?;
    let (component, signature) = block_on(async {
        let (client, auth) = (client(&reference), credentials(&reference));
        let manifest = client.pull_image_manifest(&reference, &auth).await;
        let (manifest, _) = manifest.with_context(|| format!("cannot pull {}", options.reference))?;
        let layer = component_layer(&manifest).with_context(|| options.reference.clone())?;
        let component = download(&client, &reference, layer).await;
        let component = component.with_context(|| format!("cannot pull {}", options.reference))?;
        let signature = manifest.annotations.unwrap_or_default().remove(SIGNATURE);
        Ok((component, signature))
    })?;
    let said = sightflow_sandbox::identity(&component).with_context(|| options.reference.clone())?;
    write(&options.out, &component)?;
    let signed = options.out.with_added_extension("sig");
    match &signature {
        Some(signature) => write(&signed, signature.as_bytes())?,
        // One from an earlier pull would be of another component.
        None => match std::fs::remove_file(&signed) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", signed.display()));
            }
            _ => {}
        },
    }
    let digest = sightflow_blobs::digest_of(&component);
    print(format_args!("{}  {digest}", options.out.display()))?;
    let what =
        said.map_or_else(|| "a component without a name".to_owned(), |said| format!("{} {}", said.name, said.version));
    match signature {
        Some(_) => say(format_args!("{what}; publish it with --signature {}", signed.display())),
        None => say(format_args!("{what}; not signed")),
    }
    Ok(ExitCode::SUCCESS)
}

/// `oci://registry/repository:tag`, with the registry written out: no text means another registry than it says.
fn reference(text: &str) -> Result<Reference> {
    let expected =
        || format!("`{text}`: expected oci://REGISTRY/REPOSITORY:TAG, for example oci://ghcr.io/acme/blocks:1.0.0");
    let name = text.strip_prefix("oci://").with_context(expected)?;
    let reference: Reference = name.parse().with_context(expected)?;
    if !name.starts_with(&format!("{}/", reference.registry())) {
        bail!("{}; the registry is missing", expected());
    }
    Ok(reference)
}

fn client(reference: &Reference) -> Client {
    // Refused when a provider is set already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let registry = reference.registry();
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    // As Docker does: only this machine is asked without TLS.
    let protocol = match host {
        "localhost" | "127.0.0.1" => ClientProtocol::Http,
        _ => ClientProtocol::Https,
    };
    Client::new(ClientConfig {
        protocol,
        connect_timeout: Some(Duration::from_secs(10)),
        read_timeout: Some(PATIENCE),
        user_agent: concat!("sightflow/", env!("CARGO_PKG_VERSION")),
        ..ClientConfig::default()
    })
}

/// What `docker login` or `podman login` left for this registry.
fn credentials(reference: &Reference) -> RegistryAuth {
    use docker_credential::{DockerCredential, get_credential, get_podman_credential};
    let registry = reference.registry();
    match get_credential(registry).or_else(|_| get_podman_credential(registry)) {
        Ok(DockerCredential::UsernamePassword(user, password)) => RegistryAuth::Basic(user, password),
        Ok(DockerCredential::IdentityToken(token)) => RegistryAuth::Bearer(token),
        Err(_) => RegistryAuth::Anonymous,
    }
}

/// The one layer that is a component.
fn component_layer(manifest: &OciImageManifest) -> Result<&OciDescriptor> {
    let [layer] = &manifest.layers[..] else {
        bail!("it has {} layers; a package is one component, of type {LAYER}", manifest.layers.len());
    };
    if layer.media_type != LAYER {
        bail!("it holds `{}`, not a component (`{LAYER}`)", layer.media_type);
    }
    if usize::try_from(layer.size).is_ok_and(|size| size <= MAX_PACKAGE_BYTES) {
        return Ok(layer);
    }
    bail!("the component has {} bytes; at most {MAX_PACKAGE_BYTES} are accepted", layer.size)
}

/// The layer's bytes, which have the digest that the manifest says; no more of them than a package may have.
async fn download(client: &Client, reference: &Reference, layer: &OciDescriptor) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut stream = client.pull_blob_stream(reference, layer).await?.stream;
    while let Some(part) = stream.try_next().await? {
        bytes.extend_from_slice(&part);
        if bytes.len() > MAX_PACKAGE_BYTES {
            bail!("more than {MAX_PACKAGE_BYTES} bytes came, and the manifest says {}", layer.size);
        }
    }
    Ok(bytes)
}

/// Whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // As any other file: the process's mask decides.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(directory).with_context(cannot)?;
    file.write_all(bytes).with_context(cannot)?;
    file.persist(path).with_context(cannot)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        for (text, expected) in [
            ("oci://ghcr.io/acme/blocks:1.0.0", Ok("ghcr.io/acme/blocks:1.0.0")),
            ("oci://localhost:5000/blocks", Ok("localhost:5000/blocks:latest")),
            ("ghcr.io/acme/blocks:1.0.0", Err("expected oci://")),
            ("oci://acme/blocks:1.0.0", Err("the registry is missing")),
            ("oci://ghcr.io/Acme/blocks", Err("expected oci://")),
            ("oci://", Err("expected oci://")),
        ] {
            match (reference(text), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.whole(), expected),
                (Err(error), Err(part)) => assert!(format!("{error:#}").contains(part), "{text}: {error:#}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }
}
