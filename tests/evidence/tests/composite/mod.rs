//! Parts of the suite, each with one subject.

mod event_log;
mod machine;
mod manifests;
mod snp;
