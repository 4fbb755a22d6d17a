//! Why the devices of this machine gave no evidence.

use std::fmt;

/// What was asked of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    Start,
    Count,
    Handle,
    Mode,
    Report,
    Certificates,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Question::Start => "starting",
            Question::Count => "the number of devices",
            Question::Handle => "a device",
            Question::Mode => "the confidential computing mode",
            Question::Report => "an attestation report",
            Question::Certificates => "the attestation certificates",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    #[error(
        "NVIDIA's management library (libnvidia-ml.so) cannot be loaded: is the driver installed?"
    )]
    NoDriverLibrary,

    #[error("NVIDIA's management library is here, but no driver is loaded")]
    DriverNotLoaded,

    #[error("the driver finds no NVIDIA device")]
    NoDevice,

    #[error("the driver finds {found} devices, more than the {limit} that a report may carry")]
    TooManyDevices { found: u32, limit: u32 },

    #[error("the driver finds {found} devices, but {wanted} are expected")]
    OtherCount { found: u32, wanted: u32 },

    #[error("confidential computing is off on device {device}")]
    ConfidentialComputingOff { device: u32 },

    /// The device can be looked into: what it signs protects nobody.
    #[error("device {device} is in DevTools mode")]
    DevTools { device: u32 },

    /// The driver or the device is too old.
    #[error("the driver cannot answer for {asked}")]
    NotSupported { asked: Question },

    #[error("{asked} of device {device} is longer than {limit} bytes")]
    TooLong {
        device: u32,
        asked: Question,
        limit: usize,
    },

    #[error("{asked} of device {device} is empty")]
    Empty { device: u32, asked: Question },

    /// An attester other than NVIDIA's driver could not answer.
    #[error("no evidence of devices: {why}")]
    Unavailable { why: String },

    #[error("asked for {asked}, the driver said: {said}")]
    Driver { asked: Question, said: String },
}
