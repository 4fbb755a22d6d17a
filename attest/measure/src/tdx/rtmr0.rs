//! RTMR0: the host's description of the machine, and the firmware's configuration.
//!
//! In order: the hand-off block and the configuration volume (EDK II, `OvmfPkg/…/IntelTdx.c`), the
//! Secure Boot variables and a separator (`TdTcg2Dxe.c`, `MeasureSecureBootPolicy`), the files with
//! which QEMU passes ACPI tables, as the firmware reads them (`etc/table-loader`, `etc/acpi/rsdp`,
//! `etc/acpi/tables`), and at boot, the boot options.

use attest_core::event_log::{EventType, Register};

use super::TdxError;
use super::handoff::{MemoryMap, handoff_block};
use crate::expected::{ExpectedEvent, Origin};
use crate::firmware::{FirmwareError, SectionKind, Tdvf, VariableStore, utf16};
use crate::guid::Guid;
use crate::hash::{Sha384, sha384};

const GLOBAL: Guid = Guid::new(0x8be4_df61, 0x93ca, 0x11d2, 0xaa0d_00e0_9803_2b8c);
const IMAGE_SECURITY: Guid = Guid::new(0xd719_b2cb, 0x3d3a, 0x4596, 0xa3bc_dad0_0e67_656f);
const SECURE_BOOT_ENABLE: Guid = Guid::new(0xf0a3_0bc7, 0xaf08, 0x4556, 0x99c4_0010_09c9_3a44);
const SEPARATOR: [u8; 4] = [0; 4];

/// The machine beside its firmware. A field that is `None` is decided by the host, and RTMR0
/// then has no predicted value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// The memory ranges.
    pub memory: Option<MemoryMap>,
    /// SHA-384 of the files with ACPI tables, in the order in which the firmware reads them.
    pub acpi: Option<Vec<Sha384>>,
    /// The boot options.
    pub boot: Option<BootVariables>,
    /// Whether the firmware enforces signatures.
    pub secure_boot: SecureBoot,
}

/// The variable `SecureBoot`, which the firmware makes at each boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecureBoot {
    /// From the firmware's variables: on or off if a platform key is enrolled; without one, like a
    /// firmware without Secure Boot.
    #[default]
    AsConfigured,
    /// There is no such variable: a firmware built without Secure Boot.
    Absent,
    /// The variable says off.
    Off,
    /// The variable says on.
    On,
}

/// SHA-384 of the value of `BootOrder`, then of each option's in that order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootVariables(Vec<Sha384>);

impl BootVariables {
    /// From the values.
    pub(crate) fn from_values(order: &[u8], options: &[&[u8]]) -> Self {
        let values = std::iter::once(order).chain(options.iter().copied());
        Self(values.map(|value| sha384(&[value])).collect())
    }

    /// From their digests, as an event log of such a machine has them.
    pub const fn from_digests(digests: Vec<Sha384>) -> Self {
        Self(digests)
    }

    /// The boot options of OVMF before its release of 2025-05 with QEMU's `-kernel`: only OVMF's menu.
    pub fn ui_app_alone() -> Self {
        Self::from_values(&[0, 0], &[&ui_app_boot_option()])
    }
}

/// `EFI_LOAD_OPTION` of OVMF's menu: attributes, length of the path, description, and the path: the
/// firmware's volume, the file in it, end.
fn ui_app_boot_option() -> Vec<u8> {
    const VOLUME: Guid = Guid::new(0x7cb8_bdc9, 0xf8eb, 0x4f34, 0xaaea_3ee4_af65_16a1);
    const FILE: Guid = Guid::new(0x462c_aa21, 0x7614, 0x4503, 0x836e_8ab6_f466_2331);
    let mut option = 0x109_u32.to_le_bytes().to_vec();
    option.extend_from_slice(&44_u16.to_le_bytes());
    option.extend_from_slice(&utf16("UiApp\0"));
    option.extend_from_slice(&[0x04, 0x07, 20, 0]);
    option.extend_from_slice(VOLUME.as_bytes());
    option.extend_from_slice(&[0x04, 0x06, 20, 0]);
    option.extend_from_slice(FILE.as_bytes());
    option.extend_from_slice(&[0x7F, 0xFF, 4, 0]);
    option
}

