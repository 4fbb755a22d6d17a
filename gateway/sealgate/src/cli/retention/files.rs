//! Policies and signatures in files.

use std::path::Path;

use attest_core::retention::{PolicySignatures, RetentionPolicy};

use super::RetentionFailure;
use gateway_base::config::{self, signature_file};

pub(super) fn policy(file: &Path) -> Result<RetentionPolicy, RetentionFailure> {
    let text = read(file)?;
    config::read_policy(&text).map_err(|error| RetentionFailure::Policy {
        file: file.to_owned(),
        error,
    })
}

/// The signatures beside a policy; none where there is no file.
pub(super) fn signatures(policy: &Path) -> Result<PolicySignatures, RetentionFailure> {
    let file = signature_file(policy);
    if !file.exists() {
        return Ok(PolicySignatures::default());
    }
    let text = read(&file)?;
    PolicySignatures::parse(&text).map_err(|error| RetentionFailure::Signatures { file, error })
}

pub(super) fn read(file: &Path) -> Result<String, RetentionFailure> {
    std::fs::read_to_string(file).map_err(|error| RetentionFailure::File {
        file: file.to_owned(),
        error,
    })
}
