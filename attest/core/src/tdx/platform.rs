//! What the platform's PCK certificate says about the machine.

use super::pck_extension::{PckExtension, PckExtensionError};
use crate::time::UnixTime;
use crate::x509::Certificate;

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
    pub(crate) fn of(pck: &Certificate<'_>) -> Result<Self, PckExtensionError> {
        let extension = PckExtension::of(pck)?;
        let mut issuer = pck.x509.issuer().iter_common_name();
        let issuer = issuer.next().and_then(|name| name.as_str().ok());
        let (not_before, not_after) = pck.validity();
        Ok(Self {
            fmspc: extension.fmspc,
            ppid: extension.ppid,
            pce_id: extension.pce_id,
            components: extension.components,
            cpusvn: extension.cpusvn,
            pcesvn: extension.pcesvn,
            issuer: issuer.unwrap_or_default().to_owned(),
            serial: pck.x509.raw_serial().to_vec(),
            not_before,
            not_after,
        })
    }
}
