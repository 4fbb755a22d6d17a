//! The attestation statement, the one line that a hardware quote commits to (ACI/1 §3.2).

use crate::digest::{Nonce, ReportData, Sha256Digest};

/// What the quote says: this keyset, in answer to this nonce.
///
/// The bytes are exactly
/// `{"keyset_digest":"sha256:<hex>","nonce":"<64 hex>","purpose":"aci.report_data.v1"}`; unchallenged,
/// the nonce is the literal `null`, which binds the keyset but proves no freshness.
///
/// ```
/// use attest_core::{Nonce, Sha256Digest, Statement};
/// let keyset = Sha256Digest::hash(b"a keyset in its JCS form");
/// let report_data = Statement::challenged(keyset, Nonce::from_bytes([7; 32])).report_data();
/// assert_eq!(report_data.as_bytes()[32..], [0; 32]);
/// assert_ne!(report_data, Statement::unchallenged(keyset).report_data());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement {
    keyset_digest: Sha256Digest,
    nonce: Option<Nonce>,
}

impl Statement {
    /// The statement that answers a client's nonce.
    pub fn challenged(keyset_digest: Sha256Digest, nonce: Nonce) -> Self {
        Self {
            keyset_digest,
            nonce: Some(nonce),
        }
    }

    /// The statement of a report that was made without a client's nonce.
    pub fn unchallenged(keyset_digest: Sha256Digest) -> Self {
        Self {
            keyset_digest,
            nonce: None,
        }
    }

    /// The exact bytes. They are their own JCS form.
    pub fn bytes(&self) -> Vec<u8> {
        let nonce = match self.nonce {
            Some(nonce) => format!("\"{nonce}\""),
            None => "null".to_owned(),
        };
        format!(
            "{{\"keyset_digest\":\"{}\",\"nonce\":{nonce},\"purpose\":\"aci.report_data.v1\"}}",
            self.keyset_digest,
        )
        .into_bytes()
    }

    /// SHA-256 of the bytes, in the first half of the 64-byte slot; the rest is zero.
    pub fn report_data(&self) -> ReportData {
        ReportData::from_statement(&self.bytes())
    }
}
