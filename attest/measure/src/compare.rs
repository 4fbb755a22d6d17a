//! Compares predicted events with those of a real boot, register by register and in order.
//!
//! A boot with a TPM has a separator in each PCR, one with a TD has one in RTMR1. Those separators are listed and do
//! not refute the prediction; any other event of the log that was not predicted does.

use attest_core::event_log::Register;

use crate::expected::ExpectedEvent;
use crate::hash::sha384;
use crate::log::{BootEvent, BootLog, LogSource};

/// One line of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A predicted event that the log has, after those before it.
    Found {
        /// What was predicted.
        expected: &'a ExpectedEvent,
        /// Its place in the log, from zero.
        position: usize,
    },
    /// A predicted event that the log does not contain at this point.
    Missing(&'a ExpectedEvent),
    /// An event that the host decides: no digest to compare.
    LeftToTheHost(&'a ExpectedEvent),
    /// An event of the log that was not predicted.
    Unpredicted {
        /// What the log has.
        event: &'a BootEvent,
        /// Its place in the log, from zero.
        position: usize,
    },
}

/// A register's part of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterComparison<'a> {
    /// Which.
    pub register: Register,
    /// Line by line, in the order of boot.
    pub lines: Vec<Line<'a>>,
    /// The result.
    pub outcome: Outcome,
}

/// The result of a register's comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Both sides have the same events.
    Equal,
    /// The log contains every predicted event, in order, and more separators.
    MoreSeparators,
    /// The log contains every predicted event, in order, and others besides.
    More,
    /// A predicted event is missing, or in another place.
    Differs,
}

/// Compares these registers.
pub fn compare<'a>(
    expected: &'a [ExpectedEvent],
    log: &'a BootLog,
    registers: &[Register],
) -> Vec<RegisterComparison<'a>> {
    let one = |register: &Register| compare_register(expected, log, *register);
    registers.iter().map(one).collect()
}

/// What a comparison with a log of this kind says about the prediction.
pub fn confirms(comparison: &RegisterComparison<'_>, source: LogSource) -> Confirmation {
    let open = comparison
        .lines
        .iter()
        .any(|line| matches!(line, Line::LeftToTheHost(_)));
    match (comparison.outcome, source) {
        (Outcome::Differs, _) => Confirmation::Refuted,
        // The host's events are among those that were not predicted.
        _ if open => Confirmation::Open,
        (Outcome::Equal, _) | (Outcome::MoreSeparators, LogSource::Tpm) => Confirmation::Confirmed,
        (Outcome::MoreSeparators, LogSource::Td) | (Outcome::More, _) => Confirmation::Refuted,
    }
}

/// What a boot says about a prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// The boot measured what was predicted.
    Confirmed,
    /// The boot measured what was predicted; events that the host decides were not compared.
    Open,
    /// The boot measured something else.
    Refuted,
}

fn compare_register<'a>(
    expected: &'a [ExpectedEvent],
    log: &'a BootLog,
    register: Register,
) -> RegisterComparison<'a> {
    let of_log = log.events.iter().enumerate();
    let mut rest = of_log.filter(|(_, event)| event.register == Some(register));
    let mut lines = Vec::new();
    let mut missing = false;
    for expected in expected.iter().filter(|event| event.register == register) {
        let Some(digest) = expected.digest else {
            lines.push(Line::LeftToTheHost(expected));
            continue;
        };
        // Looked for ahead first, so that a missing event does not use up the rest of the log.
        let mut ahead = rest.clone();
        if !ahead.any(|(_, event)| event.digest == digest) {
            lines.push(Line::Missing(expected));
            missing = true;
            continue;
        }
        for (position, event) in rest.by_ref() {
            if event.digest == digest {
                lines.push(Line::Found { expected, position });
                break;
            }
            lines.push(Line::Unpredicted { event, position });
        }
    }
    lines.extend(rest.map(|(position, event)| Line::Unpredicted { event, position }));
    let outcome = match (missing, unpredicted(&lines)) {
        (true, _) => Outcome::Differs,
        (false, outcome) => outcome,
    };
    RegisterComparison {
        register,
        lines,
        outcome,
    }
}

/// The result as far as it depends on events that were not predicted.
fn unpredicted(lines: &[Line<'_>]) -> Outcome {
    let separator = sha384(&[&[0; 4]]);
    let mut outcome = Outcome::Equal;
    for line in lines {
        match line {
            Line::Unpredicted { event, .. } if event.digest != separator => return Outcome::More,
            Line::Unpredicted { .. } => outcome = Outcome::MoreSeparators,
            Line::Found { .. } | Line::Missing(_) | Line::LeftToTheHost(_) => {}
        }
    }
    outcome
}
