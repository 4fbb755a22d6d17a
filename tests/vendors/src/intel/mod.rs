//! A mock Intel: certificate hierarchy, provisioning service and quoting enclave in the real
//! formats, every byte following from a seed and a time.
//!
//! It proves nothing about any hardware. Its root is not Intel's, and a verifier accepts it only
//! when it is handed that root.

pub mod calendar;
pub mod certificates;
pub mod collateral;
mod crl;
pub mod keys;
pub mod knobs;
pub mod quote;

use std::sync::{Arc, OnceLock};

use certificates::{Hierarchy, PckClaims};
use collateral::CollateralFields;
use keys::{Key, derive_bytes};
use knobs::Knobs;
use quote::Quoting;

use crate::der::pem;
use crate::measurements::TdMeasurements;

const CPU_SVN: [u8; 16] = [4, 4, 2, 2, 4, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];

/// A certificate as chains carry it.
pub fn pem_certificate(der: &[u8]) -> String {
    pem("CERTIFICATE", der)
}

/// One platform of the mock hierarchy, at one time.
#[derive(Clone)]
pub struct MockIntel {
    hierarchy: Hierarchy,
    attestation_key: Key,
    impostor: Key,
    claims: PckClaims,
    knobs: Knobs,
    now: u64,
    qe_certification: Arc<OnceLock<Vec<u8>>>,
}

impl MockIntel {
    pub fn new(seed: &[u8; 32], knobs: Knobs, now: u64) -> Self {
        let first_16 = |label| {
            derive_bytes(seed, label)[..16]
                .try_into()
                .expect("16 of 32 bytes")
        };
        let claims = PckClaims {
            ppid: first_16("ppid"),
            cpu_svn: CPU_SVN,
            components: knobs.components.unwrap_or(CPU_SVN),
            pce_svn: 13,
            pce_id: [0, 0],
            fmspc: [0x50, 0xf7, 0x0f, 0, 0, 0],
            platform_instance_id: first_16("platform instance"),
        };
        Self {
            hierarchy: Hierarchy::derive(seed, &claims, knobs.certificates),
            attestation_key: Key::derive(seed, "attestation key"),
            impostor: Key::derive(seed, "impostor"),
            claims,
            knobs,
            now,
            qe_certification: Arc::default(),
        }
    }

    pub fn root_pem(&self) -> String {
        self.hierarchy.root.pem()
    }

    pub fn root_der(&self) -> &[u8] {
        &self.hierarchy.root.der
    }

    pub fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchy
    }

    /// The key that signs this platform's quotes.
    pub fn attestation_key(&self) -> &Key {
        &self.attestation_key
    }

    pub fn claims(&self) -> &PckClaims {
        &self.claims
    }

    pub fn collateral(&self) -> CollateralFields {
        collateral::collateral(
            &self.hierarchy,
            &self.impostor,
            &self.claims,
            &self.knobs,
            self.now,
        )
    }

    pub fn quote(&self, td: &TdMeasurements, report_data: &[u8; 64]) -> Vec<u8> {
        Quoting {
            hierarchy: &self.hierarchy,
            attestation_key: &self.attestation_key,
            impostor: &self.impostor,
            cpu_svn: self.claims.cpu_svn,
            knobs: &self.knobs,
            qe_certification: &self.qe_certification,
        }
        .quote(td, report_data)
    }
}
