//! NVIDIA's two services: manifests of what drivers and firmware measure, and revocation.
//!
//! Manifests are found by names that the device's own signed report spells. Of a device's five
//! certificates the three between leaf and root are asked about: the leaf the device makes itself,
//! the root is pinned.

mod device;
mod names;
mod ocsp;
mod rim;

use attest_core::NvidiaCollateral;
use attest_core::nvidia::UnverifiedDevice;
use ring::rand::{SecureRandom, SystemRandom};

use crate::{CollateralSource, FetchError};
use device::Device;

pub use ocsp::{NVIDIA_OCSP, NvidiaOcsp, ocsp_request};
pub use rim::{NVIDIA_RIM, NvidiaRim};

/// Which certificates of a chain, leaf first, NVIDIA can revoke.
const REVOCABLE: std::ops::RangeInclusive<usize> = 1..=3;

/// Both services.
#[derive(Clone, Debug)]
pub struct Nvidia {
    rim: NvidiaRim,
    ocsp: NvidiaOcsp,
}

impl Nvidia {
    /// Manifests from one, revocation from the other.
    pub fn new(rim: NvidiaRim, ocsp: NvidiaOcsp) -> Self {
        Self { rim, ocsp }
    }

    async fn manifests(&self, devices: &[Device]) -> Result<Vec<Vec<u8>>, FetchError> {
        let mut names = Vec::new();
        for device in devices {
            for name in device.manifests()? {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        let mut manifests = Vec::with_capacity(names.len());
        for name in names {
            manifests.push(self.rim.named(&name).await?);
        }
        Ok(manifests)
    }

    /// Each certificate once, however many devices it stands above.
    async fn answers(&self, devices: &[Device]) -> Result<Vec<Vec<u8>>, FetchError> {
        let mut asked: Vec<&[u8]> = Vec::new();
        let mut answers = Vec::new();
        for (certificate, issuer) in devices.iter().flat_map(Device::revocable) {
            if asked.contains(&certificate) {
                continue;
            }
            asked.push(certificate);
            let nonce = fresh_nonce()?;
            answers.push(self.ocsp.ask(certificate, issuer, &nonce).await?);
        }
        Ok(answers)
    }
}

/// Everything that decides what is fetched for these devices.
pub(crate) fn question(devices: &[UnverifiedDevice]) -> Result<Vec<u8>, FetchError> {
    let mut question = Vec::new();
    for device in devices {
        let device = Device::read(device)?;
        for name in device.manifests()? {
            question.extend([name.id.as_bytes(), b"\n"].concat());
        }
        for (certificate, issuer) in device.revocable() {
            question.extend([certificate, issuer].concat());
        }
    }
    Ok(question)
}

fn fresh_nonce() -> Result<[u8; 32], FetchError> {
    let mut nonce = [0; 32];
    SystemRandom::new()
        .fill(&mut nonce)
        .map_err(|_| FetchError::Randomness)?;
    Ok(nonce)
}

impl CollateralSource for Nvidia {
    /// The nonces of the OCSP requests are not kept: who judges the answers judges their age.
    async fn nvidia(&self, devices: &[UnverifiedDevice]) -> Result<NvidiaCollateral, FetchError> {
        let devices: Vec<Device> = devices.iter().map(Device::read).collect::<Result<_, _>>()?;
        Ok(NvidiaCollateral {
            rims: self.manifests(&devices).await?,
            ocsp: self.answers(&devices).await?,
        })
    }
}
