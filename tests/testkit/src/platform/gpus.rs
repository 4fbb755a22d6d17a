//! The GPUs of a software machine, and what their vendor publishes about them.

use attest_core::NvidiaCollateral;
use attest_core::nvidia::{DeviceKind, UnverifiedDevice};

use super::fault::Fault;
use crate::nvidia::evidence::Evidence;
use crate::nvidia::knobs::{ManifestKnobs, Signer};
use crate::nvidia::ocsp::OcspKnobs;
use crate::nvidia::{Chip, Device, MockNvidia, Source};

const CHIP: Chip = Chip::Hopper;
/// Measurement blocks that a driver's and a firmware's manifest speak for.
const DRIVER_INDEX: u8 = 7;
const FIRMWARE_INDEX: u8 = 0;

/// All GPUs of one machine.
pub(super) struct Gpus {
    nvidia: MockNvidia,
    devices: Vec<Device>,
    /// Of another machine.
    stranger: Device,
}

impl Gpus {
    pub fn new(nvidia: MockNvidia, machine: &str, count: usize) -> Self {
        let gpu = |machine: &str, place| nvidia.healthy(CHIP, &format!("{machine}/{place}"));
        Self {
            devices: (0..count).map(|place| gpu(machine, place)).collect(),
            stranger: gpu("another machine", 0),
            nvidia,
        }
    }

    /// What the driver hands out for this nonce.
    pub fn answer(&self, nonce: &[u8; 32], fault: Option<Fault>) -> Vec<UnverifiedDevice> {
        let mut nonce = *nonce;
        if fault == Some(Fault::OtherNonce) {
            nonce[0] ^= 1;
        }
        let mut shown: Vec<_> = self
            .devices
            .iter()
            .map(|device| shown(device, device.report(&nonce)))
            .collect();
        let last = shown.len().saturating_sub(1);
        match fault {
            Some(Fault::MissingGpu) => drop(shown.pop()),
            Some(Fault::DoubledGpu) => shown[last] = shown[0].clone(),
            Some(Fault::SplicedGpu) => {
                shown[last] = self::shown(&self.stranger, self.stranger.report(&[0x5A; 32]));
            }
            Some(Fault::DevTools) => {
                let mut evidence = Evidence::healthy(&self.devices[0], &nonce);
                evidence.measured(DRIVER_INDEX).value = vec![0xDE; 48];
                shown[0].evidence = self.devices[0].sign(&evidence);
            }
            _ => {}
        }
        shown
    }

    /// Manifests of driver and firmware, and a good answer about every certificate.
    pub fn collateral(&self, fault: Option<Fault>) -> NvidiaCollateral {
        let driver = self.nvidia.manifest(CHIP, Source::Driver);
        let mut firmware = self.nvidia.manifest(CHIP, Source::Vbios);
        let mut knobs = ManifestKnobs::default();
        match fault {
            Some(Fault::OtherManifest) => firmware.differ_at(FIRMWARE_INDEX),
            Some(Fault::ForgedManifest) => knobs.signed_by = Signer::Impostor,
            _ => {}
        }
        let driver = self.nvidia.sign(&driver, &ManifestKnobs::default());
        let firmware = self.nvidia.sign(&firmware, &knobs);
        let good = |device, place| self.nvidia.ocsp(device, place, &OcspKnobs::good(None));
        // The stranger's certificates are as good as the others'.
        let stranger = (fault == Some(Fault::SplicedGpu)).then_some(&self.stranger);
        let chips = self.devices.iter().chain(stranger);
        let chips = chips.map(|device| good(device, 1));
        let authorities = self.devices.first().into_iter();
        let authorities = authorities.flat_map(|device| [good(device, 2), good(device, 3)]);
        NvidiaCollateral {
            rims: vec![driver.into_bytes(), firmware.into_bytes()],
            ocsp: chips.chain(authorities).collect(),
        }
    }
}

fn shown(device: &Device, evidence: Vec<u8>) -> UnverifiedDevice {
    UnverifiedDevice {
        kind: DeviceKind::Gpu,
        evidence,
        certificate_chain: device.chain_pem(),
    }
}
