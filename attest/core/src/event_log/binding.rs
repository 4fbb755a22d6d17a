//! What a digest covers of the payload beside it.
//!
//! TCG PC Client Platform Firmware Profile 1.05 (PFP), §10.4.1 for the types, §10.2.6 for variables.
//!
//! | type | the digest is of | if it is not |
//! |---|---|---|
//! | `EV_SEPARATOR` | the payload (PFP §10.4.1) | mismatch |
//! | `EV_ACTION`, `EV_EFI_ACTION`, `EV_OMIT_BOOT_DEVICE_EVENTS` | the payload, a string without end mark (PFP §10.4.1) | mismatch |
//! | `EV_S_CRTM_VERSION` | the payload (PFP §10.4.1) | mismatch |
//! | `EV_EFI_GPT_EVENT` | the payload, `UEFI_GPT_DATA` (PFP §10.2.6) | mismatch |
//! | `EV_EFI_VARIABLE_DRIVER_CONFIG`, `_AUTHORITY`, `_BOOT2` | the payload, `UEFI_VARIABLE_DATA` (PFP §10.2.6) | mismatch, as is a payload of another form |
//! | `EV_EFI_VARIABLE_BOOT` | the variable's value, **not its name** (PFP §10.2.6); some firmware hashes the payload whole | mismatch, as is a payload of another form |
//! | `EV_IPL` | left to the boot loader: GRUB hashes the command after a prefix such as `grub_cmd: ` and before the end mark (`grub-core/kern/tpm.c`, `commands/tpm.c`), systemd-stub hashes the payload, both also log files by name | opaque |
//! | `EV_PLATFORM_CONFIG_FLAGS` | left to the firmware: td-shim hashes the data after its descriptor (td-shim specification, `TD_SHIM_PLATFORM_CONFIG_INFO`), EDK II hashes ACPI tables the log does not hold | opaque |
//! | `EV_EVENT_TAG` | left to the measurer: Linux' EFI stub and systemd-stub hash what the tag describes, Windows hashes the payload | opaque |
//! | `EV_EFI_BOOT_SERVICES_APPLICATION`, `_DRIVER`, `EV_EFI_RUNTIME_SERVICES_DRIVER` | the PE image (PFP §10.4.1) | opaque |
//! | `EV_POST_CODE`, `EV_S_CRTM_CONTENTS`, `EV_EFI_PLATFORM_FIRMWARE_BLOB`, `_BLOB2`, `EV_EFI_HANDOFF_TABLES`, `_TABLES2` | what the payload points to (PFP §10.4.1) | opaque |
//! | every other, known or not | not said here | opaque |
//!
//! A digest that happens to be the payload's is `FromPayload` whatever the type: that is then a fact.

use std::ops::Range;

use super::event_type::EventType;
use super::variable::UefiVariable;
use super::{Sha384, sha384};
use crate::reader::{Reader, to_usize};

/// What a digest covers of the payload beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DigestBound {
    /// All of it; of a dstack runtime event, its type and name as well.
    FromPayload,
    /// These bytes of it and no others.
    FromPart(Range<usize>),
    /// Something else: the payload describes it, unproven.
    Opaque,
    /// Not what the type prescribes. A log with such an event is refused.
    Mismatch,
}

/// Compares a digest with the payload of an event of a TCG type.
pub(super) fn tcg_digest_bound(
    event_type: EventType,
    payload: &[u8],
    digest: &Sha384,
) -> DigestBound {
    let form = form_of(event_type, payload);
    if form == Form::Broken {
        return DigestBound::Mismatch;
    }
    if sha384(&[payload]) == *digest {
        return DigestBound::FromPayload;
    }
    match form {
        Form::Part { range, .. } if covers(payload, &range, digest) => DigestBound::FromPart(range),
        Form::Whole | Form::Part { required: true, .. } | Form::Broken => DigestBound::Mismatch,
        Form::Free
        | Form::Part {
            required: false, ..
        } => DigestBound::Opaque,
    }
}

fn covers(payload: &[u8], range: &Range<usize>, digest: &Sha384) -> bool {
    payload
        .get(range.clone())
        .is_some_and(|part| sha384(&[part]) == *digest)
}

#[derive(PartialEq, Eq)]
enum Form {
    /// The digest must be the payload's.
    Whole,
    /// The digest is that of a part, or the payload's; required to be, or left to the measurer.
    Part { range: Range<usize>, required: bool },
    /// The digest may be of anything.
    Free,
    /// The payload is not what its type says.
    Broken,
}

fn form_of(event_type: EventType, payload: &[u8]) -> Form {
    let optional = |range: Option<Range<usize>>| match range {
        Some(range) => Form::Part {
            range,
            required: false,
        },
        None => Form::Free,
    };
    match event_type {
        EventType::SEPARATOR
        | EventType::ACTION
        | EventType::S_CRTM_VERSION
        | EventType::OMIT_BOOT_DEVICE_EVENTS
        | EventType::EFI_ACTION
        | EventType::EFI_GPT_EVENT => Form::Whole,
        EventType::EFI_VARIABLE_BOOT => match UefiVariable::value_range(payload) {
            Some(range) => Form::Part {
                range,
                required: true,
            },
            None => Form::Broken,
        },
        EventType::EFI_VARIABLE_DRIVER_CONFIG
        | EventType::EFI_VARIABLE_BOOT2
        | EventType::EFI_VARIABLE_AUTHORITY => match UefiVariable::parse(payload) {
            Some(_) => Form::Whole,
            None => Form::Broken,
        },
        EventType::IPL => optional(grub_command(payload)),
        EventType::PLATFORM_CONFIG_FLAGS => optional(td_shim_data(payload)),
        _ => Form::Free,
    }
}

/// What GRUB hashes of a string it measured: no prefix, no end mark.
fn grub_command(payload: &[u8]) -> Option<Range<usize>> {
    const PREFIXES: [&[u8]; 3] = [b"grub_cmd: ", b"kernel_cmdline: ", b"module_cmdline: "];
    let prefix = PREFIXES.iter().find(|prefix| payload.starts_with(prefix))?;
    let end = match payload.split_last() {
        Some((0, text)) => text.len(),
        _ => payload.len(),
    };
    Some(prefix.len()..end)
}

/// What td-shim hashes of its configuration: not the descriptor (16 bytes), not the length (u32).
fn td_shim_data(payload: &[u8]) -> Option<Range<usize>> {
    let mut reader = Reader::new(payload);
    reader.bytes("descriptor", 16).ok()?;
    let stated = to_usize(reader.u32("length").ok()?);
    let data = reader.rest().len();
    (stated == data).then_some(payload.len() - data..payload.len())
}
