//! What the programs have, section by section of the page.

use std::collections::BTreeMap;

use clap::CommandFactory;

use crate::{Section, commands, source};
use attest_core::CheckId;
use gateway_admin as admin;
use gateway_base::config;
use gateway_base::errors;
use gateway_base::metrics;
use gateway_path::http;
use gateway_path::listen;
use gateway_path::relay;
use sealgate::cli;

/// Everything that the page has to document.
pub fn all() -> Vec<Section> {
    vec![
        section("Configuration", config::known_keys(), |key| {
            format!(
                "| `{key}` | FILL IN type | FILL IN default | FILL IN reload or restart | FILL IN effect |"
            )
        }),
        Section {
            heading: "Command line: sealgate",
            entries: commands::entries(&cli::command()),
        },
        Section {
            heading: "Command line: sealgate-verify",
            entries: commands::entries(&sealgate_verify::cli::Cli::command()),
        },
        section("Exit codes", exit_codes(), |code| {
            format!("| `{code}` | FILL IN meaning |")
        }),
        section("Public endpoints", http::paths(), endpoint),
        section("Admin endpoints", admin::paths(), endpoint),
        section(
            "Metrics endpoint",
            listen::METRICS_PATHS.map(str::to_owned),
            endpoint,
        ),
        Section {
            heading: "Metrics",
            entries: metrics::Metrics::default()
                .list()
                .into_iter()
                .map(|(name, help)| (name.clone(), format!("| `{name}` | {help} |")))
                .collect(),
        },
        section("Log events", source::events(), |event| {
            format!("| `{event}` | FILL IN when, and what to do |")
        }),
        Section {
            heading: "Errors",
            entries: errors(),
        },
        section("Errors of the proxy", source::proxy_errors(), |kind| {
            format!("| `{kind}` | FILL IN meaning, and what to do |")
        }),
        section(
            "Checks",
            CheckId::ALL.iter().map(ToString::to_string),
            check,
        ),
        section(
            "Checks of receipts, sessions and the log",
            source::findings(),
            check,
        ),
    ]
}

fn section(
    heading: &'static str,
    names: impl IntoIterator<Item = String>,
    row: impl Fn(&str) -> String,
) -> Section {
    let entries = names.into_iter().map(|name| {
        let row = row(&name);
        (name, row)
    });
    Section {
        heading,
        entries: entries.collect(),
    }
}

fn endpoint(path: &str) -> String {
    format!("| `{path}` | FILL IN who may, and the answer |")
}

fn check(id: &str) -> String {
    format!("| `{id}` | FILL IN what a pass proves | FILL IN what to do when it fails |")
}

fn exit_codes() -> Vec<String> {
    let gateway = cli::EXIT_CODES.map(|code| format!("sealgate {code}"));
    let verifier =
        sealgate_verify::failure::exit::ALL.map(|code| format!("sealgate-verify {code}"));
    gateway.into_iter().chain(verifier).collect()
}

/// By status and code; by status and type where there is no code.
fn errors() -> BTreeMap<String, String> {
    let one = |shown: errors::ListedError| {
        let name = format!("{} {}", shown.status, shown.code.unwrap_or(shown.kind));
        let row = format!(
            "| `{name}` | `{}` | FILL IN meaning, and what to do |",
            shown.kind
        );
        (name, row)
    };
    let refusals = relay::shown_refusals();
    let mut shown: Vec<_> = errors::list_errors();
    shown.extend(refusals);
    shown.sort();
    shown.dedup();
    shown.into_iter().map(one).collect()
}
