//! A log as it was handed over: parsed, each digest compared with its payload, nothing replayed yet.

use super::error::EventLogError;
use super::event::LoggedEvent;
use super::{ccel, dstack};
use crate::encoding::parse_base64;

/// The most a log may weigh: the largest CCEL area seen.
pub const MAX_LOG_LEN: usize = 1 << 20;

/// How a log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// The CCEL area, TCG crypto-agile.
    Ccel,
    /// dstack's JSON.
    Dstack,
}

/// A log that was not compared with registers that hardware signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLog {
    format: LogFormat,
    events: Vec<LoggedEvent>,
}

impl EventLog {
    /// Reads a log of either format. They cannot be taken for each other: JSON begins with a
    /// bracket or white space, a CCEL area with a register index.
    pub fn parse(bytes: &[u8]) -> Result<Self, EventLogError> {
        match bytes.first() {
            Some(b'[' | b' ' | b'\t' | b'\r' | b'\n') => Self::from_dstack(bytes),
            _ => Self::from_ccel(bytes),
        }
    }

    /// Reads a log as a report carries it: base64 of either format.
    pub fn parse_base64(text: &str) -> Result<Self, EventLogError> {
        Self::parse(&parse_base64(text, MAX_LOG_LEN)?)
    }

    /// Reads a CCEL area, whole or trimmed.
    pub fn from_ccel(area: &[u8]) -> Result<Self, EventLogError> {
        Ok(Self::new(LogFormat::Ccel, ccel::parse(area)?))
    }

    /// Reads a dstack log: the JSON array, not the string that its API wraps it in.
    pub fn from_dstack(json: &[u8]) -> Result<Self, EventLogError> {
        Ok(Self::new(LogFormat::Dstack, dstack::parse(json)?))
    }

    const fn new(format: LogFormat, events: Vec<LoggedEvent>) -> Self {
        Self { format, events }
    }

    /// How it was written.
    pub const fn format(&self) -> LogFormat {
        self.format
    }

    /// What it claims, event by event, for reporting.
    pub fn claimed_events(&self) -> &[LoggedEvent] {
        &self.events
    }
}
