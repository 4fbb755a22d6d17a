//! Who signed a measurement report: the device's certificate chain and what it says of the firmware
//! that holds the key.
//!
//! Five certificates, leaf first, all ECDSA P-384 with SHA-384: the firmware's attestation key, the
//! chip's own key, two of NVIDIA's provisioning authorities and NVIDIA's device root, which counts
//! only as pinned. The leaf carries a DICE extension with the SHA-384 digest of the firmware its key
//! was derived for: a composite device id (2.23.133.5.4.1) on Hopper and LS10, a `TcbInfo`
//! (2.23.133.5.4.1.1) with a second, all-zero digest on Blackwell.

use std::sync::Arc;

use ring::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};

use super::{Architecture, DeviceId, OpaqueField, SpdmEvidence};
use crate::digest::Sha256Digest;
use crate::encoding::parse_hex;
use crate::time::UnixTime;
use crate::x509::{Certificate, IssuerKey, SignedObjectError, Validities, X509Error, pem};

/// The most a PEM chain may weigh; real ones are near 5 KiB.
pub const MAX_CHAIN_PEM_LEN: usize = 64 << 10;

const CHAIN_LEN: usize = 5;
const DICE: [&str; 2] = ["2.23.133.5.4.1", "2.23.133.5.4.1.1"];
/// What stands before a digest in an FWID: OID sha384 and the header of a 48-byte OCTET STRING.
const FWID_SHA384: [u8; 13] = [
    0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x04, 0x30,
];
const SHA384_LEN: usize = 48;

/// Why a device's chain does not lead to NVIDIA's root. `place` counts from the leaf, 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceChainError {
    /// Not PEM certificates, or too long.
    #[error("the device's certificate chain is not PEM certificates")]
    NotPem,
    /// Not five certificates.
    #[error("the device's certificate chain has {0} certificates, not 5")]
    Length(usize),
    /// A certificate cannot be read.
    #[error("certificate {place} of the device's chain: {error}")]
    Format {
        /// Which.
        place: usize,
        /// What is wrong with it.
        error: X509Error,
    },
    /// The last certificate is not the pinned root.
    #[error("the device's certificate chain does not end in the root")]
    Root,
    /// A certificate is not signed by the next.
    #[error("certificate {place} of the device's chain: {error}")]
    Signature {
        /// Which.
        place: usize,
        /// What is wrong with it.
        error: SignedObjectError,
    },
    /// A certificate signs another and may not, or the leaf says it may.
    #[error("certificate {place} of the device's chain has the wrong authority flag")]
    Authority {
        /// Which.
        place: usize,
    },
    /// Outside its dates.
    #[error("certificate {place} of the device's chain is valid from {not_before} to {not_after}")]
    Dates {
        /// Which.
        place: usize,
        /// From.
        not_before: UnixTime,
        /// To.
        not_after: UnixTime,
    },
    /// The leaf is of no chip this verifier knows, or its key is not on P-384.
    #[error("the device's certificate is of no known architecture")]
    UnknownDevice,
}

/// Why the firmware of certificate and report are not shown to be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FirmwareIdError {
    /// The certificate has none, or more than one.
    #[error("the device's certificate names no single firmware digest")]
    NotInCertificate,
    /// The report has none: drivers of that age do not send it.
    #[error("the device's report names no firmware digest")]
    NotInReport,
    /// They differ.
    #[error("the report's firmware digest is not the certificate's")]
    Mismatch,
}

/// A device whose certificates lead to NVIDIA's root. Whether they are valid is checked for every
/// time it is used: [`AuthenticDevice::at`]. Made by [`authenticate_device_chain`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuthenticDevice {
    certified: Arc<Certified>,
    validities: Validities,
}

/// What its certificates say of a device.
#[derive(Debug, PartialEq, Eq)]
struct Certified {
    architecture: Architecture,
    fingerprint: Sha256Digest,
    chip: Sha256Digest,
    chain: Vec<Vec<u8>>,
    public_key: Vec<u8>,
    firmware_id: Option<[u8; SHA384_LEN]>,
    serial_number: String,
    device_id: Option<DeviceId>,
}

