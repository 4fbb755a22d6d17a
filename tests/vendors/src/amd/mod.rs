//! A mock AMD: root and signing keys, endorsement keys, reports, certificate tables and revocation
//! lists in the real formats.
//!
//! It proves nothing about any hardware. Its root is not AMD's, and a verifier accepts it only when
//! it is handed that root. The RSA authorities are the fixed keys in `keys/` (ring signs with RSA
//! keys but makes none) and their PSS signatures are salted at random, as the standard wants;
//! endorsement keys, chip ids and report signatures follow from the seed.

mod authority;
mod crl;
pub mod keys;
pub mod knobs;
pub mod report;
pub mod tables;
mod tcb;
mod vek;

use authority::Authority;
use keys::P384Key;
use knobs::{EndorsementKey, Knobs, Processor, ReportSigner};
use report::GuestReport;
pub use tcb::SecurityVersions;

use crate::intel::keys::derive_bytes;

/// One machine of the mock hierarchy, at one time.
#[derive(Clone)]
pub struct MockAmd {
    ark: Vec<u8>,
    ask: Vec<u8>,
    vek: Vec<u8>,
    vek_key: P384Key,
    impostor: P384Key,
    chip_id: [u8; 64],
    knobs: Knobs,
    now: u64,
}

impl MockAmd {
    pub fn new(seed: &[u8; 32], knobs: Knobs, now: u64) -> Self {
        let chip_id = chip_id(seed, knobs.processor);
        let vek_key = P384Key::derive(seed, knobs.key.common_name());
        let hierarchy = Authority::of(&knobs, now);
        Self {
            ark: hierarchy.ark(),
            ask: hierarchy.ask(),
            vek: vek::certificate(&hierarchy, &vek_key, &chip_id),
            impostor: P384Key::derive(seed, "impostor endorsement key"),
            vek_key,
            chip_id,
            knobs,
            now,
        }
    }

    /// A healthy machine.
    pub fn healthy(seed: &[u8; 32], processor: Processor, key: EndorsementKey, now: u64) -> Self {
        Self::new(seed, Knobs::healthy(processor, key), now)
    }

    /// The root key's certificate, DER: what a verifier has to be handed.
    pub fn ark(&self) -> &[u8] {
        &self.ark
    }

    /// The certificate of the ASK, or of the ASVK for a loaded key, DER.
    pub fn ask(&self) -> &[u8] {
        &self.ask
    }

    /// The endorsement key's certificate, DER.
    pub fn vek(&self) -> &[u8] {
        &self.vek
    }

    pub fn knobs(&self) -> &Knobs {
        &self.knobs
    }

    pub fn chip_id(&self) -> &[u8; 64] {
        &self.chip_id
    }

    /// A revocation list as the knobs want it.
    pub fn crl(&self) -> Vec<u8> {
        crl::crl(&self.knobs, self.now)
    }

    /// What the firmware says of a healthy guest called `name`, before it is signed.
    pub fn guest(&self, name: &str, report_data: &[u8; 64]) -> GuestReport {
        GuestReport::healthy(&self.knobs, &self.chip_id, name, report_data)
    }

    /// The 1184 bytes of a signed report.
    pub fn sign(&self, report: &GuestReport) -> Vec<u8> {
        let signed = report.signed_part();
        let signer = match self.knobs.report_signer {
            ReportSigner::Endorsed => &self.vek_key,
            ReportSigner::Impostor => &self.impostor,
        };
        let signature =
            report::signature_field(&signer.sign_raw(&signed), self.knobs.signature_field);
        [&signed[..], &signature].concat()
    }

    /// A signed report about a healthy guest.
    pub fn report(&self, name: &str, report_data: &[u8; 64]) -> Vec<u8> {
        self.sign(&self.guest(name, report_data))
    }

    /// The certificate table that the host hands out beside a report: endorsement key, signing key
    /// and root.
    pub fn certificate_table(&self) -> Vec<u8> {
        let vek = match self.knobs.key {
            EndorsementKey::Vcek => tables::VCEK,
            EndorsementKey::Vlek => tables::VLEK,
        };
        tables::certificate_table(&[
            (vek, &self.vek),
            (tables::ASK, &self.ask),
            (tables::ARK, &self.ark),
        ])
    }
}

/// 64 bytes; on Turin eight and zeros.
fn chip_id(seed: &[u8; 32], processor: Processor) -> [u8; 64] {
    let halves = [
        derive_bytes(seed, "chip id"),
        derive_bytes(seed, "chip id, second half"),
    ];
    let mut id = [0; 64];
    for (to, from) in id
        .iter_mut()
        .zip(halves.concat())
        .take(processor.hwid_len())
    {
        *to = from;
    }
    id
}
