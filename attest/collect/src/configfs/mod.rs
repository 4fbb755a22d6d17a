//! Evidence from Linux configfs-tsm (`/sys/kernel/config/tsm/report`, kernel 6.7 and later).
//!
//! The interface is a directory per request (`Documentation/ABI/testing/configfs-tsm-report`):
//! `mkdir` an entry, write 64 bytes to `inblob`, read the signed evidence from `outblob` and, on
//! AMD, the host's certificate table from `auxblob`. Every write raises the entry's `generation`
//! by one. Since the entry is a public directory, the collector compares `generation` before
//! and after: any difference but its own writes means that the blob may be over another process's
//! report data, and then it is discarded. The entry is always removed, unless it was provided: an existing
//! entry `sealgate` is used for one request after the other, and stays.
//!
//! Refused: providers other than `tdx_guest` and `sev_guest`, blobs over a fixed size, blobs that
//! raced. Not checked: the blob. Tested against an emulated kernel only, not on real hardware.

mod entry;
mod files;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use attest_core::{CpuEvidence, ReportData, TeeType};

use crate::{Attester, CollectError};
use entry::{Attempt, Entry};
use files::{Files, OsFiles};

/// Where Linux mounts the interface.
pub const DEFAULT_BASE: &str = "/sys/kernel/config/tsm/report";

/// How often one request is attempted while other processes use the interface.
const ATTEMPTS: u32 = 6;

/// The pause before the second attempt; it doubles from there, to about a third of a second.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// Which hardware is behind the interface on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Provider {
    Tdx,
    SevSnp,
}

impl Provider {
    const fn name(self) -> &'static str {
        match self {
            Provider::Tdx => "tdx_guest",
            Provider::SevSnp => "sev_guest",
        }
    }

    fn named(name: &str) -> Result<Self, CollectError> {
        match name {
            "tdx_guest" => Ok(Provider::Tdx),
            "sev_guest" => Ok(Provider::SevSnp),
            other => Err(CollectError::UnknownProvider {
                name: other.to_owned(),
            }),
        }
    }
}

/// The configfs-tsm collector of this machine.
pub struct ConfigfsTsm {
    base: PathBuf,
    provider: Provider,
    privilege_level: Option<u8>,
    files: Arc<dyn Files>,
    first_pause: Duration,
}

impl ConfigfsTsm {
    /// Checks that `base` (normally [`DEFAULT_BASE`]) exists, and reads which provider serves it.
    pub fn probe(base: &Path) -> Result<Self, CollectError> {
        Self::probe_with(base, Arc::new(OsFiles), FIRST_PAUSE)
    }

    fn probe_with(
        base: &Path,
        files: Arc<dyn Files>,
        first_pause: Duration,
    ) -> Result<Self, CollectError> {
        if !files.is_directory(base) {
            return Err(CollectError::NoReportDirectory {
                path: base.to_owned(),
            });
        }
        let provider = Entry::open(&*files, base)?.provider()?;
        Ok(ConfigfsTsm {
            base: base.to_owned(),
            provider,
            privilege_level: None,
            files,
            first_pause,
        })
    }

    /// Requests reports for another privilege level (SEV-SNP: VMPL) than the kernel's default.
    #[must_use]
    pub fn with_privilege_level(mut self, level: u8) -> Self {
        self.privilege_level = Some(level);
        self
    }

    fn attempt(&self, report_data: &ReportData) -> Result<Attempt, CollectError> {
        let entry = Entry::open(&*self.files, &self.base)?;
        let found = entry.provider()?;
        if found != self.provider {
            return Err(CollectError::ProviderChanged {
                expected: self.provider.name(),
                found: found.name(),
            });
        }
        entry.evidence(found, report_data, self.privilege_level)
    }
}

impl Attester for ConfigfsTsm {
    fn tee_type(&self) -> TeeType {
        match self.provider {
            Provider::Tdx => TeeType::Tdx,
            Provider::SevSnp => TeeType::SevSnp,
        }
    }

    fn attest(&self, report_data: &ReportData) -> Result<CpuEvidence, CollectError> {
        let mut pause = self.first_pause;
        let mut attempts = 1;
        loop {
            let disturbed = match self.attempt(report_data)? {
                Attempt::Done(evidence) => return Ok(evidence),
                Attempt::Disturbed(disturbed) => disturbed,
            };
            if attempts == ATTEMPTS {
                return Err(disturbed.after(attempts));
            }
            // The pause doubles, so that two processes that disturb each other do not stay in step.
            thread::sleep(pause);
            pause *= 2;
            attempts += 1;
        }
    }
}
