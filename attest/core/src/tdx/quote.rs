//! Taking a quote apart: header, body, signature data, and what follows them.
//!
//! Layouts: Intel TDX DCAP Quoting Library API, appendix A.3 (version 4) and A.4 (version 5).
//! Quote buffers are longer than quotes, so the length inside bounds the quote and the rest is
//! reported, not parsed. SGX quotes are recognised and left alone: their bodies are not read.

use super::body::TdBody;
use super::qe_report::QeReport;
use crate::reader::{EndsInside, Reader};

/// Longer than any quote or quote buffer seen (they stay below 9 KiB).
pub(crate) const MAX_QUOTE_LEN: usize = 64 << 10;

const TEE_TYPE_SGX: u32 = 0;
const TEE_TYPE_TDX: u32 = 0x81;
const ECDSA_P256: u16 = 2;
const QE_REPORT_CERTIFICATION: u16 = 6;
const PCK_CHAIN_CERTIFICATION: u16 = 5;
const BODY_TD10: u16 = 2;
const BODY_TD15: u16 = 3;
/// What Intel's quoting enclave writes into the header (Intel TDX DCAP Quoting Library API, A.3.1).
pub const INTEL_QE_VENDOR: [u8; 16] = [
    0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07,
];

/// Why bytes are not a quote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuoteFormatError {
    /// The bytes end inside a field.
    #[error("it ends inside {field}")]
    TooShort {
        /// Which field.
        field: &'static str,
    },
    /// Longer than 64 KiB.
    #[error("{0} bytes are more than any quote has")]
    TooLong(usize),
    /// A version this verifier does not know.
    #[error("version {0} is unknown")]
    Version(u16),
    /// Neither SGX nor TDX.
    #[error("TEE type {0:#x} is unknown")]
    TeeType(u32),
    /// A version 5 body type this verifier does not know.
    #[error("body type {0} is unknown")]
    BodyType(u16),
    /// A body size that is not the body type's.
    #[error("the body claims {claimed} bytes, its type has {expected}")]
    BodySize {
        /// As stated.
        claimed: u32,
        /// As the type has it.
        expected: u32,
    },
    /// Not signed with ECDSA P-256.
    #[error("attestation key type {0} is unknown")]
    KeyType(u16),
    /// Certification data of another kind than a QE report over a PCK chain.
    #[error("certification data type {0} is not supported")]
    CertificationType(u16),
    /// Bytes inside the signature data that belong to nothing.
    #[error("{0} stray bytes inside the signature data")]
    StrayBytes(usize),
}

impl From<EndsInside> for QuoteFormatError {
    fn from(EndsInside { field, .. }: EndsInside) -> Self {
        Self::TooShort { field }
    }
}

impl QuoteFormatError {
    /// Certification data that Intel specifies and that holds no certificate chain: the quote is well
    /// formed, and cannot be verified without asking Intel for one.
    pub(crate) const fn is_unsupported(&self) -> bool {
        matches!(self, Self::CertificationType(1..=7))
    }
}

/// A quote, parsed. Nothing in it is verified.
#[allow(
    clippy::large_enum_variant,
    reason = "made once per quote and taken apart at once"
)]
pub(crate) enum ParsedQuote<'a> {
    Tdx(TdQuote<'a>),
    /// An SGX quote, whose body was not read.
    Sgx,
}

pub(crate) struct TdQuote<'a> {
    pub(crate) version: u16,
    pub(crate) qe_vendor: [u8; 16],
    pub(crate) header_user_data: [u8; 20],
    pub(crate) body: TdBody,
    pub(crate) quoting_enclave: QeReport,
    /// Header and body, with whatever stands between them.
    pub(crate) signed: &'a [u8],
    pub(crate) signature: &'a [u8; 64],
    /// The key of that signature, as its two coordinates.
    pub(crate) attestation_key: &'a [u8; 64],
    /// The quoting enclave's report, as the platform's key signed it.
    pub(crate) qe_report: &'a [u8],
    pub(crate) qe_report_signature: &'a [u8; 64],
    /// What the quoting enclave vouches for beside the key.
    pub(crate) qe_auth_data: &'a [u8],
    /// The certificates that say what is said of the platform, PEM.
    pub(crate) pck_chain: &'a [u8],
    pub(crate) trailing: &'a [u8],
}

