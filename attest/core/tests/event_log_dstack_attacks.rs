//! What a dstack log may try, and what names it: lies about names, types and who wrote an event.

mod event_log_support;

use serde_json::{Value, json};

use attest_core::event_log::{
    DigestBound, DstackError, EventLog, EventLogError, EventType, LookupError, Register,
    ReplayedLog, SecureBoot, SystemEvent,
};
use attest_core::to_hex;
use event_log_support::{
    Ccel, ZERO, boot, json_bytes, register, runtime, runtime_digest, secure_boot, sha384,
};

const SEPARATOR: &[u8] = &[0; 4];

fn rtmr0_is(digests: &[[u8; 48]]) -> [[u8; 48]; 4] {
    [register(digests), ZERO, ZERO, ZERO]
}

fn rtmr3_is(digests: &[[u8; 48]]) -> [[u8; 48]; 4] {
    [ZERO, ZERO, ZERO, register(digests)]
}

fn dstack(events: &[Value]) -> Result<EventLog, EventLogError> {
    EventLog::from_dstack(&json_bytes(events))
}

/// What a well-behaved guest measures, in order.
fn guest_events() -> Vec<(&'static str, &'static [u8])> {
    vec![
        ("system-preparing", b""),
        ("app-id", b"app"),
        ("compose-hash", b"the compose file's hash"),
        ("system-ready", b""),
    ]
}

fn guest_digests() -> Vec<[u8; 48]> {
    let events = guest_events();
    let digests = events
        .iter()
        .map(|(name, payload)| runtime_digest(name, payload));
    digests.collect()
}

fn guest_log() -> Vec<Value> {
    let events = guest_events();
    let events = events.iter().map(|(name, payload)| runtime(name, payload));
    events.collect()
}

fn replayed_guest(log: &[Value], digests: &[[u8; 48]]) -> ReplayedLog {
    dstack(log).unwrap().verify(&rtmr3_is(digests)).unwrap()
}

#[test]
fn a_runtime_event_binds_its_type_its_name_and_its_payload() {
    let digests = guest_digests();
    let replayed = replayed_guest(&guest_log(), &digests);
    assert_eq!(
        replayed.system_event(SystemEvent::ComposeHash),
        Ok(&b"the compose file's hash"[..])
    );
    let mismatch = Err(EventLogError::PayloadMismatch {
        event: 2,
        event_type: EventType::DSTACK_RUNTIME,
    });
    for (member, lie) in [
        ("event_payload", json!(to_hex(b"another hash"))),
        ("event", json!("compose-hush")),
        ("digest", json!(to_hex(&[5; 48]))),
    ] {
        let mut log = guest_log();
        log[2][member] = lie;
        let verified = dstack(&log).unwrap().verify(&rtmr3_is(&digests));
        assert_eq!(verified, mismatch, "{member}");
    }
}

#[test]
fn a_payload_and_a_name_that_lie_together_do_not_replay() {
    let mut log = guest_log();
    log[2] = runtime("compose-hash", b"another hash");
    let refused = dstack(&log).unwrap().verify(&rtmr3_is(&guest_digests()));
    assert!(matches!(
        refused,
        Err(EventLogError::RegisterMismatch {
            register: Register::Rtmr3,
            ..
        })
    ));
}

#[test]
fn a_runtime_event_cannot_be_relabelled_as_an_opaque_one() {
    for kind in [
        EventType::EVENT_TAG,
        EventType::NO_ACTION,
        EventType::SEPARATOR,
    ] {
        let mut log = guest_log();
        log[2]["event_type"] = json!(kind.code());
        log[2]["event_payload"] = json!("");
        assert_eq!(
            dstack(&log),
            Err(EventLogError::Dstack(DstackError::WrongRegister {
                event: 2,
                event_type: kind,
                register: Register::Rtmr3
            }))
        );
    }
}

#[test]
fn a_boot_event_cannot_be_relabelled_as_a_runtime_event() {
    let mut log = guest_log();
    log[0]["imr"] = json!(2);
    assert_eq!(
        dstack(&log),
        Err(EventLogError::Dstack(DstackError::WrongRegister {
            event: 0,
            event_type: EventType::DSTACK_RUNTIME,
            register: Register::Rtmr2
        }))
    );
}

