//! Both formats as formats: what is read, what is refused and under which name.

mod event_log_support;

use serde_json::{Value, json};

use attest_core::event_log::{
    CcelError, DstackError, EventLog, EventLogError, EventType, LogFormat, MAX_LOG_LEN, trim_ccel,
};
use attest_core::json::JsonError;
use attest_core::{EncodingError, to_base64, to_hex};
use event_log_support::{
    Ccel, RUNTIME, SHA384_ONLY, ZERO, header, header_with, json_bytes, register, runtime,
    runtime_digest, sha384,
};

const AGILE: &[(u16, u16)] = &[(0x4, 20), (0xb, 32), (0xc, 48), (0xd, 64), (0x99, 7)];

fn ccel_error(log: &[u8]) -> CcelError {
    match EventLog::from_ccel(log) {
        Err(EventLogError::Ccel(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn dstack_error(events: &[Value]) -> DstackError {
    match EventLog::from_dstack(&json_bytes(events)) {
        Err(EventLogError::Dstack(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_the_sha384_digest_counts() {
    let mut log = Ccel(header(AGILE));
    let digests: [(u16, &[u8]); 5] = [
        (0xd, &[4; 64]),
        (0xc, &[9; 48]),
        (0x99, &[5; 7]),
        (0x4, &[1; 20]),
        (0xb, &[2; 32]),
    ];
    log = log.event_with(2, EventType::POST_CODE, &digests, b"code");
    let parsed = log.parse();
    assert_eq!(parsed.claimed_events()[0].digest(), &[9; 48]);
    assert_eq!(parsed.replay(), [ZERO, register(&[[9; 48]]), ZERO, ZERO]);
}

#[test]
fn a_header_that_is_no_spec_id_event_is_named_by_its_field() {
    let good = header(SHA384_ONLY);
    assert!(EventLog::from_ccel(&good).is_ok());
    let flipped = |at: usize| {
        let mut header = good.clone();
        header[at] ^= 1;
        ccel_error(&header)
    };
    assert_eq!(flipped(4), CcelError::NotSpecId { field: "type" });
    assert_eq!(flipped(8), CcelError::NotSpecId { field: "digest" });
    assert_eq!(flipped(32), CcelError::NotSpecId { field: "signature" });
    let mut stray = good.clone();
    stray[28] += 1;
    stray.push(0);
    assert_eq!(ccel_error(&stray), CcelError::NotSpecId { field: "length" });
    let mut short = good.clone();
    short[28] -= 1;
    assert_eq!(
        ccel_error(&short),
        CcelError::HeaderTruncated {
            field: "vendor information"
        }
    );
}

#[test]
fn a_header_with_odd_algorithms_is_refused() {
    assert_eq!(ccel_error(&header(&[])), CcelError::NoSha384);
    assert_eq!(ccel_error(&header(&[(0xb, 32)])), CcelError::NoSha384);
    for (algorithm, size) in [
        (0x4, 32),
        (0xb, 20),
        (0xc, 32),
        (0xd, 48),
        (0x12, 0),
        (0x99, 0),
    ] {
        assert_eq!(
            ccel_error(&header(&[(algorithm, size)])),
            CcelError::Algorithm { algorithm }
        );
    }
    assert_eq!(
        ccel_error(&header(&[(0xc, 48), (0xc, 48)])),
        CcelError::Algorithm { algorithm: 0xc }
    );
    let many: Vec<_> = (0..9).map(|at| (0x100 + at, 32)).collect();
    assert_eq!(ccel_error(&header(&many)), CcelError::TooManyAlgorithms(9));
    assert!(EventLog::from_ccel(&header_with(SHA384_ONLY, &[7; 255])).is_ok());
}

#[test]
fn digests_are_those_the_header_lists() {
    let event = |digests: &[(u16, &[u8])]| {
        let log = Ccel(header(&[(0xb, 32), (0xc, 48)]));
        ccel_error(&log.event_with(1, EventType::POST_CODE, digests, b"").0)
    };
    assert_eq!(
        event(&[(0xc, &[0; 48])]),
        CcelError::DigestCount { event: 0, count: 1 }
    );
    assert_eq!(event(&[]), CcelError::DigestCount { event: 0, count: 0 });
    assert_eq!(
        event(&[(0xc, &[0; 48]), (0xc, &[1; 48])]),
        CcelError::Digest {
            event: 0,
            algorithm: 0xc
        }
    );
    assert_eq!(
        event(&[(0xc, &[0; 48]), (0x4, &[0; 20])]),
        CcelError::Digest {
            event: 0,
            algorithm: 0x4
        }
    );
}

#[test]
fn registers_other_than_rtmrs_are_refused() {
    for index in [0, 5, 7, 1 << 20] {
        let log = Ccel::new().event(1, EventType::POST_CODE, ZERO, b"").event(
            index,
            EventType::POST_CODE,
            ZERO,
            b"x",
        );
        assert_eq!(ccel_error(&log.0), CcelError::Register { event: 1, index });
    }
    let log = Ccel::new().event(5, EventType::NO_ACTION, ZERO, b"x");
    assert_eq!(
        ccel_error(&log.0),
        CcelError::Register { event: 0, index: 5 }
    );
    let log = Ccel::new().event(1, EventType::NO_ACTION, [1; 48], b"x");
    assert_eq!(ccel_error(&log.0), CcelError::NoActionDigest { event: 0 });
}

#[test]
fn what_pads_an_area_is_not_part_of_the_log() {
    let log = Ccel::new().hashed(1, EventType::EFI_ACTION, b"x");
    let whole = log.parse();
    let padded = |padding: &[u8]| [&log.0[..], padding].concat();
    for padding in [
        &[][..],
        &[0xFF; 1],
        &[0xFF; 4096],
        &[0; 4096],
        &[0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0],
    ] {
        let area = padded(padding);
        assert_eq!(EventLog::from_ccel(&area).as_ref(), Ok(&whole));
        assert_eq!(trim_ccel(&area), Ok(&log.0[..]));
    }
    let end = log.0.len();
    let mut dirty = padded(&[0xFF; 64]);
    dirty[end + 40] = 7;
    assert_eq!(
        ccel_error(&dirty),
        CcelError::BytesAfterEnd { offset: end + 40 }
    );
    let mut dirty = padded(&[0; 64]);
    dirty[end + 63] = 1;
    assert_eq!(
        ccel_error(&dirty),
        CcelError::BytesAfterEnd { offset: end + 63 }
    );
    // An event after padding is not an event.
    let event = Ccel::new().hashed(1, EventType::EFI_ACTION, b"hidden").0;
    let hidden = padded(&[&[0xFF; 16][..], &event[header(SHA384_ONLY).len()..]].concat());
    assert_eq!(
        ccel_error(&hidden),
        CcelError::BytesAfterEnd { offset: end + 16 }
    );
}

#[test]
fn lengths_that_point_past_the_end_are_named() {
    let log = Ccel::new().hashed(1, EventType::EFI_ACTION, b"x").0;
    for len in [2, 1 << 20, u32::MAX] {
        let mut long = log.clone();
        let at = log.len() - 5;
        long[at..at + 4].copy_from_slice(&len.to_le_bytes());
        assert_eq!(
            ccel_error(&long),
            CcelError::EventTruncated {
                event: 0,
                field: "payload"
            }
        );
    }
    assert_eq!(
        ccel_error(&vec![0; MAX_LOG_LEN + 1]),
        CcelError::TooLong(MAX_LOG_LEN + 1)
    );
}

#[test]
fn a_log_cut_inside_an_event_is_refused_by_the_field_it_ends_in() {
    let start = header(SHA384_ONLY).len();
    let log = Ccel::new().hashed(1, EventType::EFI_ACTION, b"xyz").0;
    let fields = [
        (1..4, "register"),
        (4..8, "type"),
        (8..12 + 2 + 48, "digests"),
        (62..66, "length"),
        (66..69, "payload"),
    ];
    for (range, field) in fields {
        for len in range {
            assert_eq!(
                ccel_error(&log[..start + len]),
                CcelError::EventTruncated { event: 0, field },
                "{len}"
            );
        }
    }
    for len in 0..start {
        assert!(matches!(
            ccel_error(&log[..len]),
            CcelError::HeaderTruncated { .. }
        ));
    }
}

#[test]
fn a_report_carries_either_format_in_base64() {
    let ccel = Ccel::new().hashed(1, EventType::EFI_ACTION, b"x").0;
    let dstack = json_bytes(&[runtime("app-id", b"x")]);
    let format = |bytes: &[u8]| EventLog::parse_base64(&to_base64(bytes)).unwrap().format();
    assert_eq!(format(&ccel), LogFormat::Ccel);
    assert_eq!(format(&dstack), LogFormat::Dstack);
    assert_eq!(
        EventLog::parse_base64("!"),
        Err(EventLogError::Base64(EncodingError::NotBase64 {
            offset: 0
        }))
    );
}

#[test]
fn dstack_json_is_strict() {
    let text = |json: &[u8]| EventLog::from_dstack(json).unwrap_err();
    assert!(EventLog::from_dstack(b" [] ").is_ok());
    assert_eq!(text(b"{}"), DstackError::NotAnArray.into());
    assert_eq!(text(b"[1]"), DstackError::NotAnArray.into());
    assert_eq!(
        text(br#"[{"imr":0,"imr":3}]"#),
        DstackError::Json(JsonError::DuplicateName { offset: 15 }).into()
    );
    assert_eq!(
        text(b"[]x"),
        DstackError::Json(JsonError::TrailingBytes { offset: 2 }).into()
    );
    let long = vec![b' '; MAX_LOG_LEN + 1];
    assert!(matches!(
        text(&long),
        EventLogError::Dstack(DstackError::Json(JsonError::TooLong { .. }))
    ));
}

#[test]
fn every_member_of_a_dstack_event_has_its_shape() {
    let with = |member: &str, value: Value| {
        let mut event = runtime("app-id", b"x");
        event[member] = value;
        dstack_error(&[runtime("first", b""), event])
    };
    let wrong = |member| DstackError::Member { event: 1, member };
    assert_eq!(with("imr", json!("3")), wrong("imr"));
    assert_eq!(with("imr", json!(-1)), wrong("imr"));
    assert_eq!(
        with("imr", json!(4)),
        DstackError::Register { event: 1, imr: 4 }
    );
    assert_eq!(with("event_type", json!(1u64 << 32)), wrong("event_type"));
    assert_eq!(with("event", json!(null)), wrong("event"));
    assert_eq!(with("digest", json!(1)), wrong("digest"));
    assert_eq!(with("event_payload", json!([])), wrong("event_payload"));
    assert_eq!(with("version", json!("2")), wrong("version"));
    assert_eq!(
        with("version", json!(3)),
        DstackError::Version {
            event: 1,
            version: 3
        }
    );
    assert_eq!(
        with("comment", json!("")),
        DstackError::UnknownMember { event: 1 }
    );
    let hex = |member, error| DstackError::Hex {
        event: 1,
        member,
        error,
    };
    assert_eq!(
        with("digest", json!("00")),
        hex(
            "digest",
            EncodingError::WrongLength {
                expected: 96,
                found: 2
            }
        )
    );
    assert_eq!(
        with("event_payload", json!("0A")),
        hex("event_payload", EncodingError::UpperCaseHex { offset: 1 })
    );
    let missing = |member: &str| {
        let mut event = runtime("app-id", b"x");
        event.as_object_mut().unwrap().remove(member);
        dstack_error(&[event])
    };
    for member in ["imr", "event_type", "event", "event_payload"] {
        assert!(
            matches!(missing(member), DstackError::Member { event: 0, member: named } if named == member)
        );
    }
    let boot = json!({"imr": 0, "event_type": 4, "digest": "", "event": "", "event_payload": ""});
    let member = "digest";
    assert_eq!(
        dstack_error(&[boot]),
        DstackError::Member { event: 0, member }
    );
}

#[test]
fn a_runtime_event_may_leave_its_digest_to_us() {
    let rtmrs = [
        ZERO,
        ZERO,
        ZERO,
        register(&[runtime_digest("app-id", b"x")]),
    ];
    let mut without = runtime("app-id", b"x");
    without.as_object_mut().unwrap().remove("digest");
    let mut empty = runtime("app-id", b"x");
    empty["digest"] = json!("");
    for event in [without, empty] {
        let log = EventLog::from_dstack(&json_bytes(&[event])).unwrap();
        let replayed = log.verify(&rtmrs).unwrap();
        let found = replayed.runtime_event("app-id").unwrap();
        assert_eq!(found.bound_payload(), Some(&b"x"[..]));
    }
}

#[test]
fn version_two_hashes_canonical_json() {
    let canonical = br#"{"name":"a:b","payload":"6162","type":134217729}"#;
    let mut event = runtime("a:b", b"ab");
    event["version"] = json!(2);
    event["digest"] = json!(to_hex(&sha384(canonical)));
    for restated in ["hash_input", "preimage"] {
        event[restated] = json!(to_hex(canonical));
    }
    let log = EventLog::from_dstack(&json_bytes(&[event.clone()])).unwrap();
    let rtmrs = [ZERO, ZERO, ZERO, register(&[sha384(canonical)])];
    let replayed = log.verify(&rtmrs).unwrap();
    assert!(replayed.runtime_event("a:b").is_ok());

    // The digest of one version under the other.
    event["version"] = json!(1);
    assert_eq!(
        dstack_error(&[event.clone()]),
        DstackError::AmbiguousName { event: 0 }
    );
    event["event"] = json!("a");
    assert_eq!(
        dstack_error(&[event.clone()]),
        DstackError::Preimage { event: 0 }
    );
    event["hash_input"] = json!(null);
    event["preimage"] = json!(null);
    let log = EventLog::from_dstack(&json_bytes(&[event])).unwrap();
    assert_eq!(
        log.verify(&rtmrs),
        Err(EventLogError::PayloadMismatch {
            event: 0,
            event_type: EventType::DSTACK_RUNTIME
        })
    );
}

#[test]
fn a_stated_preimage_must_be_the_one_that_is_hashed() {
    let mut event = runtime("app-id", b"x");
    let right = [&RUNTIME.to_le_bytes()[..], b":app-id:x"].concat();
    event["hash_input"] = json!(to_hex(&right));
    assert!(EventLog::from_dstack(&json_bytes(&[event.clone()])).is_ok());
    event["hash_input"] = json!(to_hex(b"something nicer"));
    assert_eq!(dstack_error(&[event]), DstackError::Preimage { event: 0 });
}
