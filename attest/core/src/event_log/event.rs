//! One event of a log, and the register it went into.

use std::fmt;

use super::Sha384;
use super::binding::DigestBound;
use super::event_type::EventType;
use super::variable::UefiVariable;

/// A runtime measurement register of a TD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Register {
    /// Firmware configuration: TCG PCRs 1 and 7.
    Rtmr0,
    /// What the firmware boots: TCG PCRs 2 to 6.
    Rtmr1,
    /// What the boot loader and the kernel measure: TCG PCRs 8 to 15.
    Rtmr2,
    /// Free for software; dstack's runtime events.
    Rtmr3,
}

impl Register {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Rtmr0, Self::Rtmr1, Self::Rtmr2, Self::Rtmr3];

    /// 0 to 3.
    pub const fn number(self) -> usize {
        self as usize
    }

    pub(super) fn from_number(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RTMR{}", self.number())
    }
}

/// One event. Until it comes out of a [`ReplayedLog`](super::ReplayedLog), a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEvent {
    pub(super) position: usize,
    pub(super) register: Option<Register>,
    pub(super) event_type: EventType,
    pub(super) name: Option<String>,
    pub(super) digest: Sha384,
    pub(super) payload: Vec<u8>,
    pub(super) bound: DigestBound,
}

impl LoggedEvent {
    /// Its place in the log, counted from zero.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// The register it extended; none for events that only inform (`EV_NO_ACTION`).
    pub const fn register(&self) -> Option<Register> {
        self.register
    }

    /// The type the log gives it. Covered by the digest of dstack's runtime events only.
    pub const fn claimed_type(&self) -> EventType {
        self.event_type
    }

    /// The name of a dstack runtime event, which its digest covers. Nothing for other events.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What the register was extended with.
    pub const fn digest(&self) -> &Sha384 {
        &self.digest
    }

    /// What the digest covers of the payload.
    pub const fn bound(&self) -> &DigestBound {
        &self.bound
    }

    /// The payload as the log has it. For people: what is not bound may be anything.
    pub fn claimed_payload(&self) -> &[u8] {
        &self.payload
    }

    /// The part of the payload that the digest covers: exactly these bytes were measured.
    pub fn bound_payload(&self) -> Option<&[u8]> {
        match &self.bound {
            DigestBound::FromPayload => Some(&self.payload),
            DigestBound::FromPart(part) => self.payload.get(part.clone()),
            DigestBound::Opaque | DigestBound::Mismatch => None,
        }
    }

    /// The UEFI variable this event measured, if its type says so and the digest covers the
    /// variable's name as well as its value.
    pub fn uefi_variable(&self) -> Option<UefiVariable<'_>> {
        match self.bound {
            DigestBound::FromPayload if self.event_type.is_variable() => {
                UefiVariable::parse(&self.payload)
            }
            _ => None,
        }
    }
}
