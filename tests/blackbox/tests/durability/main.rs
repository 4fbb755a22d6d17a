//! What the program that is shipped, with all its hardening, has on the disk after it has answered.

mod answered;
mod damaged;
mod failing;
mod place;
mod usage;
