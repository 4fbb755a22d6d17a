//! Recorded event logs against the quotes recorded with them, through the public interface only.

mod event_log_support;

use std::path::{Path, PathBuf};

use serde_json::Value;

use attest_core::event_log::{
    CcelError, DigestBound, EventLog, EventLogError, EventType, FirmwareVariable, LogFormat,
    Register, SecureBoot, SystemEvent, trim_ccel,
};
use attest_core::{Appraiser, AttestationPolicy, Roots, UnixTime, parse_hex, to_base64, to_hex};
use event_log_support::{Sha384, assert_claims_no_more, sha384};

const COS: &str = "tdx-v4-gcp-cos113-ccel";
const DSTACK: &str = "tdx-v4-dstack-eventlog";
const TRUSTEE: &str = "tdx-v4-trustee-debug";

/// The recordings, or nothing after saying so.
fn recorded() -> Option<PathBuf> {
    let folder = std::env::var_os("SEALGATE_VECTORS").map_or_else(
        || {
            PathBuf::from(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../../shared/vectors"
            ))
        },
        PathBuf::from,
    );
    if folder.join("index.json").is_file() {
        return Some(folder);
    }
    println!(
        "skipped: recorded vectors not found at {}",
        folder.display()
    );
    None
}

/// One recording: its entry in the index, its log, and the registers of its quote.
struct Recording {
    expected: Value,
    log: Vec<u8>,
    rtmrs: [Sha384; 4],
}

impl Recording {
    fn read(folder: &Path, id: &str) -> Self {
        let index = std::fs::read(folder.join("index.json")).expect("the index is there");
        let index: Value = serde_json::from_slice(&index).expect("the index is JSON");
        let vectors = index["vectors"].as_array().expect("vectors");
        let entry = vectors
            .iter()
            .find(|entry| entry["id"] == id)
            .unwrap_or_else(|| panic!("{id} is recorded"));
        let file = |name: &str| {
            let path = entry["files"][name].as_str().expect("a file name");
            std::fs::read(folder.join(path)).expect("the file is there")
        };
        Self {
            expected: entry["eventlog"].clone(),
            log: file("eventlog"),
            rtmrs: rtmrs_of(&file("evidence")),
        }
    }

    /// The JSON array inside a dstack report.
    fn dstack_json(&self) -> Vec<u8> {
        let report: Value = serde_json::from_slice(&self.log).expect("the report is JSON");
        let log = report["event_log"].as_str().expect("a string");
        log.as_bytes().to_vec()
    }

    fn expected_replay(&self) -> [Sha384; 4] {
        ["rtmr0", "rtmr1", "rtmr2", "rtmr3"].map(|name| {
            let hex = self.expected["replay"][name].as_str().expect("hex");
            parse_hex(hex).expect("hex")
        })
    }
}

fn rtmrs_of(quote: &[u8]) -> [Sha384; 4] {
    let policy = AttestationPolicy::parse("name = \"any\"\n[tdx]\nmeasurements = \"any\"\n");
    let appraiser = Appraiser {
        roots: &Roots::vendor(),
        policy: &policy.expect("the policy is well formed"),
        collateral: None,
        now: UnixTime::parse_rfc3339("2026-02-11T09:25:52Z").expect("a time"),
    };
    let verdict = appraiser.quote(quote);
    let facts = verdict.facts().tdx.as_ref().expect("a TDX quote");
    facts.body.rtmr
}

fn extending(log: &EventLog) -> usize {
    log.claimed_events()
        .iter()
        .filter(|event| event.register().is_some())
        .count()
}

#[test]
fn a_ccel_area_of_google_replays_to_its_quote() {
    let Some(folder) = recorded() else { return };
    let recording = Recording::read(&folder, COS);
    let log = EventLog::parse(&recording.log).unwrap();
    assert_eq!(log.format(), LogFormat::Ccel);
    assert_eq!(log.replay(), recording.expected_replay());
    assert_eq!(recording.expected["events_replayed"], extending(&log));

    let replayed = log.verify(&recording.rtmrs).unwrap();
    assert_eq!(replayed.secure_boot(), Ok(SecureBoot::Off));
    let dbx = replayed.firmware_variable(FirmwareVariable::Dbx).unwrap();
    assert_eq!(dbx.len(), 4461);
    assert_eq!(replayed.covered(), Register::ALL);
    assert_eq!(replayed.events_of(Register::Rtmr3).count(), 0);
}

