//! Evidence of the devices beside the CPU: NVIDIA GPUs, asked through their driver.
//!
//! It refuses to return evidence of only some devices, of none, and of devices whose driver reports
//! that confidential computing is off. That is an early error for the operator; a verifier reads the mode from
//! the signed evidence. NVSwitches are not included: the management library does not support them.
//!
//! Calls of the real library were not tested on a GPU in confidential mode. Tested are
//! the library's absence, and a driver that answers as NVIDIA documents it.

mod driver;
mod error;
mod nvml;
#[cfg(test)]
mod tests;

use attest_core::nvidia::UnverifiedDevice;

pub use error::{DeviceError, DriverRequest};

/// Has every device of this machine sign a nonce.
///
/// Calls block, as [`Attester`](crate::Attester)'s do.
pub trait DeviceAttester: Send + Sync {
    /// Evidence of all devices, each for this nonce.
    fn attest_devices(&self, gpu_nonce: &[u8; 32]) -> Result<Vec<UnverifiedDevice>, DeviceError>;
}

/// The NVIDIA devices of this machine.
pub struct NvidiaDevices {
    driver: Box<dyn driver::Driver>,
    expected: Option<u32>,
}

impl NvidiaDevices {
    /// Loads NVIDIA's management library and checks that there are devices to attest: `expected` of
    /// them if a number is given, now and at each request.
    pub fn probe(expected: Option<u32>) -> Result<Self, DeviceError> {
        Self::with(Box::new(nvml::Library::load()?), expected)
    }

    fn with(driver: Box<dyn driver::Driver>, expected: Option<u32>) -> Result<Self, DeviceError> {
        driver::ready(&*driver, expected)?;
        Ok(Self { driver, expected })
    }
}

impl DeviceAttester for NvidiaDevices {
    fn attest_devices(&self, gpu_nonce: &[u8; 32]) -> Result<Vec<UnverifiedDevice>, DeviceError> {
        driver::collect(&*self.driver, self.expected, gpu_nonce)
    }
}
