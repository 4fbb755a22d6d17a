//! GPUs: signed reports, device certificates, reference manifests and revocation answers.

use attest_core::nvidia::{DeviceKind, UnverifiedDevice};
use attest_core::{
    Appraiser, AttestationPolicy, Collateral, Decision, EndorsementCache, NvidiaCollateral,
    RootKind, Roots, UnixTime, Verdict,
};
use vendors::nvidia::knobs::ManifestKnobs;
use vendors::nvidia::ocsp::OcspKnobs;
use vendors::nvidia::{Chip, MockNvidia, Source};

use crate::{NOW, SEED, Subject, pem};

const KIND: &str = "NVIDIA, software";

/// A device with what it is judged by.
#[derive(Clone)]
pub struct Case {
    pub device: UnverifiedDevice,
    pub collateral: Collateral,
    pub roots: Roots,
    pub policy: AttestationPolicy,
    pub now: UnixTime,
}

impl Case {
    /// With what was found authentic before it was changed: what these flips leave alone is taken
    /// apart once, and what they change is nothing that is known.
    fn accepted(&self, known: &EndorsementCache) -> bool {
        self.judged(&mut known.clone()).decision() == Decision::Accepted
    }

    fn judged(&self, known: &mut EndorsementCache) -> Verdict {
        Appraiser {
            roots: &self.roots,
            policy: &self.policy,
            collateral: Some(&self.collateral),
            now: self.now,
        }
        .devices_with_cache(std::slice::from_ref(&self.device), None, known)
    }

    /// What appraising it unchanged finds authentic.
    fn known(&self) -> EndorsementCache {
        let mut known = EndorsementCache::default();
        self.judged(&mut known);
        known
    }

    /// The signed report and the certificates below the root.
    pub fn of_device(self, kind: &'static str, name: &str) -> Vec<Subject> {
        let chain = String::from_utf8_lossy(&self.device.certificate_chain).into_owned();
        let mut certificates = pem::certificates(&chain);
        // The root.
        certificates.pop();
        let below_root = certificates.into_iter().enumerate();
        let certified = below_root
            .map(|(place, der)| self.clone().certificate(kind, name, &chain, place, der))
            .collect::<Vec<_>>();
        let mut all = vec![self.evidence(kind, name)];
        all.extend(certified);
        all
    }

    fn evidence(self, kind: &'static str, name: &str) -> Subject {
        let known = self.known();
        let bytes = self.device.evidence.clone();
        let part = format!("{name}evidence");
        Subject::new(kind, part, bytes, move |bytes| {
            let mut changed = self.clone();
            changed.device.evidence = bytes.to_vec();
            changed.accepted(&known)
        })
    }

    fn certificate(
        self,
        kind: &'static str,
        name: &str,
        chain: &str,
        place: usize,
        der: Vec<u8>,
    ) -> Subject {
        let known = self.known();
        let part = format!("{name}device chain, certificate {place}");
        let chain = chain.to_owned();
        Subject::new(kind, part, der, move |der| {
            let mut changed = self.clone();
            changed.device.certificate_chain =
                pem::with_certificate(&chain, place, der).into_bytes();
            changed.accepted(&known)
        })
    }

    fn collateral(
        self,
        part: &'static str,
        place: fn(&mut NvidiaCollateral) -> &mut Vec<u8>,
    ) -> Subject {
        let mut of = self.collateral.nvidia.clone().unwrap_or_default();
        let bytes = place(&mut of).clone();
        let known = self.known();
        Subject::new(KIND, part, bytes, move |bytes| {
            let mut changed = self.clone();
            *place(changed.collateral.nvidia.get_or_insert_default()) = bytes.to_vec();
            changed.accepted(&known)
        })
    }
}

pub fn policy(more: &str) -> AttestationPolicy {
    AttestationPolicy::parse(&format!("name = \"flips\"\n[nvidia]\n{more}")).expect("a policy")
}

/// A Hopper GPU; manifests and answers go along only where they are what is flipped, since each
/// costs more signatures.
fn software(collateral: NvidiaCollateral, more: &str) -> Case {
    let nvidia = MockNvidia::new(&SEED, NOW.secs());
    let device = nvidia.healthy(Chip::Hopper, "flips");
    let roots = Roots::none()
        .with(RootKind::NvidiaDevice, nvidia.device_root())
        .and_then(|roots| roots.with(RootKind::NvidiaRim, nvidia.manifest_root()))
        .expect("roots");
    Case {
        device: UnverifiedDevice {
            kind: DeviceKind::Gpu,
            evidence: device.report(&[0x3c; 32]),
            certificate_chain: device.chain_pem(),
        },
        collateral: collateral.into(),
        roots,
        policy: policy(more),
        now: NOW,
    }
}

fn alone() -> Case {
    software(
        NvidiaCollateral::default(),
        "rims = \"optional\"\nocsp = \"off\"\n",
    )
}

fn with_manifests() -> Case {
    let nvidia = MockNvidia::new(&SEED, NOW.secs());
    let rims = [Source::Driver, Source::Vbios]
        .map(|source| {
            let manifest = nvidia.manifest(Chip::Hopper, source);
            nvidia
                .sign(&manifest, &ManifestKnobs::default())
                .into_bytes()
        })
        .to_vec();
    let collateral = NvidiaCollateral { rims, ocsp: vec![] };
    software(collateral, "ocsp = \"off\"\n")
}

fn with_answers() -> Case {
    let nvidia = MockNvidia::new(&SEED, NOW.secs());
    let device = nvidia.healthy(Chip::Hopper, "flips");
    let ocsp = (1..4)
        .map(|place| nvidia.ocsp(&device, place, &OcspKnobs::good(None)))
        .collect();
    let collateral = NvidiaCollateral { rims: vec![], ocsp };
    software(
        collateral,
        "rims = \"optional\"\nocsp = \"required\"\nocsp_max_age = \"48h\"\n",
    )
}

pub fn subjects() -> Vec<Subject> {
    let mut all = alone().of_device(KIND, "");
    all.push(with_manifests().collateral("driver manifest", |to| &mut to.rims[0]));
    all.push(with_manifests().collateral("VBIOS manifest", |to| &mut to.rims[1]));
    all.push(with_answers().collateral("OCSP answer", |to| &mut to.ocsp[0]));
    all
}
