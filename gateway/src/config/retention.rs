//! Retention policies: what outlives a request.
//!
//! The policy is a document. Its exact text is published in every report and its digest is part of the
//! keyset's subject, so a client can read, and pin, what is kept. Only `metadata` can be enforced so far;
//! a document that asks for anything else stops the start instead of being bent.

use std::fmt;

use attest_core::Sha256Digest;

/// The policy used when the configuration names none. Equal to the file an operator would copy.
pub const DEFAULT_POLICY: &str = include_str!("../../../policies/retention/metadata.toml");

const MAX_LEN: usize = 64 * 1024;

/// How much outlives a request. Ordered: each keeps more than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetentionMode {
    /// Counters in memory only.
    Zero,
    /// Who, when, which model, token counts, latency, status and receipt hashes.
    Metadata,
}

impl RetentionMode {
    pub fn as_str(self) -> &'static str {
        match self {
            RetentionMode::Zero => "zero",
            RetentionMode::Metadata => "metadata",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [RetentionMode::Zero, RetentionMode::Metadata]
            .into_iter()
            .find(|mode| mode.as_str() == text)
    }
}

impl fmt::Display for RetentionMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A policy that this version enforces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionPolicy {
    pub mode: RetentionMode,
    /// SHA-256 of `text`.
    pub digest: Sha256Digest,
    /// The document exactly as it was read.
    pub text: String,
}

/// Why a document is not a policy we can keep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetentionError {
    #[error("is larger than {MAX_LEN} bytes")]
    TooLarge,
    #[error("is not a retention policy: {0}")]
    Document(String),
    #[error("is a policy of format version {0}; this version reads 1")]
    Version(u32),
    #[error(
        "asks for mode {0:?}, which this version cannot enforce; only \"metadata\" is supported"
    )]
    Unsupported(String),
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    mode: String,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(rename = "keeps")]
    _keeps: Vec<String>,
    #[serde(rename = "never_keeps")]
    _never_keeps: Vec<String>,
}

impl RetentionPolicy {
    /// Reads a policy document.
    pub fn parse(text: &str) -> Result<Self, RetentionError> {
        if text.len() > MAX_LEN {
            return Err(RetentionError::TooLarge);
        }
        let document: Document =
            toml::from_str(text).map_err(|e| RetentionError::Document(e.message().to_owned()))?;
        if document.version != 1 {
            return Err(RetentionError::Version(document.version));
        }
        match RetentionMode::parse(&document.mode) {
            Some(RetentionMode::Metadata) => Ok(Self {
                mode: RetentionMode::Metadata,
                digest: Sha256Digest::of(text.as_bytes()),
                text: text.to_owned(),
            }),
            _ => Err(RetentionError::Unsupported(document.mode)),
        }
    }

    /// The policy in force when the configuration names none.
    pub fn built_in() -> Self {
        Self::parse(DEFAULT_POLICY).expect("the built-in policy is tested to parse")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_policy_keeps_metadata() {
        let policy = RetentionPolicy::built_in();
        assert_eq!(policy.mode, RetentionMode::Metadata);
        assert_eq!(policy.digest, Sha256Digest::of(policy.text.as_bytes()));
    }

    #[test]
    fn modes_are_ordered_by_how_much_they_keep() {
        assert!(RetentionMode::Zero < RetentionMode::Metadata);
    }

    #[test]
    fn a_policy_we_cannot_keep_is_refused() {
        let policy =
            |mode: &str| format!("version = 1\nmode = \"{mode}\"\nkeeps = []\nnever_keeps = []\n");
        assert_eq!(
            RetentionPolicy::parse(&policy("zero")),
            Err(RetentionError::Unsupported("zero".into()))
        );
        assert_eq!(
            RetentionPolicy::parse(&policy("content")),
            Err(RetentionError::Unsupported("content".into()))
        );
        assert_eq!(
            RetentionPolicy::parse(
                "version = 2\nmode = \"metadata\"\nkeeps = []\nnever_keeps = []"
            ),
            Err(RetentionError::Version(2))
        );
        let unknown = format!("{}ttl = 3\n", policy("metadata"));
        assert!(
            matches!(RetentionPolicy::parse(&unknown), Err(RetentionError::Document(why)) if why.contains("ttl"))
        );
    }
}
