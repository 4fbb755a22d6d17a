//! A predicted event of a launch, with the inputs that it follows from.

use attest_core::event_log::{EventType, Register};

use crate::hash::{Sha384, sha384};

/// The input that a predicted value follows from, and so who can change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The image: kernel, command line, initial file system.
    Image,
    /// The firmware file.
    Firmware,
    /// A constant of a specification.
    Fixed,
    /// The launch profile's description of the machine, captured tables included: the value is right on hosts that
    /// launch it exactly so.
    Profile,
    /// The host. The value cannot be predicted; only an event log has it.
    Host,
}

impl Origin {
    /// A word for tables and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Firmware => "firmware",
            Self::Fixed => "fixed",
            Self::Profile => "profile",
            Self::Host => "host",
        }
    }
}

/// One extension of a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedEvent {
    /// The register that is extended.
    pub register: Register,
    /// The type that the log will state. No digest covers it.
    pub event_type: EventType,
    /// The digest that the register is extended with; `None` if the host decides it.
    pub digest: Option<Sha384>,
    /// A description of what was hashed.
    pub what: String,
    /// What the digest follows from.
    pub origin: Origin,
}

impl ExpectedEvent {
    pub(crate) fn new(
        register: Register,
        event_type: EventType,
        digest: Sha384,
        what: impl Into<String>,
        origin: Origin,
    ) -> Self {
        Self {
            register,
            event_type,
            digest: Some(digest),
            what: what.into(),
            origin,
        }
    }

    pub(crate) fn hashing(
        register: Register,
        event_type: EventType,
        hashed: &[u8],
        what: impl Into<String>,
        origin: Origin,
    ) -> Self {
        Self::new(register, event_type, sha384(&[hashed]), what, origin)
    }

    pub(crate) fn left_to_the_host(
        register: Register,
        event_type: EventType,
        what: impl Into<String>,
    ) -> Self {
        Self {
            register,
            event_type,
            digest: None,
            what: what.into(),
            origin: Origin::Host,
        }
    }
}

/// The value of a register that starts at zero, after these events. `None` if the host decides one of them.
///
/// ```
/// use attest_core::event_log::Register;
/// assert_eq!(attest_measure::register_value(&[], Register::Rtmr1), Some([0; 48]));
/// ```
pub fn register_value(events: &[ExpectedEvent], register: Register) -> Option<Sha384> {
    events
        .iter()
        .filter(|event| event.register == register)
        .try_fold([0; 48], |value, event| {
            Some(sha384(&[&value, &event.digest?]))
        })
}
