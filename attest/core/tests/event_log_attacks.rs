//! What a log may try, and what names it: lies about payloads, types, names, order and registers.

mod event_log_support;

use attest_core::event_log::{
    DigestBound, DstackError, EventLog, EventLogError, EventType, FirmwareVariable, LookupError,
    Register, ReplayedLog, SecureBoot, SystemEvent,
};
use attest_core::to_hex;
use event_log_support::{
    Ccel, GLOBAL, ZERO, boot, json_bytes, register, runtime, runtime_digest, secure_boot, sha384,
    variable,
};
use serde_json::{Value, json};

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
fn a_payload_that_does_not_hash_to_its_digest_is_named() {
    let digest = sha384(&secure_boot(0));
    let log = Ccel::new()
        .hashed(1, EventType::SEPARATOR, SEPARATOR)
        .event(
            1,
            EventType::EFI_VARIABLE_DRIVER_CONFIG,
            digest,
            &secure_boot(1),
        )
        .parse();
    assert_eq!(
        log.verify(&rtmr0_is(&[sha384(SEPARATOR), digest])),
        Err(EventLogError::PayloadMismatch {
            event: 1,
            event_type: EventType::EFI_VARIABLE_DRIVER_CONFIG
        })
    );
}

#[test]
fn every_type_whose_payload_is_hashed_is_held_to_it() {
    let gpt = b"EFI PART";
    let variable = variable(GLOBAL, "KEK", b"key");
    let cases: [(EventType, &[u8]); 10] = [
        (EventType::SEPARATOR, SEPARATOR),
        (EventType::ACTION, b"action"),
        (EventType::S_CRTM_VERSION, b"1\0"),
        (EventType::OMIT_BOOT_DEVICE_EVENTS, b"BOOT ATTEMPTS OMITTED"),
        (EventType::EFI_ACTION, b"Exit Boot Services Invocation"),
        (EventType::EFI_GPT_EVENT, gpt),
        (EventType::EFI_VARIABLE_DRIVER_CONFIG, &variable),
        (EventType::EFI_VARIABLE_AUTHORITY, &variable),
        (EventType::EFI_VARIABLE_BOOT2, &variable),
        (EventType::EFI_VARIABLE_BOOT, &variable),
    ];
    for (kind, payload) in cases {
        let good = Ccel::new().hashed(2, kind, payload).parse();
        assert!(
            good.verify(&[ZERO, register(&[sha384(payload)]), ZERO, ZERO])
                .is_ok()
        );
        let bad = Ccel::new()
            .event(2, kind, sha384(b"other"), payload)
            .parse();
        assert_eq!(bad.claimed_events()[0].bound(), &DigestBound::Mismatch);
        assert_eq!(
            bad.verify(&[ZERO, register(&[sha384(b"other")]), ZERO, ZERO]),
            Err(EventLogError::PayloadMismatch {
                event: 0,
                event_type: kind
            }),
            "{kind}"
        );
    }
}

#[test]
fn types_that_hash_something_else_bind_no_payload_and_are_no_error() {
    let free = [
        EventType::EFI_BOOT_SERVICES_APPLICATION,
        EventType::EFI_PLATFORM_FIRMWARE_BLOB2,
        EventType::EFI_HANDOFF_TABLES2,
        EventType::PLATFORM_CONFIG_FLAGS,
        EventType::EVENT_TAG,
        EventType::IPL,
        EventType::from_code(0x1234_5678),
    ];
    for kind in free {
        let log = Ccel::new()
            .event(1, kind, [9; 48], b"a description")
            .parse();
        let replayed = log.verify(&rtmr0_is(&[[9; 48]])).unwrap();
        assert_eq!(replayed.events()[0].bound(), &DigestBound::Opaque, "{kind}");
        assert_eq!(replayed.events()[0].bound_payload(), None, "{kind}");
    }
}

