//! What the crate promises: the files it takes, the values it predicts, and what it refuses.

mod comparing;
mod firmware_files;
mod images;
mod logs;
mod published;
mod recorded;
mod snp_digest;
mod support;
mod tdx_registers;
