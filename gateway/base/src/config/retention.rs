//! `[retention]`: the first retention policy, and the keys that may change it.
//!
//! The active policy is not configuration: it is the last policy of a chain in the ledger (see the crate
//! `gateway-retention`). The configuration has the first policy of the chain and the keys that must sign the next one.

use std::path::PathBuf;

use ring::rand::{SecureRandom, SystemRandom};

use attest_core::retention::{
    Authority, InvalidRetentionPolicy, PolicySignatures, RetentionError, RetentionPolicy,
    RetentionProblem,
};
use attest_core::to_hex;

/// The first policy of a chain if the configuration names none.
const DEFAULT_POLICY: &str = include_str!("../../../../policies/retention/metadata.toml");

/// `[retention]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The first policy of the chain, or its next one.
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

/// Parses a policy as an operator wrote it, in TOML, or as the ledger stores it: the document that `sealgate retention
/// show --document` prints.
pub fn read_policy(text: &str) -> Result<RetentionPolicy, InvalidRetentionPolicy> {
    if text.starts_with('{') {
        RetentionPolicy::from_stored(text)
    } else {
        RetentionPolicy::from_toml(text)
    }
}

/// Describes each problem of a policy; a missing salt with a line that its author can paste.
pub fn policy_problems(invalid: &InvalidRetentionPolicy) -> Vec<String> {
    invalid.problems().iter().map(policy_problem).collect()
}

fn policy_problem(problem: &RetentionProblem) -> String {
    let mut salt = [0; 32];
    let missing = problem.error == RetentionError::SaltMissing;
    if missing && SystemRandom::new().fill(&mut salt).is_ok() {
        format!("{problem}. A new one: salt = \"{}\"", to_hex(&salt))
    } else {
        problem.to_string()
    }
}

/// The file with a policy's signatures: the policy's path with `.sig` appended.
pub fn signature_file(policy: &std::path::Path) -> PathBuf {
    let mut name = policy.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use attest_core::retention::RetentionMode;

    #[test]
    fn the_built_in_policy_keeps_metadata_of_every_tenant() {
        assert_eq!(built_in().most(), RetentionMode::Metadata);
        assert_eq!(built_in().epoch(), 1);
    }

    #[test]
    fn the_example_with_names_is_refused_until_it_has_a_salt() {
        let text = include_str!("../../../../policies/retention/content.toml");
        let error = RetentionPolicy::from_toml(text).expect_err("no salt");
        let line = text.lines().position(|line| line.starts_with("format"));
        let line = line.expect("a format") + 1;
        let [problem] = error.problems() else {
            panic!("{error}")
        };
        assert_eq!(problem.line, Some(line));
        assert_eq!(problem.error, RetentionError::SaltMissing);
        let [problem] = &policy_problems(&error)[..] else {
            panic!("{error}")
        };
        let (_, fresh) = problem.split_once("salt = ").expect("a line to paste");
        let salted = text.replace("# salt = \"<64 hex>\"", &format!("salt = {fresh}"));
        assert!(RetentionPolicy::from_toml(&salted).is_ok(), "{problem}");
        assert_ne!(
            &policy_problems(&error)[0],
            problem,
            "another one each time"
        );
    }

    #[test]
    fn example_policies_have_the_mode_in_their_name() {
        for (text, mode) in [
            (
                include_str!("../../../../policies/retention/zero.toml"),
                RetentionMode::Zero,
            ),
            (DEFAULT_POLICY, RetentionMode::Metadata),
            (
                include_str!("../../../../policies/retention/content.toml"),
                RetentionMode::Content,
            ),
        ] {
            let salted = text.replace(
                "# salt = \"<64 hex>\"",
                &format!("salt = \"{}1e\"", "0f".repeat(31)),
            );
            let policy = RetentionPolicy::from_toml(&salted).expect("a policy");
            assert_eq!(policy.most(), mode);
            assert!(!policy.publishes_names());
        }
    }
}
