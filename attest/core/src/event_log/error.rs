//! What can be wrong with an event log. Events are counted from zero, the CCEL header not among them.

use super::event::Register;
use super::event_type::EventType;
use super::{MAX_LOG_LEN, Sha384};
use crate::encoding::EncodingError;
use crate::json::JsonError;

/// Why a log proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventLogError {
    /// A report's event log that is not base64.
    #[error("the event log is not base64: {0}")]
    Base64(#[from] EncodingError),
    /// Not a CCEL log.
    #[error("not a CCEL event log: {0}")]
    Ccel(#[from] CcelError),
    /// Not a dstack log.
    #[error("not a dstack event log: {0}")]
    Dstack(#[from] DstackError),
    /// A digest that is not the one its type prescribes for the payload beside it, or a payload that
    /// does not have its type's form.
    #[error("event {event} ({event_type}): the digest is not that of the payload")]
    PayloadMismatch {
        /// Which event.
        event: usize,
        /// Its claimed type.
        event_type: EventType,
    },
    /// The events do not lead to what the quote says.
    #[error("{register} replays to another value than the quote has")]
    RegisterMismatch {
        /// The first register that differs.
        register: Register,
        /// Where the log leads.
        replayed: Sha384,
        /// What the quote says.
        quoted: Sha384,
    },
}

/// Why bytes are not a CCEL log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CcelError {
    /// Longer than [`MAX_LOG_LEN`].
    #[error("{0} bytes are more than the {MAX_LOG_LEN} accepted")]
    TooLong(usize),
    /// The bytes end inside the header.
    #[error("it ends inside the header's {field}")]
    HeaderTruncated {
        /// Which field.
        field: &'static str,
    },
    /// The first event is not a Spec ID event of the crypto-agile format.
    #[error("the header's {field} is not that of a Spec ID event")]
    NotSpecId {
        /// Which field.
        field: &'static str,
    },
    /// More digest algorithms than anyone uses.
    #[error("the header lists {0} digest algorithms")]
    TooManyAlgorithms(u32),
    /// An algorithm listed twice, or with a size that is not its own.
    #[error("the header lists algorithm {algorithm:#06x} wrongly")]
    Algorithm {
        /// The algorithm's TCG identifier.
        algorithm: u16,
    },
    /// No SHA-384, the only digest that RTMRs are extended with.
    #[error("the header does not list SHA-384")]
    NoSha384,
    /// The bytes end inside an event.
    #[error("it ends inside event {event}, in its {field}")]
    EventTruncated {
        /// Which event.
        event: usize,
        /// Which field.
        field: &'static str,
    },
    /// An event of a register other than RTMR0 to RTMR3.
    #[error("event {event} is for measurement register {index}, which is not an RTMR")]
    Register {
        /// Which event.
        event: usize,
        /// The CC measurement register index.
        index: u32,
    },
    /// An event with another number of digests than the header lists algorithms.
    #[error("event {event} has {count} digests")]
    DigestCount {
        /// Which event.
        event: usize,
        /// How many it has.
        count: u32,
    },
    /// A digest of an algorithm that the header does not list, or that the event had already.
    #[error("event {event} has a digest of algorithm {algorithm:#06x} that it may not have")]
    Digest {
        /// Which event.
        event: usize,
        /// The algorithm's TCG identifier.
        algorithm: u16,
    },
    /// An event that extends nothing and yet has a digest.
    #[error("event {event} extends nothing and has a digest")]
    NoActionDigest {
        /// Which event.
        event: usize,
    },
    /// Bytes after the last event that are neither 0x00 nor 0xFF.
    #[error("bytes after the end of the log, at {offset}")]
    BytesAfterEnd {
        /// The first of them.
        offset: usize,
    },
}

/// Why bytes are not a dstack log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DstackError {
    /// Not strict JSON.
    #[error("{0}")]
    Json(#[from] JsonError),
    /// Not an array of objects.
    #[error("it is not an array of events")]
    NotAnArray,
    /// A member that is missing or has the wrong type or range.
    #[error("event {event}: {member} is missing or of the wrong kind")]
    Member {
        /// Which event.
        event: usize,
        /// Which member.
        member: &'static str,
    },
    /// A member that no version of the format has.
    #[error("event {event} has an unknown member")]
    UnknownMember {
        /// Which event.
        event: usize,
    },
    /// Hex that is not lowercase hex of the right length.
    #[error("event {event}: {member}: {error}")]
    Hex {
        /// Which event.
        event: usize,
        /// Which member.
        member: &'static str,
        /// What is wrong.
        error: EncodingError,
    },
    /// A register that does not exist.
    #[error("event {event} is for RTMR{imr}")]
    Register {
        /// Which event.
        event: usize,
        /// The register's number.
        imr: u64,
    },
    /// A runtime event outside RTMR3, or another event inside it: RTMR3 is where nothing but runtime
    /// events goes, so that none of them can be hidden behind another type.
    #[error("event {event} ({event_type}) does not belong in {register}")]
    WrongRegister {
        /// Which event.
        event: usize,
        /// Its claimed type.
        event_type: EventType,
        /// Where the log has it.
        register: Register,
    },
    /// A version of the runtime event's digest that is not known.
    #[error("event {event} has version {version}")]
    Version {
        /// Which event.
        event: usize,
        /// The version.
        version: u64,
    },
    /// A runtime event of version 1 with a colon in its name: the digest does not say where such a
    /// name ends and the payload begins.
    #[error("event {event} has a name that its digest does not delimit")]
    AmbiguousName {
        /// Which event.
        event: usize,
    },
    /// A stated preimage that is not what the event's fields make.
    #[error("event {event} states another preimage than its own")]
    Preimage {
        /// Which event.
        event: usize,
    },
}

/// Why a replayed log does not answer a question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No such event, or none whose digest covers what was asked for.
    #[error("the log has no {name}")]
    Absent {
        /// What was searched for.
        name: String,
    },
    /// More than one: the log does not say which counts.
    #[error("the log has {name} twice, as events {first} and {second}")]
    Repeated {
        /// What was searched for.
        name: String,
        /// The first.
        first: usize,
        /// The second.
        second: usize,
    },
    /// Written after the system was ready, when the application could write it.
    #[error("event {event} ({name}) comes after the system was ready")]
    AfterSystemReady {
        /// What was searched for.
        name: String,
        /// Which event.
        event: usize,
    },
    /// No separator ends what the firmware measured before it booted anything.
    #[error("the log does not say where the firmware's own measurements end")]
    NoSeparator,
    /// A value that means nothing.
    #[error("event {event} ({name}) has a value without a meaning")]
    Meaningless {
        /// What was searched for.
        name: String,
        /// Which event.
        event: usize,
    },
}
