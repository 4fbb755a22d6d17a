//! The `[log]` section: what of the service's audit log must be shown.

use serde::Deserialize;

use super::PolicyError;
use super::values::list;
use crate::log::Origin;

/// What a report must show of the audit log. Whoever has the section wants a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogPolicy {
    /// The logs that are accepted. A log that was begun anew has another origin.
    pub(crate) origins: Option<Vec<Origin>>,
    /// The fewest entries: a log that had them once cannot have fewer.
    pub(crate) min_size: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    required: bool,
    origins: Option<Vec<String>>,
    min_size: Option<u64>,
}

impl LogPolicy {
    /// `required = false` asks for nothing, and then nothing may be asked for beside it.
    pub(super) fn from_wire(wire: Wire) -> Result<Option<Self>, PolicyError> {
        let origins = list("origins", wire.origins, |value| {
            Origin::parse(&value).map_err(|_| PolicyError::Word {
                field: "origins",
                value,
                known: "sealgate.log/ and 32 hex characters",
            })
        })?;
        let policy = Self {
            origins,
            min_size: wire.min_size,
        };
        if wire.required {
            return Ok(Some(policy));
        }
        if policy.origins.is_some() || policy.min_size.is_some() {
            return Err(PolicyError::Needs(
                "log.origins and log.min_size",
                "log.required = true",
            ));
        }
        Ok(None)
    }
}
