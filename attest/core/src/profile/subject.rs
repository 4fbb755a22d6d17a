//! The keyset's subject: digests of the contract that an epoch is fixed to.

use std::fmt;

use crate::{digest::Sha256Digest, encoding::EncodingError};

const SCHEME: &str = "sealgate:1?";
const CONFIG: &str = "config=";
const RETENTION: &str = "retention=";

/// `sealgate:1?config=sha256:<hex>&retention=sha256:<hex>`, in exactly this order and spelling.
///
/// It binds two documents to the hardware through the keyset. What they say is for a policy to appraise,
/// and that the code obeys them is for the measured code.
///
/// ```
/// use attest_core::{Sha256Digest, Subject};
/// let subject = Subject { config: Sha256Digest::hash(b"c"), retention: Sha256Digest::hash(b"r") };
/// assert_eq!(Subject::parse(&subject.to_string()), Ok(subject));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// SHA-256 of the configuration document, secrets left out.
    pub config: Sha256Digest,
    /// SHA-256 of the retention policy document.
    pub retention: Sha256Digest,
}

/// Why a subject is not ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// Another scheme or another profile version.
    #[error("the subject does not begin with \"sealgate:1?\"")]
    Scheme,
    /// Not exactly `config=…&retention=…`.
    #[error("the subject is not config=…&retention=…")]
    Shape,
    /// The configuration digest is malformed.
    #[error("config digest: {0}")]
    Config(EncodingError),
    /// The retention digest is malformed.
    #[error("retention digest: {0}")]
    Retention(EncodingError),
}

impl Subject {
    /// Reads the one accepted spelling.
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        let query = text.strip_prefix(SCHEME).ok_or(SubjectError::Scheme)?;
        let (config, retention) = query
            .strip_prefix(CONFIG)
            .and_then(|rest| rest.split_once('&'))
            .ok_or(SubjectError::Shape)?;
        let retention = retention
            .strip_prefix(RETENTION)
            .ok_or(SubjectError::Shape)?;
        Ok(Self {
            config: Sha256Digest::parse(config).map_err(SubjectError::Config)?,
            retention: Sha256Digest::parse(retention).map_err(SubjectError::Retention)?,
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{SCHEME}{CONFIG}{}&{RETENTION}{}",
            self.config, self.retention
        )
    }
}
