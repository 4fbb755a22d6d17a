//! GPUs: signed reports, device certificates, reference manifests and revocation answers.

use attest_core::nvidia::{DeviceKind, UnverifiedDevice};
use attest_core::{
    Appraiser, AttestationPolicy, Collateral, Decision, NvidiaCollateral, RootKind, Roots, UnixTime,
};
use testkit::nvidia::knobs::ManifestKnobs;
use testkit::nvidia::ocsp::OcspKnobs;
use testkit::nvidia::{Chip, MockNvidia, Source};

use crate::{NOW, SEED, Subject, pem};

const KIND: &str = "NVIDIA, software";
/// A manifest is some ten thousand characters of XML.
const OF_A_MANIFEST: usize = 12_000;

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
    fn accepted(&self) -> bool {
        Appraiser {
            roots: &self.roots,
            policy: &self.policy,
            collateral: Some(&self.collateral),
            now: self.now,
        }
        .devices(std::slice::from_ref(&self.device), None)
        .decision()
            == Decision::Accepted
    }

    pub fn evidence(self, kind: &'static str, name: &str, at_most: Option<usize>) -> Subject {
        let bytes = self.device.evidence.clone();
        let mut subject = Subject::new(kind, format!("{name}evidence"), bytes, move |bytes| {
            let mut changed = self.clone();
            changed.device.evidence = bytes.to_vec();
            changed.accepted()
        });
        subject.at_most = at_most;
        subject
    }

    fn certificate(self, place: usize, der: Vec<u8>) -> Subject {
        let chain = String::from_utf8_lossy(&self.device.certificate_chain).into_owned();
        let part = format!("device chain, certificate {place}");
        Subject::new(KIND, part, der, move |der| {
            let mut changed = self.clone();
            changed.device.certificate_chain =
                pem::with_certificate(&chain, place, der).into_bytes();
            changed.accepted()
        })
    }

    fn collateral(
        self,
        part: &'static str,
        place: fn(&mut NvidiaCollateral) -> &mut Vec<u8>,
    ) -> Subject {
        let mut of = self.collateral.nvidia.clone().unwrap_or_default();
        let bytes = place(&mut of).clone();
        Subject::new(KIND, part, bytes, move |bytes| {
            let mut changed = self.clone();
            *place(changed.collateral.nvidia.get_or_insert_default()) = bytes.to_vec();
            changed.accepted()
        })
    }
}

pub fn policy(more: &str) -> AttestationPolicy {
    AttestationPolicy::parse(&format!(
        "name = \"flips\"\n[nvidia]\nrequired = true\n{more}"
    ))
    .expect("a policy")
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
    let mut all = vec![alone().evidence(KIND, "", None)];
    let chain = String::from_utf8_lossy(&alone().device.certificate_chain).into_owned();
    let certificates = pem::certificates(&chain);
    let below_root = certificates.len().saturating_sub(1);
    for (place, der) in certificates.into_iter().enumerate().take(below_root) {
        all.push(alone().certificate(place, der));
    }
    let rim = with_manifests().collateral("driver manifest", |to| &mut to.rims[0]);
    all.push(rim.sampled(OF_A_MANIFEST));
    all.push(with_answers().collateral("OCSP answer", |to| &mut to.ocsp[0]));
    all
}
