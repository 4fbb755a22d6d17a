//! How much a policy can have.

/// The longest file.
pub(crate) const MAX_BYTES: usize = 1 << 20;
/// The longest code.
pub(crate) const MAX_CODE: usize = 64;
/// The most values of one condition.
pub(crate) const MAX_VALUES: usize = 1024;
/// The most examples.
pub(crate) const MAX_EXAMPLES: usize = 1024;
