//! The contract an epoch is fixed to: is what the report shows what hardware bound, and is it
//! wanted?
//!
//! The keyset's subject names the digests of the configuration and of the retention policy; the
//! report carries both texts. A text that hashes to its digest is the one the measured code was
//! given. That the code does what the text says follows from the code, which the measurements pin.

use strict_toml::{Problems, Table};

use crate::aci::Report;
use crate::digest::Sha256Digest;
use crate::policy::{AttestationPolicy, RetentionLimits};
use crate::profile::Subject;
use crate::retention::{
    PolicySignatures, PublishedName, PublishedPolicy, RetentionMode, Terms, Unopened,
};
use crate::section::{FieldError, Section};
use crate::verdict::{Cause, CheckId, Checks, TenantRetention, Why};

/// Configuration documents and retention policies are short texts.
const RETENTION: &str = "retention";
/// Beside the policy, not bound by the subject: signatures speak for themselves.
const RETENTION_SIGNATURES: &str = "retention_signatures";
const CONFIG: &str = "config";

/// What the contract turned out to be.
#[derive(Default)]
pub(super) struct Contract {
    pub(super) subject: Option<Subject>,
    pub(super) retention_mode: Option<RetentionMode>,
    pub(super) retention_tenant: Option<TenantRetention>,
}

