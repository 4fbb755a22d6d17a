//! The `[retention]` section: what of a request may outlive it.

use std::time::Duration;

use super::PolicyError;
use super::section::Section;
use super::values::{duration, hex, retention_mode, text};
use crate::log::Salt;
use crate::retention::{PolicyKeys, RetentionMode};

/// Limits on the retention policy that a report shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RetentionLimits {
    /// The most that may be kept.
    pub(crate) max: Option<RetentionMode>,
    /// Whose requests are limited; those of every tenant where it is none.
    pub(crate) tenant: Option<LimitedTenant>,
    /// Requests to which model are limited; to any where it is none.
    pub(crate) model: Option<String>,
    /// The longest it may be kept.
    pub(crate) max_ttl: Option<Duration>,
    /// The oldest policy that is accepted.
    pub(crate) min_epoch: Option<u64>,
    /// Who must have signed it.
    pub(crate) keys: Option<PolicyKeys>,
}

/// A tenant, and what opens its commitment in a policy that does not publish its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LimitedTenant {
    pub(crate) name: String,
    pub(crate) salt: Option<Salt>,
}

impl RetentionLimits {
    pub(super) fn from_section(mut section: Section<'_, '_>) -> Self {
        let s = &mut section;
        let keys = s.list("keys", text);
        let threshold = s.number("threshold");
        let salt = s.read("tenant_salt", hex::<32>);
        let tenant = s.read("tenant", text);
        if salt.is_some() && tenant.is_none() {
            let error = PolicyError::Needs("retention.tenant_salt", "retention.tenant");
            s.problem_of("tenant_salt", error);
        }
        let limits = Self {
            max: s.read("max", retention_mode),
            tenant: tenant.map(|name| LimitedTenant { name, salt }),
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
        // An empty list was reported already.
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
