//! What Sealgate knows about attested inference, as a library without a clock, a socket or a file.
//!
//! Bytes go in, verdicts come out. Time, randomness and network are always arguments. The crate holds
//!
//! - `aci`: the ACI/1 artifacts — keyset, statement, report, receipt, session;
//! - `profile`: our published profile `sealgate/1` on top of them (`docs/profile.md`);
//! - `encoding`, `digest`, [`json`], `time`: the strict encodings and the instants that all of them share;
//! - `evidence`, [`tdx`], [`snp`], [`nvidia`], [`event_log`]: hardware evidence, parsed and verified;
//! - `roots`, `collateral`, [`x509`]: what it is verified with;
//! - [`log`]: the audit log — heads, proofs, entries;
//! - `receipt_evidence`: what proves a receipt, its signature or the log;
//! - [`retention`]: what is kept of a request, and who may change that;
//! - `policy`, `appraise`, `verdict`: what is wanted, how evidence is appraised, and the result;
//! - `reader`, `section`, `cache`, `quoted`: how bytes and TOML are read, what is remembered of certificates that were
//!   verified before, and how untrusted text is printed.
//!
//! It refuses: unknown or duplicate JSON names where a shape is fixed, any encoding that has more than
//! one spelling, and any artifact whose restated fields do not match what they restate.

// A name that no other crate can reach is `pub(crate)`, so that what is `pub` is what other crates use.
#![warn(missing_docs, unreachable_pub)]

mod aci;
mod appraise;
mod cache;
mod collateral;
mod digest;
mod encoding;
pub mod event_log;
mod evidence;
pub mod json;
pub mod log;
pub mod nvidia;
mod policy;
mod profile;
mod quoted;
mod reader;
mod receipt_evidence;
pub mod retention;
mod roots;
mod section;
pub mod snp;
pub mod tdx;
mod time;
mod verdict;
pub mod x509;

pub use aci::{
    ChannelBinding, Claim, ClaimSource, Claims, CpuEvidence, DeferredSignature, DeviceEvidence,
    DocumentError, Event, EvidenceBundle, KeyError, KeyRole, Keyset, KeysetError, MAX_KEYSET_BYTES,
    MAX_RECEIPT_BYTES, MAX_REPORT_BYTES, MAX_SESSION_BYTES, OtherEvent, PublicKeyEntry, Receipt,
    ReceiptBody, ReceiptError, Report, ReportError, Serving, Session, SessionError,
    SessionEvidence, SessionRecord, SignatureInvalid, SigningKey, SourceProvenance, Statement,
    TeeType, TlsKeyEntry, UnsignedReceipt, UnsignedReport, Upstream, VerifiedReceipt, VerifyingKey,
};
pub use appraise::*;
pub use collateral::*;
pub use digest::{
    BodyHasher, CertificateError, Nonce, ReportData, SessionId, Sha256Digest, SpkiDigest,
};
pub use encoding::{
    EncodingError, parse_base64, parse_hex, parse_hex_vec, push_hex, to_base64, to_hex,
};
pub use evidence::*;
pub use policy::*;
pub use profile::{PROFILE_ID, REPORT_PREFIX, Subject, SubjectError, gpu_nonce, report_message};
pub use receipt_evidence::{
    LoggedReceipt, LoggedReceiptError, ReceiptDocument, signs_receipts_on_fetch,
};
pub use roots::*;
pub use section::FieldError;
pub use time::*;
pub use verdict::*;
