//! Reads the files and has `attest_measure` predict every value that follows from them.

use std::path::{Path, PathBuf};

use attest_core::Sha256Digest;
use attest_core::event_log::{EventType, Register};
use attest_measure::firmware::Firmware;
use attest_measure::log::BootLog;
use attest_measure::snp::{KernelHashes, launch_digest};
use attest_measure::tdx::{self, BootVariables, Machine, MemoryMap, PageOrder};
use attest_measure::uki::Uki;
use attest_measure::{ExpectedEvent, Sha384, register_value, sha384};

use super::profile::{Profile, SnpMachine, TdxMachine, Tee};
use crate::failure::Failure;
use crate::inputs;

const MAX_UKI: usize = 1 << 30;

/// The values that follow from the image, and those that follow from the image with each profile.
pub struct Prediction {
    pub uki_path: PathBuf,
    pub uki_digest: Sha256Digest,
    pub stub_version: u32,
    pub command_line: String,
    /// RTMR1 and RTMR2.
    pub events: Vec<ExpectedEvent>,
    pub launches: Vec<Launch>,
}

/// The values of a launch with one profile.
pub struct Launch {
    pub profile: String,
    pub firmware_path: PathBuf,
    pub firmware_digest: Sha256Digest,
    pub values: Values,
}

pub enum Values {
    Tdx {
        mrtd: Sha384,
        page_order: PageOrder,
        /// RTMR0.
        events: Vec<ExpectedEvent>,
    },
    Snp {
        measurement: Sha384,
        machine: SnpMachine,
    },
}

impl Prediction {
    pub fn make(uki: &Path, profiles: &[PathBuf]) -> Result<Self, Failure> {
        let bytes = inputs::read(uki, MAX_UKI)?;
        let name = uki.display().to_string();
        let image = Uki::parse(&bytes).map_err(|e| Failure::malformed(name.clone(), e))?;
        let mut events = tdx::rtmr1(&image).map_err(|e| Failure::malformed(name.clone(), e))?;
        events.extend(tdx::rtmr2(&image).map_err(|e| Failure::malformed(name, e))?);
        let launches = profiles
            .iter()
            .map(|path| Launch::make(&bytes, Profile::read(path)?))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            uki_path: uki.to_owned(),
            uki_digest: Sha256Digest::hash(&bytes),
            stub_version: image.stub_version(),
            command_line: image.command_line().to_owned(),
            events,
            launches,
        })
    }

    /// RTMR1 or RTMR2. The host decides no event of them.
    pub fn register(&self, register: Register) -> Option<Sha384> {
        register_value(&self.events, register)
    }

    pub fn events_of(&self, register: Register) -> impl Iterator<Item = &ExpectedEvent> {
        let events = self.events.iter();
        events.filter(move |event| event.register == register)
    }
}

impl Launch {
    fn make(uki: &[u8], profile: Profile) -> Result<Self, Failure> {
        let file = profile.firmware_path.display().to_string();
        let bad = |cause: &dyn std::fmt::Display| Failure::malformed(file.clone(), cause);
        let firmware = Firmware::parse(&profile.firmware).map_err(|e| bad(&e))?;
        let values = match profile.tee {
            Tee::Snp(snp) => {
                let hashes = KernelHashes::from_uki(uki);
                let measurement = launch_digest(&firmware, &hashes, &snp.machine);
                Values::Snp {
                    measurement: measurement.map_err(|e| bad(&e))?,
                    machine: snp,
                }
            }
            Tee::Tdx(tdx) => {
                let tdvf = firmware.tdvf().map_err(|e| bad(&e))?;
                let machine = machine_of(&tdx)?;
                Values::Tdx {
                    mrtd: tdx::mrtd(&tdvf, tdx.page_order),
                    page_order: tdx.page_order,
                    events: tdx::rtmr0(&tdvf, &machine).map_err(|e| bad(&e))?,
                }
            }
        };
        Ok(Self {
            profile: profile.name,
            firmware_path: profile.firmware_path,
            firmware_digest: profile.firmware_digest,
            values,
        })
    }
}

fn machine_of(tdx: &TdxMachine) -> Result<Machine, Failure> {
    let memory = tdx.memory.map(MemoryMap::q35).transpose();
    let memory = memory.map_err(|e| Failure::malformed("tdx.memory", e))?;
    let files = tdx.acpi_files.as_ref();
    let mut machine = Machine {
        memory,
        acpi: files.map(|files| files.iter().map(|file| sha384(&[file])).collect()),
        boot: tdx.ui_app_alone.then(BootVariables::ui_app_alone),
        secure_boot: tdx.secure_boot,
    };
    if let Some(captured) = &tdx.captured_log {
        let log = BootLog::parse(&captured.bytes)
            .map_err(|e| Failure::malformed(captured.path.display().to_string(), e))?;
        machine.acpi = Some(captured_events(&log, EventType::PLATFORM_CONFIG_FLAGS));
        let boot = captured_events(&log, EventType::EFI_VARIABLE_BOOT);
        machine.boot = Some(BootVariables::from_digests(boot));
    }
    Ok(machine)
}

fn captured_events(log: &BootLog, event_type: EventType) -> Vec<Sha384> {
    log.events
        .iter()
        .filter(|event| event.register == Some(Register::Rtmr0) && event.event_type == event_type)
        .map(|event| event.digest)
        .collect()
}