#[test]
fn what_googles_digests_cover_is_known_for_every_event() {
    let Some(folder) = recorded() else { return };
    let recording = Recording::read(&folder, COS);
    let log = EventLog::parse(&recording.log).unwrap();
    let with = |wanted: fn(&DigestBound) -> bool| -> Vec<usize> {
        log.claimed_events()
            .iter()
            .filter(|event| wanted(event.bound()))
            .map(|event| event.position())
            .collect()
    };
    // TDX table, firmware volume, three ACPI tables, two boot loaders, and what shim and GRUB
    // measured of files and MOK lists.
    assert_eq!(
        with(|bound| *bound == DigestBound::Opaque),
        [0, 1, 8, 9, 10, 17, 18, 19, 22, 23, 24, 39]
    );
    // BootOrder, Boot0001, Boot0000: the value only. GRUB's commands and the kernel's command line.
    assert_eq!(
        with(|bound| matches!(bound, DigestBound::FromPart(_))),
        [
            11, 12, 13, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 40
        ]
    );
    assert_eq!(
        with(|bound| *bound == DigestBound::FromPayload),
        [2, 3, 4, 5, 6, 7, 14, 15, 16, 20, 21, 41, 42]
    );
    let boot_order = &log.claimed_events()[11];
    assert_eq!(boot_order.claimed_type(), EventType::EFI_VARIABLE_BOOT);
    assert_eq!(boot_order.bound_payload(), Some(&[1, 0, 0, 0][..]));
    assert_eq!(boot_order.uefi_variable(), None);
    let sbat = log.claimed_events()[20].uefi_variable().unwrap();
    assert_eq!(sbat.name, "SbatLevel");
    let command_line = log.claimed_events()[40].bound_payload().unwrap();
    assert!(command_line.starts_with(b"/syslinux/vmlinuz.A init="));
    assert!(!command_line.ends_with(b"\0"));
}

#[test]
fn a_trimmed_area_is_the_same_log() {
    let Some(folder) = recorded() else { return };
    let recording = Recording::read(&folder, COS);
    let trimmed = trim_ccel(&recording.log).unwrap();
    assert_eq!((recording.log.len(), trimmed.len()), (262_144, 18_101));
    let log = EventLog::parse_base64(&to_base64(trimmed)).unwrap();
    assert_eq!(log, EventLog::parse(&recording.log).unwrap());
}

#[test]
fn a_dstack_log_replays_to_its_quote_and_names_what_runs() {
    let Some(folder) = recorded() else { return };
    let recording = Recording::read(&folder, DSTACK);
    let log = EventLog::parse(&recording.dstack_json()).unwrap();
    assert_eq!(log.format(), LogFormat::Dstack);
    assert_eq!(log.replay(), recording.expected_replay());
    assert_eq!(recording.expected["events_replayed"], extending(&log));

    let replayed = log.verify(&recording.rtmrs).unwrap();
    let hex = |event| replayed.system_event(event).map(to_hex);
    let compose = hex(SystemEvent::ComposeHash).unwrap();
    assert_eq!(
        compose,
        "3763bc34552cf3a27ff71ad5f7a90471562a1a2df552dfc1998cba2d60da27e7"
    );
    assert_eq!(hex(SystemEvent::AppId).unwrap(), &compose[..40]);
    assert_eq!(
        hex(SystemEvent::InstanceId).unwrap(),
        "c3714eb66990eace777b4e664c16e09375dec4c9"
    );
    let provider = replayed.system_event(SystemEvent::KeyProvider).unwrap();
    let provider: Value = serde_json::from_slice(provider).unwrap();
    assert_eq!(provider["name"], "local-sgx");
    assert_eq!(replayed.secure_boot(), Ok(SecureBoot::Off));
    // The application's own, after the system was ready.
    let own = replayed.runtime_event("LIUM_MINER_HOTKEY").unwrap();
    assert_eq!(own.bound_payload().map(<[u8]>::len), Some(48));
}

#[test]
fn linux_measures_what_its_tagged_events_name_not_the_events() {
    let Some(folder) = recorded() else { return };
    let recording = Recording::read(&folder, DSTACK);
    let log = EventLog::parse(&recording.dstack_json()).unwrap();
    let tagged: Vec<_> = log
        .claimed_events()
        .iter()
        .filter(|event| event.claimed_type() == EventType::EVENT_TAG)
        .collect();
    assert_eq!(tagged.len(), 2);
    for event in tagged {
        assert_eq!(event.register(), Some(Register::Rtmr2));
        assert_eq!(event.bound(), &DigestBound::Opaque);
        assert_eq!(event.bound_payload(), None);
    }
}

