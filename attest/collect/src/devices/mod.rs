//! Evidence of the devices beside the CPU: NVIDIA GPUs, asked through their driver.
//!
//! It refuses to hand out evidence of some devices only, of none, and of devices whose driver says
//! that they protect nothing. That is a courtesy to the operator; a verifier reads the mode from
//! what the device signed. NVSwitches are not asked: the management library does not speak for them.
//!
//! The path through the real library has not been tried on a GPU in confidential mode; what is tested
//! is the library's absence, and everything behind a driver that answers as NVIDIA documents it.

mod driver;
mod error;
mod nvml;
#[cfg(test)]
mod tests;

use attest_core::nvidia::UnverifiedDevice;

pub use error::{DeviceError, Question};

/// Something that has every device of this machine sign a nonce.
///
/// Calls block, as [`Attester`](crate::Attester)'s do.
pub trait DeviceAttester: Send + Sync {
    /// Evidence of all devices, each for this nonce.
    fn attest_devices(&self, gpu_nonce: &[u8; 32]) -> Result<Vec<UnverifiedDevice>, DeviceError>;
}

/// The NVIDIA devices of this machine.
pub struct NvidiaDevices {
    driver: Box<dyn driver::Driver>,
    wanted: Option<u32>,
}

impl NvidiaDevices {
    /// Loads NVIDIA's management library and looks whether there are devices to attest: `wanted` of
    /// them if a number is given, now and whenever they are asked.
    pub fn probe(wanted: Option<u32>) -> Result<Self, DeviceError> {
        Self::with(Box::new(nvml::Library::load()?), wanted)
    }

    fn with(driver: Box<dyn driver::Driver>, wanted: Option<u32>) -> Result<Self, DeviceError> {
        driver::ready(&*driver, wanted)?;
        Ok(Self { driver, wanted })
    }
}

impl DeviceAttester for NvidiaDevices {
    fn attest_devices(&self, gpu_nonce: &[u8; 32]) -> Result<Vec<UnverifiedDevice>, DeviceError> {
        driver::collect(&*self.driver, self.wanted, gpu_nonce)
    }
}