impl AuthenticDevice {
    /// What may be relied on at `now`: nothing outside the dates of the certificates.
    pub(crate) fn at(&self, now: UnixTime) -> Result<VerifiedDevice, DeviceChainError> {
        let valid_until = self
            .validities
            .at(now)
            .map_err(|outside| DeviceChainError::Dates {
                place: outside.place,
                not_before: outside.not_before,
                not_after: outside.not_after,
            })?;
        Ok(VerifiedDevice {
            certified: Arc::clone(&self.certified),
            valid_until,
        })
    }
}

/// A device that NVIDIA's root vouches for at a stated time. Made by `AuthenticDevice::at` only:
///
/// ```compile_fail
/// let device = attest_core::nvidia::VerifiedDevice { ..unreachable!() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedDevice {
    certified: Arc<Certified>,
    valid_until: UnixTime,
}

impl VerifiedDevice {
    /// By the name in its certificate.
    pub fn architecture(&self) -> Architecture {
        self.certified.architecture
    }

    /// SHA-256 of the leaf certificate, which names one firmware on one chip.
    pub fn fingerprint(&self) -> Sha256Digest {
        self.certified.fingerprint
    }

    /// SHA-256 of the chip's own public key: two reports with the same one are of one device,
    /// whatever firmware made them.
    pub fn chip(&self) -> Sha256Digest {
        self.certified.chip
    }

    /// The certificates, DER, leaf first.
    pub(crate) fn chain(&self) -> &[Vec<u8>] {
        &self.certified.chain
    }

    /// The firmware the leaf's key was derived for, where the leaf names one.
    pub fn firmware_id(&self) -> Option<&[u8; SHA384_LEN]> {
        self.certified.firmware_id.as_ref()
    }

    /// The serial number attribute of the leaf's subject.
    pub fn serial_number(&self) -> &str {
        &self.certified.serial_number
    }

    /// The number by which the other devices of a node name this one: the end of the serial number
    /// attribute of the chip's own certificate, second of the chain.
    pub fn device_id(&self) -> Option<DeviceId> {
        self.certified.device_id
    }

    /// The earliest end of the chain.
    pub fn valid_until(&self) -> UnixTime {
        self.valid_until
    }
}

/// Verifies a PEM chain, leaf first, to the pinned `root` (DER) at `now`.
pub fn verify_device_chain(
    chain_pem: &[u8],
    root: &[u8],
    now: UnixTime,
) -> Result<VerifiedDevice, DeviceChainError> {
    authenticate_device_chain(chain_pem, root)?.at(now)
}

/// Verifies the signatures of a PEM chain, leaf first, to the pinned `root` (DER), and reads what it
/// says of the device.
pub(crate) fn authenticate_device_chain(
    chain_pem: &[u8],
    root: &[u8],
) -> Result<AuthenticDevice, DeviceChainError> {
    let ders = pem_certificates(chain_pem)?;
    if ders.len() != CHAIN_LEN {
        return Err(DeviceChainError::Length(ders.len()));
    }
    if ders.last().is_none_or(|last| last != root) {
        return Err(DeviceChainError::Root);
    }
    let mut chain = Vec::with_capacity(CHAIN_LEN);
    for (place, der) in ders.iter().enumerate() {
        let certificate =
            Certificate::parse(der).map_err(|error| DeviceChainError::Format { place, error })?;
        chain.push(certificate);
    }
    for (place, certificate) in chain.iter().enumerate() {
        let issuer = chain.get(place + 1).unwrap_or(certificate);
        certificate
            .verify_issued_by(issuer)
            .map_err(|error| DeviceChainError::Signature { place, error })?;
        if certificate.x509.is_ca() != (place > 0) {
            return Err(DeviceChainError::Authority { place });
        }
    }
    let certified = certified(&chain, &ders).ok_or(DeviceChainError::UnknownDevice)?;
    Ok(AuthenticDevice {
        certified: Arc::new(certified),
        validities: Validities::from_chain(&chain),
    })
}

