//! `sightflow block publish`, `list`, `activate` and `rollback`.

use std::process::ExitCode;

use anyhow::Result;
use reqwest::{StatusCode, Url};
use serde_json::{Value, json};

use super::server::{Answer, Server};
use super::{block_on, check, component, sign};
use crate::cli::block::{PublishOptions, ServerOptions};
use crate::logging::{print, say};

pub(super) fn publish(options: &PublishOptions) -> Result<ExitCode> {
    let component = component::read(&options.component)?;
    let server = Server::new(&options.server)?;
    let url = target(&server, options)?;
    let sign = |key: &std::path::PathBuf| sign::signature(key, &options.component, &component);
    let signature = match &options.signature {
        Some(file) => Some(sign::read(file)?),
        None => options.sign.as_ref().map(sign).transpose()?,
    };
    match block_on(server.upload(url, component, signature))? {
        Answer::Refused { body, .. } if options.json => {
            print(format_args!("{body:#}"))?;
            Ok(ExitCode::FAILURE)
        }
        Answer::Refused { problems, .. } => check::refused(&options.component, &problems),
        Answer::Done { body, .. } if options.json => {
            print(format_args!("{body:#}"))?;
            Ok(ExitCode::SUCCESS)
        }
        Answer::Done { status, body } => {
            print(format_args!("{}", line(&body)))?;
            say(format_args!(
                "{}",
                match status {
                    StatusCode::CREATED => "published",
                    _ if options.dry_run => "checked; nothing was published",
                    _ => "the server had these bytes already",
                }
            ));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn target(server: &Server, options: &PublishOptions) -> Result<Url> {
    let mut url = server.url(&[])?;
    let mut query = url.query_pairs_mut();
    if let Some(name) = &options.component.name {
        query.append_pair("name", name);
    }
    if let Some(version) = &options.component.version {
        query.append_pair("version", &version.to_string());
    }
    for (key, value, given) in [
        ("verify", "true", options.verify),
        ("activate", "false", options.no_activate),
        ("dry_run", "true", options.dry_run),
    ] {
        if given {
            query.append_pair(key, value);
        }
    }
    drop(query);
    Ok(url)
}

pub(super) fn list(options: &ServerOptions, as_json: bool) -> Result<ExitCode> {
    let server = Server::new(options)?;
    block_on(async {
        let mut cursor: Option<String> = None;
        loop {
            let mut url = server.url(&[])?;
            url.query_pairs_mut().append_pair("limit", "100");
            if let Some(cursor) = &cursor {
                url.query_pairs_mut().append_pair("cursor", cursor);
            }
            let body = done(server.get(url).await?)?;
            for package in body["items"].as_array().into_iter().flatten() {
                if as_json { print(format_args!("{package}"))? } else { print(format_args!("{}", line(package)))? }
            }
            match body["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(ExitCode::SUCCESS),
            }
        }
    })
}

pub(super) fn activate(options: &ServerOptions, name: &str, version: &str) -> Result<ExitCode> {
    change(options, name, "activate", &json!({"version": version}))
}

pub(super) fn rollback(options: &ServerOptions, name: &str) -> Result<ExitCode> {
    change(options, name, "rollback", &json!({}))
}

fn change(options: &ServerOptions, name: &str, what: &str, body: &Value) -> Result<ExitCode> {
    let server = Server::new(options)?;
    // A name is one segment of the path.
    let url = server.url(&[name, what])?;
    let answer = block_on(server.post(url, "application/json", body.to_string().into_bytes()))?;
    print(format_args!("{}", line(&done(answer)?)))?;
    Ok(ExitCode::SUCCESS)
}

/// Only components are refused with findings.
fn done(answer: Answer) -> Result<Value> {
    match answer {
        Answer::Done { body, .. } => Ok(body),
        Answer::Refused { body, .. } => anyhow::bail!("unexpected answer: {body}"),
    }
}

/// A package on one line: its name, its active version, its state, its blocks.
fn line(package: &Value) -> String {
    let text = |key: &str| package[key].as_str().unwrap_or("-").to_owned();
    let blocks = package["blocks"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let blocks: Vec<_> = blocks.map(|block| block.rsplit('/').next().unwrap_or(block)).collect();
    let reason = package["reason"].as_str().map_or_else(String::new, |reason| format!("  ({reason})"));
    format!("{}  {}  {}  {}{reason}", text("name"), text("active_version"), text("state"), blocks.join(" "))
}
