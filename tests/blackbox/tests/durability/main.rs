//! What the shipped, fully hardened program has stored on disk once it has answered.

mod answered;
mod changed_log;
mod damaged;
mod failing;
mod place;
mod usage;
