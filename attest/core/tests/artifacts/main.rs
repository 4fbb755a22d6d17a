//! The ACI/1 artifacts and the profile `sealgate/1`, through the public interface only.

mod bit_flips;
mod documented;
mod encodings;
mod error_names;
mod fixtures;
mod keys;
mod limits;
mod log;
mod logged_receipts;
mod properties;
mod recorded;
mod retention;
mod retention_names;
mod retention_problems;
mod second_basics;
mod second_documents;
mod second_logged;
mod second_retention;
mod second_script;
