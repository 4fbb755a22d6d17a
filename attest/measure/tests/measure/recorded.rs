//! Predictions against what real TDs measured: the recorded dstack and Google guests. Skipped by name
//! where the recordings are absent.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{COMMAND_LINE, FirmwareImage, uki};
use attest_core::event_log::{EventLog, EventType, Register};
use attest_measure::firmware::Firmware;
use attest_measure::tdx::{self, BootVariables, Machine, MemoryMap, SecureBoot};
use attest_measure::uki::Uki;
use attest_measure::{ExpectedEvent, Sha384};

fn recorded(name: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("SEALGATE_VECTORS").map_or_else(
        || {
            PathBuf::from(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../../shared/vectors"
            ))
        },
        PathBuf::from,
    );
    let found = std::fs::read(folder.join("tdx/eventlogs").join(name)).ok();
    if found.is_none() {
        println!(
            "skipped: recorded vectors not found at {}",
            folder.display()
        );
    }
    found
}

/// The log of a dstack guest, and the memory that its host says it had.
fn dstack() -> Option<(EventLog, u64)> {
    let report: Value = serde_json::from_slice(&recorded("dstack-quote-report.json")?).unwrap();
    let log = EventLog::from_dstack(report["event_log"].as_str().unwrap().as_bytes()).unwrap();
    let machine: Value = serde_json::from_str(report["vm_config"].as_str().unwrap()).unwrap();
    Some((log, machine["memory_size"].as_u64().unwrap()))
}

fn digests_of(log: &EventLog, register: Register, event_type: EventType) -> Vec<Sha384> {
    let events = log.claimed_events().iter();
    events
        .filter(|e| e.register() == Some(register) && e.claimed_type() == event_type)
        .map(|e| *e.digest())
        .collect()
}

#[test]
fn predicts_each_event_of_rtmr0_of_a_real_td() {
    let Some((log, memory)) = dstack() else {
        return;
    };
    let built = FirmwareImage::default().build();
    let tdvf = Firmware::parse(&built).unwrap().tdvf().unwrap();
    let machine = Machine {
        memory: Some(MemoryMap::q35(memory).unwrap()),
        // What only the host has is taken from the log itself.
        acpi: Some(digests_of(
            &log,
            Register::Rtmr0,
            EventType::PLATFORM_CONFIG_FLAGS,
        )),
        boot: Some(BootVariables::ui_app_alone()),
        secure_boot: SecureBoot::AsConfigured,
    };
    let expected = tdx::rtmr0(&tdvf, &machine).unwrap();
    let measured: Vec<_> = log
        .claimed_events()
        .iter()
        .filter(|event| event.register() == Some(Register::Rtmr0))
        .collect();
    assert_eq!(expected.len(), measured.len());
    for (expected, measured) in expected.iter().zip(measured) {
        assert_eq!(expected.event_type, measured.claimed_type());
        // The firmware of that guest is not at hand; the one made here has other variables.
        let at_hand = expected.event_type != EventType::EFI_PLATFORM_FIRMWARE_BLOB2;
        assert_eq!(
            expected.digest == Some(*measured.digest()),
            at_hand,
            "{}",
            expected.what
        );
    }
}

#[test]
fn the_constants_of_rtmr1_equal_those_of_real_tds() {
    let Some((dstack, _)) = dstack() else { return };
    let Some(google) = recorded("gcp-cos113-ccel_data.bin") else {
        return;
    };
    let google = EventLog::from_ccel(&google).unwrap();
    let image = uki("257.13-1", COMMAND_LINE, &[]);
    let expected = tdx::rtmr1(&Uki::parse(&image).unwrap()).unwrap();
    let constants = |event_type| -> Vec<Sha384> {
        let of_type = |e: &&ExpectedEvent| e.event_type == event_type;
        expected
            .iter()
            .filter(of_type)
            .filter_map(|e| e.digest)
            .collect()
    };
    for log in [dstack, google] {
        for event_type in [EventType::EFI_ACTION, EventType::SEPARATOR] {
            let measured = digests_of(&log, Register::Rtmr1, event_type);
            assert_eq!(measured, constants(event_type));
        }
    }
}
