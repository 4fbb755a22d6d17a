//! Parses `[retention]`: the policy file, and the keys that may change it.

use std::path::Path;

use attest_core::retention::{Authority, PolicyKeys, PolicySignatures};

use super::{MAX_FILE, read_text, resolve};
use crate::config::read::Section;
use crate::config::{NamedPolicy, Retention, policy_problems, read_policy, signature_file};

/// More than the maximum number of keys, so that the threshold is checked together with the keys.
const MAX_THRESHOLD: usize = 1000;

pub(super) fn read(mut section: Section<'_>, base: &Path) -> Retention {
    let policy = policy(&mut section, base);
    let authority = authority(&mut section);
    section.finish();
    Retention { policy, authority }
}

/// Each problem of the policy's file is a problem of the key that names it.
fn policy(section: &mut Section<'_>, base: &Path) -> Option<NamedPolicy> {
    let path = section.string("policy")?;
    let refuse = |reasons: Vec<String>| {
        for reason in reasons {
            section.problem(&path.span, "policy", reason);
        }
    };
    named(&resolve(base, &path.value)).map_err(refuse).ok()
}

fn named(file: &Path) -> Result<NamedPolicy, Vec<String>> {
    let text = read_text(file, MAX_FILE).map_err(|reason| vec![reason])?;
    let policy = read_policy(&text).map_err(|invalid| {
        let problems = policy_problems(&invalid).into_iter();
        let named = problems.map(|problem| format!("{}: {problem}", file.display()));
        named.collect::<Vec<_>>()
    })?;
    let signatures = signatures(file).map_err(|reason| vec![reason])?;
    Ok(NamedPolicy {
        file: file.to_owned(),
        policy,
        signatures,
    })
}

fn signatures(file: &Path) -> Result<PolicySignatures, String> {
    let beside = signature_file(file);
    match read_text(&beside, MAX_FILE) {
        Ok(text) => PolicySignatures::parse(&text).map_err(|e| format!("{} {e}", beside.display())),
        Err(_) if !beside.exists() => Ok(PolicySignatures::default()),
        Err(unreadable) => Err(unreadable),
    }
}

fn authority(section: &mut Section<'_>) -> Authority {
    let has_threshold = section.has("threshold");
    let keys = section.strings("keys");
    let all = keys.as_ref().map_or(0, Vec::len).max(1);
    let threshold = section.count("threshold", all, (1, MAX_THRESHOLD));
    let Some(keys) = keys else {
        if has_threshold {
            let span = section.span().clone();
            section.problem(&span, "threshold", "has no meaning without retention.keys");
        }
        return Authority::NoKeys;
    };
    let hex: Vec<String> = keys.iter().map(|at| at.value.clone()).collect();
    match PolicyKeys::new(&hex, threshold) {
        Ok(keys) => Authority::Keys(keys),
        Err(reason) => {
            let span = keys.first().map_or(section.span(), |at| &at.span).clone();
            section.problem(&span, "keys", reason.to_string());
            Authority::NoKeys
        }
    }
}
