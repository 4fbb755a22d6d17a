//! The quoting enclave's own report, which the platform's key signs and which vouches for the key that
//! signs quotes (Intel SGX `REPORTBODY`, 384 bytes; Intel TDX DCAP Quoting Library API, A.3.10).
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 16 | CPUSVN |
//! | 16 | 4 | MISCSELECT |
//! | 48 | 16 | ATTRIBUTES |
//! | 64 | 32 | MRENCLAVE |
//! | 128 | 32 | MRSIGNER |
//! | 256 | 2 | ISVPRODID |
//! | 258 | 2 | ISVSVN |
//! | 320 | 64 | report data |

use ring::digest::{Context, SHA256};

use super::quote::QuoteFormatError;
use crate::reader::Reader;

/// A quoting enclave's description of itself. Facts, verified only where a verdict says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QeReport {
    /// Security versions of the CPU.
    pub cpusvn: [u8; 16],
    /// Extended features of the enclave's state.
    pub miscselect: [u8; 4],
    /// Attributes of the enclave.
    pub attributes: [u8; 16],
    /// Measurement of the enclave.
    pub mrenclave: [u8; 32],
    /// Its signer.
    pub mrsigner: [u8; 32],
    /// Product number.
    pub isvprodid: u16,
    /// Security version.
    pub isvsvn: u16,
    /// The digest that vouches for the attestation key, then zeros.
    pub report_data: [u8; 64],
}

impl QeReport {
    pub(super) const LEN: usize = 384;

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, QuoteFormatError> {
        const AT: &str = "QE report";
        let cpusvn = *reader.array(AT)?;
        let miscselect = *reader.array(AT)?;
        reader.bytes(AT, 28)?;
        let attributes = *reader.array(AT)?;
        let mrenclave = *reader.array(AT)?;
        reader.bytes(AT, 32)?;
        let mrsigner = *reader.array(AT)?;
        reader.bytes(AT, 96)?;
        let isvprodid = reader.u16(AT)?;
        let isvsvn = reader.u16(AT)?;
        reader.bytes(AT, 60)?;
        Ok(Self {
            cpusvn,
            miscselect,
            attributes,
            mrenclave,
            mrsigner,
            isvprodid,
            isvsvn,
            report_data: *reader.array(AT)?,
        })
    }

    /// Whether the report vouches for an attestation key: its report data is the SHA-256 of the key and
    /// the authentication data, which may be of any length, and then zeros.
    pub(super) fn vouches_for(&self, attestation_key: &[u8; 64], auth_data: &[u8]) -> bool {
        let mut context = Context::new(&SHA256);
        context.update(attestation_key);
        context.update(auth_data);
        let (digest, rest) = self.report_data.split_at(32);
        digest == context.finish().as_ref() && rest.iter().all(|byte| *byte == 0)
    }
}