/// The events of RTMR0.
pub fn rtmr0(tdvf: &Tdvf<'_>, machine: &Machine) -> Result<Vec<ExpectedEvent>, TdxError> {
    let mut events = vec![handoff(tdvf, machine)?];
    let volume = tdvf.section(SectionKind::Variables);
    let volume = volume
        .ok_or(FirmwareError::Missing("configuration volume"))?
        .data;
    events.push(ExpectedEvent::hashing(
        Register::Rtmr0,
        EventType::EFI_PLATFORM_FIRMWARE_BLOB2,
        volume,
        "configuration volume of the firmware",
        Origin::Firmware,
    ));
    events.extend(secure_boot(volume, machine.secure_boot)?);
    events.push(ExpectedEvent::hashing(
        Register::Rtmr0,
        EventType::SEPARATOR,
        &SEPARATOR,
        "separator after the Secure Boot variables",
        Origin::Fixed,
    ));
    events.extend(acpi(machine));
    events.extend(boot(machine));
    Ok(events)
}

fn handoff(tdvf: &Tdvf<'_>, machine: &Machine) -> Result<ExpectedEvent, TdxError> {
    let event_type = EventType::EFI_HANDOFF_TABLES2;
    let what = "hand-off block: where memory is";
    Ok(match &machine.memory {
        Some(memory) => ExpectedEvent::hashing(
            Register::Rtmr0,
            event_type,
            &handoff_block(tdvf, memory)?,
            what,
            Origin::Profile,
        ),
        None => ExpectedEvent::left_to_the_host(Register::Rtmr0, event_type, what),
    })
}

fn secure_boot(volume: &[u8], stated: SecureBoot) -> Result<Vec<ExpectedEvent>, FirmwareError> {
    let store = VariableStore::parse(volume)?;
    let enabled = store.get(&SECURE_BOOT_ENABLE, "SecureBootEnable") == Some(&[1]);
    let enrolled = store.get(&GLOBAL, "PK").is_some();
    let value: &[u8] = match stated {
        SecureBoot::Absent => &[],
        SecureBoot::AsConfigured if !enrolled => &[],
        SecureBoot::On => &[1],
        SecureBoot::AsConfigured if enabled => &[1],
        SecureBoot::Off | SecureBoot::AsConfigured => &[0],
    };
    let origin = match stated {
        SecureBoot::AsConfigured => Origin::Firmware,
        SecureBoot::Absent | SecureBoot::Off | SecureBoot::On => Origin::Profile,
    };
    let made = (GLOBAL, "SecureBoot", value, origin);
    let stored = [
        (GLOBAL, "PK"),
        (GLOBAL, "KEK"),
        (IMAGE_SECURITY, "db"),
        (IMAGE_SECURITY, "dbx"),
    ];
    let stored = stored.map(|(vendor, name)| {
        let value = store.get(&vendor, name).unwrap_or_default();
        (vendor, name, value, Origin::Firmware)
    });
    let variables = std::iter::once(made).chain(stored);
    Ok(variables
        .map(|(vendor, name, value, origin)| {
            ExpectedEvent::hashing(
                Register::Rtmr0,
                EventType::EFI_VARIABLE_DRIVER_CONFIG,
                &variable_data(&vendor, name, value),
                format!("variable {name}"),
                origin,
            )
        })
        .collect())
}

/// `UEFI_VARIABLE_DATA`: vendor, length of the name in units, length of the value, name, value.
fn variable_data(vendor: &Guid, name: &str, value: &[u8]) -> Vec<u8> {
    let name = utf16(name);
    let mut data = vendor.as_bytes().to_vec();
    data.extend_from_slice(&(name.len() as u64 / 2).to_le_bytes());
    data.extend_from_slice(&(value.len() as u64).to_le_bytes());
    data.extend_from_slice(&name);
    data.extend_from_slice(value);
    data
}

fn acpi(machine: &Machine) -> Vec<ExpectedEvent> {
    let event_type = EventType::PLATFORM_CONFIG_FLAGS;
    match &machine.acpi {
        None => vec![ExpectedEvent::left_to_the_host(
            Register::Rtmr0,
            event_type,
            "ACPI tables, some events",
        )],
        Some(digests) => profile_events(digests, event_type, |index| {
            format!("ACPI tables, file {}", index + 1)
        }),
    }
}

fn boot(machine: &Machine) -> Vec<ExpectedEvent> {
    let event_type = EventType::EFI_VARIABLE_BOOT;
    match &machine.boot {
        None => vec![ExpectedEvent::left_to_the_host(
            Register::Rtmr0,
            event_type,
            "boot options, some events",
        )],
        Some(BootVariables(digests)) => profile_events(digests, event_type, |index| match index {
            0 => "variable BootOrder".to_owned(),
            option => format!("boot option {option}"),
        }),
    }
}

fn profile_events(
    digests: &[Sha384],
    event_type: EventType,
    what: impl Fn(usize) -> String,
) -> Vec<ExpectedEvent> {
    let numbered = digests.iter().enumerate();
    numbered
        .map(|(index, digest)| {
            ExpectedEvent::new(
                Register::Rtmr0,
                event_type,
                *digest,
                what(index),
                Origin::Profile,
            )
        })
        .collect()
}
