//! The `[retention]` section: what of a request may outlive it.

use std::time::Duration;

use super::{PolicyError, values, wire};
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
    pub(super) fn from_wire(wire: wire::Retention) -> Result<Self, PolicyError> {
        if wire.model.is_some() && wire.tenant.is_none() {
            return Err(PolicyError::Needs("retention.model", "retention.tenant"));
        }
        if wire.threshold.is_some() && wire.keys.is_none() {
            return Err(PolicyError::Needs("retention.threshold", "retention.keys"));
        }
        let keys = wire.keys.map(|keys| {
            let all = keys.len();
            PolicyKeys::new(&keys, wire.threshold.unwrap_or(all))
                .map_err(PolicyError::RetentionKeys)
        });
        let limits = Self {
            max: wire.max,
            tenant: wire.tenant,
            model: wire.model,
            max_ttl: wire
                .max_ttl
                .map(|value| values::duration("max_ttl", value))
                .transpose()?,
            min_epoch: wire.min_epoch,
            keys: keys.transpose()?,
        };
        let asks = limits.max.is_some()
            || limits.max_ttl.is_some()
            || limits.min_epoch.is_some()
            || limits.keys.is_some();
        if asks {
            Ok(limits)
        } else {
            Err(PolicyError::AsksNothing("retention"))
        }
    }
}
