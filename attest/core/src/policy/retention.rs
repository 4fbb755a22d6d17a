//! The `[retention]` section: what of a request may outlive it.

use std::time::Duration;

use super::PolicyError;
use super::section::Section;
use super::values::{duration, retention_mode, text};
use crate::retention::{PolicyKeys, RetentionMode};

/// Limits on the retention policy that a report shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RetentionLimits {
    /// The most that may be kept.
    pub(crate) max: Option<RetentionMode>,
    /// Whose requests are asked about; those of anybody where it is none.
    pub(crate) tenant: Option<String>,
    /// Which model is asked about; any where it is none.
    pub(crate) model: Option<String>,
    /// The longest it may be kept.
    pub(crate) max_ttl: Option<Duration>,
    /// The oldest policy that is accepted.
    pub(crate) min_epoch: Option<u64>,
    /// Who must have signed it.
    pub(crate) keys: Option<PolicyKeys>,
}

impl RetentionLimits {
    pub(super) fn of(mut section: Section<'_, '_>) -> Self {
        let s = &mut section;
        let keys = s.list("keys", text);
        let threshold = s.number("threshold");
        let limits = Self {
            max: s.read("max", retention_mode),
            tenant: s.read("tenant", text),
            model: s.read("model", text),
            max_ttl: s.read("max_ttl", duration),
            min_epoch: s.number("min_epoch"),
            keys: None,
        };
        if limits.model.is_some() && limits.tenant.is_none() {
            let error = PolicyError::Needs("retention.model", "retention.tenant");
            section.problem_of("model", error);
        }
        if threshold.is_some() && keys.is_none() {
            let error = PolicyError::Needs("retention.threshold", "retention.keys");
            section.problem_of("threshold", error);
        }
        let asks = ["max", "max_ttl", "min_epoch", "keys"];
        if !section.has_unknown() && !asks.iter().any(|key| section.has(key)) {
            section.problem(PolicyError::AsksNothing("retention"));
        }
        // An empty list has been told already.
        let keys = keys.filter(|keys| !keys.is_empty());
        let keys = keys.map(|keys| PolicyKeys::new(&keys, threshold.unwrap_or(keys.len())));
        let keys = keys.and_then(|keys| match keys {
            Ok(keys) => Some(keys),
            Err(error) => {
                section.problem_of("keys", PolicyError::RetentionKeys(error));
                None
            }
        });
        section.finish();
        Self { keys, ..limits }
    }
}
