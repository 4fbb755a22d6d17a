//! NVIDIA's two services: reference integrity manifests (RIM) of drivers and firmware, and revocation (OCSP).
//!
//! A manifest's name follows from the device's signed report. Of a device's five
//! certificates the OCSP responder is done about the three between leaf and root: the device makes the leaf
//! itself, and the root is pinned.

mod device;
mod folder;
mod names;
mod ocsp;
mod rim;
mod signers;

use ring::rand::{SecureRandom, SystemRandom};

use crate::{CollateralSource, FetchError};
use attest_core::NvidiaCollateral;
use attest_core::nvidia::UnverifiedDevice;
use device::Device;
use names::ManifestName;

pub use folder::{RimFolder, RimFolderError};
pub use ocsp::{NVIDIA_OCSP, NvidiaOcsp, ocsp_request};
pub use rim::{NVIDIA_RIM, NvidiaRim};

/// Which certificates of a chain, leaf first, NVIDIA can revoke.
const REVOCABLE: std::ops::RangeInclusive<usize> = 1..=3;

/// Both services.
#[derive(Clone, Debug)]
pub struct Nvidia {
    rim: NvidiaRim,
    ocsp: NvidiaOcsp,
    /// The root of the manifests' signers, DER, if the OCSP responder is done about them too.
    signers_root: Option<Vec<u8>>,
}

impl Nvidia {
    /// Manifests from `rim`, revocation from `ocsp`.
    pub fn new(rim: NvidiaRim, ocsp: NvidiaOcsp) -> Self {
        Self {
            rim,
            ocsp,
            signers_root: None,
        }
    }

    /// The same, with OCSP responses about the certificates of manifests' signers too. `root` (DER) is the pinned
    /// one that they lead to: a manifest may leave it out, and it issued one of those certificates.
    pub fn with_manifest_signers(self, root: &[u8]) -> Self {
        Self {
            signers_root: Some(root.to_vec()),
            ..self
        }
    }

    async fn fetch_manifests(&self, devices: &[Device]) -> Result<Vec<Vec<u8>>, FetchError> {
        let names = distinct_names(devices)?;
        let mut manifests = Vec::with_capacity(names.len());
        for name in names {
            manifests.push(self.rim.fetch(&name).await?);
        }
        Ok(manifests)
    }

    /// One response per certificate, even if several devices share it.
    async fn ocsp_responses(
        &self,
        devices: &[Device],
        manifests: &[Vec<u8>],
    ) -> Result<Vec<Vec<u8>>, FetchError> {
        let mut done: Vec<&[u8]> = Vec::new();
        let mut responses = Vec::new();
        let signers = match &self.signers_root {
            Some(root) => signers::revocable(manifests, root),
            None => Vec::new(),
        };
        let of_signers = signers.iter().map(|(it, issuer)| (&it[..], &issuer[..]));
        let of_devices = devices.iter().flat_map(Device::revocable);
        for (certificate, issuer) in of_devices.chain(of_signers) {
            if done.contains(&certificate) {
                continue;
            }
            done.push(certificate);
            let nonce = fresh_nonce()?;
            responses.push(self.ocsp.fetch(certificate, issuer, &nonce).await?);
        }
        Ok(responses)
    }
}

fn read(devices: &[UnverifiedDevice]) -> Result<Vec<Device>, FetchError> {
    devices.iter().map(Device::read).collect()
}

fn distinct_names(devices: &[Device]) -> Result<Vec<ManifestName>, FetchError> {
    let mut names = Vec::new();
    for device in devices {
        for name in device.manifests()? {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    Ok(names)
}

/// Every field that decides which manifests are fetched for these devices.
pub(crate) fn manifests_cache_key(devices: &[UnverifiedDevice]) -> Result<Vec<u8>, FetchError> {
    let names = distinct_names(&read(devices)?)?;
    let lines = names.iter().flat_map(|name| [name.id.as_bytes(), b"\n"]);
    Ok(lines.collect::<Vec<_>>().concat())
}

/// Every field that decides which OCSP responses are fetched for these devices.
pub(crate) fn revocation_cache_key(devices: &[UnverifiedDevice]) -> Result<Vec<u8>, FetchError> {
    let devices = read(devices)?;
    let pairs = devices.iter().flat_map(Device::revocable);
    Ok(pairs
        .flat_map(|(certificate, issuer)| [certificate, issuer])
        .collect::<Vec<_>>()
        .concat())
}

fn fresh_nonce() -> Result<[u8; 32], FetchError> {
    let mut nonce = [0; 32];
    SystemRandom::new()
        .fill(&mut nonce)
        .map_err(|_| FetchError::Randomness)?;
    Ok(nonce)
}

impl CollateralSource for Nvidia {
    async fn manifests(
        &self,
        devices: &[UnverifiedDevice],
    ) -> Result<NvidiaCollateral, FetchError> {
        Ok(NvidiaCollateral {
            rims: self.fetch_manifests(&read(devices)?).await?,
            ocsp: Vec::new(),
        })
    }

    /// The nonces of the OCSP requests are not kept: verifiers of the responses check their age.
    async fn revocation(
        &self,
        devices: &[UnverifiedDevice],
    ) -> Result<NvidiaCollateral, FetchError> {
        Ok(NvidiaCollateral {
            rims: Vec::new(),
            ocsp: self.ocsp_responses(&read(devices)?, &[]).await?,
        })
    }

    /// Both, with the responses about signers if those are enabled.
    async fn nvidia(&self, devices: &[UnverifiedDevice]) -> Result<NvidiaCollateral, FetchError> {
        let devices = read(devices)?;
        let rims = self.fetch_manifests(&devices).await?;
        let ocsp = self.ocsp_responses(&devices, &rims).await?;
        Ok(NvidiaCollateral { rims, ocsp })
    }
}