#[test]
fn a_variable_that_is_no_variable_is_refused_even_if_it_hashes() {
    let mut long = secure_boot(1);
    long.push(0);
    let mut huge = secure_boot(1);
    huge[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
    let mut lone_surrogate = variable(GLOBAL, "A", b"");
    lone_surrogate[32..34].copy_from_slice(&0xD800u16.to_le_bytes());
    for payload in [
        &b""[..],
        &secure_boot(1)[..52],
        &long,
        &huge,
        &lone_surrogate,
    ] {
        let kind = EventType::EFI_VARIABLE_DRIVER_CONFIG;
        let log = Ccel::new().hashed(1, kind, payload).parse();
        assert_eq!(
            log.verify(&rtmr0_is(&[sha384(payload)])),
            Err(EventLogError::PayloadMismatch {
                event: 0,
                event_type: kind
            })
        );
    }
}

#[test]
fn a_boot_variables_name_is_not_measured_and_not_believed() {
    let measured = variable(GLOBAL, "Boot0001", b"an option");
    let renamed = variable(GLOBAL, "Boot0002", b"an option");
    let digest = sha384(b"an option");
    for payload in [&measured, &renamed] {
        let log = Ccel::new()
            .event(1, EventType::EFI_VARIABLE_BOOT, digest, payload)
            .parse();
        let replayed = log.verify(&rtmr0_is(&[digest])).unwrap();
        let event = &replayed.events()[0];
        assert_eq!(event.bound_payload(), Some(&b"an option"[..]));
        assert_eq!(event.uefi_variable(), None);
    }
}

#[test]
fn grubs_prefix_is_not_measured_and_not_believed() {
    let digest = sha384(b"linux /boot/vmlinuz");
    for payload in [
        &b"grub_cmd: linux /boot/vmlinuz\0"[..],
        b"kernel_cmdline: linux /boot/vmlinuz\0",
        b"grub_cmd: linux /boot/vmlinuz",
    ] {
        let log = Ccel::new()
            .event(3, EventType::IPL, digest, payload)
            .parse();
        let bound = log.claimed_events()[0].bound_payload();
        assert_eq!(bound, Some(&b"linux /boot/vmlinuz"[..]));
    }
    for payload in [
        &b"grub_cmd: "[..],
        b"grub_cmd: \0",
        b"linux /boot/vmlinuz\0",
        b"",
    ] {
        let log = Ccel::new()
            .event(3, EventType::IPL, digest, payload)
            .parse();
        assert_eq!(log.claimed_events()[0].bound(), &DigestBound::Opaque);
    }
}

#[test]
fn order_omission_repetition_and_register_are_what_replay_shows() {
    let (a, b) = ([1; 48], [2; 48]);
    let kind = EventType::POST_CODE;
    let quoted = rtmr0_is(&[a, b]);
    let right = Ccel::new().event(1, kind, a, b"").event(1, kind, b, b"");
    assert!(right.parse().verify(&quoted).is_ok());
    let wrong = [
        (vec![(1, b), (1, a)], Register::Rtmr0),
        (vec![(1, a)], Register::Rtmr0),
        (vec![(1, a), (1, b), (1, b)], Register::Rtmr0),
        (vec![(1, a), (2, b)], Register::Rtmr0),
        (vec![(1, a), (1, b), (4, b)], Register::Rtmr3),
        (vec![], Register::Rtmr0),
    ];
    for (events, named) in wrong {
        let log = events.iter().fold(Ccel::new(), |log, (index, digest)| {
            log.event(*index, kind, *digest, b"")
        });
        let refused = log.parse().verify(&quoted).unwrap_err();
        let EventLogError::RegisterMismatch {
            register,
            replayed,
            quoted: expected,
        } = refused
        else {
            panic!("{refused:?}")
        };
        assert_eq!(register, named);
        assert_eq!(expected, quoted[named.number()]);
        assert_eq!(replayed, log.parse().replay()[named.number()]);
    }
}

#[test]
fn an_event_that_informs_only_extends_nothing() {
    let digest = sha384(SEPARATOR);
    let log = Ccel::new()
        .event(0, EventType::NO_ACTION, ZERO, b"StartupLocality\0\x03")
        .hashed(1, EventType::SEPARATOR, SEPARATOR)
        .parse();
    let replayed = log.verify(&rtmr0_is(&[digest])).unwrap();
    assert_eq!(log.claimed_events().len(), 2);
    assert_eq!(log.claimed_events()[0].bound_payload(), None);
    assert_eq!(replayed.events().len(), 1);
}

#[test]
fn relabelling_cannot_switch_secure_boot_on() {
    let (off, on) = (secure_boot(0), secure_boot(1));
    let kind = EventType::EFI_VARIABLE_DRIVER_CONFIG;
    let digests = [sha384(&off), sha384(SEPARATOR), sha384(&on)];
    let read = |first: EventType, second: EventType| {
        let log = Ccel::new()
            .event(1, first, digests[0], &off)
            .event(1, second, digests[1], SEPARATOR)
            .event(1, kind, digests[2], &on)
            .parse();
        log.verify(&rtmr0_is(&digests)).unwrap().secure_boot()
    };
    // The machine measured "off", then software added "on".
    assert_eq!(read(kind, EventType::SEPARATOR), Ok(SecureBoot::Off));
    // The first passed off as something else; the separator passed off as something else.
    let absent = Err(LookupError::Absent {
        name: "SecureBoot".to_owned(),
    });
    assert_eq!(read(EventType::EVENT_TAG, EventType::SEPARATOR), absent);
    assert_eq!(read(EventType::EVENT_TAG, EventType::EVENT_TAG), absent);
    assert_eq!(read(kind, EventType::EVENT_TAG), Ok(SecureBoot::Off));
}

#[test]
fn a_secure_boot_variable_counts_once_and_only_before_anything_booted() {
    let kind = EventType::EFI_VARIABLE_DRIVER_CONFIG;
    let measured = |payloads: &[&[u8]]| {
        let log = payloads
            .iter()
            .fold(Ccel::new(), |log, payload| match payload.len() {
                4 => log.hashed(1, EventType::SEPARATOR, payload),
                _ => log.hashed(1, kind, payload),
            });
        let digests: Vec<_> = payloads.iter().map(|payload| sha384(payload)).collect();
        log.parse().verify(&rtmr0_is(&digests)).unwrap()
    };
    let (on, off) = (secure_boot(1), secure_boot(0));
    assert_eq!(
        measured(&[&on, SEPARATOR]).secure_boot(),
        Ok(SecureBoot::Enforced)
    );
    assert_eq!(
        measured(&[&on]).secure_boot(),
        Err(LookupError::NoSeparator)
    );
    assert_eq!(
        measured(&[&off, &on, SEPARATOR]).secure_boot(),
        Err(LookupError::Repeated {
            name: "SecureBoot".to_owned(),
            first: 0,
            second: 1
        })
    );
    let none = variable(GLOBAL, "SecureBoot", b"");
    assert_eq!(
        measured(&[&none, SEPARATOR]).secure_boot(),
        Ok(SecureBoot::Off)
    );
    let odd = variable(GLOBAL, "SecureBoot", &[2]);
    assert_eq!(
        measured(&[&odd, SEPARATOR]).secure_boot(),
        Err(LookupError::Meaningless {
            name: "SecureBoot".to_owned(),
            event: 0
        })
    );
    // The right name in another name space is another variable.
    let foreign = variable([7; 16], "SecureBoot", &[1]);
    assert_eq!(
        measured(&[&foreign, SEPARATOR]).secure_boot(),
        Err(LookupError::Absent {
            name: "SecureBoot".to_owned()
        })
    );
    let key = variable(GLOBAL, "PK", b"key");
    let log = measured(&[&on, &key, SEPARATOR]);
    assert_eq!(log.firmware_variable(FirmwareVariable::Pk), Ok(&b"key"[..]));
}

#[test]
fn a_secure_boot_variable_of_another_register_does_not_count() {
    let on = secure_boot(1);
    let log = Ccel::new()
        .hashed(1, EventType::SEPARATOR, SEPARATOR)
        .hashed(3, EventType::EFI_VARIABLE_DRIVER_CONFIG, &on)
        .parse();
    let rtmrs = [
        register(&[sha384(SEPARATOR)]),
        ZERO,
        register(&[sha384(&on)]),
        ZERO,
    ];
    let replayed = log.verify(&rtmrs).unwrap();
    assert_eq!(
        replayed.secure_boot(),
        Err(LookupError::Absent {
            name: "SecureBoot".to_owned()
        })
    );
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
