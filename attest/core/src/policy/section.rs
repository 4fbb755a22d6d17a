//! A section of a policy.

use super::PolicyError;

/// A table that is being emptied.
pub(super) type Section<'t, 'p> = crate::section::Section<'t, 'p, PolicyError>;
