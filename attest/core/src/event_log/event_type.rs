//! Types of events: TCG PC Client Platform Firmware Profile 1.05 §10.4.1, and dstack's own.

use std::fmt;

/// What a log says an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(u32);

macro_rules! event_types {
    ($($(#[$doc:meta])* $constant:ident = $value:literal, $name:literal;)*) => {
        impl EventType {
            $($(#[$doc])* pub const $constant: Self = Self($value);)*

            /// The name in the specification, if the type is a known one.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($name),)*
                    _ => None,
                }
            }
        }
    };
}

event_types! {
    /// Host platform code; the payload describes it.
    POST_CODE = 0x1, "EV_POST_CODE";
    /// Information that extends nothing.
    NO_ACTION = 0x3, "EV_NO_ACTION";
    /// The end of a phase.
    SEPARATOR = 0x4, "EV_SEPARATOR";
    /// An action, as a string.
    ACTION = 0x5, "EV_ACTION";
    /// Data of an operating system or boot stub, with a tag.
    EVENT_TAG = 0x6, "EV_EVENT_TAG";
    /// Code that measures; the payload describes it.
    S_CRTM_CONTENTS = 0x7, "EV_S_CRTM_CONTENTS";
    /// Version of the code that measures.
    S_CRTM_VERSION = 0x8, "EV_S_CRTM_VERSION";
    /// A microcode patch.
    CPU_MICROCODE = 0x9, "EV_CPU_MICROCODE";
    /// Platform configuration.
    PLATFORM_CONFIG_FLAGS = 0xa, "EV_PLATFORM_CONFIG_FLAGS";
    /// Devices.
    TABLE_OF_DEVICES = 0xb, "EV_TABLE_OF_DEVICES";
    /// Something hashed by its caller.
    COMPACT_HASH = 0xc, "EV_COMPACT_HASH";
    /// What boot loaders measure.
    IPL = 0xd, "EV_IPL";
    /// Partition data.
    IPL_PARTITION_DATA = 0xe, "EV_IPL_PARTITION_DATA";
    /// Code of other processors.
    NONHOST_CODE = 0xf, "EV_NONHOST_CODE";
    /// Configuration of other processors.
    NONHOST_CONFIG = 0x10, "EV_NONHOST_CONFIG";
    /// Information on other processors.
    NONHOST_INFO = 0x11, "EV_NONHOST_INFO";
    /// Boot attempts are not logged.
    OMIT_BOOT_DEVICE_EVENTS = 0x12, "EV_OMIT_BOOT_DEVICE_EVENTS";
    /// dstack: an event of the running system.
    DSTACK_RUNTIME = 0x0800_0001, "DSTACK_RUNTIME_EVENT";
    /// A UEFI variable that configures drivers; the Secure Boot variables.
    EFI_VARIABLE_DRIVER_CONFIG = 0x8000_0001, "EV_EFI_VARIABLE_DRIVER_CONFIG";
    /// A UEFI boot variable, of which only the value is hashed.
    EFI_VARIABLE_BOOT = 0x8000_0002, "EV_EFI_VARIABLE_BOOT";
    /// An application: hash of the PE image.
    EFI_BOOT_SERVICES_APPLICATION = 0x8000_0003, "EV_EFI_BOOT_SERVICES_APPLICATION";
    /// A driver: hash of the PE image.
    EFI_BOOT_SERVICES_DRIVER = 0x8000_0004, "EV_EFI_BOOT_SERVICES_DRIVER";
    /// A runtime driver: hash of the PE image.
    EFI_RUNTIME_SERVICES_DRIVER = 0x8000_0005, "EV_EFI_RUNTIME_SERVICES_DRIVER";
    /// The partition table.
    EFI_GPT_EVENT = 0x8000_0006, "EV_EFI_GPT_EVENT";
    /// An action of the firmware, as a string.
    EFI_ACTION = 0x8000_0007, "EV_EFI_ACTION";
    /// Firmware: hash of what the payload points to.
    EFI_PLATFORM_FIRMWARE_BLOB = 0x8000_0008, "EV_EFI_PLATFORM_FIRMWARE_BLOB";
    /// Tables: hash of what the payload points to.
    EFI_HANDOFF_TABLES = 0x8000_0009, "EV_EFI_HANDOFF_TABLES";
    /// Firmware, with a description.
    EFI_PLATFORM_FIRMWARE_BLOB2 = 0x8000_000a, "EV_EFI_PLATFORM_FIRMWARE_BLOB2";
    /// Tables, with a description.
    EFI_HANDOFF_TABLES2 = 0x8000_000b, "EV_EFI_HANDOFF_TABLES2";
    /// A UEFI boot variable, name and value hashed.
    EFI_VARIABLE_BOOT2 = 0x8000_000c, "EV_EFI_VARIABLE_BOOT2";
    /// The partition table without its identifiers.
    EFI_GPT_EVENT2 = 0x8000_000d, "EV_EFI_GPT_EVENT2";
    /// Code of a hardware root.
    EFI_HCRTM_EVENT = 0x8000_0010, "EV_EFI_HCRTM_EVENT";
    /// What an image's signature was checked against.
    EFI_VARIABLE_AUTHORITY = 0x8000_00e0, "EV_EFI_VARIABLE_AUTHORITY";
    /// Firmware of a device, over SPDM.
    EFI_SPDM_FIRMWARE_BLOB = 0x8000_00e1, "EV_EFI_SPDM_FIRMWARE_BLOB";
    /// Configuration of a device, over SPDM.
    EFI_SPDM_FIRMWARE_CONFIG = 0x8000_00e2, "EV_EFI_SPDM_FIRMWARE_CONFIG";
}

impl EventType {
    /// From its number.
    pub const fn from_code(code: u32) -> Self {
        Self(code)
    }

    /// Its number.
    pub const fn code(self) -> u32 {
        self.0
    }

    /// Whether the payload is a `UEFI_VARIABLE_DATA`.
    pub(super) const fn is_variable(self) -> bool {
        matches!(
            self,
            Self::EFI_VARIABLE_DRIVER_CONFIG
                | Self::EFI_VARIABLE_BOOT
                | Self::EFI_VARIABLE_BOOT2
                | Self::EFI_VARIABLE_AUTHORITY
        )
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "type {:#010x}", self.0),
        }
    }
}