#[test]
fn rtmr3_alone_is_enough_where_the_other_registers_are_pinned() {
    let Some(folder) = recorded() else { return };
    let recording = Recording::read(&folder, DSTACK);
    let mut events: Value = serde_json::from_slice(&recording.dstack_json()).unwrap();
    let events = events.as_array_mut().unwrap();
    events.retain(|event| event["imr"] == 3);
    let log = EventLog::from_dstack(&serde_json::to_vec(events).unwrap()).unwrap();
    let whole = log.verify(&recording.rtmrs).unwrap_err();
    assert_eq!(
        whole,
        EventLogError::RegisterMismatch {
            register: Register::Rtmr0,
            replayed: [0; 48],
            quoted: recording.rtmrs[0],
        }
    );
    let replayed = log
        .verify_registers(&recording.rtmrs, &[Register::Rtmr3])
        .unwrap();
    assert_eq!(replayed.covered(), [Register::Rtmr3]);
    assert!(replayed.system_event(SystemEvent::ComposeHash).is_ok());
}

#[test]
fn trustees_log_is_of_another_boot_than_its_quote() {
    let Some(folder) = recorded() else { return };
    let recording = Recording::read(&folder, TRUSTEE);
    // The recording lost the zeros its last payload ends with.
    assert_eq!(
        EventLog::from_ccel(&recording.log),
        Err(EventLogError::Ccel(CcelError::EventTruncated {
            event: 4,
            field: "payload"
        }))
    );
    let mut restored = recording.log.clone();
    restored.resize(9822, 0);
    let log = EventLog::from_ccel(&restored).unwrap();
    assert_eq!(log.replay(), recording.expected_replay());
    assert_eq!(recording.expected["events_replayed"], extending(&log));
    let [rtmr0, ..] = recording.expected_replay();
    assert_eq!(
        log.verify(&recording.rtmrs).unwrap_err(),
        EventLogError::RegisterMismatch {
            register: Register::Rtmr0,
            replayed: rtmr0,
            quoted: recording.rtmrs[0],
        }
    );
}

#[test]
fn td_shim_hashes_its_configuration_without_the_descriptor() {
    let Some(folder) = recorded() else { return };
    let mut area = Recording::read(&folder, TRUSTEE).log;
    area.resize(9822, 0);
    let log = EventLog::from_ccel(&area).unwrap();
    let parameters = log.claimed_events()[4].bound_payload().unwrap();
    assert!(parameters.starts_with(b"root=/dev/vda1 console=hvc0 rw\0"));
    assert_eq!(
        log.claimed_events()[0].bound(),
        &DigestBound::FromPart(20..5268)
    );
}

#[test]
fn a_log_of_one_machine_is_refused_for_the_quote_of_another() {
    let Some(folder) = recorded() else { return };
    let cos = Recording::read(&folder, COS);
    let dstack = Recording::read(&folder, DSTACK);
    let log = EventLog::parse(&cos.log).unwrap();
    let refused = log.verify(&dstack.rtmrs).unwrap_err();
    assert_eq!(
        refused,
        EventLogError::RegisterMismatch {
            register: Register::Rtmr0,
            replayed: cos.rtmrs[0],
            quoted: dstack.rtmrs[0],
        }
    );
}

#[test]
fn no_ccel_area_cut_anywhere_replays() {
    let Some(folder) = recorded() else { return };
    let recording = Recording::read(&folder, COS);
    let end = trim_ccel(&recording.log).unwrap().len();
    for len in 0..end {
        let cut = EventLog::parse(&recording.log[..len]);
        match cut.and_then(|log| log.verify(&recording.rtmrs)) {
            Err(EventLogError::Ccel(_) | EventLogError::RegisterMismatch { .. }) => {}
            other => panic!("cut at {len}: {other:?}"),
        }
    }
    // Padding is padding, however much of it there is.
    for len in (end..=recording.log.len()).step_by(997) {
        let log = EventLog::parse(&recording.log[..len]).unwrap();
        log.verify(&recording.rtmrs).unwrap();
    }
    let mut trustee = Recording::read(&folder, TRUSTEE).log;
    trustee.resize(9822, 0);
    let restored = EventLog::from_ccel(&trustee).unwrap();
    for len in 0..trustee.len() {
        let cut = EventLog::from_ccel(&trustee[..len]);
        assert_ne!(cut.ok(), Some(restored.clone()), "cut at {len}");
    }
}

