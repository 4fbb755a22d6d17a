//! The digests, identifiers and nonces that ACI/1 passes around, each its own type (ACI/1 appendix A).
//!
//! All of them are 32 bytes; what differs is what was hashed and how it is written. A [`Sha256Digest`]
//! is written `sha256:<hex>`; a [`SpkiDigest`], a [`SessionId`] and a [`Nonce`] are bare hex. None of
//! them says anything about who chose the bytes.

use std::fmt;

use x509_parser::prelude::{FromDer, X509Certificate};

use crate::encoding::{EncodingError, parse_hex, to_hex, write_hex};

const PREFIX: &str = "sha256:";

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    to_array(ring::digest::digest(&ring::digest::SHA256, bytes))
}

fn to_array(digest: ring::digest::Digest) -> [u8; 32] {
    digest
        .as_ref()
        .try_into()
        .expect("SHA-256 has 32 bytes of output")
}

/// SHA-256 of named bytes, written `sha256:<64 lowercase hex>`.
///
/// ```
/// use attest_core::Sha256Digest;
/// let digest = Sha256Digest::hash(b"");
/// assert_eq!(
///     digest.to_string(),
///     "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
/// );
/// assert_eq!(Sha256Digest::parse(&digest.to_string()), Ok(digest));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Digest([u8; 32]);

impl Sha256Digest {
    /// Hashes `bytes`.
    pub fn hash(bytes: &[u8]) -> Self {
        Self(sha256(bytes))
    }

    /// Reads `sha256:<hex>`.
    pub fn parse(text: &str) -> Result<Self, EncodingError> {
        let hex = text
            .strip_prefix(PREFIX)
            .ok_or(EncodingError::MissingDigestPrefix)?;
        parse_hex(hex).map(Self)
    }
}

impl Sha256Digest {
    /// Appends its text as a JSON string.
    pub(crate) fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(PREFIX.as_bytes());
        write_hex(out, &self.0);
        out.push(b'"');
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.to_hex())
    }
}

/// SHA-256 of a DER SubjectPublicKeyInfo: names a TLS key whatever certificate carries it.
/// Written as bare hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpkiDigest([u8; 32]);

impl SpkiDigest {
    /// Reads bare hex.
    pub fn parse(text: &str) -> Result<Self, EncodingError> {
        parse_hex(text).map(Self)
    }

    /// Hashes a DER SubjectPublicKeyInfo.
    pub fn from_spki_der(spki: &[u8]) -> Self {
        Self(sha256(spki))
    }

    /// Finds the SubjectPublicKeyInfo in a DER certificate and hashes it. Nothing else about the
    /// certificate is checked: not its signature, its dates or its names.
    pub fn from_certificate_der(certificate: &[u8]) -> Result<Self, CertificateError> {
        let (rest, certificate) =
            X509Certificate::from_der(certificate).map_err(|_| CertificateError::Malformed)?;
        if !rest.is_empty() {
            return Err(CertificateError::TrailingBytes { count: rest.len() });
        }
        Ok(Self::from_spki_der(
            certificate.tbs_certificate.subject_pki.raw,
        ))
    }
}

/// Why no key could be read out of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not a DER X.509 certificate.
    #[error("not a DER certificate")]
    Malformed,
    /// Bytes after the certificate.
    #[error("{count} bytes after the certificate")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
}

/// Content address of an attested session: SHA-256 of its JCS form, bare hex (ACI/1 §8).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 32]);

impl SessionId {
    /// Reads bare hex.
    pub fn parse(text: &str) -> Result<Self, EncodingError> {
        parse_hex(text).map(Self)
    }
}

/// A client's freshness challenge: 32 bytes, written as exactly 64 lowercase hex characters (ACI/1 §3.2).
///
/// The caller draws the bytes; this crate has no randomness.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce([u8; 32]);

impl Nonce {
    /// Reads bare hex.
    pub fn parse(text: &str) -> Result<Self, EncodingError> {
        parse_hex(text).map(Self)
    }
}

macro_rules! thirty_two_bytes {
    ($name:ident) => {
        impl $name {
            /// The value with these bytes.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Bare lowercase hex, without any prefix.
            pub fn to_hex(&self) -> String {
                to_hex(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

thirty_two_bytes!(Sha256Digest);
thirty_two_bytes!(SpkiDigest);
thirty_two_bytes!(SessionId);
thirty_two_bytes!(Nonce);

macro_rules! written_as_bare_hex {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.to_hex())
            }
        }
    };
}

written_as_bare_hex!(SpkiDigest);
written_as_bare_hex!(SessionId);
written_as_bare_hex!(Nonce);

/// The 64-byte report-data slot of a TEE quote.
///
/// Bytes 0–31 are SHA-256 of the attestation statement, bytes 32–63 are zero (ACI/1 §3.2). Expected
/// values come from [`Statement::report_data`](crate::Statement::report_data); what a quote was seen
/// to hold comes from [`ReportData::observed`]. Neither pads nor cuts.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReportData([u8; 64]);

impl ReportData {
    /// What a quote carries.
    pub const fn observed(slot: [u8; 64]) -> Self {
        Self(slot)
    }

    pub(crate) fn from_statement(statement: &[u8]) -> Self {
        let mut slot = [0; 64];
        slot[..32].copy_from_slice(&sha256(statement));
        Self(slot)
    }

    /// The whole slot.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// Bytes 0–31: the value that the report restates as `report_data`.
    pub fn digest_half(&self) -> [u8; 32] {
        let mut half = [0; 32];
        half.copy_from_slice(&self.0[..32]);
        half
    }
}

impl fmt::Debug for ReportData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReportData({})", to_hex(&self.0))
    }
}

/// SHA-256 over a body that arrives in pieces.
///
/// ```
/// use attest_core::{BodyHasher, Sha256Digest};
/// let mut hasher = BodyHasher::new();
/// hasher.update(b"data: ");
/// hasher.update(b"[DONE]\n\n");
/// assert_eq!(hasher.finish(), Sha256Digest::hash(b"data: [DONE]\n\n"));
/// ```
#[derive(Clone)]
pub struct BodyHasher(ring::digest::Context);

impl BodyHasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self(ring::digest::Context::new(&ring::digest::SHA256))
    }

    /// Appends the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The digest of everything seen.
    pub fn finish(self) -> Sha256Digest {
        Sha256Digest(to_array(self.0.finish()))
    }
}

impl Default for BodyHasher {
    fn default() -> Self {
        Self::new()
    }
}
