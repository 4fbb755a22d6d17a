//! Logs of TDs and of TPMs.

use proptest::prelude::*;

use crate::support::{log, put};
use attest_core::event_log::{EventType, Register};
use attest_measure::log::{BootLog, LogError, LogSource, register_of_pcr};

const SEPARATOR: u32 = 4;
const ACTION: u32 = 0x8000_0007;

fn tpm() -> Vec<u8> {
    log(&[
        (0, 8, [1; 48], b"firmware"),
        (7, SEPARATOR, [2; 48], b"\0\0\0\0"),
        (4, ACTION, [3; 48], b"action"),
        (11, 0xD, [4; 48], b".linux"),
        (0, 3, [0; 48], b"information"),
        (16, 0xD, [5; 48], b"debug"),
    ])
}

#[test]
fn maps_a_tpms_events_to_a_tds_registers() {
    let read = BootLog::parse(&tpm()).unwrap();
    assert_eq!(read.source, LogSource::Tpm);
    let registers: Vec<_> = read.events.iter().map(|e| (e.pcr, e.register)).collect();
    assert_eq!(
        registers,
        [
            (Some(0), None),
            (Some(7), Some(Register::Rtmr0)),
            (Some(4), Some(Register::Rtmr1)),
            (Some(11), Some(Register::Rtmr2)),
            (Some(16), None),
        ]
    );
    assert_eq!(read.events[1].digest, [2; 48]);
    assert_eq!(read.events[1].event_type, EventType::SEPARATOR);
}

#[test]
fn maps_each_pcr_to_the_register_of_the_uefi_specification() {
    let of = |range: std::ops::RangeInclusive<u32>| range.map(register_of_pcr).collect::<Vec<_>>();
    assert_eq!(register_of_pcr(0), None);
    assert_eq!(register_of_pcr(1), Some(Register::Rtmr0));
    assert_eq!(register_of_pcr(7), Some(Register::Rtmr0));
    assert_eq!(of(2..=6), [Some(Register::Rtmr1); 5]);
    assert_eq!(of(8..=15), [Some(Register::Rtmr2); 8]);
    assert_eq!(of(16..=23), [None; 8]);
}

#[test]
fn a_log_that_extends_only_td_registers_is_a_tds() {
    let read = BootLog::parse(&log(&[(2, 0x10, [7; 48], b"x")])).unwrap();
    assert_eq!(read.source, LogSource::Td);
    assert_eq!(read.events[0].register, Some(Register::Rtmr1));
    assert_eq!(read.events[0].pcr, None);
}

#[test]
fn a_log_without_sha_384_is_refused() {
    let mut bytes = tpm();
    // The second algorithm of the header becomes SM3, and its length that of SM3.
    let at = 32 + 28 + 4;
    put(&mut bytes, at, &0x12_u16.to_le_bytes());
    put(&mut bytes, at + 2, &32_u16.to_le_bytes());
    assert_eq!(BootLog::parse(&bytes), Err(LogError::NoSha384));
}

#[test]
fn refuses_a_truncated_tpm_log_with_the_event() {
    let bytes = tpm();
    let refused = BootLog::parse(&bytes[..bytes.len() - 1]).unwrap_err();
    assert_eq!(
        refused,
        LogError::Event {
            event: 5,
            field: "length"
        }
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_log_makes_the_reader_panic(
        at in 0_usize..600, byte in any::<u8>(), len in 0_usize..900,
    ) {
        let mut bytes = tpm();
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        let _ = BootLog::parse(&bytes);
        let _ = BootLog::parse(bytes.get(..len).unwrap_or(&bytes));
    }
}