#[test]
fn the_colon_between_name_and_payload_cannot_be_moved() {
    // The same digest, read as "a" with "b:c" and as "a:b" with "c".
    assert_eq!(runtime_digest("a", b"b:c"), runtime_digest("a:b", b"c"));
    assert!(dstack(&[runtime("a", b"b:c")]).is_ok());
    assert_eq!(
        dstack(&[runtime("a:b", b"c")]),
        Err(EventLogError::Dstack(DstackError::AmbiguousName {
            event: 0
        }))
    );
}

#[test]
fn a_second_compose_hash_leaves_none() {
    let mut log = guest_log();
    log.insert(3, runtime("compose-hash", b"a hash the policy likes"));
    let mut digests = guest_digests();
    digests.insert(
        3,
        runtime_digest("compose-hash", b"a hash the policy likes"),
    );
    assert_eq!(
        replayed_guest(&log, &digests).system_event(SystemEvent::ComposeHash),
        Err(LookupError::Repeated {
            name: "compose-hash".to_owned(),
            first: 2,
            second: 3
        })
    );
}

#[test]
fn the_application_cannot_write_a_system_event() {
    let mut log = guest_log();
    log.push(runtime("os-image-hash", b"an image"));
    let mut digests = guest_digests();
    digests.push(runtime_digest("os-image-hash", b"an image"));
    let replayed = replayed_guest(&log, &digests);
    assert_eq!(
        replayed.system_event(SystemEvent::OsImageHash),
        Err(LookupError::AfterSystemReady {
            name: "os-image-hash".to_owned(),
            event: 4
        })
    );
    assert!(replayed.runtime_event("os-image-hash").is_ok());
    assert_eq!(
        replayed.system_event(SystemEvent::InstanceId),
        Err(LookupError::Absent {
            name: "instance-id".to_owned()
        })
    );
}

#[test]
fn a_ccel_event_never_answers_for_a_runtime_event() {
    let preimage = [&0x0800_0001u32.to_le_bytes()[..], b":compose-hash:", b"x"].concat();
    let log = Ccel::new()
        .hashed(4, EventType::DSTACK_RUNTIME, &preimage)
        .parse();
    let replayed = log.verify(&rtmr3_is(&[sha384(&preimage)])).unwrap();
    assert_eq!(
        replayed.system_event(SystemEvent::ComposeHash),
        Err(LookupError::Absent {
            name: "compose-hash".to_owned()
        })
    );
}

#[test]
fn a_boot_event_without_its_payload_is_a_digest_and_no_more() {
    let on = secure_boot(1);
    let kind = EventType::EFI_VARIABLE_DRIVER_CONFIG;
    let separator = boot(0, EventType::SEPARATOR, sha384(SEPARATOR), SEPARATOR);
    let rtmrs = rtmr0_is(&[sha384(&on), sha384(SEPARATOR)]);
    let whole = dstack(&[boot(0, kind, sha384(&on), &on), separator.clone()]).unwrap();
    assert_eq!(
        whole.verify(&rtmrs).unwrap().secure_boot(),
        Ok(SecureBoot::Enforced)
    );

    let stripped = dstack(&[boot(0, kind, sha384(&on), b""), separator.clone()]).unwrap();
    let replayed = stripped.verify(&rtmrs).unwrap();
    assert_eq!(replayed.events()[0].bound(), &DigestBound::Opaque);
    assert_eq!(
        replayed.secure_boot(),
        Err(LookupError::Absent {
            name: "SecureBoot".to_owned()
        })
    );

    let lying = dstack(&[boot(0, kind, sha384(&secure_boot(0)), &on), separator]).unwrap();
    assert_eq!(
        lying.verify(&rtmrs),
        Err(EventLogError::PayloadMismatch {
            event: 0,
            event_type: kind
        })
    );
}

#[test]
fn registers_that_were_not_compared_have_no_events() {
    let mut log = guest_log();
    log.insert(
        0,
        boot(1, EventType::SEPARATOR, sha384(SEPARATOR), SEPARATOR),
    );
    let log = dstack(&log).unwrap();
    let rtmrs = [[1; 48], [2; 48], [3; 48], register(&guest_digests())];
    let replayed = log.verify_registers(&rtmrs, &[Register::Rtmr3]).unwrap();
    assert_eq!(replayed.covered(), [Register::Rtmr3]);
    assert_eq!(replayed.events().len(), 4);
    assert_eq!(replayed.events_of(Register::Rtmr1).count(), 0);
    assert!(matches!(
        log.verify_registers(&rtmrs, &[Register::Rtmr3, Register::Rtmr1]),
        Err(EventLogError::RegisterMismatch {
            register: Register::Rtmr1,
            ..
        })
    ));
}
