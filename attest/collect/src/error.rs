//! Why no evidence could be collected. Every variant states what was found and none what to do:
//! the caller decides whether a machine without evidence may serve.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// The files of one configfs-tsm report entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    Provider,
    Generation,
    Inblob,
    Privlevel,
    Outblob,
    Auxblob,
}

impl Attribute {
    /// The file name inside the entry directory.
    pub const fn file_name(self) -> &'static str {
        match self {
            Attribute::Provider => "provider",
            Attribute::Generation => "generation",
            Attribute::Inblob => "inblob",
            Attribute::Privlevel => "privlevel",
            Attribute::Outblob => "outblob",
            Attribute::Auxblob => "auxblob",
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file_name())
    }
}

/// The part of an operating system error that can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OsError {
    pub kind: io::ErrorKind,
    pub code: Option<i32>,
}

impl From<&io::Error> for OsError {
    fn from(error: &io::Error) -> Self {
        OsError {
            kind: error.kind(),
            code: error.raw_os_error(),
        }
    }
}

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "{} (os error {code})", self.kind),
            None => write!(f, "{}", self.kind),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CollectError {
    /// Not a confidential guest, a kernel older than 6.7, or configfs not mounted.
    #[error("no configfs-tsm report directory at {}", path.display())]
    NoReportDirectory { path: PathBuf },

    #[error("cannot create a report entry under {}: {cause}", base.display())]
    CannotCreateEntry { base: PathBuf, cause: OsError },

    #[error("configfs-tsm provider {name:?} is not one of tdx_guest, sev_guest")]
    UnknownProvider { name: String },

    /// The entry has another provider than the one found at the start.
    #[error("configfs-tsm provider changed from {expected} to {found}")]
    ProviderChanged {
        expected: &'static str,
        found: &'static str,
    },

    /// Another process wrote to our entry in every attempt: the blob may be over its report data, not ours.
    #[error(
        "report entry was written by another process in each of {attempts} attempts \
         (generation {found}, expected {expected})"
    )]
    GenerationRaced {
        attempts: u32,
        expected: u64,
        found: u64,
    },

    /// The kernel answered EBUSY or EWOULDBLOCK in every attempt.
    #[error("{attribute} stayed busy through {attempts} attempts")]
    Busy { attempts: u32, attribute: Attribute },

    #[error("{attribute}: {cause}")]
    Io {
        attribute: Attribute,
        cause: OsError,
    },

    #[error("{attribute} is larger than {limit} bytes")]
    TooLarge { attribute: Attribute, limit: usize },

    /// A text attribute that is not of its documented form, or an empty evidence blob.
    #[error("{attribute} is not of its documented form")]
    Malformed { attribute: Attribute },

    /// Neither configfs-tsm nor the older device.
    #[error("cannot open {}: {cause}", path.display())]
    NoGuestDevice { path: PathBuf, cause: OsError },

    /// The firmware or the host declined; the message is the library's.
    #[error("the guest request for a report failed: {message}")]
    GuestRequest { message: String },

    /// The device's answer is no report.
    #[error("the answer to the guest request is no report")]
    GuestReport,

    #[error("no random numbers for the name of the report entry")]
    NoRandomness,

    /// An attester other than configfs-tsm could not answer.
    #[error("evidence not available: {why}")]
    Unavailable { why: String },
}
