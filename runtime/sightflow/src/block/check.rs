//! `sightflow block check` and `sightflow block test`.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use sightflow_engine::{BlockHost, run_examples};
use sightflow_types::{Problem, TenantId};

use super::component::{Loaded, load};
use super::{block_on, count_findings, print_findings};
use crate::cli::block::{CheckOptions, ComponentOptions};
use crate::host::SandboxHost;
use crate::logging::{print, say};

pub(super) fn check(options: &CheckOptions) -> Result<ExitCode> {
    match block_on(load(&options.component))? {
        Ok(loaded) if options.json => print(format_args!("{:#}", sightflow_api::checked_package(&loaded.package)))?,
        Ok(loaded) => describe(&loaded)?,
        Err(problems) if options.json => {
            print(format_args!("{:#}", sightflow_api::refused_component(problems)))?;
            return Ok(ExitCode::FAILURE);
        }
        Err(problems) => return refused(&options.component, &problems),
    }
    Ok(ExitCode::SUCCESS)
}

/// Every finding, and how many.
pub(super) fn refused(component: &ComponentOptions, problems: &[Problem]) -> Result<ExitCode> {
    print_findings(problems)?;
    say(format_args!("{}: {}", component.file.display(), count_findings(problems)));
    Ok(ExitCode::FAILURE)
}

fn describe(loaded: &Loaded) -> Result<()> {
    let package = &loaded.package;
    let asked: BTreeSet<_> =
        package.manifests.iter().flat_map(|block| block.capabilities.iter().map(ToString::to_string)).collect();
    let asked = if asked.is_empty() { "nothing".to_owned() } else { Vec::from_iter(asked).join(", ") };
    print(format_args!("{} {}", package.name, package.version))?;
    print(format_args!("size    {} bytes", loaded.size))?;
    print(format_args!("digest  {}", package.digest))?;
    print(format_args!("asks for {asked}"))?;
    for entry in loaded.blocks() {
        let names = |ports: &[sightflow_types::manifest::Port]| {
            ports.iter().map(|port| format!("{}: {}", port.name, port.kind)).collect::<Vec<_>>().join(", ")
        };
        let (inputs, outputs) = (names(&entry.manifest.inputs), names(&entry.manifest.outputs));
        print(format_args!("block   {} ({inputs}) → ({outputs})", entry.block_type))?;
    }
    Ok(())
}

pub(super) fn test(component: &ComponentOptions) -> Result<ExitCode> {
    block_on(async {
        let loaded = match load(component).await? {
            Ok(loaded) => loaded,
            Err(problems) => return refused(component, &problems),
        };
        let host: Arc<dyn BlockHost> = Arc::new(SandboxHost::new(loaded.sandbox.clone(), None));
        let (mut held, mut failed) = (0, 0);
        for entry in loaded.blocks() {
            if entry.manifest.examples.is_empty() {
                say(format_args!("{}: no examples", entry.block.name));
            }
            for outcome in run_examples(&host, TenantId::BUILT_IN, entry).await {
                match outcome.problem() {
                    None => {
                        held += 1;
                        print(format_args!("ok      {} example {}", outcome.block, outcome.index))?;
                    }
                    Some(problem) => {
                        failed += 1;
                        print(format_args!("FAILED  {}: {}", problem.code, problem.message))?;
                    }
                }
            }
        }
        say(format_args!("{} {}: {held} held, {failed} failed", loaded.package.name, loaded.package.version));
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}
