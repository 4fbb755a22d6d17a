//! A whole machine's report on the software platform: a TD, eight GPUs behind four switches, their
//! manifests, and Intel's collateral, all inside the report.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::bare::ed25519_over;
use crate::recorded::{Grounds, device_checks};
use crate::{Limits, Subject, accepted, signed};
use attest_core::nvidia::{DeviceKind, UnverifiedDevice};
use attest_core::{
    AttestationPolicy, Channel, Collateral, CpuEvidence, EndorsementCache, EvidenceBundle,
    Freshness, Keyset, Nonce, NvidiaCollateral, RootKind, Serving, SigningKey, SourceProvenance,
    SpkiDigest, Statement, TeeType, TlsKeyEntry, UnixTime, UnsignedReport, gpu_nonce,
};
use vendors::nvidia::knobs::ManifestKnobs;
use vendors::nvidia::node::{Member, NodeKnobs};
use vendors::nvidia::{Chip, MockNvidia, Source};
use vendors::policy::pinned_policy;
use vendors::{TdMeasurements, Vendors};

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
const SEED: [u8; 32] = [5; 32];
const SPKI: SpkiDigest = SpkiDigest::from_bytes([4; 32]);
const NONCE: Nonce = Nonce::from_bytes([6; 32]);
const GPUS: usize = 8;
const SWITCHES: usize = 4;

pub fn subject() -> Result<Subject> {
    let intel = Vendors::from_seed(&SEED, NOW);
    let nvidia = MockNvidia::new(&SEED, NOW.secs());
    let made = report(&intel, &nvidia)?;
    let [of_devices, of_their_endorsements] = device_checks(&made.devices, &made.manifests)?;
    let intel_collateral = intel.collateral().tdx.context("Intel's collateral")?;
    let [of_quote, of_its_endorsements] = signed::quote(&made.quote, &intel_collateral)?;
    let of_report = vec![ed25519_over(made.json.len())?];
    let warm_checks = [of_report, of_quote, of_devices].concat();
    let endorsements = [of_its_endorsements, of_their_endorsements].concat();
    let report = made.json;
    let roots = intel
        .roots()
        .with(RootKind::NvidiaDevice, nvidia.device_root())?
        .with(RootKind::NvidiaRim, nvidia.manifest_root())?;
    let policy = pinned_policy("node", &TdMeasurements::named("node"))
        + &format!("[nvidia]\nrequired = true\ngpus = {GPUS}\nswitches = {SWITCHES}\n");
    let warm = Grounds {
        roots,
        policy: AttestationPolicy::parse(&policy)?,
        collateral: None,
        now: NOW,
    };
    let (cold, again) = (warm.clone(), report.clone());
    let mut known = EndorsementCache::default();
    Ok(Subject {
        name: "report: TD, 8 GPUs, 4 switches",
        limits: Limits {
            cold: 1.15,
            warm: 1.2,
        },
        cold: Box::new(move || judge(&cold, &report, &mut EndorsementCache::default())),
        cold_checks: [warm_checks.clone(), endorsements].concat(),
        warm: Box::new(move || judge(&warm, &again, &mut known)),
        warm_checks,
    })
}

fn judge(grounds: &Grounds, report: &str, known: &mut EndorsementCache) {
    let channel = Channel::Tls {
        spki: SPKI,
        host: "localhost",
    };
    let freshness = Freshness::Challenged(NONCE);
    let appraiser = grounds.appraiser();
    let appraisal = appraiser.report_with_cache(report.as_bytes(), freshness, channel, known);
    accepted(appraisal.verdict());
}

fn manifests(nvidia: &MockNvidia) -> Vec<Vec<u8>> {
    let kinds = [
        (Chip::Ls10, Source::Vbios),
        (Chip::Hopper, Source::Driver),
        (Chip::Hopper, Source::Vbios),
    ];
    let signed = |(chip, source)| {
        let manifest = nvidia.manifest(chip, source);
        nvidia.sign(&manifest, &ManifestKnobs::default())
    };
    kinds.map(signed).map(String::into_bytes).to_vec()
}

/// A report, and what it was made of.
struct Made {
    json: String,
    quote: Vec<u8>,
    devices: Vec<UnverifiedDevice>,
    manifests: Vec<Vec<u8>>,
}

fn report(intel: &Vendors, nvidia: &MockNvidia) -> Result<Made> {
    let key = SigningKey::from_seed("receipt-1", &[2; 32]).context("a key")?;
    let keyset = Keyset {
        subject: None,
        not_after: NOW.plus(Duration::from_secs(86_400)),
        receipt_signing_keys: vec![key.public_entry()],
        e2ee_public_keys: vec![],
        tls_public_keys: vec![TlsKeyEntry {
            spki_sha256: SPKI,
            domain: None,
        }],
    };
    let digest = keyset.digest();
    let report_data = Statement::challenged(digest, NONCE).report_data();
    let quote = intel.quote(&TdMeasurements::named("node"), &report_data);
    let devices = devices(nvidia, &gpu_nonce(&NONCE, &digest));
    let manifests = manifests(nvidia);
    let unsigned = UnsignedReport {
        keyset,
        tee_type: TeeType::Tdx,
        report_data: report_data.digest_half(),
        provenance: SourceProvenance::default(),
        evidence: EvidenceBundle {
            cpu: CpuEvidence::Tdx {
                quote: quote.clone(),
            },
            event_log: None,
            devices: devices.iter().map(UnverifiedDevice::to_evidence).collect(),
            documents: BTreeMap::new(),
            collateral: Some(Collateral {
                nvidia: Some(NvidiaCollateral {
                    rims: manifests.clone(),
                    ocsp: vec![],
                }),
                ..intel.collateral()
            }),
        },
        serving: Serving::Direct,
    };
    Ok(Made {
        json: unsigned.sign(&key).to_json(),
        quote,
        devices,
        manifests,
    })
}

fn devices(nvidia: &MockNvidia, nonce: &[u8; 32]) -> Vec<UnverifiedDevice> {
    let node = nvidia.node("node", GPUS, SWITCHES, nonce, &NodeKnobs::default());
    let of_kind = |kind| {
        move |member: &Member| UnverifiedDevice {
            kind,
            evidence: member.evidence.clone(),
            certificate_chain: member.chain_pem.clone(),
        }
    };
    let gpus = node.gpus.iter().map(of_kind(DeviceKind::Gpu));
    let switches = node.switches.iter().map(of_kind(DeviceKind::Switch));
    gpus.chain(switches).collect()
}
