//! The ACI/1 artifacts: "Attested Confidential Inference", `spec/aci.md` of `Dstack-TEE/private-ai-gateway`.
//!
//! | Artifact | Type | Bound by | Spec |
//! |---|---|---|---|
//! | workload keyset | [`Keyset`] | its digest in the statement | §3.1 |
//! | attestation statement | [`Statement`] | report data of the hardware quote | §3.2 |
//! | attestation report | [`Report`] | statement, and the profile's signature | §4 |
//! | inference receipt | [`Receipt`] | Ed25519 by a key of the keyset | §7 |
//! | attested session | [`Session`] | its own digest, cited by receipts | §8 |
//!
//! Every hash and signature is over the canonical form (RFC 8785) of *what was parsed*, members we do
//! not know included. The keyset's shape is fixed, so there unknown members are refused; receipts,
//! reports and sessions may carry more than we read.

mod document;
mod evidence;
mod keys;
mod keyset;
mod keyset_rules;
mod receipt;
mod report;
mod session;
mod statement;

pub use document::DocumentError;
pub(crate) use document::Members;
pub use evidence::{CpuEvidence, DeviceEvidence, EvidenceBundle, TeeType};
pub use keys::{KeyError, SignatureInvalid, SigningKey, VerifyingKey};
pub use keyset::{Keyset, MAX_KEYSET_BYTES, PublicKeyEntry, TlsKeyEntry};
pub use keyset_rules::{KeyRole, KeysetError};
pub use receipt::{
    DeferredSignature, Event, MAX_RECEIPT_BYTES, OtherEvent, Receipt, ReceiptBody, ReceiptError,
    UnsignedReceipt, Upstream, VerifiedReceipt,
};
pub(crate) use receipt::{members, verified};
pub use report::{
    MAX_REPORT_BYTES, Report, ReportError, Serving, SourceProvenance, UnsignedReport,
};
pub use session::{
    ChannelBinding, Claim, ClaimSource, Claims, MAX_SESSION_BYTES, Session, SessionError,
    SessionEvidence, SessionRecord,
};
pub use statement::Statement;

/// The protocol version that every artifact names; artifacts with another are refused (appendix B).
pub(crate) const API_VERSION: &str = "aci/1";

/// The one signature algorithm we implement (§3.1).
pub(crate) const ED25519: &str = "ed25519";
