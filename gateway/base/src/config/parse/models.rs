//! `[[model]]` and `[[model.upstream]]`, and their constraints on other sections.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroize;

use super::trust::TrustByName;
use super::{read_secret, resolve};
use crate::config::model::{ApiKey, BaseUrl, Model, Scheme, Upstream};
use crate::config::problem::Problems;
use crate::config::read::{At, Section};
use crate::config::{NamedTrust, Sensitive, Server, Tee, TeeKind};
use crate::request::Name;
use attest_core::Serving;

const MAX_KEY_FILE: u64 = 16 * 1024;

pub(super) fn read(
    sections: Vec<Section<'_>>,
    base: &Path,
    trusts: &TrustByName,
    server: Option<&Server>,
    tee: &Tee,
    problems: &Problems,
) -> Vec<Arc<Model>> {
    if sections.is_empty() {
        problems.add(
            None,
            "model",
            "no [[model]] is configured; there would be nothing to serve",
        );
    }
    let mut reader = Reader {
        base,
        trusts,
        mode: server.map(|s| s.mode),
        tee,
        names: HashMap::new(),
    };
    sections
        .into_iter()
        .filter_map(|section| reader.model(section))
        .collect()
}

struct Reader<'a> {
    base: &'a Path,
    trusts: &'a TrustByName,
    mode: Option<Serving>,
    tee: &'a Tee,
    /// Every id and alias so far, with the key that defines it.
    names: HashMap<Name, String>,
}

