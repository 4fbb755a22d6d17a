//! AMD SEV-SNP: attestation reports, the certificates that endorse the key that signed them, and
//! the checks that compare the one with the other.
//!
//! The steps, each with its own error: parse the report ([`SnpReport`], or [`HclReport`] on
//! Azure), lead the endorsement key back to AMD's pinned root ([`verify_chain`],
//! [`check_revocation`]), check the report's signature ([`verify_signature`]), and compare what the
//! report says of chip and TCB against what AMD certified ([`check_key_kind`], [`check_product`],
//! [`check_hardware_id`], [`check_tcb`]). What is wanted of the platform is policy's business.

mod bits;
mod cert_table;
mod chain;
mod endorse;
mod facts;
mod hcl;
mod product;
mod report;
mod signature;
mod tcb;
mod vek;
mod verification;

pub use bits::{GuestPolicy, GuestPolicyError, PlatformInfo};
pub use cert_table::{
    CertTable, CertTableError, certificate_der, revocation_list_der, signing_certificate_der,
};
pub(crate) use chain::{AuthenticVek, authenticate_chain, revocation_list_issued};
pub use chain::{ChainError, Link, RevocationError, VerifiedVek, check_revocation, verify_chain};
pub use endorse::{EndorsementError, check_hardware_id, check_key_kind, check_product, check_tcb};
pub use facts::SnpFacts;
pub(crate) use facts::to_json as facts_to_json;
pub use hcl::{HclError, HclReport};
pub use product::Product;
pub use report::{FirmwareVersion, REPORT_LEN, SIGNED_LEN, SnpFormatError, SnpReport, VekKind};
pub use signature::{ReportSignatureError, verify_signature};
pub use tcb::{Component, ReservedTcbBytes, Tcb};
pub use vek::{VekClaims, VekError};
pub(crate) use verification::{Comparisons, Inputs, SnpError, Verification, verify};
