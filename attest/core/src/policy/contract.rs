//! What is wanted of the service around the evidence: its contract, its keyset, its source.

use std::time::Duration;

use super::section::Section;
use super::values::{digest, duration, retention_mode, text};
use crate::digest::Sha256Digest;
use crate::retention::RetentionMode;

/// The `[contract]` section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ContractPolicy {
    pub(crate) config: Option<Vec<Sha256Digest>>,
    pub(crate) retention: Option<Vec<Sha256Digest>>,
    pub(crate) max_retention: Option<RetentionMode>,
}

/// The `[provenance]` section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProvenancePolicy {
    pub(crate) repo_url: Option<Vec<String>>,
    pub(crate) repo_commit: Option<Vec<String>>,
    pub(crate) image_digest: Option<Vec<String>>,
}

impl ContractPolicy {
    pub(super) fn from_section(mut section: Section<'_, '_>) -> Self {
        let policy = Self {
            config: section.list("config", digest),
            retention: section.list("retention", digest),
            max_retention: section.read("max_retention", retention_mode),
        };
        section.finish();
        policy
    }
}

impl ProvenancePolicy {
    pub(super) fn from_section(mut section: Section<'_, '_>) -> Self {
        let policy = Self {
            repo_url: section.list("repo_url", text),
            repo_commit: section.list("repo_commit", text),
            image_digest: section.list("image_digest", text),
        };
        section.finish();
        policy
    }
}

/// How far ahead a keyset's `not_after` may lie where a policy says nothing: a week, and a day of
/// margin for the renewal. Gateways renew every day unless they are configured otherwise.
const DEFAULT_MAX_LIFETIME: Duration = Duration::from_secs(8 * 24 * 3600);

/// How far ahead of the time of verification a keyset's `not_after` may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeysetLifetime {
    AtMost(Duration),
    /// Written out as `max_lifetime = "any"`.
    Any,
}

impl Default for KeysetLifetime {
    fn default() -> Self {
        Self::AtMost(DEFAULT_MAX_LIFETIME)
    }
}

impl KeysetLifetime {
    /// The `[keyset]` section.
    pub(super) fn from_section(mut section: Section<'_, '_>) -> Self {
        let limit = section.read("max_lifetime", |field, value| match value.as_str() {
            "any" => Ok(Self::Any),
            _ => duration(field, value).map(Self::AtMost),
        });
        section.finish();
        limit.unwrap_or_default()
    }
}
