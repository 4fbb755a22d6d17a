//! A request that a limit does not admit.

use std::time::Duration;

use super::Period;
use crate::request::Name;

/// What of a limit was exhausted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    Requests(Period),
    Tokens(Period),
    Concurrent,
}

impl Exhausted {
    /// As metrics name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Exhausted::Requests(_) => "requests",
            Exhausted::Tokens(_) => "tokens",
            Exhausted::Concurrent => "concurrent",
        }
    }
}

/// A window of requests or tokens at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateWindow {
    pub limit: u64,
    pub remaining: u64,
    /// Until nothing of it is used any more.
    pub reset: Duration,
}

/// What is left of the tightest windows, for a response's headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateState {
    pub requests: Option<RateWindow>,
    pub tokens: Option<RateWindow>,
}

/// A request was not admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitRefusal {
    /// The limit, by the id that its operator gave it.
    pub limit: Name,
    /// The kind of its scope.
    pub scope: &'static str,
    pub what: Exhausted,
    /// When the same request would be admitted, if nothing else came; for `Concurrent`, a guess.
    pub retry_after: Duration,
    pub state: RateState,
}
