//! The driver as NVIDIA's management library shows it. The library is loaded at run time.
//!
//! `nvml-wrapper` cuts its buffers at whatever length the driver names, which panics on a length
//! beyond the buffer; that panic is caught here and told as what it is.

use std::panic::{AssertUnwindSafe, catch_unwind};

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use super::driver::{Driver, MAX_CHAIN, MAX_REPORT, Mode};
use super::error::{DeviceError, Question};

pub(super) struct Library(Nvml);

impl Library {
    pub(super) fn load() -> Result<Self, DeviceError> {
        Nvml::init().map(Self).map_err(|e| told(Question::Start, e))
    }

    #[cfg(test)]
    pub(super) fn load_from(path: &std::path::Path) -> Result<Self, DeviceError> {
        Nvml::builder()
            .lib_path(path.as_os_str())
            .init()
            .map(Self)
            .map_err(|e| told(Question::Start, e))
    }

    fn device(&self, index: u32) -> Result<Device<'_>, DeviceError> {
        self.0
            .device_by_index(index)
            .map_err(|e| told(Question::Handle, e))
    }
}

impl Driver for Library {
    fn count(&self) -> Result<u32, DeviceError> {
        self.0.device_count().map_err(|e| told(Question::Count, e))
    }

    fn mode(&self, index: u32) -> Result<Mode, DeviceError> {
        let device = self.device(index)?;
        let failed = |e| told(Question::Mode, e);
        if device.is_cc_dev_mode_enabled().map_err(failed)? {
            return Ok(Mode::DevTools);
        }
        let protected = device.is_cc_enabled().map_err(failed)?
            || device
                .is_multi_gpu_protected_pcie_enabled()
                .map_err(failed)?;
        Ok(if protected { Mode::On } else { Mode::Off })
    }

    fn report(&self, index: u32, nonce: &[u8; 32]) -> Result<Vec<u8>, DeviceError> {
        let device = self.device(index)?;
        let asked = Question::Report;
        bounded(index, asked, MAX_REPORT, || {
            Ok(device
                .confidential_compute_gpu_attestation_report(*nonce)?
                .attestation_report)
        })
    }

    fn certificates(&self, index: u32) -> Result<Vec<u8>, DeviceError> {
        let device = self.device(index)?;
        let asked = Question::Certificates;
        bounded(index, asked, MAX_CHAIN, || {
            Ok(device
                .confidential_compute_gpu_certificate()?
                .attestation_cert_chain)
        })
    }
}

fn bounded(
    device: u32,
    asked: Question,
    limit: usize,
    ask: impl FnOnce() -> Result<Vec<u8>, NvmlError>,
) -> Result<Vec<u8>, DeviceError> {
    match catch_unwind(AssertUnwindSafe(ask)) {
        Ok(answer) => answer.map_err(|e| told(asked, e)),
        Err(_) => Err(DeviceError::TooLong {
            device,
            asked,
            limit,
        }),
    }
}

fn told(asked: Question, error: NvmlError) -> DeviceError {
    match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => DeviceError::NoDriverLibrary,
        NvmlError::DriverNotLoaded => DeviceError::DriverNotLoaded,
        NvmlError::NotSupported
        | NvmlError::FunctionNotFound
        | NvmlError::FailedToLoadSymbol(_) => DeviceError::NotSupported { asked },
        other => DeviceError::Driver {
            asked,
            said: other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_library_the_error_says_so() {
        let missing = std::path::Path::new("/nonexistent/libnvidia-ml.so.1");
        let error = Library::load_from(missing).err();
        assert_eq!(error, Some(DeviceError::NoDriverLibrary));
    }

    #[test]
    fn what_the_library_says_becomes_an_error_of_its_own() {
        let asked = Question::Mode;
        assert_eq!(
            told(asked, NvmlError::DriverNotLoaded),
            DeviceError::DriverNotLoaded
        );
        assert_eq!(
            told(asked, NvmlError::NotSupported),
            DeviceError::NotSupported { asked }
        );
        assert_eq!(
            told(asked, NvmlError::FailedToLoadSymbol("old".to_owned())),
            DeviceError::NotSupported { asked }
        );
        assert_eq!(
            told(asked, NvmlError::GpuLost),
            DeviceError::Driver {
                asked,
                said: NvmlError::GpuLost.to_string()
            }
        );
    }

    #[test]
    fn a_length_beyond_the_buffer_is_an_error_and_no_panic() {
        let asked = Question::Report;
        let buffer = [0u8; MAX_REPORT];
        let length = std::hint::black_box(MAX_REPORT + 1);
        let cut = bounded(3, asked, MAX_REPORT, || Ok(buffer[..length].to_vec()));
        assert_eq!(
            cut,
            Err(DeviceError::TooLong {
                device: 3,
                asked,
                limit: MAX_REPORT
            })
        );
    }
}
