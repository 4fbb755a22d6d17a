//! Fuzz targets for boot event logs.

use attest_core::event_log::{EventLog, FirmwareVariable, Register, SystemEvent, trim_ccel};

/// A CCEL area.
pub fn event_log_ccel(data: &[u8]) {
    let trimmed = trim_ccel(data);
    let whole = EventLog::from_ccel(data);
    assert_eq!(trimmed.is_ok(), whole.is_ok());
    if let (Ok(trimmed), Ok(log)) = (trimmed, whole) {
        assert_eq!(EventLog::from_ccel(trimmed).as_ref(), Ok(&log));
        ask(&log);
    }
}

/// A dstack log.
pub fn event_log_dstack(data: &[u8]) {
    if let Ok(log) = EventLog::from_dstack(data) {
        ask(&log);
    }
    let _ = EventLog::parse(data);
}

/// A log leads where it says it leads, and then answers questions.
fn ask(log: &EventLog) {
    for event in log.claimed_events() {
        let _ = (event.name(), event.claimed_payload(), event.bound_payload());
        let _ = event.uefi_variable();
    }
    let Ok(replayed) = log.verify(&log.replay()) else {
        return;
    };
    for register in Register::ALL {
        let _ = replayed.events_of(register).count();
    }
    let wanted = [
        SystemEvent::AppId,
        SystemEvent::ComposeHash,
        SystemEvent::OsImageHash,
    ];
    for event in wanted {
        let _ = replayed.system_event(event);
    }
    let _ = (replayed.runtime_event("app-id"), replayed.secure_boot());
    let _ = replayed.firmware_variable(FirmwareVariable::SecureBoot);
}
