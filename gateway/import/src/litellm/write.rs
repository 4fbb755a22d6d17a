//! The new configuration's text.

use std::fmt::Write;

use super::deployment::Deployment;
use super::{Draft, Model, Settings};
use crate::toml::{quoted, strings};

/// A whole `sealgate.toml`.
pub fn config(draft: &Draft, settings: &Settings) -> String {
    let mut text = String::new();
    let source: String = settings
        .source
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    let _ = writeln!(
        text,
        "# From LiteLLM's {source}. No upstream is an enclave that was verified, so no model is confidential: to change\n\
         # that, see confidential, attestation and [attestation.NAME] in docs/reference.md.\n\
         \n[server]\nlisten = \"0.0.0.0:8443\"\nnames = {}\nstate_dir = \"state\"\nmode = \"aggregator\"\n\
         \n[tee]\nkind = {}",
        strings([settings.server_name]),
        quoted(settings.tee.as_str()),
    );
    if let Some(limit) = draft.max_concurrent {
        let _ = writeln!(text, "\n[limits]\nmax_concurrent = {limit}");
    }
    if let Some(secs) = draft.first_byte_secs {
        let _ = writeln!(text, "\n[timeouts]\nfirst_byte = \"{secs}s\"");
    }
    for model in &draft.models {
        write_model(&mut text, model);
    }
    text
}

fn write_model(text: &mut String, model: &Model) {
    let _ = writeln!(text, "\n[[model]]\nid = {}", quoted(&model.id));
    if !model.aliases.is_empty() {
        let aliases = strings(model.aliases.iter().map(String::as_str));
        let _ = writeln!(text, "aliases = {aliases}");
    }
    for deployment in &model.deployments {
        write_upstream(text, &model.id, deployment);
    }
}

fn write_upstream(text: &mut String, id: &str, deployment: &Deployment) {
    let _ = writeln!(
        text,
        "\n[[model.upstream]]\nname = {}\nurl = {}",
        quoted(&deployment.name),
        quoted(&deployment.url)
    );
    if deployment.model != id {
        let _ = writeln!(text, "model = {}", quoted(&deployment.model));
    }
    if let Some(file) = &deployment.key_file {
        let _ = writeln!(text, "api_key_file = {}", quoted(file));
    }
}
