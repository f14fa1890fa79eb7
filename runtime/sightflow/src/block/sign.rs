//! Signing: who vouches for a package.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use sightflow_engine::packages::{Disagreement, agree};
use sightflow_engine::signature::SigningKey;
use sightflow_sandbox::identity;

use crate::cli::block::ComponentOptions;
use crate::files;
use crate::logging::{print, say};

/// Bytes of a private key's or a signature's file, at most.
const MOST: u64 = 4096;

pub(super) fn keygen(file: &Path) -> Result<ExitCode> {
    let bytes = SigningKey::generate()?;
    let public = SigningKey::from_pkcs8(&bytes)?.public();
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut made = options.open(file).with_context(|| format!("cannot make {}", file.display()))?;
    made.write_all(&bytes)
        .and_then(|()| made.sync_all())
        .with_context(|| format!("cannot write {}", file.display()))?;
    print(format_args!("{public}"))?;
    say(format_args!("who trusts it: PUT /api/v1/publishers/NAME {{\"public_key\": \"{public}\"}}"));
    Ok(ExitCode::SUCCESS)
}

/// The signature under a component, as the header has it.
pub(super) fn signature(key: &Path, options: &ComponentOptions, component: &[u8]) -> Result<String> {
    let bytes = files::read(key, MOST)?;
    let key = SigningKey::from_pkcs8(&bytes).with_context(|| format!("--sign {}", key.display()))?;
    let said = identity(component)?.map(|said| sightflow_engine::Identity { name: said.name, version: said.version });
    let identity = match agree(said, options.name.as_deref(), options.version.as_ref()) {
        Ok(identity) => identity,
        Err(Disagreement::Missing(what)) => bail!("the component does not say its {what}; give it as `--{what}`"),
        Err(Disagreement::Differs(problems)) => {
            bail!("{}", problems.first().map_or("name or version differ", |problem| problem.message.as_str()))
        }
    };
    Ok(key.sign(&identity.name, &identity.version, sightflow_blobs::digest_of(component)).to_string())
}

/// A signature that was made before.
pub(super) fn read(file: &Path) -> Result<String> {
    let text = String::from_utf8(files::read(file, MOST)?).ok().map(|text| text.trim().to_owned());
    text.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
        .with_context(|| format!("--signature {}: not a signature", file.display()))
}
