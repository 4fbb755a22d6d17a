//! A launch profile: the firmware and the machine. Parsed strictly; files are named
//! relative to the profile.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::failure::Failure;
use crate::inputs;
use attest_core::Sha256Digest;
use attest_measure::snp::{self, Processor};
use attest_measure::tdx::{PageOrder, SecureBoot};

const MAX_PROFILE: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    name: String,
    #[allow(dead_code, reason = "for the reader of the file")]
    description: Option<String>,
    #[allow(dead_code, reason = "for the reader of the file")]
    qemu: Option<String>,
    firmware: PathBuf,
    firmware_sha256: Option<String>,
    tdx: Option<WireTdx>,
    snp: Option<WireSnp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireTdx {
    page_order: WirePageOrder,
    memory: Option<String>,
    acpi_files: Option<Vec<PathBuf>>,
    boot_options: Option<WireBootOptions>,
    captured_log: Option<PathBuf>,
    #[serde(default)]
    secure_boot: WireSecureBoot,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum WirePageOrder {
    PerPage,
    PerSection,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum WireBootOptions {
    UiApp,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "kebab-case")]
enum WireSecureBoot {
    #[default]
    AsConfigured,
    Absent,
    Off,
    On,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSnp {
    vcpus: u32,
    cpu: String,
    guest_features: u64,
}

/// A profile with the contents of its files.
pub struct Profile {
    pub name: String,
    pub firmware_path: PathBuf,
    pub firmware: Vec<u8>,
    pub firmware_digest: Sha256Digest,
    pub tee: Tee,
}

/// The TEE and the machine.
pub enum Tee {
    Tdx(TdxMachine),
    Snp(SnpMachine),
}

pub struct TdxMachine {
    pub page_order: PageOrder,
    /// In bytes.
    pub memory: Option<u64>,
    pub acpi_files: Option<Vec<Vec<u8>>>,
    pub ui_app_alone: bool,
    pub captured_log: Option<CapturedLog>,
    pub secure_boot: SecureBoot,
}

/// The log of a machine that was launched with this profile.
pub struct CapturedLog {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
}

pub struct SnpMachine {
    pub cpu: String,
    pub machine: snp::Machine,
}

impl Profile {
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let bad = |cause: String| Failure::malformed(name.clone(), cause);
        let text = String::from_utf8(inputs::read(path, MAX_PROFILE)?)
            .map_err(|_| bad("not UTF-8".to_owned()))?;
        let wire: Wire = strict_toml::from_str(&text)
            .map_err(|first| bad(format!("line {}: {}", first.line, first.problem)))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let firmware_path = folder.join(&wire.firmware);
        let firmware = inputs::read(&firmware_path, attest_measure::firmware::MAX_FIRMWARE_LEN)?;
        let firmware_digest = Sha256Digest::hash(&firmware);
        if let Some(stated) = &wire.firmware_sha256
            && *stated != firmware_digest.to_hex()
        {
            return Err(bad(format!(
                "firmware_sha256 is not that of {}: the file has {}",
                firmware_path.display(),
                firmware_digest.to_hex()
            )));
        }
        let tee = match (wire.tdx, wire.snp) {
            (Some(tdx), None) => Tee::Tdx(tdx.read(folder).map_err(|e| e.within(&name))?),
            (None, Some(snp)) => Tee::Snp(snp.read().map_err(bad)?),
            _ => return Err(bad("it needs one section, [tdx] or [snp]".to_owned())),
        };
        Ok(Self {
            name: wire.name,
            firmware_path,
            firmware,
            firmware_digest,
            tee,
        })
    }
}

/// An invalid value, or a file that cannot be read.
enum ProfileError {
    Value(String),
    File(Failure),
}

impl ProfileError {
    fn within(self, profile: &str) -> Failure {
        match self {
            Self::Value(cause) => Failure::malformed(profile, cause),
            Self::File(failure) => failure,
        }
    }
}

impl WireTdx {
    fn read(self, folder: &Path) -> Result<TdxMachine, ProfileError> {
        let file = |path: &Path| {
            inputs::read(&folder.join(path), inputs::MAX_EVIDENCE).map_err(ProfileError::File)
        };
        let stated_twice = |field: &str| {
            ProfileError::Value(format!("{field} and captured_log state the same; give one"))
        };
        if self.captured_log.is_some() && self.acpi_files.is_some() {
            return Err(stated_twice("acpi_files"));
        }
        if self.captured_log.is_some() && self.boot_options.is_some() {
            return Err(stated_twice("boot_options"));
        }
        let memory = self.memory.as_deref().map(bytes_of).transpose();
        let acpi_files = self.acpi_files.as_ref().map(|files| {
            let files = files.iter().map(|path| file(path));
            files.collect::<Result<Vec<_>, _>>()
        });
        let captured_log = self.captured_log.map(|path| {
            let bytes = file(&path)?;
            let path = folder.join(path);
            Ok(CapturedLog { path, bytes })
        });
        Ok(TdxMachine {
            page_order: match self.page_order {
                WirePageOrder::PerPage => PageOrder::PerPage,
                WirePageOrder::PerSection => PageOrder::PerSection,
            },
            memory: memory.map_err(ProfileError::Value)?,
            acpi_files: acpi_files.transpose()?,
            ui_app_alone: matches!(self.boot_options, Some(WireBootOptions::UiApp)),
            captured_log: captured_log.transpose()?,
            secure_boot: match self.secure_boot {
                WireSecureBoot::AsConfigured => SecureBoot::AsConfigured,
                WireSecureBoot::Absent => SecureBoot::Absent,
                WireSecureBoot::Off => SecureBoot::Off,
                WireSecureBoot::On => SecureBoot::On,
            },
        })
    }
}

impl WireSnp {
    fn read(self) -> Result<SnpMachine, String> {
        let processor = Processor::named(&self.cpu)
            .ok_or_else(|| format!("snp.cpu {:?} is no EPYC model of QEMU's", self.cpu))?;
        Ok(SnpMachine {
            machine: snp::Machine {
                processors: self.vcpus,
                processor,
                guest_features: self.guest_features,
            },
            cpu: self.cpu,
        })
    }
}

/// `512MiB`, `8GiB`.
fn bytes_of(text: &str) -> Result<u64, String> {
    let number_and_unit = [("GiB", 30), ("MiB", 20)]
        .into_iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)));
    number_and_unit
        .and_then(|(number, shift)| number.parse::<u64>().ok()?.checked_mul(1 << shift))
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| format!("tdx.memory {text:?} is no amount like \"512MiB\" or \"8GiB\""))
}
