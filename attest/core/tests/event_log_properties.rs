//! What holds for every log: no bytes make the parsers panic, no flipped bit makes a log say more, and
//! what was measured comes back as it was.

mod event_log_support;

use proptest::prelude::*;

use attest_core::event_log::{EventLog, EventLogError, EventType, trim_ccel};
use event_log_support::{
    Ccel, SHA384_ONLY, ZERO, assert_claims_no_more, boot, header, json_bytes, register, runtime,
    runtime_digest, secure_boot, sha384,
};

const AGILE: &[(u16, u16)] = &[(0x4, 20), (0xb, 32), (0xc, 48), (0xd, 64), (0x99, 7)];

fn small_log() -> (Ccel, [[u8; 48]; 4]) {
    let on = secure_boot(1);
    let log = Ccel::new()
        .hashed(1, EventType::EFI_VARIABLE_DRIVER_CONFIG, &on)
        .hashed(1, EventType::SEPARATOR, &[0; 4])
        .event(
            2,
            EventType::EFI_BOOT_SERVICES_APPLICATION,
            [3; 48],
            b"path",
        )
        .event(3, EventType::IPL, sha384(b"ls"), b"grub_cmd: ls\0");
    let rtmrs = [
        register(&[sha384(&on), sha384(&[0; 4])]),
        register(&[[3; 48]]),
        register(&[sha384(b"ls")]),
        ZERO,
    ];
    (log, rtmrs)
}

#[test]
fn no_flipped_bit_of_a_ccel_log_makes_it_say_more() {
    let (log, rtmrs) = small_log();
    let before = log.parse().verify(&rtmrs).unwrap();
    for bit in 0..log.0.len() * 8 {
        let mut flipped = log.0.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(after) = EventLog::from_ccel(&flipped).and_then(|log| log.verify(&rtmrs)) {
            assert_claims_no_more(&before, &after, &format!("bit {bit}"));
        }
    }
}

#[test]
fn no_flipped_bit_of_a_runtime_event_is_accepted() {
    let events = [runtime("app-id", b"an app"), runtime("system-ready", b"")];
    let whole = json_bytes(&events);
    let digests = [
        runtime_digest("app-id", b"an app"),
        runtime_digest("system-ready", b""),
    ];
    let rtmrs = [ZERO, ZERO, ZERO, register(&digests)];
    EventLog::from_dstack(&whole)
        .unwrap()
        .verify(&rtmrs)
        .unwrap();
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let read = EventLog::from_dstack(&flipped).and_then(|log| log.verify(&rtmrs));
        assert!(
            read.is_err(),
            "bit {bit} of {}",
            String::from_utf8_lossy(&whole)
        );
    }
}

fn some_event() -> impl Strategy<Value = (u32, u32, [u8; 48], Vec<u8>)> {
    let kind = prop_oneof![
        0u32..0x14,
        0x8000_0001u32..0x8000_000e,
        Just(0x8000_00e0),
        any::<u32>()
    ];
    let digest = any::<[u8; 32]>().prop_map(|half| sha384(&half));
    (
        1u32..5,
        kind,
        digest,
        prop::collection::vec(any::<u8>(), 0..80),
    )
}

proptest! {
    #[test]
    fn no_bytes_make_the_parsers_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = EventLog::parse(&bytes);
        let _ = EventLog::from_ccel(&bytes);
        let _ = EventLog::from_dstack(&bytes);
        let _ = trim_ccel(&bytes);
    }

    #[test]
    fn no_bytes_after_a_header_make_the_parser_panic(
        agile in any::<bool>(),
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let mut log = header(if agile { AGILE } else { SHA384_ONLY });
        log.extend(bytes);
        if let Ok(parsed) = EventLog::from_ccel(&log) {
            let _ = parsed.verify(&parsed.replay());
        }
    }

    #[test]
    fn any_log_replays_to_the_chain_of_its_digests(
        events in prop::collection::vec(some_event(), 0..20),
    ) {
        let extending: Vec<_> = events.iter().filter(|event| event.1 != 3).collect();
        let log = extending.iter().fold(Ccel::new(), |log, (index, kind, digest, payload)| {
            log.event(*index, EventType::from_code(*kind), *digest, payload)
        });
        let parsed = log.parse();
        let chain = |index: u32| {
            let digests: Vec<_> = extending
                .iter()
                .filter(|event| event.0 == index)
                .map(|event| event.2)
                .collect();
            register(&digests)
        };
        let rtmrs = [chain(1), chain(2), chain(3), chain(4)];
        prop_assert_eq!(parsed.replay(), rtmrs);
        match parsed.verify(&rtmrs) {
            Ok(replayed) => prop_assert_eq!(replayed.events().len(), extending.len()),
            Err(EventLogError::PayloadMismatch { .. }) => {}
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    #[test]
    fn runtime_events_come_back_as_they_were_measured(
        name in "[a-z-]{1,12}",
        payload in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let log = EventLog::from_dstack(&json_bytes(&[
            boot(2, EventType::EVENT_TAG, [8; 48], b""),
            runtime(&name, &payload),
        ])).unwrap();
        let rtmrs = [
            ZERO,
            ZERO,
            register(&[[8; 48]]),
            register(&[runtime_digest(&name, &payload)]),
        ];
        let replayed = log.verify(&rtmrs).unwrap();
        let event = replayed.runtime_event(&name).unwrap();
        prop_assert_eq!(event.bound_payload(), Some(&payload[..]));
    }
}
