//! The requests to a driver, and how its answers become evidence.

use attest_core::nvidia::{DeviceKind, UnverifiedDevice};

use super::error::{DeviceError, DriverRequest};

/// The sizes of the driver's buffers.
pub(super) const MAX_REPORT: usize = 8192;
pub(super) const MAX_CHAIN: usize = 5120;
/// As many as a verifier accepts.
pub(super) const MAX_DEVICES: u32 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Confidential computing or Protected PCIe.
    On,
    Off,
    DevTools,
}

pub(super) trait Driver: Send + Sync {
    fn count(&self) -> Result<u32, DeviceError>;
    fn mode(&self, index: u32) -> Result<Mode, DeviceError>;
    fn report(&self, index: u32, nonce: &[u8; 32]) -> Result<Vec<u8>, DeviceError>;
    fn certificates(&self, index: u32) -> Result<Vec<u8>, DeviceError>;
}

/// Every device's index, if as many as expected are present and all of them are in a confidential mode.
pub(super) fn ready(
    driver: &dyn Driver,
    expected: Option<u32>,
) -> Result<std::ops::Range<u32>, DeviceError> {
    let count = driver.count()?;
    match count {
        0 => return Err(DeviceError::NoDevice),
        found if found > MAX_DEVICES => {
            return Err(DeviceError::TooManyDevices {
                found,
                limit: MAX_DEVICES,
            });
        }
        found => {
            if let Some(expected) = expected.filter(|expected| *expected != found) {
                return Err(DeviceError::OtherCount { found, expected });
            }
        }
    }
    for device in 0..count {
        match driver.mode(device)? {
            Mode::On => {}
            Mode::Off => return Err(DeviceError::ConfidentialComputingOff { device }),
            Mode::DevTools => return Err(DeviceError::DevTools { device }),
        }
    }
    Ok(0..count)
}

/// Evidence of all devices or of none.
pub(super) fn collect(
    driver: &dyn Driver,
    expected: Option<u32>,
    nonce: &[u8; 32],
) -> Result<Vec<UnverifiedDevice>, DeviceError> {
    ready(driver, expected)?
        .map(|device| {
            let report = driver.report(device, nonce)?;
            let chain = driver.certificates(device)?;
            Ok(UnverifiedDevice {
                kind: DeviceKind::Gpu,
                evidence: within(device, DriverRequest::Report, report, MAX_REPORT)?,
                certificate_chain: within(device, DriverRequest::Certificates, chain, MAX_CHAIN)?,
            })
        })
        .collect()
}

fn within(
    device: u32,
    request: DriverRequest,
    bytes: Vec<u8>,
    limit: usize,
) -> Result<Vec<u8>, DeviceError> {
    match bytes.len() {
        0 => Err(DeviceError::Empty { device, request }),
        length if length > limit => Err(DeviceError::TooLong {
            device,
            request,
            limit,
        }),
        _ => Ok(bytes),
    }
}
