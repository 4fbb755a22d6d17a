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
    pub(super) fn of(mut section: Section<'_, '_>) -> Self {
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
    pub(super) fn of(mut section: Section<'_, '_>) -> Self {
        let policy = Self {
            repo_url: section.list("repo_url", text),
            repo_commit: section.list("repo_commit", text),
            image_digest: section.list("image_digest", text),
        };
        section.finish();
        policy
    }
}

/// The `[keyset]` section.
pub(super) fn max_lifetime(mut section: Section<'_, '_>) -> Option<Duration> {
    let limit = section.read("max_lifetime", duration);
    section.finish();
    limit
}
