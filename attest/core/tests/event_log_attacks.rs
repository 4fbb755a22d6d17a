//! What a firmware log may try, and what names it: lies about payloads, types, order and registers.

mod event_log_support;

use attest_core::event_log::{
    DigestBound, EventLogError, EventType, FirmwareVariable, LookupError, Register, SecureBoot,
};
use event_log_support::{Ccel, GLOBAL, ZERO, register, secure_boot, sha384, variable};

const SEPARATOR: &[u8] = &[0; 4];

fn rtmr0_is(digests: &[[u8; 48]]) -> [[u8; 48]; 4] {
    [register(digests), ZERO, ZERO, ZERO]
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
