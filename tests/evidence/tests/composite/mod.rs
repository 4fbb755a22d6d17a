//! Parts of the suite, each with one subject.

mod event_log;
mod known_endorsements;
mod machine;
mod manifests;
mod snp;
