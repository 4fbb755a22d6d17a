//! A mock NVIDIA: device certificates, measurement reports, reference manifests and OCSP responses in
//! the real formats, every byte following from a seed and a time.
//!
//! It proves nothing about any hardware. Its two roots, one for devices and one for manifests, are not
//! NVIDIA's, and a verifier accepts them only when it is handed them.

mod certificates;
mod chain;
mod chip;
pub mod evidence;
pub mod knobs;
pub mod manifest;
pub mod node;
pub mod ocsp;
mod xml;

use certificates::{Issued, Template, ca_extensions, issue, leaf_extensions, name};
pub use chain::Device;
pub use chip::{Chip, Source};
use evidence::Evidence;
use knobs::{DeviceKnobs, ManifestKnobs, Signer, Windows};
use manifest::Manifest;

use crate::amd::keys::P384Key;
use crate::der::{pem, printable, utf8};

/// The roots of one seed and what they vouch for, at one time.
#[derive(Clone)]
pub struct MockNvidia {
    seed: [u8; 32],
    now: u64,
    device_root: Issued,
    manifest_root: Issued,
}

impl MockNvidia {
    pub fn new(seed: &[u8; 32], now: u64) -> Self {
        Self {
            seed: *seed,
            now,
            device_root: chain::root(seed, Signer::Rightful, None),
            manifest_root: manifest_root(seed, Signer::Rightful),
        }
    }

    /// The root of devices, DER.
    pub fn device_root(&self) -> &[u8] {
        &self.device_root.der
    }

    pub fn device_root_pem(&self) -> String {
        pem("CERTIFICATE", &self.device_root.der)
    }

    /// The root of manifests, DER.
    pub fn manifest_root(&self) -> &[u8] {
        &self.manifest_root.der
    }

    pub fn manifest_root_pem(&self) -> String {
        pem("CERTIFICATE", &self.manifest_root.der)
    }

    /// The device called `label`.
    pub fn device(&self, chip: Chip, label: &str, knobs: DeviceKnobs) -> Device {
        Device::make(&self.seed, self.now, chip, label, knobs)
    }

    /// A healthy device.
    pub fn healthy(&self, chip: Chip, label: &str) -> Device {
        self.device(chip, label, DeviceKnobs::default())
    }

    /// A device's evidence, healthy, before it is signed.
    pub fn evidence(&self, device: &Device, nonce: &[u8; 32]) -> Evidence {
        Evidence::healthy(device, nonce)
    }

    /// The manifest for what healthy devices of this kind run, before it is signed.
    pub fn manifest(&self, chip: Chip, source: Source) -> Manifest {
        Manifest::published(chip, source)
    }

    /// The XML of a signed manifest.
    pub fn sign(&self, manifest: &Manifest, knobs: &ManifestKnobs) -> String {
        xml::signed(manifest, &self.manifest_signer(knobs), knobs)
    }

    /// Leaf, intermediate, the CA of the chip's manifests, root.
    fn manifest_signer(&self, knobs: &ManifestKnobs) -> [Issued; 4] {
        let seed = &self.seed;
        let root = match knobs.root {
            Signer::Rightful => self.manifest_root.clone(),
            Signer::Impostor => manifest_root(seed, Signer::Impostor),
        };
        let middle = |label: &str, issuer: &Issued, authority| {
            issue(
                &Template {
                    name: name(&[(3, utf8(label)), (10, utf8(certificates::ORGANISATION))]),
                    serial: certificates::serial(seed, label),
                    dates: certificates::LONG,
                    extensions: ca_extensions(
                        &P384Key::derive(seed, label),
                        &issuer.key,
                        authority,
                    ),
                },
                P384Key::derive(seed, label),
                issuer,
                &issuer.key,
            )
        };
        let ca = middle("NVIDIA Reference Value GH100 CA", &root, true);
        let l3 = middle(
            "NVIDIA Reference Value L3 GH100 001",
            &ca,
            !knobs.intermediate_says_not,
        );
        let key = P384Key::derive(seed, "manifest signer");
        let impostor = P384Key::derive(seed, "impostor manifest signer");
        let certified_by = match knobs.certified_by {
            Signer::Rightful => &l3.key,
            Signer::Impostor => &impostor,
        };
        let leaf = issue(
            &Template {
                name: name(&[
                    (6, printable("ZZ")),
                    (10, utf8(certificates::ORGANISATION)),
                    (3, utf8("HCC RIM L4 Signer")),
                ]),
                serial: certificates::serial(seed, "manifest signer"),
                dates: knobs.signer_dates.two_years_around(self.now),
                extensions: leaf_extensions(&key, &l3.key),
            },
            key,
            &l3,
            certified_by,
        );
        [leaf, l3, ca, root]
    }
}

fn manifest_root(seed: &[u8; 32], whose: Signer) -> Issued {
    const LABEL: &str = "NVIDIA CoRIM signing Root CA";
    let key = match whose {
        Signer::Rightful => P384Key::derive(seed, LABEL),
        Signer::Impostor => P384Key::derive(seed, "impostor manifest root"),
    };
    let name = name(&[
        (6, printable("ZZ")),
        (10, utf8(certificates::ORGANISATION)),
        (3, utf8(LABEL)),
    ]);
    certificates::self_signed(
        name,
        certificates::serial(seed, LABEL),
        certificates::LONG,
        key,
    )
}
