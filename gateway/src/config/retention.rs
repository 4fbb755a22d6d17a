//! `[retention]`: the policy a service begins with, and who may change it.
//!
//! The policy in force is not configuration: it is the end of a chain in the ledger (see [`retention`](crate::retention)).
//! What is configured is where the chain begins and whose signatures it takes to go on.

use std::path::PathBuf;

use attest_core::retention::{Authority, PolicySignatures, RetentionError, RetentionPolicy};

/// The policy that a chain begins with when the configuration names none.
pub const DEFAULT_POLICY: &str = include_str!("../../../policies/retention/metadata.toml");

/// `[retention]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// A policy to begin with, or to go on to.
    pub policy: Option<NamedPolicy>,
    pub authority: Authority,
}

/// A policy that the configuration names, and the signatures beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPolicy {
    pub file: PathBuf,
    pub policy: RetentionPolicy,
    pub signatures: PolicySignatures,
}

/// The built-in policy.
pub fn built_in() -> RetentionPolicy {
    RetentionPolicy::from_toml(DEFAULT_POLICY).expect("the built-in policy is tested to parse")
}

/// A policy as an operator wrote it, in TOML, or as it was published: the document that `sealgate retention show
/// --document` prints.
pub fn read_policy(text: &str) -> Result<RetentionPolicy, RetentionError> {
    if text.starts_with('{') {
        RetentionPolicy::from_stored(text)
    } else {
        RetentionPolicy::from_toml(text)
    }
}

/// The file with a policy's signatures: beside it, and named after it.
pub fn signature_file(policy: &std::path::Path) -> PathBuf {
    let mut name = policy.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use attest_core::RetentionMode;

    #[test]
    fn the_built_in_policy_keeps_metadata_of_everybody() {
        assert_eq!(built_in().most(), RetentionMode::Metadata);
        assert_eq!(built_in().epoch(), 1);
    }

    #[test]
    fn the_policies_to_copy_are_what_their_names_say() {
        for (text, mode) in [
            (
                include_str!("../../../policies/retention/zero.toml"),
                RetentionMode::Zero,
            ),
            (DEFAULT_POLICY, RetentionMode::Metadata),
            (
                include_str!("../../../policies/retention/content.toml"),
                RetentionMode::Content,
            ),
        ] {
            let policy = RetentionPolicy::from_toml(text).expect("a policy");
            assert_eq!(policy.most(), mode);
        }
    }
}
