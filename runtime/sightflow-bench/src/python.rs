//! Other programs, measured in the same run where their Python packages are installed.

use std::process::Command;

/// Runs a script that prints one number. The error says why there is none.
pub(crate) fn number(script: &str, packages: &[&str]) -> Result<f64, String> {
    let text = output(script, &[], packages)?;
    text.trim().parse().map_err(|_| format!("the script printed `{text}`"))
}

/// Runs a script and answers what it printed.
pub(crate) fn output(script: &str, arguments: &[&str], packages: &[&str]) -> Result<String, String> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let run = |arguments: &[&str]| {
        Command::new(&python).args(arguments).output().map_err(|error| format!("{python}: {error}"))
    };
    let imports = format!("import {}", packages.join(", "));
    if !run(&["-c", &imports])?.status.success() {
        return Err(format!("{python} lacks one of the packages {}", packages.join(", ")));
    }
    let mut all = vec!["-c", script];
    all.extend(arguments);
    let done = run(&all)?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
