//! Every bit of everything signed, flipped one at a time: nothing that differs may be accepted.
//!
//! A [`Subject`] is a run of signed bytes and a judge that puts a changed run back where it came
//! from and says whether everything was accepted. Text that carries certificates (PEM) is flipped
//! in the certificate's own bytes, since no signature covers the text's spelling. A certificate
//! that is itself the trust anchor is no subject: the one that counts is the verifier's own.

pub mod collateral;
pub mod count;
pub mod documents;
pub mod nvidia;
pub mod pem;
pub mod recorded;
pub mod snp;
pub mod tdx;

pub use count::{Count, run};

use attest_core::UnixTime;

/// The time at which the software platforms stand.
pub const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
pub const SEED: [u8; 32] = [5; 32];

/// Says whether the given bytes are accepted in the place of the signed ones.
pub type Judge = Box<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// A run of signed bytes.
pub struct Subject {
    /// What is counted together.
    pub kind: &'static str,
    /// What of it.
    pub part: String,
    pub bytes: Vec<u8>,
    pub accepted: Judge,
}

impl Subject {
    pub fn new(
        kind: &'static str,
        part: impl Into<String>,
        bytes: Vec<u8>,
        accepted: impl Fn(&[u8]) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            kind,
            part: part.into(),
            bytes,
            accepted: Box::new(accepted),
        }
    }
}

/// Everything there is to flip on software platforms.
pub fn software() -> Vec<Subject> {
    let mut all = tdx::subjects();
    all.extend(collateral::subjects());
    all.extend(snp::subjects());
    all.extend(nvidia::subjects());
    all.extend(documents::subjects());
    all
}
