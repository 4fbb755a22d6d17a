//! Event logs: what went into a TD's four runtime measurement registers, event by event.
//!
//! A quote carries RTMR0 to RTMR3, each the end of a chain of SHA-384 extensions. A log claims to be
//! the links. Two formats are read: the CCEL area (TCG PC Client Platform Firmware Profile 1.05, the
//! crypto-agile log, as UEFI 2.10 §38 and the ACPI table `CCEL` carry it) and dstack's JSON array.
//!
//! ```text
//! bytes → EventLog (claims) → verify(the quote's registers) → ReplayedLog (facts about that quote)
//! ```
//!
//! [`EventLog::verify`] refuses a log whose payload does not hash to its digest where the format says
//! that it does, and one whose digests do not replay to the registers. What it does *not* prove:
//! that the registers come from genuine hardware (that is the quote's verdict), nor anything about
//! bytes no digest covers. Most digests of firmware events cover something the log does not hold (a
//! boot loader, an ACPI table), and **no TCG digest covers the event's type**: the sender of a
//! log may relabel its events. Hence [`LoggedEvent::bound_payload`], which yields the covered bytes
//! and nothing else, and hence the lookups of [`ReplayedLog`], which say what they rely on. dstack's
//! runtime events are better made: their digest covers type, name and payload.
//!
//! ```
//! use attest_core::event_log::{EventLog, EventLogError, Register};
//! let log = EventLog::parse(b"[]").unwrap();
//! assert!(log.verify(&[[0; 48]; 4]).is_ok());
//!
//! let quoted = [[0; 48], [7; 48], [0; 48], [0; 48]];
//! let refused = log.verify(&quoted).unwrap_err();
//! assert_eq!(refused, EventLogError::RegisterMismatch {
//!     register: Register::Rtmr1,
//!     replayed: [0; 48],
//!     quoted: [7; 48],
//! });
//! ```

mod binding;
mod ccel;
mod dstack;
mod error;
mod event;
mod event_type;
mod log;
mod lookup;
mod replay;
mod spec_id;
mod variable;

pub use binding::DigestBound;
pub use ccel::trim_ccel;
pub use error::{CcelError, DstackError, EventLogError, LookupError};
pub use event::{LoggedEvent, Register};
pub use event_type::EventType;
pub use log::{EventLog, LogFormat, MAX_LOG_LEN};
pub use lookup::{FirmwareVariable, SecureBoot, SystemEvent};
pub use replay::ReplayedLog;
pub use variable::UefiVariable;

/// A SHA-384 digest or the value of a register.
pub type Sha384 = [u8; 48];

fn sha384(parts: &[&[u8]]) -> Sha384 {
    let mut context = ring::digest::Context::new(&ring::digest::SHA384);
    for part in parts {
        context.update(part);
    }
    let digest = context.finish();
    digest
        .as_ref()
        .try_into()
        .expect("SHA-384 has 48 bytes of output")
}