pub(crate) fn parse(bytes: &[u8]) -> Result<ParsedQuote<'_>, QuoteFormatError> {
    if bytes.len() > MAX_QUOTE_LEN {
        return Err(QuoteFormatError::TooLong(bytes.len()));
    }
    let mut reader = Reader::new(bytes);
    let version = reader.u16("header")?;
    if !(3..=5).contains(&version) {
        return Err(QuoteFormatError::Version(version));
    }
    let key_type = reader.u16("header")?;
    let tee_type = reader.u32("header")?;
    let _qe_and_pce_svn = reader.u32("header")?;
    let qe_vendor = *reader.array::<16>("header")?;
    let header_user_data = *reader.array::<20>("header")?;
    match (tee_type, version) {
        (TEE_TYPE_SGX, _) => return Ok(ParsedQuote::Sgx),
        (TEE_TYPE_TDX, 4 | 5) => {}
        (TEE_TYPE_TDX, _) => return Err(QuoteFormatError::Version(version)),
        _ => return Err(QuoteFormatError::TeeType(tee_type)),
    }
    if key_type != ECDSA_P256 {
        return Err(QuoteFormatError::KeyType(key_type));
    }
    let body = body(&mut reader, version)?;
    let signed_len = bytes.len() - reader.rest().len();
    let signed = bytes.get(..signed_len).unwrap_or_default();
    let signature_data_len = reader.u32("signature data length")?;
    let signature_data = reader.bytes("signature data", signature_data_len as usize)?;
    let parts = signature_data_parts(signature_data)?;
    Ok(ParsedQuote::Tdx(TdQuote {
        version,
        qe_vendor,
        header_user_data,
        body,
        quoting_enclave: parts.quoting_enclave,
        signed,
        signature: parts.signature,
        attestation_key: parts.attestation_key,
        qe_report: parts.qe_report,
        qe_report_signature: parts.qe_report_signature,
        qe_auth_data: parts.qe_auth_data,
        pck_chain: parts.pck_chain,
        trailing: reader.rest(),
    }))
}

fn body(reader: &mut Reader<'_>, version: u16) -> Result<TdBody, QuoteFormatError> {
    if version == 4 {
        return TdBody::read_td10(reader);
    }
    let body_type = reader.u16("body type")?;
    let claimed = reader.u32("body size")?;
    let expected = match body_type {
        BODY_TD10 => TdBody::TD10_LEN,
        BODY_TD15 => TdBody::TD15_LEN,
        other => return Err(QuoteFormatError::BodyType(other)),
    };
    if claimed != expected {
        return Err(QuoteFormatError::BodySize { claimed, expected });
    }
    match body_type {
        BODY_TD10 => TdBody::read_td10(reader),
        _ => TdBody::read_td15(reader),
    }
}

struct SignatureData<'a> {
    signature: &'a [u8; 64],
    attestation_key: &'a [u8; 64],
    quoting_enclave: QeReport,
    qe_report: &'a [u8],
    qe_report_signature: &'a [u8; 64],
    qe_auth_data: &'a [u8],
    pck_chain: &'a [u8],
}

/// Signature, attestation key, then certification data of type 6 (the quoting enclave's report and
/// its signature) holding certification data of type 5 (the PCK certificate chain in PEM).
fn signature_data_parts(data: &[u8]) -> Result<SignatureData<'_>, QuoteFormatError> {
    let mut reader = Reader::new(data);
    let signature = reader.array("quote signature")?;
    let attestation_key = reader.array("attestation key")?;
    let kind = reader.u16("certification data")?;
    if kind != QE_REPORT_CERTIFICATION {
        return Err(QuoteFormatError::CertificationType(kind));
    }
    let len = reader.u32("certification data")?;
    let mut inner = Reader::new(reader.bytes("certification data", len as usize)?);
    no_stray_bytes(&reader)?;

    let qe_report = inner.bytes("QE report", QeReport::LEN)?;
    let quoting_enclave = QeReport::read(&mut Reader::new(qe_report))?;
    let qe_report_signature = inner.array("QE report signature")?;
    let auth_len = inner.u16("QE authentication data")?;
    let qe_auth_data = inner.bytes("QE authentication data", auth_len.into())?;
    let kind = inner.u16("PCK certification data")?;
    if kind != PCK_CHAIN_CERTIFICATION {
        return Err(QuoteFormatError::CertificationType(kind));
    }
    let len = inner.u32("PCK certification data")?;
    let pck_chain = inner.bytes("PCK certification data", len as usize)?;
    no_stray_bytes(&inner)?;
    Ok(SignatureData {
        signature,
        attestation_key,
        quoting_enclave,
        qe_report,
        qe_report_signature,
        qe_auth_data,
        pck_chain,
    })
}

fn no_stray_bytes(reader: &Reader<'_>) -> Result<(), QuoteFormatError> {
    match reader.rest().len() {
        0 => Ok(()),
        count => Err(QuoteFormatError::StrayBytes(count)),
    }
}
