//! Second opinions: what other people's libraries make of the evidence that `attest-core` judges.
//!
//! `tdx-quote` parses TDX quotes and checks the signatures inside them, `sev` does so for SNP reports.
//! Neither decides anything here or anywhere else: where they differ from us, one of us is wrong, and a
//! test says who. This crate is published nowhere and linked into nothing (`tests/layering`).

pub mod bundles;
pub mod dcap;
pub mod snp;
pub mod subjects;
pub mod tdx;