#[test]
fn no_dstack_log_cut_anywhere_parses() {
    let Some(folder) = recorded() else { return };
    let whole = Recording::read(&folder, DSTACK).dstack_json();
    for len in 0..whole.len() {
        assert!(EventLog::parse(&whole[..len]).is_err(), "cut at {len}");
    }
}

/// Flips these bits one at a time. Counts what is refused and what is accepted in bytes that no digest
/// covers.
fn flip(whole: &[u8], rtmrs: &[Sha384; 4], bits: impl Iterator<Item = usize>) -> [usize; 2] {
    let before = EventLog::parse(whole).unwrap().verify(rtmrs).unwrap();
    let mut flipped = whole.to_vec();
    let mut counts = [0, 0];
    for bit in bits {
        flipped[bit / 8] ^= 1 << (bit % 8);
        match EventLog::parse(&flipped).and_then(|log| log.verify(rtmrs)) {
            Err(_) => counts[0] += 1,
            Ok(after) => {
                counts[1] += 1;
                assert_claims_no_more(&before, &after, &format!("bit {bit}"));
            }
        }
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
    counts
}

fn whole_logs(folder: &Path) -> [(Vec<u8>, [Sha384; 4]); 2] {
    let cos = Recording::read(folder, COS);
    let dstack = Recording::read(folder, DSTACK);
    let trimmed = trim_ccel(&cos.log).unwrap().to_vec();
    [(trimmed, cos.rtmrs), (dstack.dstack_json(), dstack.rtmrs)]
}

#[test]
fn no_flipped_bit_of_a_recorded_log_makes_it_say_more() {
    let Some(folder) = recorded() else { return };
    for (whole, rtmrs) in whole_logs(&folder) {
        // Not a multiple of eight: every place in a byte has its turn.
        let [refused, accepted] = flip(&whole, &rtmrs, (0..whole.len() * 8).step_by(27));
        assert!(refused > accepted, "{refused} refused, {accepted} accepted");
    }
}

#[test]
#[ignore = "minutes long: every bit of the recorded logs"]
fn no_bit_at_all_of_a_recorded_log_makes_it_say_more() {
    let Some(folder) = recorded() else { return };
    for (whole, rtmrs) in whole_logs(&folder) {
        let [refused, accepted] = flip(&whole, &rtmrs, 0..whole.len() * 8);
        println!("{refused} flips refused, {accepted} in bits that no digest covers");
    }
}

#[test]
fn a_flipped_digest_of_a_recorded_log_is_found_and_named() {
    let Some(folder) = recorded() else { return };
    let recording = Recording::read(&folder, COS);
    let log = EventLog::parse(&recording.log).unwrap();
    let area = trim_ccel(&recording.log).unwrap();
    let mut from = 0;
    for event in log.claimed_events() {
        let at = area[from..]
            .windows(48)
            .position(|window| window == event.digest())
            .unwrap()
            + from;
        for bit in (0..48 * 8).step_by(9) {
            let mut flipped = area.to_vec();
            flipped[at + bit / 8] ^= 1 << (bit % 8);
            let refused = EventLog::parse(&flipped)
                .unwrap()
                .verify(&recording.rtmrs)
                .unwrap_err();
            let named = match refused {
                EventLogError::PayloadMismatch { event: named, .. } => named == event.position(),
                EventLogError::RegisterMismatch { register, .. } => {
                    Some(register) == event.register()
                }
                _ => false,
            };
            assert!(named, "event {}, bit {bit}: {refused:?}", event.position());
        }
        from = at + 48;
    }
}

#[test]
fn the_registers_of_a_replayed_log_hold_nothing_that_was_not_extended() {
    let Some(folder) = recorded() else { return };
    let recording = Recording::read(&folder, COS);
    let replayed = EventLog::parse(&recording.log)
        .unwrap()
        .verify(&recording.rtmrs)
        .unwrap();
    let action = sha384(b"Exit Boot Services Returned with Success");
    let found = replayed
        .event_with_digest(Register::Rtmr1, &action)
        .unwrap();
    assert_eq!(found.claimed_type(), EventType::EFI_ACTION);
    assert_eq!(replayed.event_with_digest(Register::Rtmr0, &action), None);
}
