//! The contract an epoch is fixed to: is what the report shows what hardware bound, and is it
//! wanted?
//!
//! The keyset's subject names the digests of the configuration and of the retention policy; the
//! report carries both texts. A text that hashes to its digest is the one the measured code was
//! given. That the code does what the text says follows from the code, which the measurements pin.

use crate::aci::Report;
use crate::digest::Sha256Digest;
use crate::policy::{ContractPolicy, RetentionMode};
use crate::profile::Subject;
use crate::verdict::{Cause, Checks, Why, id};

/// Configuration documents and retention policies are short texts.
const RETENTION: &str = "retention";
const CONFIG: &str = "config";

/// What the contract turned out to be.
#[derive(Default)]
pub(super) struct Contract {
    pub(super) subject: Option<Subject>,
    pub(super) retention_mode: Option<RetentionMode>,
}

pub(super) fn judge(report: &Report, policy: &ContractPolicy, checks: &mut Checks) -> Contract {
    let config_wanted = policy.config.is_some();
    let retention_wanted = policy.retention.is_some() || policy.max_retention.is_some();
    let subject = match subject(report) {
        Some(Ok(subject)) => subject,
        Some(Err(cause)) => {
            checks.fail(id::CONTRACT_CONFIG, cause.clone());
            checks.fail(id::CONTRACT_RETENTION, cause);
            return Contract::default();
        }
        None => {
            let wanted = [
                (id::CONTRACT_CONFIG, config_wanted),
                (id::CONTRACT_RETENTION, retention_wanted),
            ];
            for (check, wanted) in wanted {
                if wanted {
                    checks.missed(check, Why::NoContract);
                } else {
                    checks.not_asked(check, Why::NoContract);
                }
            }
            return Contract::default();
        }
    };
    checks.judge(
        id::CONTRACT_CONFIG,
        document(report, CONFIG, subject.config)
            .and_then(|_| accepted(subject.config, policy.config.as_deref())),
    );
    let text = document(report, RETENTION, subject.retention);
    let retention_mode = text.as_ref().ok().and_then(|text| mode(text));
    checks.judge(
        id::CONTRACT_RETENTION,
        text.and_then(|_| accepted(subject.retention, policy.retention.as_deref()))
            .and_then(|()| within(retention_mode, policy.max_retention)),
    );
    Contract {
        subject: Some(subject),
        retention_mode,
    }
}

/// The subject if it claims to be of our profile; other services may use it for something else.
fn subject(report: &Report) -> Option<Result<Subject, Cause>> {
    let text = report.keyset().subject.as_deref()?;
    text.starts_with("sealgate:")
        .then(|| Subject::parse(text).map_err(|_| Cause::SubjectMalformed))
}

fn document<'a>(
    report: &'a Report,
    name: &'static str,
    bound: Sha256Digest,
) -> Result<&'a str, Cause> {
    let text = report
        .evidence()
        .documents
        .get(name)
        .ok_or(Cause::DocumentMissing(name))?;
    let shown = Sha256Digest::of(text.as_bytes());
    if shown == bound {
        Ok(text)
    } else {
        Err(Cause::DocumentDigest {
            document: name,
            bound,
            shown,
        })
    }
}

fn accepted(digest: Sha256Digest, list: Option<&[Sha256Digest]>) -> Result<(), Cause> {
    match list {
        Some(list) if !list.contains(&digest) => Err(Cause::DigestNotAccepted(digest)),
        _ => Ok(()),
    }
}

fn within(mode: Option<RetentionMode>, limit: Option<RetentionMode>) -> Result<(), Cause> {
    let Some(limit) = limit else {
        return Ok(());
    };
    match mode.ok_or(Cause::RetentionModeUnreadable)? {
        mode if mode <= limit => Ok(()),
        mode => Err(Cause::RetentionMode {
            got: mode.as_str(),
            limit: limit.as_str(),
        }),
    }
}

/// The strictest reading of a retention document that every version has: its `mode`.
fn mode(text: &str) -> Option<RetentionMode> {
    #[derive(serde::Deserialize)]
    struct Document {
        mode: RetentionMode,
    }
    toml::from_str::<Document>(text)
        .ok()
        .map(|document| document.mode)
}