/// Checks that `device` signed the whole of `evidence`, request included.
pub fn verify_report_signature(
    evidence: &SpdmEvidence,
    device: &VerifiedDevice,
) -> Result<(), SignedObjectError> {
    UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &device.certified.public_key)
        .verify(evidence.signed(), evidence.signature())
        .map_err(|_| SignedObjectError::Signature)
}

/// Checks that the firmware the report names is the one the key was derived for.
pub fn check_firmware_id(
    evidence: &SpdmEvidence,
    device: &VerifiedDevice,
) -> Result<(), FirmwareIdError> {
    let certified = device
        .firmware_id()
        .ok_or(FirmwareIdError::NotInCertificate)?;
    let reported = evidence
        .opaque()
        .get(OpaqueField::FirmwareId)
        .ok_or(FirmwareIdError::NotInReport)?;
    if reported == certified {
        Ok(())
    } else {
        Err(FirmwareIdError::Mismatch)
    }
}

fn certified(chain: &[Certificate<'_>], ders: &[Vec<u8>]) -> Option<Certified> {
    let (leaf, chip) = (chain.first()?, chain.get(1)?);
    let IssuerKey::P384(public_key) = leaf.key()? else {
        return None;
    };
    let name = leaf.common_name()?;
    let architecture = match name.split(' ').next()? {
        "GH100" => Architecture::Hopper,
        "GB100" | "GB102" | "GB202" => Architecture::Blackwell,
        "LS_10" => Architecture::Ls10,
        _ => return None,
    };
    let serial_number = serial_attribute(leaf)?;
    Some(Certified {
        architecture,
        fingerprint: Sha256Digest::hash(ders.first()?),
        chip: Sha256Digest::hash(chip.x509.public_key().raw),
        chain: ders.to_vec(),
        public_key: public_key.to_vec(),
        firmware_id: firmware_id(leaf),
        serial_number: serial_number.to_owned(),
        device_id: chip_number(chip),
    })
}

fn serial_attribute<'a>(certificate: &'a Certificate<'_>) -> Option<&'a str> {
    certificate
        .x509
        .subject()
        .iter_by_oid(&x509_parser::oid_registry::OID_X509_SERIALNUMBER)
        .next()
        .and_then(|serial| serial.as_str().ok())
}

/// A chip's certificate writes a byte for the kind of chip and then its number.
fn chip_number(chip: &Certificate<'_>) -> Option<DeviceId> {
    let serial = serial_attribute(chip)?.to_ascii_lowercase();
    let [_kind, number @ ..] = parse_hex::<9>(&serial).ok()?;
    Some(number)
}

/// The one SHA-384 firmware digest of the leaf that is not all zero.
fn firmware_id(leaf: &Certificate<'_>) -> Option<[u8; SHA384_LEN]> {
    let mut extensions = leaf
        .x509
        .extensions()
        .iter()
        .filter(|extension| DICE.contains(&extension.oid.to_id_string().as_str()));
    let value = extensions.next()?.value;
    if extensions.next().is_some() {
        return None;
    }
    let mut digests = value
        .windows(FWID_SHA384.len() + SHA384_LEN)
        .filter(|window| window.starts_with(&FWID_SHA384))
        .filter_map(|window| window.last_chunk::<SHA384_LEN>())
        .filter(|digest| **digest != [0; SHA384_LEN]);
    let digest = digests.next()?;
    digests.next().is_none().then_some(*digest)
}

fn pem_certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, DeviceChainError> {
    if text.len() > MAX_CHAIN_PEM_LEN {
        return Err(DeviceChainError::NotPem);
    }
    pem::certificates(text).map_err(|_| DeviceChainError::NotPem)
}
