//! The evidence inside a session: the verifier's input, byte for byte (ACI/1 §8.2).

use serde_json::{Value, json};

use super::{MAX_SESSION_BYTES, SessionError};
use crate::{
    aci::document::Members,
    digest::Sha256Digest,
    encoding::{parse_base64, to_base64},
    json::MemberProblem,
};

const SCHEME: &str = "data:";
const MARKER: &str = ";base64";

/// Bytes and what they are, on the wire `{"digest":"sha256:…","data":"data:<type>;base64,<…>"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEvidence {
    /// Media type: visible ASCII without a comma, or empty.
    pub content_type: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl SessionEvidence {
    /// Digest of the bytes.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::hash(&self.bytes)
    }

    pub(super) fn check_content_type(&self) -> Result<(), SessionError> {
        let fits = |byte: u8| byte.is_ascii_graphic() && byte != b',';
        if self.content_type.bytes().all(fits) {
            return Ok(());
        }
        Err(SessionError::DataUri)
    }

    pub(super) fn from_members(evidence: &Members<'_>) -> Result<Self, SessionError> {
        let claimed = evidence.digest("digest")?;
        let (head, data) = evidence
            .string("data")?
            .strip_prefix(SCHEME)
            .and_then(|rest| rest.split_once(','))
            .ok_or(SessionError::DataUri)?;
        let content_type = head.strip_suffix(MARKER).ok_or(SessionError::DataUri)?;
        let bytes = parse_base64(data, MAX_SESSION_BYTES)
            .map_err(|error| evidence.error("data", MemberProblem::Encoding(error)))?;
        let read = Self {
            content_type: content_type.to_owned(),
            bytes,
        };
        read.check_content_type()?;
        let computed = read.digest();
        if claimed != computed {
            return Err(SessionError::EvidenceDigest { claimed, computed });
        }
        Ok(read)
    }

    pub(super) fn to_value(&self) -> Value {
        json!({
            "digest": self.digest().to_string(),
            "data": format!("{SCHEME}{}{MARKER},{}", self.content_type, to_base64(&self.bytes)),
        })
    }
}
