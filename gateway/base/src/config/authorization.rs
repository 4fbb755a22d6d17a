//! `[authorization]`: the policy that decides which requests are served.
//!
//! The file is read here, and parsed by the crate `gateway-authorization`, which knows what is in it.

use std::path::PathBuf;

use attest_core::Sha256Digest;

/// `[authorization]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorization {
    /// Without a policy, everything is allowed that keys and limits allow.
    pub policy: Option<NamedAuthorizationPolicy>,
}

/// A policy that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedAuthorizationPolicy {
    pub file: PathBuf,
    pub text: String,
    /// Of the text.
    pub digest: Sha256Digest,
}
