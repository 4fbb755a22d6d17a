//! Azure's wrapping of an SNP report: the host compatibility layer's (HCL) attestation blob, read
//! from the virtual TPM.
//!
//! 32 bytes of header (`HCLA`), the 1184-byte report at 0x20, then at 0x4C0 a header of five
//! little-endian u32 (total size, version, report type, hash type, claims length) and the claims,
//! a JSON text. The report's data is not the guest's nonce: its first 32 bytes are the SHA-256 of
//! the claims, which carry the vTPM's attestation key. (Microsoft, "Azure confidential VM guest
//! attestation", layout of the HCL report.)

use crate::digest::Sha256Digest;
use crate::reader::{EndsInside, Reader, to_usize};

use super::{REPORT_LEN, SnpFormatError, SnpReport};

const SIGNATURE: &[u8; 4] = b"HCLA";
/// Of the header in front of the report, without `HCLA`.
const HEADER_REST_LEN: usize = 28;
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

impl From<EndsInside> for HclError {
    fn from(_: EndsInside) -> Self {
        Self::Truncated
    }
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
        let mut reader = Reader::new(blob);
        let report = wrapped_report(&mut reader).map_err(|_| HclError::NotHcl)?;
        let report = SnpReport::parse(report.ok_or(HclError::NotHcl)?)?;
        reader.u32("total size")?;
        reader.u32("version")?;
        let report_type = reader.u32("report type")?;
        if report_type != SNP {
            return Err(HclError::ReportType(report_type));
        }
        let hash_type = reader.u32("hash type")?;
        if hash_type != SHA256 {
            return Err(HclError::HashType(hash_type));
        }
        let len = to_usize(reader.u32("claims length")?);
        let claims = reader.bytes("claims", len)?;
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

/// The report behind the header, if the header is one.
fn wrapped_report<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, EndsInside> {
    let signature = reader.array("signature")?;
    reader.bytes("header", HEADER_REST_LEN)?;
    let report = reader.bytes("report", REPORT_LEN)?;
    Ok((signature == SIGNATURE).then_some(report))
}
