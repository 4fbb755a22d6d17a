//! The driver through NVIDIA's management library, which is loaded at run time.
//!
//! `nvml-wrapper` slices its buffers at the length that the driver returns, which panics if that is
//! beyond the buffer; the panic is caught here and becomes an error.

use std::panic::{AssertUnwindSafe, catch_unwind};

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use super::driver::{Driver, MAX_CHAIN, MAX_REPORT, Mode};
use super::error::{DeviceError, DriverRequest};

pub(super) struct Library(Nvml);

impl Library {
    pub(super) fn load() -> Result<Self, DeviceError> {
        Nvml::init()
            .map(Self)
            .map_err(|e| device_error(DriverRequest::Start, e))
    }

    #[cfg(test)]
    pub(super) fn load_from(path: &std::path::Path) -> Result<Self, DeviceError> {
        Nvml::builder()
            .lib_path(path.as_os_str())
            .init()
            .map(Self)
            .map_err(|e| device_error(DriverRequest::Start, e))
    }

    fn device(&self, index: u32) -> Result<Device<'_>, DeviceError> {
        self.0
            .device_by_index(index)
            .map_err(|e| device_error(DriverRequest::Handle, e))
    }
}

impl Driver for Library {
    fn count(&self) -> Result<u32, DeviceError> {
        self.0
            .device_count()
            .map_err(|e| device_error(DriverRequest::Count, e))
    }

    fn mode(&self, index: u32) -> Result<Mode, DeviceError> {
        let device = self.device(index)?;
        let failed = |e| device_error(DriverRequest::Mode, e);
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
        let request = DriverRequest::Report;
        bounded(index, request, MAX_REPORT, || {
            Ok(device
                .confidential_compute_gpu_attestation_report(*nonce)?
                .attestation_report)
        })
    }

    fn certificates(&self, index: u32) -> Result<Vec<u8>, DeviceError> {
        let device = self.device(index)?;
        let request = DriverRequest::Certificates;
        bounded(index, request, MAX_CHAIN, || {
            Ok(device
                .confidential_compute_gpu_certificate()?
                .attestation_cert_chain)
        })
    }
}

fn bounded(
    device: u32,
    request: DriverRequest,
    limit: usize,
    ask: impl FnOnce() -> Result<Vec<u8>, NvmlError>,
) -> Result<Vec<u8>, DeviceError> {
    match catch_unwind(AssertUnwindSafe(ask)) {
        Ok(answer) => answer.map_err(|e| device_error(request, e)),
        Err(_) => Err(DeviceError::TooLong {
            device,
            request,
            limit,
        }),
    }
}

fn device_error(request: DriverRequest, error: NvmlError) -> DeviceError {
    match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => DeviceError::NoDriverLibrary,
        NvmlError::DriverNotLoaded => DeviceError::DriverNotLoaded,
        NvmlError::NotSupported
        | NvmlError::FunctionNotFound
        | NvmlError::FailedToLoadSymbol(_) => DeviceError::NotSupported { request },
        other => DeviceError::Driver {
            request,
            message: other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_a_missing_library() {
        let missing = std::path::Path::new("/nonexistent/libnvidia-ml.so.1");
        let error = Library::load_from(missing).err();
        assert_eq!(error, Some(DeviceError::NoDriverLibrary));
    }

    #[test]
    fn maps_the_librarys_errors_to_errors_of_this_crate() {
        let request = DriverRequest::Mode;
        assert_eq!(
            device_error(request, NvmlError::DriverNotLoaded),
            DeviceError::DriverNotLoaded
        );
        assert_eq!(
            device_error(request, NvmlError::NotSupported),
            DeviceError::NotSupported { request }
        );
        assert_eq!(
            device_error(request, NvmlError::FailedToLoadSymbol("old".to_owned())),
            DeviceError::NotSupported { request }
        );
        assert_eq!(
            device_error(request, NvmlError::GpuLost),
            DeviceError::Driver {
                request,
                message: NvmlError::GpuLost.to_string()
            }
        );
    }

    #[test]
    fn a_length_beyond_the_buffer_is_an_error_and_no_panic() {
        let request = DriverRequest::Report;
        let buffer = [0u8; MAX_REPORT];
        let length = std::hint::black_box(MAX_REPORT + 1);
        let cut = bounded(3, request, MAX_REPORT, || Ok(buffer[..length].to_vec()));
        assert_eq!(
            cut,
            Err(DeviceError::TooLong {
                device: 3,
                request,
                limit: MAX_REPORT
            })
        );
    }
}
