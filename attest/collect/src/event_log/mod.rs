//! The boot event log, as the kernel or the guest's software keeps it.
//!
//! Firmware describes its log in the ACPI table `CCEL` (ACPI 6.5 §5.2.34: 36 bytes of header, then
//! type, subtype, two reserved bytes, length and address of the area); Linux provides the table and the
//! area as two files. What is read is bounded and must be a log of a known form; the padding after
//! the last event is removed. Whether the log is true is verified by replaying it, elsewhere.
//!
//! The file is read again for every report: a log may grow while the guest runs.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use attest_core::event_log::{EventLog, EventLogError, LogFormat, MAX_LOG_LEN, trim_ccel};

use crate::OsError;

/// Where Linux provides ACPI's tables.
pub const ACPI_TABLES: &str = "/sys/firmware/acpi/tables";

const TABLE_LEN: usize = 56;
const TYPE_AT: usize = 36;
/// Confidential computing type 2 is Intel TDX.
const TDX: u8 = 2;

/// Returns this machine's event log. Calls block.
pub trait EventLogSource: Send + Sync {
    /// The log: a CCEL area without its padding, or dstack's JSON.
    fn event_log(&self) -> Result<Vec<u8>, LogError>;
}

/// Why there is no event log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    #[error("cannot read {}: {cause}", path.display())]
    Io { path: PathBuf, cause: OsError },

    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge { path: PathBuf, limit: usize },

    /// The file is not the table that its name says.
    #[error("{} is not an ACPI table CCEL", path.display())]
    Table { path: PathBuf },

    /// The log is of another technology than TDX.
    #[error("the event log that {} describes is of technology {technology}, not of Intel TDX (2)", path.display())]
    Technology { path: PathBuf, technology: u8 },

    #[error("{}: {error}", path.display())]
    Format { path: PathBuf, error: EventLogError },
}

impl LogError {
    /// Whether there is no such file, rather than one that cannot be used.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Io { cause, .. } if cause.kind == std::io::ErrorKind::NotFound)
    }
}

/// A log in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLogFile(PathBuf);

impl EventLogFile {
    /// The log that firmware describes in the table `CCEL` under `tables`, normally [`ACPI_TABLES`].
    pub fn ccel(tables: &Path) -> Result<Self, LogError> {
        let path = tables.join("CCEL");
        let table = bounded(&path, TABLE_LEN)?;
        let length = u32::try_from(TABLE_LEN).unwrap_or(u32::MAX).to_le_bytes();
        if table.len() != TABLE_LEN
            || !table.starts_with(b"CCEL")
            || table.get(4..8) != Some(&length)
        {
            return Err(LogError::Table { path });
        }
        match table.get(TYPE_AT) {
            Some(&TDX) => Self::at(&tables.join("data").join("CCEL")),
            other => Err(LogError::Technology {
                path,
                technology: other.copied().unwrap_or_default(),
            }),
        }
    }

    /// A CCEL area or dstack's JSON at `path`, if one exists now.
    pub fn at(path: &Path) -> Result<Self, LogError> {
        let file = Self(path.to_owned());
        file.event_log()?;
        Ok(file)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl EventLogSource for EventLogFile {
    fn event_log(&self) -> Result<Vec<u8>, LogError> {
        let log = bounded(&self.0, MAX_LOG_LEN)?;
        let malformed = |error| LogError::Format {
            path: self.0.clone(),
            error,
        };
        match EventLog::parse(&log).map_err(malformed)?.format() {
            LogFormat::Ccel => trim_ccel(&log)
                .map(<[u8]>::to_vec)
                .map_err(|error| malformed(error.into())),
            LogFormat::Dstack => Ok(log),
        }
    }
}

fn bounded(path: &Path, limit: usize) -> Result<Vec<u8>, LogError> {
    let failed = |error: std::io::Error| LogError::Io {
        path: path.to_owned(),
        cause: OsError::from(&error),
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    match bytes.len() > limit {
        true => Err(LogError::TooLarge {
            path: path.to_owned(),
            limit,
        }),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests;
