//! RTMR2: the parts of the image that the stub and the kernel measure.
//!
//! The stub: for each section its name with an end mark, then its contents (systemd-stub(7), PCR 11).
//! The kernel's EFI stub: its command line as UTF-16 with an end mark, and the initial file system
//! (Linux, `drivers/firmware/efi/libstub`, PCR 9).

use attest_core::event_log::{EventType, Register};

use crate::expected::{ExpectedEvent, Origin};
use crate::firmware::utf16;
use crate::uki::{Uki, UkiError};

/// The events of RTMR2 up to the start of the initial file system, which may extend it further.
pub fn rtmr2(uki: &Uki<'_>) -> Result<Vec<ExpectedEvent>, UkiError> {
    let mut events = Vec::new();
    for (name, contents) in uki.measured_sections() {
        events.push(ExpectedEvent::hashing(
            Register::Rtmr2,
            EventType::IPL,
            format!("{name}\0").as_bytes(),
            format!("name {name}"),
            Origin::Fixed,
        ));
        events.push(ExpectedEvent::hashing(
            Register::Rtmr2,
            EventType::IPL,
            &contents,
            format!("section {name}"),
            Origin::Image,
        ));
    }
    events.push(ExpectedEvent::hashing(
        Register::Rtmr2,
        EventType::EVENT_TAG,
        &utf16(&format!("{}\0", uki.command_line())),
        "command line, as the kernel gets it",
        Origin::Image,
    ));
    events.push(ExpectedEvent::hashing(
        Register::Rtmr2,
        EventType::EVENT_TAG,
        &uki.initrd()?,
        "initial file system, as the kernel gets it",
        Origin::Image,
    ));
    Ok(events)
}