pub(super) fn appraise(
    report: &Report,
    whole: &AttestationPolicy,
    checks: &mut Checks,
) -> Contract {
    let policy = &whole.contract;
    let config_wanted = policy.config.is_some();
    let retention_wanted =
        policy.retention.is_some() || policy.max_retention.is_some() || whole.retention.is_some();
    let subject = match subject(report) {
        Some(Ok(subject)) => subject,
        Some(Err(cause)) => {
            checks.fail(CheckId::ContractConfig, cause.clone());
            checks.fail(CheckId::ContractRetention, cause);
            return Contract::default();
        }
        None => {
            let wanted = [
                (CheckId::ContractConfig, config_wanted),
                (CheckId::ContractRetention, retention_wanted),
            ];
            for (check, wanted) in wanted {
                if wanted {
                    checks.not_evaluated(check, Why::NoContract);
                } else {
                    checks.not_required(check, Why::NoContract);
                }
            }
            return Contract::default();
        }
    };
    checks.record(
        CheckId::ContractConfig,
        document(report, CONFIG, subject.config)
            .and_then(|_| accepted(subject.config, policy.config.as_deref())),
    );
    let text = document(report, RETENTION, subject.retention);
    let shown = text.as_ref().ok().and_then(|text| Shown::read(text));
    let retention_mode = shown.as_ref().map(Shown::most);
    let limits = whole.retention.as_ref();
    let retention_tenant = shown
        .as_ref()
        .zip(limits)
        .and_then(|(shown, limits)| shown.for_tenant(limits));
    checks.record(
        CheckId::ContractRetention,
        text.and_then(|_| accepted(subject.retention, policy.retention.as_deref()))
            .and_then(|()| within(retention_mode, policy.max_retention))
            .and_then(|()| match limits {
                Some(limits) => limited(report, shown.as_ref(), limits),
                None => Ok(()),
            }),
    );
    Contract {
        subject: Some(subject),
        retention_mode,
        retention_tenant,
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
    let shown = Sha256Digest::hash(text.as_bytes());
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

/// A retention document that could be read.
enum Shown {
    Policy(Box<PublishedPolicy>),
    /// The shape that documents had before policies were scoped, numbered and signed: one mode for every tenant.
    Plain(RetentionMode),
}

impl Shown {
    fn read(text: &str) -> Option<Self> {
        match PublishedPolicy::parse(text) {
            Ok(policy) => Some(Self::Policy(Box::new(policy))),
            Err(_) => plain_mode(text).map(Self::Plain),
        }
    }

    /// The most that is kept of any request.
    fn most(&self) -> RetentionMode {
        match self {
            Self::Policy(policy) => policy.most(),
            Self::Plain(mode) => *mode,
        }
    }

    /// The most that is kept of the requests of the tenant that is limited.
    fn for_tenant(&self, limits: &RetentionLimits) -> Option<TenantRetention> {
        let limited = limits.tenant.as_ref()?;
        let (mode, unopened) = match self {
            Self::Plain(mode) => (*mode, None),
            Self::Policy(policy) => {
                let (terms, unopened) = terms_of(policy, limits);
                (terms.iter().map(Terms::mode).max()?, unopened)
            }
        };
        Some(TenantRetention {
            tenant: limited.name.clone(),
            mode: mode.as_str(),
            unopened,
        })
    }
}

/// The mode of a document of the older shape. One with other members than these says more than its mode.
fn plain_mode(text: &str) -> Option<RetentionMode> {
    let problems: Problems<'_, FieldError> = Problems::new(text);
    let mut document = Section::new(Table::parse(text).ok()?, &problems);
    let mode = document.word("mode", &RetentionMode::ALL, RetentionMode::as_str);
    document.number::<u32>("version");
    document.text("description");
    document.texts("keeps");
    document.texts("never_keeps");
    document.finish();
    mode.filter(|_| problems.is_empty()).map(|mode| mode.value)
}

/// The `[retention]` section against what is shown.
fn limited(report: &Report, shown: Option<&Shown>, limits: &RetentionLimits) -> Result<(), Cause> {
    let policy = match shown.ok_or(Cause::RetentionModeUnreadable)? {
        Shown::Policy(policy) => policy,
        Shown::Plain(mode) => {
            within(Some(*mode), limits.max)?;
            let more =
                limits.min_epoch.is_some() || limits.max_ttl.is_some() || limits.keys.is_some();
            return if more {
                Err(Cause::RetentionModeUnreadable)
            } else {
                Ok(())
            };
        }
    };
    if let Some(floor) = limits.min_epoch.filter(|floor| policy.epoch() < *floor) {
        let got = policy.epoch();
        return Err(Cause::RetentionEpoch { got, floor });
    }
    if let Some(keys) = &limits.keys {
        let text = report.evidence().documents.get(RETENTION_SIGNATURES);
        let signatures = PolicySignatures::parse(text.map_or("", String::as_str))
            .map_err(Cause::RetentionSignatureFile)?;
        keys.verify(policy.digest(), &signatures)
            .map_err(Cause::RetentionSignature)?;
    }
    let (terms, unopened) = terms_of(policy, limits);
    terms_within(&terms, limits).map_err(|cause| match unopened {
        None => cause,
        Some(reason) => Cause::RetentionUnopened {
            reason,
            cause: Box::new(cause),
        },
    })
}

/// All terms that may hold for the requests that are limited. Where the rules for the tenant are not known, each of them
/// may name it, and so may none: then these are the terms of all tenants, and the reason.
fn terms_of(
    policy: &PublishedPolicy,
    limits: &RetentionLimits,
) -> (Vec<Terms<PublishedName>>, Option<Unopened>) {
    let model = limits.model.as_deref();
    let Some(limited) = &limits.tenant else {
        return (policy.possible(None, model), None);
    };
    match policy.tenant(&limited.name, limited.salt.as_ref()) {
        Ok(tenant) => (policy.possible(Some(&tenant), model), None),
        Err(reason) => (policy.possible(None, model), Some(reason)),
    }
}

fn terms_within(terms: &[Terms<PublishedName>], limits: &RetentionLimits) -> Result<(), Cause> {
    within(terms.iter().map(Terms::mode).max(), limits.max)?;
    let ttl = terms
        .iter()
        .filter_map(Terms::kept)
        .map(|kept| kept.ttl)
        .max();
    match (ttl, limits.max_ttl) {
        (Some(got), Some(limit)) if got > limit => Err(Cause::RetentionTtl { got, limit }),
        _ => Ok(()),
    }
}