impl Reader<'_> {
    fn model(&mut self, mut section: Section<'_>) -> Option<Arc<Model>> {
        let present = section.has("id");
        let id = section.parsed("id", Name::from_operator);
        let id = section.required("id", id, present);
        let aliases = self.aliases(&mut section);
        for at in id.iter().chain(&aliases) {
            if let Some(earlier) = self.names.insert(at.value.clone(), at.key.clone()) {
                section.problem(
                    &at.span,
                    last(&at.key),
                    format!("{:?} is already given by {earlier}", at.value.as_str()),
                );
            }
        }
        let confidential = section.boolean("confidential");
        let is_confidential = confidential.as_ref().is_some_and(|at| at.value);
        let span = confidential
            .as_ref()
            .map_or(section.span().clone(), |at| at.span.clone());
        if is_confidential && self.tee.kind == TeeKind::None {
            section.problem(
                &span,
                "confidential",
                "a confidential model cannot be served with tee.kind = \"none\": nothing would prove what serves it",
            );
        }
        let attestation = self.attestation(&mut section, is_confidential, &span);
        if let Some(trust) = &attestation
            && trust.trust.policy.accepts_any_measurement()
        {
            section.warn(
                &section.place_of("attestation"),
                "attestation",
                format!(
                    "{} accepts whatever image its upstreams run (measurements = \"any\"): suitable for a trial, not for confidential prompts",
                    trust.policy_file.display()
                ),
            );
        }
        let upstreams = self.upstreams(&mut section, is_confidential);
        section.finish();
        Some(Arc::new(Model {
            id: id?.value,
            aliases: aliases.into_iter().map(|at| at.value).collect(),
            confidential: is_confidential,
            attestation,
            upstreams,
        }))
    }

    fn aliases(&self, section: &mut Section<'_>) -> Vec<At<Name>> {
        let mut aliases = Vec::new();
        for At { value, span, key } in section.strings("aliases").unwrap_or_default() {
            match Name::from_operator(&value) {
                Ok(value) => aliases.push(At { value, span, key }),
                Err(reason) => section.problem(&span, last(&key), reason.to_string()),
            }
        }
        aliases
    }

    fn attestation(
        &self,
        section: &mut Section<'_>,
        confidential: bool,
        span: &Range<usize>,
    ) -> Option<Arc<NamedTrust>> {
        let given = section.has("attestation");
        let named = section.string("attestation");
        let needed = confidential && self.mode == Some(Serving::Aggregator);
        match named {
            Some(at) if !confidential => {
                section.problem(
                    &at.span,
                    "attestation",
                    "is only for models with confidential = true",
                );
                None
            }
            Some(at) if self.mode == Some(Serving::Direct) => {
                section.problem(
                    &at.span,
                    "attestation",
                    "does not apply with server.mode = \"direct\": the engine runs inside this enclave",
                );
                None
            }
            Some(at) => {
                let Some(trust) = self.trusts.get(at.value.as_str()) else {
                    section.problem(
                        &at.span,
                        "attestation",
                        format!("there is no [attestation.{}]", at.value),
                    );
                    return None;
                };
                trust.clone()
            }
            None => {
                if needed && !given {
                    section.problem(
                        span,
                        "attestation",
                        "is missing: a confidential model needs an [attestation.NAME] with which its upstreams are verified",
                    );
                }
                None
            }
        }
    }

    fn upstreams(&self, section: &mut Section<'_>, confidential: bool) -> Vec<Arc<Upstream>> {
        let given = section.has("upstream");
        let sections = section.sections("upstream");
        if sections.is_empty() && !given {
            let span = section.span().clone();
            section.problem(
                &span,
                "upstream",
                "is missing: a model needs at least one [[model.upstream]]",
            );
        }
        let mut seen: Vec<Name> = Vec::new();
        let mut upstreams = Vec::new();
        for inner in sections {
            if let Some(upstream) = self.upstream(inner, confidential, &mut seen) {
                upstreams.push(Arc::new(upstream));
            }
        }
        upstreams
    }

    fn upstream(
        &self,
        mut section: Section<'_>,
        confidential: bool,
        seen: &mut Vec<Name>,
    ) -> Option<Upstream> {
        let present = section.has("name");
        let name = section.parsed("name", Name::from_operator);
        let name = section.required("name", name, present);
        if let Some(at) = &name {
            if seen.contains(&at.value) {
                section.problem(
                    &at.span,
                    "name",
                    format!("{:?} is used twice in this model", at.value.as_str()),
                );
            }
            seen.push(at.value.clone());
        }
        let present = section.has("url");
        let url = section.parsed("url", BaseUrl::parse_for_endpoints);
        let url = section.required("url", url, present);
        if let Some(at) = &url
            && let Some(reason) = self.unfit(&at.value, confidential)
        {
            section.problem(&at.span, "url", reason);
        }
        let model = section
            .parsed("model", Name::from_operator)
            .map(|at| at.value);
        let api_key = section
            .parsed("api_key_file", |text| read_key(self.base, text))
            .map(|at| at.value);
        let region = section
            .parsed("region", Name::from_operator)
            .map(|at| at.value);
        let cache_salt = section.boolean("cache_salt").is_some_and(|at| at.value);
        let stream_usage = section.boolean("stream_usage").is_none_or(|at| at.value);
        section.finish();
        Some(Upstream {
            name: name?.value,
            url: url?.value,
            model,
            api_key,
            region,
            cache_salt,
            stream_usage,
        })
    }

    /// Returns why a URL may not serve a model of this kind.
    fn unfit(&self, url: &BaseUrl, confidential: bool) -> Option<&'static str> {
        match (confidential, self.mode, url.scheme) {
            (_, Some(Serving::Direct), _) if !url.is_loopback() => Some(
                "with server.mode = \"direct\" the engine runs on this machine: the URL must be on loopback",
            ),
            (true, Some(Serving::Aggregator), Scheme::Http) => Some(
                "a confidential model needs an https:// upstream: a channel without TLS cannot be bound to evidence",
            ),
            _ => None,
        }
    }
}

fn read_key(base: &Path, text: &str) -> Result<ApiKey, String> {
    let file = resolve(base, text);
    let mut bytes = read_secret(&file, MAX_KEY_FILE)?;
    let key = std::str::from_utf8(&bytes).map(|text| text.trim().to_owned());
    bytes.zeroize();
    let key = key.map_err(|_| format!("{} is not UTF-8", file.display()))?;
    let key = Sensitive::new(key);
    let printable = key.expose().bytes().all(|b| (0x21..=0x7e).contains(&b));
    if key.expose().is_empty() || !printable {
        return Err(format!(
            "{} must hold one key of printable characters",
            file.display()
        ));
    }
    Ok(ApiKey { file, key })
}

/// The last part of a full key; the section prepends its path.
fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}
