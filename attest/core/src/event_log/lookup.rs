//! Questions a policy has to a replayed log, each answered with measured bytes or a reason.
//!
//! An answer is one event or none: where a log says a thing twice it does not say which holds.

use std::fmt;

use super::error::LookupError;
use super::event::{LoggedEvent, Register};
use super::event_type::EventType;
use super::replay::ReplayedLog;
use super::{Sha384, sha384};

/// What dstack's guest measures of itself before the application runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemEvent {
    /// Identity of the application.
    AppId,
    /// SHA-256 of the application's compose file.
    ComposeHash,
    /// Identity of the instance.
    InstanceId,
    /// Who gives the instance its keys, as JSON.
    KeyProvider,
    /// Hash of the operating system image.
    OsImageHash,
}

impl SystemEvent {
    /// The name in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AppId => "app-id",
            Self::ComposeHash => "compose-hash",
            Self::InstanceId => "instance-id",
            Self::KeyProvider => "key-provider",
            Self::OsImageHash => "os-image-hash",
        }
    }
}

const SYSTEM_READY: &str = "system-ready";

/// The UEFI variables that say what may boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirmwareVariable {
    /// Whether signatures are enforced.
    SecureBoot,
    /// Platform key.
    Pk,
    /// Key exchange keys.
    Kek,
    /// What is allowed.
    Db,
    /// What is forbidden.
    Dbx,
}

/// 8be4df61-93ca-11d2-aa0d-00e098032b8c, `EFI_GLOBAL_VARIABLE`.
const GLOBAL: [u8; 16] = [
    0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c,
];
/// d719b2cb-3d3a-4596-a3bc-dad00e67656f, `EFI_IMAGE_SECURITY_DATABASE_GUID`.
const IMAGE_SECURITY: [u8; 16] = [
    0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f,
];

impl FirmwareVariable {
    /// The variable's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SecureBoot => "SecureBoot",
            Self::Pk => "PK",
            Self::Kek => "KEK",
            Self::Db => "db",
            Self::Dbx => "dbx",
        }
    }

    const fn vendor_guid(self) -> [u8; 16] {
        match self {
            Self::SecureBoot | Self::Pk | Self::Kek => GLOBAL,
            Self::Db | Self::Dbx => IMAGE_SECURITY,
        }
    }
}

/// Whether the firmware enforced signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecureBoot {
    /// It did.
    Enforced,
    /// It did not: the variable was off or did not exist.
    Off,
}

impl fmt::Display for SecureBoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enforced => "enforced",
            Self::Off => "off",
        })
    }
}

impl ReplayedLog {
    /// The one dstack runtime event of this name. Its type, name and payload are measured; who
    /// measured it is not said: once the system is ready, the application may write any name.
    pub fn runtime_event(&self, name: &str) -> Result<&LoggedEvent, LookupError> {
        let named = self.events().iter().filter(|event| {
            event.claimed_type() == EventType::DSTACK_RUNTIME && event.name() == Some(name)
        });
        only(named, name)
    }

    /// What dstack's guest measured of itself. Refused if it came after the system was ready.
    pub fn system_event(&self, wanted: SystemEvent) -> Result<&[u8], LookupError> {
        let name = wanted.name();
        let event = self.runtime_event(name)?;
        let ready = self
            .events()
            .iter()
            .find(|event| event.name() == Some(SYSTEM_READY));
        if ready.is_some_and(|ready| ready.position() < event.position()) {
            return Err(LookupError::AfterSystemReady {
                name: name.to_owned(),
                event: event.position(),
            });
        }
        event.bound_payload().ok_or_else(|| absent(name))
    }

    /// A Secure Boot variable as the firmware measured it before it booted anything, that is, in
    /// RTMR0 before the first separator. The separator is known by its digest, whatever it is
    /// labelled. Empty if the variable did not exist.
    pub fn firmware_variable(&self, wanted: FirmwareVariable) -> Result<&[u8], LookupError> {
        self.firmware_variable_event(wanted).map(|(_, value)| value)
    }

    /// Whether the firmware enforced signatures, by its variable `SecureBoot`.
    pub fn secure_boot(&self) -> Result<SecureBoot, LookupError> {
        let wanted = FirmwareVariable::SecureBoot;
        match self.firmware_variable_event(wanted)? {
            (_, [1]) => Ok(SecureBoot::Enforced),
            (_, [] | [0]) => Ok(SecureBoot::Off),
            (event, _) => Err(LookupError::Meaningless {
                name: wanted.name().to_owned(),
                event: event.position(),
            }),
        }
    }

    fn firmware_variable_event(
        &self,
        wanted: FirmwareVariable,
    ) -> Result<(&LoggedEvent, &[u8]), LookupError> {
        let separators = separators();
        let is_separator = |event: &&LoggedEvent| separators.contains(event.digest());
        let rtmr0 = || self.events_of(Register::Rtmr0);
        if rtmr0().find(is_separator).is_none() {
            return Err(LookupError::NoSeparator);
        }
        let before_boot = rtmr0().take_while(|event| !is_separator(event));
        let event = only(
            before_boot.filter(|event| measures(event, wanted)),
            wanted.name(),
        )?;
        let variable = event.uefi_variable().ok_or_else(|| absent(wanted.name()))?;
        Ok((event, variable.value))
    }
}

/// Digests of the values that end the firmware's own measurements: done, done, and failed.
fn separators() -> [Sha384; 3] {
    [[0; 4], [0xFF; 4], [1, 0, 0, 0]].map(|value| sha384(&[&value]))
}

fn measures(event: &LoggedEvent, wanted: FirmwareVariable) -> bool {
    event.claimed_type() == EventType::EFI_VARIABLE_DRIVER_CONFIG
        && event.uefi_variable().is_some_and(|variable| {
            variable.name == wanted.name() && variable.vendor_guid == wanted.vendor_guid()
        })
}

fn only<'a>(
    mut events: impl Iterator<Item = &'a LoggedEvent>,
    name: &str,
) -> Result<&'a LoggedEvent, LookupError> {
    let first = events.next().ok_or_else(|| absent(name))?;
    match events.next() {
        None => Ok(first),
        Some(second) => Err(LookupError::Repeated {
            name: name.to_owned(),
            first: first.position(),
            second: second.position(),
        }),
    }
}

fn absent(name: &str) -> LookupError {
    LookupError::Absent {
        name: name.to_owned(),
    }
}
