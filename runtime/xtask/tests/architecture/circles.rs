//! Modules of a crate do not use each other in circles.
//!
//! Modules that stand side by side, with everything below them, are compared by the paths that they write (`crate::…`,
//! `super::…`, in imports and in code); what a path names through a re-export counts for where it comes from. A module and
//! its own parent belong together and may use each other. Code for tests is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::metadata::{members, metadata};

type Name = Vec<String>;

/// Module → its text without comments and tests.
type Modules = BTreeMap<Name, String>;

fn read(folder: &Path, name: &Name, modules: &mut Modules) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let below = || [name.as_slice(), std::slice::from_ref(&stem)].concat();
        if stem == "tests" {
            continue;
        }
        if path.is_dir() {
            read(&path, &below(), modules);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = if ["lib", "main", "mod"].contains(&stem.as_str()) { name.clone() } else { below() };
            let text = std::fs::read_to_string(&path).expect("UTF-8");
            *modules.entry(name).or_default() += &bare(&text);
        }
    }
}

fn bare(text: &str) -> String {
    let code = text.find("#[cfg(test)]\nmod tests {").map_or(text, |tests| &text[..tests]);
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .fold(String::new(), |text, line| text + line + "\n")
}

/// Every name of the tree `a::{b, c::d}` at the beginning of the text, and what comes after it.
fn tree<'a>(mut text: &'a str, name: &Name, found: &mut Vec<Name>) -> &'a str {
    text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = tree(rest, name, found).trim_start();
            match rest.strip_prefix(',') {
                Some(more) if !more.trim_start().starts_with('}') => rest = more,
                Some(more) => rest = more.trim_start(),
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
            if let Some(end) = rest.strip_prefix('}') {
                return end;
            }
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let name = [name.as_slice(), &[text[..end].to_owned()]].concat();
    match text[end..].strip_prefix("::") {
        Some(below) => tree(below, &name, found),
        None => {
            found.push(name);
            text[end..].strip_prefix(" as ").map_or(&text[end..], |alias| tree(alias, &Vec::new(), &mut Vec::new()))
        }
    }
}

/// What a module names by `crate::` and `super::`, from the crate's root.
fn named(module: &Name, text: &str) -> Vec<Name> {
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in text.match_indices(start) {
            let before = text[..at].chars().next_back().unwrap_or(' ');
            if !before.is_alphanumeric() && before != '_' && before != ':' {
                tree(&text[at..], &Vec::new(), &mut found);
            }
        }
    }
    found.into_iter().filter_map(|name| absolute(module, &name)).collect()
}

fn absolute(module: &Name, name: &Name) -> Option<Name> {
    let ups = name.iter().take_while(|step| *step == "super").count();
    let base = match name.first().map(String::as_str) {
        Some("crate") => return Some(name[1..].to_vec()),
        Some("self") => return Some([module.as_slice(), &name[1..]].concat()),
        _ => &module[..module.len().checked_sub(ups)?],
    };
    Some([base, &name[ups..]].concat())
}

/// The module that a name leads to, through re-exports.
fn home(modules: &Modules, name: &Name, hops: usize) -> Option<Name> {
    let length = (0..=name.len()).rev().find(|length| modules.contains_key(&name[..*length]))?;
    let (module, rest) = (name[..length].to_vec(), &name[length..]);
    let Some(item) = rest.first().filter(|_| hops > 0) else { return Some(module) };
    for (at, _) in modules[&module].match_indices("use ") {
        let mut imported = Vec::new();
        tree(&modules[&module][at + 4..], &Vec::new(), &mut imported);
        if let Some(import) = imported.iter().find(|import| import.len() > 1 && import.last() == Some(item)) {
            let origin = absolute(&module, import)?;
            return if origin == *name { Some(module) } else { home(modules, &origin, hops - 1) };
        }
    }
    Some(module)
}

/// Of modules side by side, those that lead to themselves.
fn circles(modules: &Modules) -> Vec<String> {
    // Parent → module → modules beside it that it uses.
    let mut uses: BTreeMap<&[String], BTreeMap<&str, BTreeSet<String>>> = BTreeMap::new();
    for (module, text) in modules {
        for used in named(module, text).iter().filter_map(|name| home(modules, name, 4)) {
            let shared = module.iter().zip(&used).take_while(|(a, b)| a == b).count();
            if shared < module.len() && shared < used.len() {
                let beside = uses.entry(&module[..shared]).or_default();
                beside.entry(&module[shared]).or_default().insert(used[shared].clone());
            }
        }
    }
    let mut found = Vec::new();
    for (parent, graph) in &uses {
        let reached = |from: &str| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
            while let Some(next) = open.pop() {
                open.extend(
                    graph.get(next.as_str()).into_iter().flatten().filter(|used| seen.insert((*used).clone())).cloned(),
                );
            }
            seen
        };
        let inside: Vec<&str> = graph.keys().copied().filter(|module| reached(module).contains(*module)).collect();
        if !inside.is_empty() {
            found.push(format!("{}: {}", parent.join("::"), inside.join(" ")));
        }
    }
    found
}

/// Circles that are known: `crate parent: modules`. To be shortened, never lengthened.
const KNOWN: &[&str] = &[
    "sightflow-api : extract middleware outgoing state",
    "sightflow-block : draw guest host http image image_ops log",
    "sightflow-memory : pool reservation",
];

#[test]
fn modules_do_not_use_each_other_in_circles() {
    let metadata = metadata();
    let mut found = Vec::new();
    for package in members(&metadata) {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let mut modules = Modules::new();
        read(&manifest.with_file_name("src"), &Vec::new(), &mut modules);
        assert!(!modules.is_empty());
        found.extend(
            circles(&modules).into_iter().map(|circle| format!("{} {circle}", package["name"].as_str().unwrap())),
        );
    }
    found.sort_unstable();
    assert_eq!(found, KNOWN);
}

#[test]
fn a_circle_is_found() {
    let modules = |files: &[(&str, &str)]| {
        files
            .iter()
            .map(|(name, text)| (name.split_terminator("::").map(str::to_owned).collect(), bare(text)))
            .collect()
    };
    for (files, expected) in [
        (&[("", "mod a;\nmod b;"), ("a", "use crate::b::B;"), ("b", "fn f() { crate::a::g() }")][..], vec![": a b"]),
        (&[("", "pub use a::A;"), ("a", "use super::b::{B, C as D};"), ("b", "use crate::{A, other};")], vec![": a b"]),
        (&[("", ""), ("x::a", "use crate::x::b::B;"), ("x::b", "use super::a::A;"), ("x", "")], vec!["x: a b"]),
        (
            &[("", ""), ("a", "use super::b::B;"), ("b", "// crate::a\n#[cfg(test)]\nmod tests { use crate::a; }")],
            vec![],
        ),
        (
            &[("", ""), ("a", "use crate::b;"), ("b", "use crate::c::{self, d};"), ("c", "super::a::x()")],
            vec![": a b c"],
        ),
        (&[("", ""), ("a", "use crate::a::b::B;"), ("a::b", "use super::A;")], vec![]),
    ] {
        assert_eq!(circles(&modules(files)), expected, "{files:?}");
    }
}
