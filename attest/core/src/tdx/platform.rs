//! What the platform's PCK certificate says about the machine.

use super::chain::{CertificateError, ChainError, Role, TrustedRoot, UnverifiedChain};
use super::pck_extension::{PckExtension, PckExtensionError};
use super::signature::{self, PublicKey};
use crate::time::UnixTime;
use crate::x509::{StrictCertificate as Certificate, common_name};

/// Facts of a PCK certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformFacts {
    /// Family, model, stepping, platform and custom SKU.
    pub fmspc: [u8; 6],
    /// Platform provisioning id: which machine it is.
    pub ppid: [u8; 16],
    /// Which provisioning certification enclave.
    pub pce_id: [u8; 2],
    /// Security versions of the CPU's sixteen components, which TCB levels are matched by.
    pub components: [u8; 16],
    /// The same in the CPU's own form.
    pub cpusvn: [u8; 16],
    /// Security version of the provisioning certification enclave.
    pub pcesvn: u16,
    /// Common name of the issuing authority.
    pub issuer: String,
    /// Serial number, big-endian.
    pub serial: Vec<u8>,
    /// Valid from.
    pub not_before: UnixTime,
    /// Valid until.
    pub not_after: UnixTime,
}

impl PlatformFacts {
    /// Reads a certificate, which may not be verified.
    pub(crate) fn from_certificate(pck: &Certificate<'_>) -> Result<Self, PckExtensionError> {
        let extension = PckExtension::from_certificate(pck)?;
        let (not_before, not_after) = pck.validity;
        Ok(Self {
            fmspc: extension.fmspc,
            ppid: extension.ppid,
            pce_id: extension.pce_id,
            components: extension.components,
            cpusvn: extension.cpusvn,
            pcesvn: extension.pcesvn,
            issuer: common_name(pck.issuer).unwrap_or_default().to_owned(),
            serial: pck.raw_serial.to_vec(),
            not_before,
            not_after,
        })
    }
}

/// A platform whose PCK certificate leads to the root. Whether its chain is valid and not revoked is
/// checked at every use.
#[derive(Debug)]
pub(crate) struct AuthenticPlatform {
    pub(super) facts: PlatformFacts,
    pub(super) key: PublicKey,
    /// Name and public key of the authority that issued the certificate, DER.
    pub(super) authority: (Vec<u8>, Vec<u8>),
    /// Serial number of the authority's certificate.
    pub(super) authority_serial: Vec<u8>,
    /// Serial number of the PCK certificate.
    pub(super) serial: Vec<u8>,
    /// Of PCK certificate, authority and root.
    dates: Vec<(Role, UnixTime, UnixTime)>,
}

impl AuthenticPlatform {
    pub(super) fn authenticate<'c>(
        chain: &'c UnverifiedChain<3>,
        root: &mut TrustedRoot<'c>,
    ) -> Result<Self, ChainError> {
        let [leaf, authority] = root.platform(chain)?;
        let root = root.certificate()?;
        let fault = |error| ChainError::Certificate {
            role: Role::Pck,
            error,
        };
        let facts = PlatformFacts::from_certificate(&leaf).map_err(CertificateError::PckExtension);
        let certificates = [
            (Role::Pck, &leaf),
            (Role::PckAuthority, &authority),
            (Role::Root, &root),
        ];
        let dates = certificates.map(|(role, certificate)| {
            let (not_before, not_after) = certificate.validity;
            (role, not_before, not_after)
        });
        Ok(Self {
            facts: facts.map_err(fault)?,
            key: signature::key_of(&leaf).ok_or(fault(CertificateError::Key))?,
            authority: authority.name_and_key(),
            authority_serial: authority.serial(),
            serial: leaf.serial(),
            dates: dates.to_vec(),
        })
    }

    /// The last second at which every certificate of the chain is valid, if all are at `now`.
    pub(super) fn at(&self, now: UnixTime) -> Result<UnixTime, ChainError> {
        let mut valid_until = UnixTime::from_secs(u64::MAX);
        for &(role, not_before, not_after) in &self.dates {
            if now < not_before || now > not_after {
                return Err(ChainError::Dates {
                    role,
                    not_before,
                    not_after,
                });
            }
            valid_until = valid_until.min(not_after);
        }
        Ok(valid_until)
    }
}
