//! The attestation report (ACI/1 §4, profile `sealgate/1`).
//!
//! ```text
//! {"api_version":"aci/1","workload_keyset_digest":"sha256:…",
//!  "attestation":{"tee_type":"tdx","workload_keyset":{…},"report_data":"<64 hex>",
//!    "source_provenance":{…},"evidence":{"profile":"sealgate/1",…}},
//!  "service_capabilities":{"supported_e2ee_versions":[],"serving":"direct"},
//!  "key_id":"…","signature":"<128 hex>"}
//! ```
//!
//! A [`Report`] is a claim. Its signature shows that its parts were put together by a holder of a key
//! in its own keyset; only a verified quote over the statement shows whose keyset that is.

mod parse;
mod sign;

pub use sign::UnsignedReport;

use super::{DocumentError, EvidenceBundle, Keyset, KeysetError, TeeType};
use crate::quoted::QuotedOrNone;
use crate::{collateral::CollateralError, digest::Sha256Digest, profile::report_message};

/// A report may be this long.
pub const MAX_REPORT_BYTES: usize = 4 * 1024 * 1024;

/// Where inference runs (`service_capabilities.serving`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Serving {
    /// Inside the attested workload itself.
    Direct,
    /// In upstream services. Also what an unknown value is taken for (appendix B).
    Aggregator,
}

impl Serving {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Aggregator => "aggregator",
        }
    }
}

/// Claims about the source of the measured code. Not bound into the quote: worth nothing until a
/// measurement corroborates them (§4.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceProvenance {
    /// HTTPS URL of a repository.
    pub repo_url: Option<String>,
    /// Commit in it.
    pub repo_commit: Option<String>,
    /// Digest of a built image.
    pub image_digest: Option<String>,
}

/// A parsed report. Nothing in it has been verified, except that it is well formed.
///
/// ```
/// use attest_core::{Report, ReportError};
/// assert!(matches!(Report::parse(b"{}"), Err(ReportError::Document(_))));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    claimed_keyset_digest: Sha256Digest,
    tee_type: TeeType,
    keyset: Keyset,
    keyset_digest: Sha256Digest,
    report_data: [u8; 32],
    provenance: SourceProvenance,
    evidence: EvidenceBundle,
    serving: Serving,
    supported_e2ee_versions: Vec<String>,
    signature: Option<ReportSignature>,
    unsigned_jcs: Vec<u8>,
    json: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ReportSignature {
    key_id: String,
    bytes: [u8; 64],
}

/// Why a report was refused. `Unsupported…` variants mean that we cannot tell, not that it is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Not a report document.
    #[error("report: {0}")]
    Document(#[from] DocumentError),
    /// The embedded keyset is not acceptable.
    #[error("report: {0}")]
    Keyset(KeysetError),
    /// The embedded collateral is not acceptable.
    #[error("report: {0}")]
    Collateral(#[from] CollateralError),
    /// Evidence of a TEE we know nothing about.
    #[error("evidence of the unsupported TEE {found:?}")]
    UnsupportedTee {
        /// Its name.
        found: String,
    },
    /// Evidence laid out by another profile than ours, or by none that it names.
    #[error("evidence of the unsupported profile {}", QuotedOrNone(found))]
    UnsupportedProfile {
        /// The profile it names.
        found: Option<String>,
    },
    /// `tee_type` and the CPU evidence are about different TEEs.
    #[error("tee_type says {}, the evidence is {}", claimed.name(), found.name())]
    TeeMismatch {
        /// What `tee_type` says.
        claimed: TeeType,
        /// What the evidence is.
        found: TeeType,
    },
    /// The restated keyset digest is not the embedded keyset's.
    #[error("workload_keyset_digest is {claimed}, the keyset's digest is {computed}")]
    KeysetDigestMismatch {
        /// What the report says.
        claimed: Sha256Digest,
        /// What its keyset hashes to.
        computed: Sha256Digest,
    },
    /// Neither `key_id` nor `signature`.
    #[error("the report is not signed")]
    Unsigned,
    /// `key_id` names no usable receipt-signing key of the embedded keyset.
    #[error("report signature: {0}")]
    SigningKey(KeysetError),
    /// The signature does not verify.
    #[error("the report's signature does not verify")]
    Signature,
}

impl Report {
    /// Reads a report of at most [`MAX_REPORT_BYTES`]. It may carry members we do not know; the
    /// signature covers them all the same.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReportError> {
        parse::report(bytes)
    }

    /// Verifies the signature under the key that `key_id` names in the report's own keyset.
    ///
    /// It is over `"sealgate/report/v1\0"` and the canonical form of the report without `key_id` and
    /// `signature`.
    pub fn verify_signature(&self) -> Result<(), ReportError> {
        let signature = self.signature.as_ref().ok_or(ReportError::Unsigned)?;
        let key = self
            .keyset
            .receipt_key(&signature.key_id)
            .map_err(ReportError::SigningKey)?;
        key.verify(&report_message(&self.unsigned_jcs), &signature.bytes)
            .map_err(|_| ReportError::Signature)
    }

    /// Compares the restated keyset digest with the keyset's own.
    pub fn check_keyset_digest(&self) -> Result<(), ReportError> {
        if self.claimed_keyset_digest == self.keyset_digest {
            return Ok(());
        }
        Err(ReportError::KeysetDigestMismatch {
            claimed: self.claimed_keyset_digest,
            computed: self.keyset_digest,
        })
    }

    /// The embedded keyset.
    pub fn keyset(&self) -> &Keyset {
        &self.keyset
    }

    /// The digest computed from the embedded keyset.
    pub fn keyset_digest(&self) -> Sha256Digest {
        self.keyset_digest
    }

    /// What `tee_type` says.
    pub fn tee_type(&self) -> TeeType {
        self.tee_type
    }

    /// What `report_data` says: 32 bytes that must equal the first half of the quote's slot.
    pub fn report_data(&self) -> &[u8; 32] {
        &self.report_data
    }

    /// What the report claims about the source of the code.
    pub fn provenance(&self) -> &SourceProvenance {
        &self.provenance
    }

    /// The evidence.
    pub fn evidence(&self) -> &EvidenceBundle {
        &self.evidence
    }

    /// Direct service or aggregator.
    pub fn serving(&self) -> Serving {
        self.serving
    }

    /// The id of the key that signed, if the report is signed.
    pub fn key_id(&self) -> Option<&str> {
        self.signature.as_ref().map(|s| s.key_id.as_str())
    }

    /// The whole report in its canonical form, members we do not know included.
    pub fn to_json(&self) -> String {
        self.json.clone()
    }
}
