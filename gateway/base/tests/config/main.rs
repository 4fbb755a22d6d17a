//! Configuration files: what they may contain, and how problems in them are reported.

mod hints;
mod identity;
mod prices;
mod values;
