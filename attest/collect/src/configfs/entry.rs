//! One report entry: a directory that exists for one request and is removed with the value, or one that a
//! privileged process created for this one and that stays.

use std::io;
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};

use super::Provider;
use super::files::{Files, ReadError};
use crate::error::OsError;
use crate::{Attribute, CollectError};
use attest_core::{CpuEvidence, ReportData, to_hex};

/// The kernel's limit for text attributes is one page.
const TEXT_LIMIT: usize = 4096;

/// Far larger than any known quote or certificate table, and small enough to hold in memory.
const BLOB_LIMIT: usize = 1024 * 1024;

/// How many random names are tried if one is taken.
const NAME_ATTEMPTS: u32 = 4;

/// An entry of this name was created for this process, which may write its files. An unprivileged process that
/// creates an entry may not (the kernel's attributes belong to root). PID 1 of the enclave image creates it.
const PROVIDED: &str = "sealgate";

/// The result of one attempt.
pub(super) enum Attempt {
    Done(CpuEvidence),
    Disturbed(Disturbed),
}

/// Another process used the entry at the same time. Another attempt may succeed.
pub(super) enum Disturbed {
    /// The entry was written by another process between our write and our read.
    Generation {
        expected: u64,
        found: u64,
    },
    Busy(Attribute),
}

impl Disturbed {
    pub(super) fn after(self, attempts: u32) -> CollectError {
        match self {
            Disturbed::Generation { expected, found } => CollectError::GenerationRaced {
                attempts,
                expected,
                found,
            },
            Disturbed::Busy(attribute) => CollectError::Busy {
                attempts,
                attribute,
            },
        }
    }
}

/// Why a step of an attempt ended it.
enum Stop {
    Disturbed(Disturbed),
    Failed(CollectError),
}

pub(super) struct Entry<'a> {
    files: &'a dyn Files,
    path: PathBuf,
    provided: bool,
}

impl<'a> Entry<'a> {
    /// The provided entry, or a new one.
    pub(super) fn open(files: &'a dyn Files, base: &Path) -> Result<Self, CollectError> {
        let path = base.join(PROVIDED);
        if files.is_directory(&path) {
            let provided = true;
            return Ok(Entry {
                files,
                path,
                provided,
            });
        }
        Self::create(files, base)
    }

    fn create(files: &'a dyn Files, base: &Path) -> Result<Self, CollectError> {
        let provided = false;
        let mut attempts = 1;
        loop {
            let path = base.join(fresh_name()?);
            match files.create_directory(&path) {
                Ok(()) => {
                    return Ok(Entry {
                        files,
                        path,
                        provided,
                    });
                }
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && attempts < NAME_ATTEMPTS =>
                {
                    attempts += 1;
                }
                Err(error) => {
                    return Err(CollectError::CannotCreateEntry {
                        base: base.to_owned(),
                        cause: OsError::from(&error),
                    });
                }
            }
        }
    }

    pub(super) fn provider(&self) -> Result<Provider, CollectError> {
        let text = self
            .text(Attribute::Provider)
            .map_err(|stop| stop.at_once())?;
        Provider::named(&text)
    }

    /// Writes the report data, reads the evidence, and checks that no other process wrote in between.
    pub(super) fn evidence(
        &self,
        provider: Provider,
        report_data: &ReportData,
        privilege_level: Option<u8>,
    ) -> Result<Attempt, CollectError> {
        match self.request(provider, report_data, privilege_level) {
            Ok(evidence) => Ok(Attempt::Done(evidence)),
            Err(Stop::Disturbed(disturbed)) => Ok(Attempt::Disturbed(disturbed)),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    fn request(
        &self,
        provider: Provider,
        report_data: &ReportData,
        privilege_level: Option<u8>,
    ) -> Result<CpuEvidence, Stop> {
        // Each of our writes raises `generation` by one. Any other difference means that another process wrote, and
        // that the blob may be over its report data.
        let before = self.generation()?;
        let mut writes = 0;
        if let Some(level) = privilege_level {
            self.write(Attribute::Privlevel, level.to_string().as_bytes())?;
            writes += 1;
        }
        // Last: the kernel makes the report for what was written before it.
        self.write(Attribute::Inblob, report_data.as_bytes())?;
        writes += 1;

        let evidence = match provider {
            Provider::Tdx => CpuEvidence::Tdx {
                quote: self.blob(Attribute::Outblob)?,
            },
            Provider::SevSnp => CpuEvidence::SevSnp {
                report: self.blob(Attribute::Outblob)?,
                // Empty if the host provides no certificates.
                certs: self.read(Attribute::Auxblob, BLOB_LIMIT)?,
            },
        };

        let expected = before.wrapping_add(writes);
        let found = self.generation()?;
        if found != expected {
            return Err(Stop::Disturbed(Disturbed::Generation { expected, found }));
        }
        Ok(evidence)
    }

    fn generation(&self) -> Result<u64, Stop> {
        self.text(Attribute::Generation)?.parse().map_err(|_| {
            Stop::Failed(CollectError::Malformed {
                attribute: Attribute::Generation,
            })
        })
    }

    fn text(&self, attribute: Attribute) -> Result<String, Stop> {
        let bytes = self.read(attribute, TEXT_LIMIT)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(text.trim_end_matches('\n').to_owned()),
            Err(_) => Err(Stop::Failed(CollectError::Malformed { attribute })),
        }
    }

    fn blob(&self, attribute: Attribute) -> Result<Vec<u8>, Stop> {
        let bytes = self.read(attribute, BLOB_LIMIT)?;
        if bytes.is_empty() {
            return Err(Stop::Failed(CollectError::Malformed { attribute }));
        }
        Ok(bytes)
    }

    fn read(&self, attribute: Attribute, limit: usize) -> Result<Vec<u8>, Stop> {
        self.files
            .read(&self.path.join(attribute.file_name()), limit)
            .map_err(|error| match error {
                ReadError::TooLarge => Stop::Failed(CollectError::TooLarge { attribute, limit }),
                ReadError::Io(error) => Stop::io(attribute, &error),
            })
    }

    fn write(&self, attribute: Attribute, bytes: &[u8]) -> Result<(), Stop> {
        self.files
            .write(&self.path.join(attribute.file_name()), bytes)
            .map_err(|error| Stop::io(attribute, &error))
    }
}

impl Stop {
    /// EBUSY and EWOULDBLOCK mean that another process uses the entry (it was written between
    /// generating and reading, or a quote is still being made); everything else is an error.
    fn io(attribute: Attribute, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ResourceBusy | io::ErrorKind::WouldBlock => {
                Stop::Disturbed(Disturbed::Busy(attribute))
            }
            _ => Stop::Failed(CollectError::Io {
                attribute,
                cause: OsError::from(error),
            }),
        }
    }

    fn at_once(self) -> CollectError {
        match self {
            Stop::Failed(error) => error,
            Stop::Disturbed(disturbed) => disturbed.after(1),
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if self.provided {
            return;
        }
        // If the entry cannot be removed, a small directory stays in the kernel. The evidence that was read from it is
        // valid all the same.
        let _ = self.files.remove_directory(&self.path);
    }
}

fn fresh_name() -> Result<String, CollectError> {
    let mut random = [0u8; 12];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| CollectError::NoRandomness)?;
    Ok(format!("sealgate-{}", to_hex(&random)))
}
