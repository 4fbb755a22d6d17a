//! What callers may use, and what they have used: counters in memory.
//!
//! A request takes its share before it is forwarded, by an [`Estimate`]; what it did not use is given back at its end.
//! Time is an argument of every function. Nothing in here reads a request's body, a database or a clock.

mod budgets;
mod estimate;
pub mod limits;

pub use budgets::{
    AccountState, Budgets, Expense, GrantState, Refusal, RefusalReason, RefusedBy, Remaining,
    Reservation, Settled, ThresholdPassed,
};
pub use estimate::{DEFAULT_OUTPUT, Estimate, OutputLimit};
