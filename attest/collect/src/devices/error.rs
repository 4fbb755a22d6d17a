//! Why there is no evidence of this machine's devices.

use std::fmt;

/// A request to the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DriverRequest {
    Start,
    Count,
    Handle,
    Mode,
    Report,
    Certificates,
}

impl fmt::Display for DriverRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DriverRequest::Start => "starting",
            DriverRequest::Count => "the number of devices",
            DriverRequest::Handle => "a device",
            DriverRequest::Mode => "the confidential computing mode",
            DriverRequest::Report => "an attestation report",
            DriverRequest::Certificates => "the attestation certificates",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    #[error(
        "NVIDIA's management library (libnvidia-ml.so) cannot be loaded: is the driver installed?"
    )]
    NoDriverLibrary,

    #[error("NVIDIA's management library is installed, but no driver is loaded")]
    DriverNotLoaded,

    #[error("the driver finds no NVIDIA device")]
    NoDevice,

    #[error("the driver finds {found} devices, more than the {limit} that a report may carry")]
    TooManyDevices { found: u32, limit: u32 },

    #[error("the driver finds {found} devices, but {expected} are expected")]
    OtherCount { found: u32, expected: u32 },

    #[error("confidential computing is off on device {device}")]
    ConfidentialComputingOff { device: u32 },

    /// The device can be debugged: its evidence protects no data.
    #[error("device {device} is in DevTools mode")]
    DevTools { device: u32 },

    /// The driver or the device is too old.
    #[error("the driver cannot answer for {request}")]
    NotSupported { request: DriverRequest },

    #[error("{request} of device {device} is longer than {limit} bytes")]
    TooLong {
        device: u32,
        request: DriverRequest,
        limit: usize,
    },

    #[error("{request} of device {device} is empty")]
    Empty { device: u32, request: DriverRequest },

    /// An attester other than NVIDIA's driver could not answer.
    #[error("no evidence of devices: {why}")]
    Unavailable { why: String },

    #[error("asked for {request}, the driver answered: {message}")]
    Driver {
        request: DriverRequest,
        message: String,
    },
}
