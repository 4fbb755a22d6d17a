//! The real machine: finds the configured hardware once, at the start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::collateral::{Sources, SourcesError};
use super::{EvidenceRef, Platform};
use attest_collect::{
    ACPI_TABLES, Attester, CollectError, ConfigfsTsm, DeviceAttester, DeviceError, EventLogFile,
    EventLogSource, LogError, NvidiaDevices, SEV_GUEST, SevGuest,
};
use attest_core::{Collateral, TeeType};
use gateway_base::config::{Config, EventLogChoice, Gpus, Tee, TeeKind};

/// The real machine.
#[derive(Default)]
pub struct HardwarePlatform {
    attester: Option<Arc<dyn Attester>>,
    devices: Option<Arc<dyn DeviceAttester>>,
    event_log: Option<Arc<dyn EventLogSource>>,
    collateral: Option<Sources>,
}

/// Why the configured hardware cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    #[error(
        "this machine offers no {wanted} evidence: {reason}.\n\
         Looked for a guest report interface (Linux 6.7 or newer, configfs mounted) at {}.\n\
         To see Sealgate work on a machine without a TEE, run `make demo`.\n\
         To serve without evidence, set kind = \"none\" in [tee]: no report is published then, and no model may be confidential.",
        looked_for.display()
    )]
    NoTee {
        wanted: &'static str,
        looked_for: PathBuf,
        reason: CollectError,
    },
    #[error("[tee] kind asks for {wanted}, but the guest report interface at {} belongs to {found}", looked_for.display())]
    OtherTee {
        wanted: &'static str,
        found: &'static str,
        looked_for: PathBuf,
    },
    /// No driver, no confidential computing, DevTools, another number of devices.
    #[error(
        "[tee] gpus = \"nvidia\", but there is no evidence of GPUs is available: {0}.\n\
         Without evidence of them, set gpus = \"none\": a policy that asks for GPUs refuses this service then."
    )]
    NoDevices(DeviceError),
    #[error("[tee] event_log: {0}")]
    NoEventLog(LogError),
    #[error("{0}")]
    Collateral(#[from] SourcesError),
}

impl HardwarePlatform {
    /// Finds the hardware that the configuration asks for.
    pub fn probe(config: &Config) -> Result<Self, PlatformError> {
        let tee = &config.tee;
        let wanted = match tee.kind {
            TeeKind::None => return Ok(Self::default()),
            TeeKind::Tdx => TeeType::Tdx,
            TeeKind::Snp => TeeType::SevSnp,
        };
        Ok(Self {
            attester: Some(cpu(wanted, tee.tsm_path.as_deref())?),
            devices: devices(tee.gpus)?,
            event_log: event_log(tee)?,
            collateral: Sources::from_settings(wanted, tee, &config.server.state_dir)?,
        })
    }
}

impl Platform for HardwarePlatform {
    fn attester(&self) -> Option<Arc<dyn Attester>> {
        self.attester.clone()
    }

    fn devices(&self) -> Option<Arc<dyn DeviceAttester>> {
        self.devices.clone()
    }

    fn event_log(&self) -> Option<Arc<dyn EventLogSource>> {
        self.event_log.clone()
    }

    fn collateral<'a>(&'a self, evidence: EvidenceRef<'a>) -> BoxFuture<'a, Collateral> {
        Box::pin(async move {
            match &self.collateral {
                Some(sources) => sources.fetch(evidence).await,
                None => Collateral::default(),
            }
        })
    }
}

/// configfs-tsm, or on SEV-SNP, if that is absent, the device of older kernels.
fn cpu(wanted: TeeType, tsm_path: Option<&Path>) -> Result<Arc<dyn Attester>, PlatformError> {
    let default = Path::new(attest_collect::DEFAULT_BASE);
    let looked_for = tsm_path.unwrap_or(default).to_owned();
    let attester = match ConfigfsTsm::probe(&looked_for) {
        Ok(attester) => attester,
        Err(CollectError::NoReportDirectory { .. })
            if wanted == TeeType::SevSnp && Path::new(SEV_GUEST).exists() =>
        {
            return guest_device();
        }
        Err(reason) => {
            let wanted = vendor_name(wanted);
            return Err(PlatformError::NoTee {
                wanted,
                looked_for,
                reason,
            });
        }
    };
    let found = attester.tee_type();
    if found != wanted {
        let (wanted, found) = (vendor_name(wanted), vendor_name(found));
        return Err(PlatformError::OtherTee {
            wanted,
            found,
            looked_for,
        });
    }
    Ok(Arc::new(attester))
}

fn guest_device() -> Result<Arc<dyn Attester>, PlatformError> {
    match SevGuest::open() {
        Ok(guest) => Ok(Arc::new(guest)),
        Err(reason) => Err(PlatformError::NoTee {
            wanted: vendor_name(TeeType::SevSnp),
            looked_for: PathBuf::from(SEV_GUEST),
            reason,
        }),
    }
}

fn devices(gpus: Gpus) -> Result<Option<Arc<dyn DeviceAttester>>, PlatformError> {
    match gpus {
        Gpus::None => Ok(None),
        Gpus::Nvidia { count } => match NvidiaDevices::probe(count) {
            Ok(devices) => Ok(Some(Arc::new(devices))),
            Err(error) => Err(PlatformError::NoDevices(error)),
        },
    }
}

fn event_log(tee: &Tee) -> Result<Option<Arc<dyn EventLogSource>>, PlatformError> {
    let found = match &tee.event_log {
        EventLogChoice::None => return Ok(None),
        EventLogChoice::File(path) => EventLogFile::at(path),
        EventLogChoice::Firmware { required } => match EventLogFile::ccel(Path::new(ACPI_TABLES)) {
            Err(error) if error.is_absent() && !required => return Ok(None),
            found => found,
        },
    };
    match found {
        Ok(file) => Ok(Some(Arc::new(file))),
        Err(error) => Err(PlatformError::NoEventLog(error)),
    }
}

fn vendor_name(tee: TeeType) -> &'static str {
    match tee {
        TeeType::Tdx => "Intel TDX",
        TeeType::SevSnp => "AMD SEV-SNP",
    }
}
