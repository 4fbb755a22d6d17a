//! Replaying a log against the registers of a quote.
//!
//! An RTMR starts at zero and each event makes it SHA-384(old value ‖ digest).

use super::error::EventLogError;
use super::event::{LoggedEvent, Register};
use super::log::{EventLog, LogFormat};
use super::{DigestBound, Sha384, sha384};

/// A log that led to the registers it was verified against, and in which every payload that its
/// type says is hashed hashes to its digest.
///
/// It is worth what the registers are worth: take them from a quote whose verdict is good. It holds
/// the events of the registers that were compared, and no others.
///
/// ```compile_fail
/// // Only EventLog::verify says what is in one.
/// fn forge(log: &mut attest_core::event_log::ReplayedLog) {
///     log.events.clear();
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayedLog {
    format: LogFormat,
    covered: Vec<Register>,
    events: Vec<LoggedEvent>,
}

impl EventLog {
    /// Compares the log with all four registers of a quote.
    pub fn verify(&self, rtmrs: &[Sha384; 4]) -> Result<ReplayedLog, EventLogError> {
        self.verify_registers(rtmrs, &Register::ALL)
    }

    /// Compares the log with some of the registers, where the others are compared by other means: a
    /// dstack guest's evidence may carry the log of RTMR3 alone. Events of the other registers are
    /// neither compared nor kept.
    pub fn verify_registers(
        &self,
        rtmrs: &[Sha384; 4],
        registers: &[Register],
    ) -> Result<ReplayedLog, EventLogError> {
        let mut covered = registers.to_vec();
        covered.sort_unstable();
        covered.dedup();
        let events: Vec<_> = self
            .claimed_events()
            .iter()
            .filter(|event| event.register.is_some_and(|of| covered.contains(&of)))
            .collect();
        payloads_are_the_hashed_ones(&events)?;
        for register in &covered {
            let replayed = replay(&events, *register);
            let quoted = rtmrs[register.number()];
            if replayed != quoted {
                return Err(EventLogError::RegisterMismatch {
                    register: *register,
                    replayed,
                    quoted,
                });
            }
        }
        Ok(ReplayedLog {
            format: self.format(),
            covered,
            events: events.into_iter().cloned().collect(),
        })
    }

    /// Where the log leads, for reporting.
    pub fn replay(&self) -> [Sha384; 4] {
        let events: Vec<_> = self.claimed_events().iter().collect();
        Register::ALL.map(|register| replay(&events, register))
    }
}

fn payloads_are_the_hashed_ones(events: &[&LoggedEvent]) -> Result<(), EventLogError> {
    match events
        .iter()
        .find(|event| event.bound == DigestBound::Mismatch)
    {
        None => Ok(()),
        Some(event) => Err(EventLogError::PayloadMismatch {
            event: event.position,
            event_type: event.event_type,
        }),
    }
}

fn replay(events: &[&LoggedEvent], register: Register) -> Sha384 {
    events
        .iter()
        .filter(|event| event.register == Some(register))
        .fold([0; 48], |value, event| sha384(&[&value, &event.digest]))
}

impl ReplayedLog {
    /// How the log was written.
    pub const fn format(&self) -> LogFormat {
        self.format
    }

    /// The registers that were compared, in order.
    pub fn covered(&self) -> &[Register] {
        &self.covered
    }

    /// The events that extended the compared registers, in the log's order. Each register was
    /// extended in this order; how events of different registers lie in time is the log's claim.
    pub fn events(&self) -> &[LoggedEvent] {
        &self.events
    }

    /// The events of one register.
    pub fn events_of(&self, register: Register) -> impl Iterator<Item = &LoggedEvent> {
        self.events
            .iter()
            .filter(move |event| event.register == Some(register))
    }

    /// The first event that extended a register with this digest: the surest way to ask whether
    /// something was measured, since it relies on no label.
    pub fn event_with_digest(&self, register: Register, digest: &Sha384) -> Option<&LoggedEvent> {
        self.events_of(register)
            .find(|event| event.digest == *digest)
    }
}
