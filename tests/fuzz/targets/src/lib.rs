//! What fuzzing calls: one function for each parser of `attest-core` and `jwt`, from bytes to nothing.
//!
//! A target holds if it returns: no panic, and no broken promise that the bytes could not excuse,
//! such as a document that reads back as another one. Two drivers share them: the mutation driver
//! of the crate `fuzz`, which needs a stable toolchain and nothing else, and libFuzzer in
//! `libfuzzer/`.

mod aci;
mod documents;
mod event_log;
mod grounds;
mod nvidia;
mod parts;
mod snp;
mod tdx;
mod tokens;
mod whole;

pub use aci::*;
pub use documents::*;
pub use event_log::*;
pub use grounds::{NONCE, NOW, ROOTS, SEED, SPKI};
pub use nvidia::*;
pub use parts::{join, split};
pub use snp::*;
pub use tdx::*;
pub use tokens::*;
pub use whole::*;

/// A function under attack.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: that of the function, of its seeds' folder and of its libFuzzer binary.
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub cost: Cost,
}

/// Whether an execution checks signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    Parse,
    Signatures,
}

macro_rules! targets {
    ($($name:ident: $cost:ident),* $(,)?) => {
        /// Every target.
        pub const ALL: &[Target] = &[
            $(Target { name: stringify!($name), run: $name, cost: Cost::$cost }),*
        ];
    };
}

targets! {
    tdx_quote: Parse,
    snp_report: Parse,
    snp_certificate_table: Parse,
    snp_hcl: Parse,
    snp_endorsement_key: Parse,
    snp_chain: Signatures,
    snp_revocation_list: Signatures,
    nvidia_report: Parse,
    nvidia_opaque: Parse,
    nvidia_manifest: Signatures,
    nvidia_ocsp: Signatures,
    nvidia_chain: Signatures,
    event_log_ccel: Parse,
    event_log_dstack: Parse,
    json: Parse,
    encodings: Parse,
    jwt_key_set: Parse,
    jwt_token: Signatures,
    certificates: Parse,
    policy: Parse,
    retention: Parse,
    collateral: Parse,
    aci_report: Signatures,
    aci_receipt: Signatures,
    aci_session: Parse,
    aci_keyset: Parse,
    appraise_quote: Signatures,
    appraise_snp: Signatures,
    appraise_devices: Signatures,
    appraise_report: Signatures,
}
