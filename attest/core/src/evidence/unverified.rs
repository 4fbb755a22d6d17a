//! Evidence as it was received: bytes, of which nothing is verified.

use crate::aci::CpuEvidence;

/// Evidence of a CPU, as bytes. Nothing about it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnverifiedEvidence<'a> {
    /// An Intel quote.
    Tdx {
        /// The quote, possibly followed by the rest of its buffer.
        quote: &'a [u8],
    },
    /// An AMD SEV-SNP report with whatever certificates came with it.
    SevSnp {
        /// The report.
        report: &'a [u8],
        /// The certificates.
        certs: &'a [u8],
    },
}

impl<'a> From<&'a CpuEvidence> for UnverifiedEvidence<'a> {
    fn from(evidence: &'a CpuEvidence) -> Self {
        match evidence {
            CpuEvidence::Tdx { quote } => Self::Tdx { quote },
            CpuEvidence::SevSnp { report, certs } => Self::SevSnp { report, certs },
        }
    }
}
