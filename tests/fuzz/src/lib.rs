//! The mutation driver and the seeds. Targets are in `targets/`, libFuzzer in `libfuzzer/`.

pub mod bundle;
pub mod driver;
pub mod mutate;
pub mod recorded;
pub mod seeds;
