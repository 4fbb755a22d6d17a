//! Azure's wrapping of an SNP report: the host compatibility layer's (HCL) attestation blob, read
//! from the virtual TPM.
//!
//! 32 bytes of header (`HCLA`), the 1184-byte report at 0x20, then at 0x4C0 a header of five
//! little-endian u32 (total size, version, report type, hash type, claims length) and the claims,
//! a JSON text. The report's data is not the guest's nonce: its first 32 bytes are the SHA-256 of
//! the claims, which carry the vTPM's attestation key. (Microsoft, "Azure confidential VM guest
//! attestation", layout of the HCL report.)

use crate::digest::Sha256Digest;

use super::{REPORT_LEN, SnpFormatError, SnpReport};

const SIGNATURE: &[u8; 4] = b"HCLA";
const REPORT_AT: usize = 0x20;
const CLAIMS_HEADER_AT: usize = REPORT_AT + REPORT_LEN;
const CLAIMS_HEADER_LEN: usize = 20;
const SHA256: u32 = 1;
/// The report type of SEV-SNP in the header after the report.
const SNP: u32 = 2;

/// Why bytes are not an HCL report around an SNP report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HclError {
    /// No `HCLA` at the start, or too short.
    #[error("not an HCL report")]
    NotHcl,
    /// Wraps a report of another kind of TEE.
    #[error("the HCL report wraps report type {0}, not SEV-SNP")]
    ReportType(u32),
    /// The report inside cannot be read.
    #[error(transparent)]
    Report(#[from] SnpFormatError),
    /// Claims hashed otherwise than with SHA-256.
    #[error("the HCL claims are hashed with algorithm {0}, not SHA-256")]
    HashType(u32),
    /// The claims are longer than the blob.
    #[error("the HCL claims are cut short")]
    Truncated,
    /// The report does not commit to the claims.
    #[error("the report data is not the hash of the HCL claims")]
    Claims,
}

/// An SNP report with the claims it commits to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HclReport {
    /// The report inside.
    pub report: SnpReport,
    /// The claims, exact JSON text.
    pub claims: Vec<u8>,
}

impl HclReport {
    /// Parses the blob and checks that the report commits to the claims. The report's own
    /// signature is checked like any other's.
    pub fn parse(blob: &[u8]) -> Result<Self, HclError> {
        if !blob.starts_with(SIGNATURE) {
            return Err(HclError::NotHcl);
        }
        let report = blob
            .get(REPORT_AT..CLAIMS_HEADER_AT)
            .ok_or(HclError::NotHcl)?;
        let report = SnpReport::parse(report)?;
        let rest = blob.get(CLAIMS_HEADER_AT..).ok_or(HclError::Truncated)?;
        let report_type = word(rest, 2)?;
        if report_type != SNP {
            return Err(HclError::ReportType(report_type));
        }
        let hash_type = word(rest, 3)?;
        if hash_type != SHA256 {
            return Err(HclError::HashType(hash_type));
        }
        let len = usize::try_from(word(rest, 4)?).map_err(|_| HclError::Truncated)?;
        let claims = rest
            .get(CLAIMS_HEADER_LEN..)
            .and_then(|claims| claims.get(..len))
            .ok_or(HclError::Truncated)?;
        let (committed, zero) = report.report_data.split_at(32);
        let is_hash = Sha256Digest::hash(claims).as_bytes()[..] == *committed;
        if !is_hash || zero.iter().any(|byte| *byte != 0) {
            return Err(HclError::Claims);
        }
        Ok(Self {
            report,
            claims: claims.to_vec(),
        })
    }
}

fn word(bytes: &[u8], index: usize) -> Result<u32, HclError> {
    let at = index * 4;
    let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
    word.map(u32::from_le_bytes).ok_or(HclError::Truncated)
}
