//! `sealgate-verify log` over logs that are whole, and over logs that were cut, reordered, edited, forked and rolled
//! back: each is found, under the name of its check.

#[path = "log/heads.rs"]
mod heads;
#[path = "log/made.rs"]
mod made;
#[path = "log/replaying.rs"]
mod replaying;
#[path = "log/run.rs"]
mod run;
