//! `sightflow workflow validate`.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;
use sightflow_engine::{ModelCatalog, ModelEntry};
use sightflow_types::{ModelSource, Problem, TenantId};

use crate::cli::ValidateOptions;
use crate::wiring::Blocks;
use crate::{logging, models, once, wiring};

pub(crate) fn run(options: &ValidateOptions) -> Result<ExitCode> {
    let definition = once::definition(&options.file)?;
    let listed = options.starter_models.as_deref().map(models::list).transpose()?.unwrap_or_default();
    let found = listed.into_iter().filter_map(|entry| {
        let loaded = entry.and_then(|entry| entry.load().map(|(_, info)| (entry.id, info.spec)));
        match loaded {
            Ok((id, spec)) => {
                Some(ModelEntry { id, source: ModelSource::Pretrained, digest: None, available: true, spec })
            }
            Err(error) => {
                logging::say(format_args!("a model is left out: {error:#}"));
                None
            }
        }
    });
    let models = ModelCatalog::new(found);
    let blocks = Blocks::load(None, None)?;
    let limits = wiring::limits();
    let catalog = blocks.catalog();
    let validate =
        sightflow_engine::validate(&definition, &catalog, &models, &limits, &*blocks.host, TenantId::BUILT_IN);
    let compiled = tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(validate);
    let valid = compiled.errors.is_empty();
    if options.json {
        let answer = json!({"valid": valid, "errors": compiled.errors, "warnings": compiled.warnings});
        logging::print(format_args!("{answer:#}"))?;
    } else {
        for problem in compiled.errors.iter().chain(&compiled.warnings) {
            logging::print(format_args!("{}", line(problem)))?;
        }
        let count = compiled.errors.len();
        let verdict =
            if valid { "valid".to_owned() } else { format!("{count} problem{}", if count == 1 { "" } else { "s" }) };
        logging::say(format_args!("{}: {verdict}", options.file.display()));
    }
    Ok(if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn line(problem: &Problem) -> String {
    let suggestion = problem.suggestion.as_ref().map_or_else(String::new, |text| format!(" (did you mean `{text}`?)"));
    format!("{} {}: {}{suggestion}", problem.code, problem.pointer, problem.message)
}
