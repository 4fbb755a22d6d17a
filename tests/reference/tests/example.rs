//! `sealgate.example.toml`: accepted, complete, and true in every line that is commented out.

use std::collections::BTreeSet;
use std::path::Path;

use gateway_base::config::{Config, known_keys};
use reference::source;

const FILE: &str = "sealgate.example.toml";

/// The file, with every `#key = value` and `#[section]` made active.
fn with_every_key(text: &str) -> String {
    let lines = text.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => {
            setting
        }
        _ => line,
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// `section.key` of every setting, as the reference page writes it.
fn keys(text: &str) -> BTreeSet<String> {
    let mut section = String::new();
    let mut found = BTreeSet::new();
    for line in text.lines() {
        if line.starts_with('[') {
            let name = line.trim_matches(['[', ']']);
            section = name.replace("attestation.enclave", "attestation.NAME");
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            found.insert(format!("{section}.{key}"));
        }
    }
    found
}

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(&source::root().join(FILE), text).map_err(|error| error.to_string())
}

#[test]
fn the_example_configuration_is_accepted_as_it_stands() {
    parse(&source::text(FILE)).expect("sealgate.example.toml is accepted");
}

#[test]
fn the_example_configuration_has_every_key() {
    let known: BTreeSet<String> = known_keys().into_iter().collect();
    assert_eq!(keys(&with_every_key(&source::text(FILE))), known);
}

/// Values that name files of an operator's are left out: there are none here.
#[test]
fn every_commented_value_is_accepted() {
    let text = with_every_key(&source::text(FILE));
    let is_missing = |line: &&str| {
        let value = line
            .split_once(" = ")
            .map_or("", |(_, value)| value.trim_matches('"'));
        ["roots", "collateral.json", "enclave-1.key", "id-ca.pem"].contains(&value)
            || value.starts_with("/etc/sealgate") && !Path::new(value).exists()
    };
    let kept: Vec<&str> = text.lines().filter(|line| !is_missing(line)).collect();
    // A number of GPUs is only accepted where GPUs are shown.
    let kept = kept
        .join("\n")
        .replace("gpus = \"none\"", "gpus = \"nvidia\"");
    parse(&kept).expect("every value that is commented out is accepted");
}
