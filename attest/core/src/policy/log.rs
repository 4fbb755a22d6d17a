//! The `[log]` section: what of the service's audit log must be shown.

use super::PolicyError;
use super::section::Section;
use super::values::word;
use crate::log::Origin;
use crate::section::FieldError;

/// What a report must show of the audit log. A policy with this section requires a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogPolicy {
    /// The logs that are accepted. A log that was started again has another origin.
    pub(crate) origins: Option<Vec<Origin>>,
    /// The fewest entries: a log that had them once cannot have fewer.
    pub(crate) min_size: Option<u64>,
}

impl LogPolicy {
    /// `required = false` asks for nothing, and then nothing may be asked for beside it.
    pub(super) fn from_section(mut section: Section<'_, '_>) -> Option<Self> {
        let says = section.has("required");
        let required = section.flag("required", false);
        if !says {
            section.problem(FieldError::Missing("log.required".to_owned()).into());
        }
        let origin = word("sealgate.log/ and 32 hex characters", |text| {
            Origin::parse(text).ok()
        });
        let policy = Self {
            origins: section.list("origins", origin),
            min_size: section.number("min_size"),
        };
        let asks = policy.origins.is_some() || policy.min_size.is_some();
        if asks && says && !required {
            section.problem_of(
                "required",
                PolicyError::Needs("log.origins and log.min_size", "log.required = true"),
            );
        }
        section.finish();
        required.then_some(policy)
    }
}
