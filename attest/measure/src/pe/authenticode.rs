//! The hash of a PE image that a signature covers and a firmware measures: all of it but the
//! checksum, the certificate table's directory entry and the certificates (Microsoft, "Windows
//! Authenticode Portable Executable Signature Format"; PE/COFF 8.0 appendix A).
//!
//! Where the texts are ambiguous, this follows EDK II, which is the firmware that measures:
//! sections are hashed in the order of the file, and data beyond headers and sections begins at
//! the *sum* of their lengths.

use super::{Pe, PeError};
use crate::bytes::{slice, to_usize, u32_at};
use crate::hash::{Sha384, sha384};

const CHECKSUM_AT: usize = 64;

/// The hash that `EV_EFI_BOOT_SERVICES_APPLICATION` carries.
pub fn authenticode_sha384(pe: &Pe<'_>) -> Result<Sha384, PeError> {
    authenticode_parts(pe).map(|parts| sha384(&parts))
}

/// What is hashed, in order; for comparison with signatures over other hashes.
#[doc(hidden)]
pub fn authenticode_parts<'a>(pe: &Pe<'a>) -> Result<Vec<&'a [u8]>, PeError> {
    let range = |from: usize, to: usize| {
        let len = to.checked_sub(from).ok_or(PeError::Header("layout"))?;
        slice(pe.file, from, len).ok_or(PeError::Header("layout"))
    };
    let checksum = pe.optional_header + CHECKSUM_AT;
    let mut parts = vec![range(0, checksum)?];
    let after_checksum = checksum + 4;
    match pe.certificate_entry {
        Some(entry) => {
            parts.push(range(after_checksum, entry)?);
            parts.push(range(entry + 8, pe.headers_len)?);
        }
        None => parts.push(range(after_checksum, pe.headers_len)?),
    }
    let mut sections: Vec<_> = pe.sections.iter().filter(|s| s.raw_len > 0).collect();
    sections.sort_by_key(|section| section.raw_offset);
    let mut hashed = pe.headers_len;
    for section in sections {
        parts.push(pe.raw(section));
        hashed = hashed
            .checked_add(to_usize(section.raw_len))
            .ok_or(PeError::Header("layout"))?;
    }
    let certificates = pe
        .certificate_entry
        .and_then(|entry| u32_at(pe.file, entry + 4))
        .map_or(0, to_usize);
    if hashed < pe.file.len() {
        let end = pe.file.len().checked_sub(certificates);
        let end = end.filter(|end| *end >= hashed);
        let end = end.ok_or(PeError::Header("length of certificates"))?;
        parts.push(range(hashed, end)?);
    }
    Ok(parts)
}
