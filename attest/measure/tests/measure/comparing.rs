//! A prediction beside a boot.

use attest_core::event_log::Register;
use attest_measure::compare::{Confirmation, Line, Outcome, compare, confirms};
use attest_measure::log::{BootLog, LogSource};
use attest_measure::tdx;
use attest_measure::uki::Uki;
use attest_measure::{ExpectedEvent, Sha384, sha384};

use crate::support::{COMMAND_LINE, log, uki};

fn expected() -> Vec<ExpectedEvent> {
    let image = uki("257.13-1", COMMAND_LINE, &[]);
    tdx::rtmr1(&Uki::parse(&image).unwrap()).unwrap()
}

/// A boot that measured these digests, as a TD's log or as a TPM's.
fn boot(source: LogSource, digests: &[Sha384]) -> BootLog {
    let (register, mut events) = match source {
        LogSource::Td => (2, Vec::new()),
        LogSource::Tpm => (4, vec![(0, 8, [9; 48], &b"firmware"[..])]),
    };
    let of_register = digests
        .iter()
        .map(|digest| (register, 0x10, *digest, &b"x"[..]));
    events.extend(of_register);
    let boot = BootLog::parse(&log(&events)).unwrap();
    assert_eq!(boot.source, source);
    boot
}

fn digests() -> Vec<Sha384> {
    expected().iter().filter_map(|event| event.digest).collect()
}

fn comparison(source: LogSource, digests: &[Sha384]) -> (Outcome, Confirmation) {
    let expected = expected();
    let boot = boot(source, digests);
    let comparison = compare(&expected, &boot, &[Register::Rtmr1]).remove(0);
    (comparison.outcome, confirms(&comparison, source))
}

#[test]
fn the_same_events_confirm_a_prediction() {
    for source in [LogSource::Td, LogSource::Tpm] {
        let found = comparison(source, &digests());
        assert_eq!(found, (Outcome::Equal, Confirmation::Confirmed));
    }
}

#[test]
fn more_separators_confirm_a_tpms_boot_and_refute_a_tds() {
    let mut more = digests();
    more.insert(3, sha384(&[&[0; 4]]));
    let tpm = comparison(LogSource::Tpm, &more);
    assert_eq!(tpm, (Outcome::MoreSeparators, Confirmation::Confirmed));
    let td = comparison(LogSource::Td, &more);
    assert_eq!(td, (Outcome::MoreSeparators, Confirmation::Refuted));
}

#[test]
fn an_event_that_was_not_predicted_refutes_a_prediction() {
    for place in 0..=digests().len() {
        let mut more = digests();
        more.insert(place, [0xEE; 48]);
        for source in [LogSource::Td, LogSource::Tpm] {
            let found = comparison(source, &more);
            assert_eq!(found, (Outcome::More, Confirmation::Refuted), "{place}");
        }
    }
}

#[test]
fn a_missing_or_misplaced_event_refutes_a_prediction() {
    let mut missing = digests();
    missing.remove(0);
    let mut swapped = digests();
    swapped.swap(0, 1);
    for source in [LogSource::Td, LogSource::Tpm] {
        for digests in [&missing, &swapped] {
            let found = comparison(source, digests);
            assert_eq!(found, (Outcome::Differs, Confirmation::Refuted));
        }
    }
}

#[test]
fn an_event_that_the_host_decides_does_not_confirm() {
    let mut expected = expected();
    expected[3].digest = None;
    let boot = boot(LogSource::Tpm, &digests());
    let comparison = compare(&expected, &boot, &[Register::Rtmr1]).remove(0);
    assert_eq!(confirms(&comparison, LogSource::Tpm), Confirmation::Open);
    let left = comparison
        .lines
        .iter()
        .filter(|l| matches!(l, Line::LeftToTheHost(_)));
    assert_eq!(left.count(), 1);
}
