//! Reports of whole machines on the software platform: a TD or an SNP guest with GPUs and switches,
//! judged under one policy, and refused by the right check when one part is not as it should be.

use std::collections::BTreeMap;
use std::time::Duration;

use attest_core::nvidia::{DeviceKind, UnverifiedDevice};
use attest_core::{
    Appraisal, Appraiser, AttestationPolicy, Channel, CheckId, Collateral, CpuEvidence, Decision,
    DeviceEvidence, EndorsementCache, EvidenceBundle, Freshness, Keyset, Nonce, NvidiaCollateral,
    Outcome, ReportData, RootKind, Roots, Serving, SigningKey, SourceProvenance, SpkiDigest,
    Statement, TlsKeyEntry, TrustedPeer, UnixTime, UnsignedReport, Why, gpu_nonce,
};
use vendors::amd::MockAmd;
use vendors::amd::knobs::{EndorsementKey, Processor};
use vendors::nvidia::knobs::ManifestKnobs;
use vendors::nvidia::node::{Member, Node, NodeKnobs};
use vendors::nvidia::ocsp::{OcspKnobs, Status};
use vendors::nvidia::{Chip, MockNvidia, Source};
use vendors::policy::pinned_policy;
use vendors::{TdMeasurements, Vendors};

mod composite;

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
const SEED: [u8; 32] = [5; 32];

fn intel() -> Vendors {
    Vendors::from_seed(&SEED, NOW)
}

fn nvidia() -> MockNvidia {
    MockNvidia::new(&SEED, NOW.secs())
}

fn amd(processor: Processor, key: EndorsementKey) -> MockAmd {
    MockAmd::healthy(&SEED, processor, key, NOW.secs())
}

fn roots() -> Roots {
    let (nvidia, milan, turin) = (
        nvidia(),
        amd(Processor::Milan, EndorsementKey::Vcek),
        amd(Processor::Turin, EndorsementKey::Vcek),
    );
    let supplied = [
        (RootKind::NvidiaDevice, nvidia.device_root()),
        (RootKind::NvidiaRim, nvidia.manifest_root()),
        (RootKind::AmdMilan, milan.ark()),
        (RootKind::AmdTurin, turin.ark()),
    ];
    supplied
        .into_iter()
        .fold(intel().roots(), |roots, (kind, der)| {
            roots.with(kind, der).expect("a root")
        })
}

fn signing_key() -> SigningKey {
    SigningKey::from_seed("receipt-1", &[2; 32]).expect("a key")
}

fn spki() -> SpkiDigest {
    SpkiDigest::from_bytes([4; 32])
}

fn nonce() -> Nonce {
    Nonce::from_bytes([6; 32])
}

fn keyset() -> Keyset {
    Keyset {
        subject: None,
        not_after: NOW.plus(Duration::from_secs(86_400 * 7)),
        receipt_signing_keys: vec![signing_key().public_entry()],
        e2ee_public_keys: vec![],
        tls_public_keys: vec![TlsKeyEntry {
            spki_sha256: spki(),
            domain: None,
        }],
    }
}

fn report_data() -> ReportData {
    Statement::challenged(keyset().digest(), nonce()).report_data()
}

fn td() -> CpuEvidence {
    CpuEvidence::Tdx {
        quote: intel().quote(&TdMeasurements::named("node"), &report_data()),
    }
}

fn snp(machine: &MockAmd) -> CpuEvidence {
    CpuEvidence::SevSnp {
        report: machine.report("node", report_data().as_bytes()),
        certs: machine.certificate_table(),
    }
}

fn expected_nonce() -> [u8; 32] {
    gpu_nonce(&nonce(), &keyset().digest())
}

fn node(knobs: &NodeKnobs) -> Node {
    nvidia().node("node", 8, 4, &expected_nonce(), knobs)
}

fn presented(node: &Node) -> Vec<DeviceEvidence> {
    let device = |kind| {
        move |member: &Member| {
            UnverifiedDevice {
                kind,
                evidence: member.evidence.clone(),
                certificate_chain: member.chain_pem.clone(),
            }
            .to_evidence()
        }
    };
    let gpus = node.gpus.iter().map(device(DeviceKind::Gpu));
    gpus.chain(node.switches.iter().map(device(DeviceKind::Switch)))
        .collect()
}

fn manifest(chip: Chip, source: Source) -> Vec<u8> {
    let nvidia = nvidia();
    let manifest = nvidia.manifest(chip, source);
    nvidia
        .sign(&manifest, &ManifestKnobs::default())
        .into_bytes()
}

fn manifests() -> NvidiaCollateral {
    NvidiaCollateral {
        rims: vec![
            manifest(Chip::Ls10, Source::Vbios),
            manifest(Chip::Hopper, Source::Driver),
            manifest(Chip::Hopper, Source::Vbios),
        ],
        ocsp: vec![],
    }
}

fn collateral(nvidia: NvidiaCollateral) -> Collateral {
    Collateral {
        nvidia: Some(nvidia),
        ..intel().collateral()
    }
}

fn report(cpu: CpuEvidence, devices: Vec<DeviceEvidence>, collateral: Collateral) -> String {
    UnsignedReport {
        keyset: keyset(),
        tee_type: cpu.tee_type(),
        report_data: report_data().digest_half(),
        provenance: SourceProvenance::default(),
        evidence: EvidenceBundle {
            cpu,
            event_log: None,
            devices,
            documents: BTreeMap::new(),
            collateral: Some(collateral),
        },
        serving: Serving::Direct,
    }
    .sign(&signing_key())
    .to_json()
}

/// The keyset outlives every certificate here, so that trust ends with the evidence.
const ANY_LIFETIME: &str = "[keyset]\nmax_lifetime = \"any\"\n";
const WHOLE_NODE: &str = "[nvidia]\nrequired = true\ngpus = 8\nswitches = 4\nmodes = [\"PPCIE\"]\n";

fn policy(more: &str) -> AttestationPolicy {
    let text = pinned_policy("node", &TdMeasurements::named("node")) + ANY_LIFETIME + more;
    AttestationPolicy::parse(&text).expect("a policy")
}

fn snp_policy(more: &str) -> AttestationPolicy {
    AttestationPolicy::parse(&format!(
        "name = \"snp\"\n[snp]\nmeasurements = \"any\"\n{more}{ANY_LIFETIME}"
    ))
    .expect("a policy")
}

fn judge_by(report: &str, policy: &AttestationPolicy, roots: &Roots) -> Appraisal {
    let channel = Channel::Tls {
        spki: spki(),
        host: "localhost",
    };
    let appraiser = Appraiser {
        roots,
        policy,
        collateral: None,
        now: NOW,
    };
    let mut known = EndorsementCache::default();
    let mut judge = || {
        let freshness = Freshness::Challenged(nonce());
        appraiser.report_with_cache(report.as_bytes(), freshness, channel, &mut known)
    };
    // Whatever is judged here is judged the same by one who has seen its endorsements before.
    let (cold, warm) = (judge(), judge());
    assert_eq!(warm.verdict().to_json(), cold.verdict().to_json());
    warm
}

fn judge(report: &str, policy: &AttestationPolicy) -> Appraisal {
    judge_by(report, policy, &roots())
}

fn failures(appraisal: &Appraisal) -> Vec<&'static str> {
    appraisal
        .verdict()
        .failures()
        .map(|(id, _)| id.as_str())
        .collect()
}

#[track_caller]
fn refused_by(appraisal: Appraisal, checks: &[&str]) {
    assert_eq!(failures(&appraisal), checks, "{}", appraisal.verdict());
    assert_eq!(appraisal.verdict().decision(), Decision::Rejected);
    assert!(appraisal.trusted().is_err());
}

#[track_caller]
fn peer(appraisal: Appraisal) -> TrustedPeer {
    match appraisal.trusted() {
        Ok(peer) => peer,
        Err(verdict) => panic!("{verdict}"),
    }
}

/// Nothing failed; a check that is needed was not made.
#[track_caller]
fn refused_for_want_of(appraisal: Appraisal, check: &str) {
    assert_eq!(failures(&appraisal), Vec::<&str>::new());
    let listed = appraisal
        .verdict()
        .check(check.parse().expect(check))
        .expect(check);
    assert!(listed.required && matches!(listed.outcome, Outcome::NotEvaluated(_)));
    assert_eq!(appraisal.verdict().decision(), Decision::Rejected);
    assert!(appraisal.trusted().is_err());
}

fn node_report(node: &Node) -> String {
    report(td(), presented(node), collateral(manifests()))
}

#[test]
fn a_node_of_eight_gpus_and_four_switches_earns_a_trusted_peer() {
    let appraisal = judge(
        &node_report(&node(&NodeKnobs::default())),
        &policy(WHOLE_NODE),
    );
    let peer = peer(appraisal);
    assert_eq!(peer.facts().devices.len(), 12);
    assert!(
        peer.facts()
            .devices
            .iter()
            .all(|device| device.compared > 0)
    );
    assert!(peer.evidence().tdx().is_some());
}

#[test]
fn trust_expires_with_the_first_manifest_to_expire() {
    let appraisal = judge(
        &node_report(&node(&NodeKnobs::default())),
        &policy(WHOLE_NODE),
    );
    let peer = peer(appraisal);
    let of_devices = peer.facts().devices.iter().flat_map(|device| {
        let identity = device
            .identity
            .as_ref()
            .map(|identity| identity.valid_until);
        let manifests = device.manifests.iter().map(|manifest| manifest.valid_until);
        identity.into_iter().chain(manifests)
    });
    let first = of_devices.min().expect("an end");
    assert!(peer.expires_at() <= first);
}

#[test]
fn rejects_gpu_evidence_of_another_machine_by_its_nonce() {
    let elsewhere = Nonce::from_bytes([9; 32]);
    for wrong in [
        gpu_nonce(&elsewhere, &keyset().digest()),
        *nonce().as_bytes(),
    ] {
        let node = nvidia().node("node", 8, 4, &wrong, &NodeKnobs::default());
        refused_by(
            judge(&node_report(&node), &policy(WHOLE_NODE)),
            &["nvidia.nonce"],
        );
    }
    let knobs = NodeKnobs {
        stale_gpu: Some(3),
        ..NodeKnobs::default()
    };
    let appraisal = judge(&node_report(&node(&knobs)), &policy(WHOLE_NODE));
    let (_, cause) = appraisal.verdict().failures().next().expect("a failure");
    assert!(cause.to_string().starts_with("device 3: "), "{cause}");
    refused_by(appraisal, &["nvidia.nonce"]);
}

#[test]
fn rejects_one_device_presented_twice() {
    let mut node = node(&NodeKnobs::default());
    node.gpus[1] = node.gpus[0].clone();
    // The switches name the GPU that is not there.
    refused_by(
        judge(&node_report(&node), &policy(WHOLE_NODE)),
        &["nvidia.distinct", "nvidia.topology"],
    );
}

#[test]
fn rejects_a_machine_with_a_missing_device() {
    let mut without_switch = node(&NodeKnobs::default());
    without_switch.switches.pop();
    refused_by(
        judge(&node_report(&without_switch), &policy(WHOLE_NODE)),
        &["nvidia.count", "nvidia.topology"],
    );
    let uncounted = policy("[nvidia]\nrequired = true\n");
    refused_by(
        judge(&node_report(&without_switch), &uncounted),
        &["nvidia.topology"],
    );
    let nothing = report(td(), vec![], collateral(manifests()));
    refused_for_want_of(judge(&nothing, &policy(WHOLE_NODE)), "nvidia.devices");
}

#[test]
fn rejects_a_device_linked_to_an_unknown_device() {
    for knobs in [
        NodeKnobs {
            stray_gpu: Some(2),
            ..NodeKnobs::default()
        },
        NodeKnobs {
            stray_switch: Some(1),
            ..NodeKnobs::default()
        },
    ] {
        refused_by(
            judge(&node_report(&node(&knobs)), &policy(WHOLE_NODE)),
            &["nvidia.topology"],
        );
    }
    let open = NodeKnobs {
        open_gpu: Some(0),
        ..NodeKnobs::default()
    };
    refused_by(
        judge(&node_report(&node(&open)), &policy(WHOLE_NODE)),
        &["nvidia.mode"],
    );
}

#[test]
fn measurements_without_a_manifest_do_not_pass() {
    let node = node(&NodeKnobs::default());
    for missing in 0..3 {
        let mut some = manifests();
        some.rims.remove(missing);
        let report = report(td(), presented(&node), collateral(some));
        let appraisal = judge(&report, &policy(WHOLE_NODE));
        let measured = appraisal
            .verdict()
            .check(CheckId::NvidiaMeasurements)
            .expect("it");
        assert!(matches!(
            measured.outcome,
            Outcome::NotEvaluated(Why::Stopped { .. })
        ));
        assert_eq!(appraisal.verdict().decision(), Decision::Rejected);
        assert!(appraisal.trusted().is_err());
    }
    let none = report(td(), presented(&node), intel().collateral());
    refused_for_want_of(judge(&none, &policy(WHOLE_NODE)), "nvidia.measurements");
    // Only a policy that says so does without, and the verdict tells.
    let lax = policy(&format!("{WHOLE_NODE}rims = \"optional\"\n"));
    let appraisal = judge(&none, &lax);
    let listed = appraisal
        .verdict()
        .check(CheckId::NvidiaMeasurements)
        .expect("it");
    assert!(matches!(listed.outcome, Outcome::NotEvaluated(_)) && !listed.required);
    assert!(appraisal.trusted().is_ok());
}

#[test]
fn rejects_a_manifest_with_other_values_and_accepts_with_a_second_that_matches() {
    let nvidia = nvidia();
    let mut other = nvidia.manifest(Chip::Hopper, Source::Vbios);
    let index = nvidia
        .manifest(Chip::Hopper, Source::Vbios)
        .values
        .iter()
        .find(|reference| reference.active)
        .expect("an active value")
        .index;
    other.differ_at(index);
    let other = nvidia.sign(&other, &ManifestKnobs::default()).into_bytes();
    let node = node(&NodeKnobs::default());
    let mut rims = manifests();
    rims.rims[2] = other.clone();
    let wrong = report(td(), presented(&node), collateral(rims));
    refused_by(judge(&wrong, &policy(WHOLE_NODE)), &["nvidia.measurements"]);

    let mut both = manifests();
    both.rims.insert(0, other);
    let report = report(td(), presented(&node), collateral(both.clone()));
    assert!(judge(&report, &policy(WHOLE_NODE)).trusted().is_ok());
    // Unless the policy pins, and pins another.
    let pinned = attest_core::Sha256Digest::hash(&both.rims[0]);
    let pins = policy(&format!("{WHOLE_NODE}rim_digests = [\"{pinned}\"]\n"));
    let appraisal = judge(&report, &pins);
    assert!(failures(&appraisal).contains(&"nvidia.rim.digest"));
    assert!(failures(&appraisal).contains(&"nvidia.measurements"));
}

#[test]
fn one_revocation_overrides_every_good_answer() {
    let nvidia = nvidia();
    let device = nvidia.healthy(Chip::Hopper, "alone");
    let presented = vec![
        UnverifiedDevice {
            kind: DeviceKind::Gpu,
            evidence: device.report(&expected_nonce()),
            certificate_chain: device.chain_pem(),
        }
        .to_evidence(),
    ];
    let good = |place| nvidia.ocsp(&device, place, &OcspKnobs::good(None));
    let judged = |ocsp: Vec<Vec<u8>>| {
        let with = collateral(NvidiaCollateral {
            ocsp,
            ..manifests()
        });
        let asked = policy("[nvidia]\nrequired = true\nocsp = \"required\"\n");
        judge(&report(td(), presented.clone(), with), &asked)
    };
    let answers = vec![good(3), good(1), good(2)];
    let peer = peer(judged(answers.clone()));
    assert!(peer.expires_at() <= NOW.plus(Duration::from_secs(24 * 3600)));

    refused_by(judged(answers[..2].to_vec()), &["nvidia.ocsp"]);
    refused_for_want_of(judged(vec![]), "nvidia.ocsp");
    for status in [Status::Revoked, Status::OnHold] {
        let knobs = OcspKnobs {
            status,
            ..OcspKnobs::good(None)
        };
        let mut answers = answers.clone();
        answers.push(nvidia.ocsp(&device, 1, &knobs));
        refused_by(judged(answers), &["nvidia.ocsp"]);
    }
}

#[test]
fn rejects_evidence_without_its_root() {
    let report = node_report(&node(&NodeKnobs::default()));
    let appraisal = judge_by(&report, &policy(WHOLE_NODE), &intel().roots());
    let (check, cause) = appraisal.verdict().failures().next().expect("a failure");
    assert_eq!((check, cause.code()), (CheckId::NvidiaChain, "no_root"));
    assert!(appraisal.trusted().is_err());
}

#[test]
fn accepts_an_snp_guest() {
    for processor in [Processor::Milan, Processor::Turin] {
        let machine = amd(processor, EndorsementKey::Vcek);
        let report = report(snp(&machine), vec![], Collateral::default());
        let appraisal = judge(&report, &snp_policy(""));
        let peer = peer(appraisal);
        assert!(peer.evidence().tdx().is_none());
        let facts = peer.evidence().snp().expect("an SNP guest");
        assert_eq!(Some(peer.evidence().valid_until()), facts.valid_until);
    }
}

#[test]
fn a_policy_accepts_only_the_tees_it_has_a_section_for() {
    let machine = amd(Processor::Milan, EndorsementKey::Vcek);
    let guest = report(snp(&machine), vec![], Collateral::default());
    refused_by(judge(&guest, &policy("")), &["policy.tee"]);
    let td = report(td(), vec![], intel().collateral());
    refused_by(judge(&td, &snp_policy("")), &["policy.tee"]);
    let both = policy("[snp]\nmeasurements = \"any\"\n");
    assert!(judge(&guest, &both).trusted().is_ok());
    assert!(judge(&td, &both).trusted().is_ok());
}

#[test]
fn every_condition_of_an_snp_policy_is_checked() {
    let machine = amd(Processor::Milan, EndorsementKey::Vcek);
    let report_of = |cpu| report(cpu, vec![], Collateral::default());
    let good = report_of(snp(&machine));
    let cases: [(&str, &[&str]); 6] = [
        ("products = [\"Turin\"]\n", &["snp.product.accepted"]),
        ("keys = [\"VLEK\"]\n", &["snp.vek.accepted"]),
        ("[snp.min_tcb.milan]\nmicrocode = 255\n", &["snp.tcb.min"]),
        ("[snp.min_tcb.turin]\nfmc = 0\n", &["snp.tcb.min"]),
        (
            &format!("chip_id = [\"{}\"]\n", "00".repeat(64)),
            &["snp.chip_id"],
        ),
        (
            &format!("host_data = [\"{}\"]\n", "11".repeat(32)),
            &["snp.host_data"],
        ),
    ];
    for (more, checks) in cases {
        refused_by(judge(&good, &snp_policy(more)), checks);
    }
    refused_for_want_of(judge(&good, &snp_policy("require_crl = true\n")), "snp.crl");

    let loaded = amd(Processor::Milan, EndorsementKey::Vlek);
    let by_cloud = report_of(snp(&loaded));
    refused_by(judge(&by_cloud, &snp_policy("")), &["snp.vek.accepted"]);
    assert!(
        judge(&by_cloud, &snp_policy("keys = [\"VLEK\"]\n"))
            .trusted()
            .is_ok()
    );
    refused_by(
        judge(
            &by_cloud,
            &snp_policy("keys = [\"VLEK\"]\ncsp_id = [\"unknown\"]\n"),
        ),
        &["snp.vek.accepted"],
    );
}

#[test]
fn rejects_an_snp_report_relayed_under_other_keys() {
    let machine = amd(Processor::Milan, EndorsementKey::Vcek);
    let other = CpuEvidence::SevSnp {
        report: machine.report("node", &[7; 64]),
        certs: machine.certificate_table(),
    };
    let report = report(other, vec![], Collateral::default());
    refused_by(
        judge(&report, &snp_policy("")),
        &["binding.report_data", "freshness.nonce"],
    );
}

#[test]
fn rejects_an_image_unless_every_measurement_matches() {
    let hex = |bytes: &[u8; 48]| attest_core::to_hex(bytes);
    let (one, two) = (
        TdMeasurements::named("node"),
        TdMeasurements::named("other"),
    );
    let image = |mrtd: &TdMeasurements, rest: &TdMeasurements| {
        format!(
            "[[tdx.image]]\nmrtd = [\"{}\"]\nrtmr1 = [\"{}\"]\nrtmr2 = [\"{}\"]\n",
            hex(&mrtd.mr_td),
            hex(&rest.rtmr[1]),
            hex(&rest.rtmr[2])
        )
    };
    let policy = |images: &[String]| {
        let text = format!(
            "name = \"images\"\n[tdx]\n{}{ANY_LIFETIME}",
            images.concat()
        );
        AttestationPolicy::parse(&text).expect("a policy")
    };
    let report = report(td(), vec![], intel().collateral());
    let whole = policy(&[image(&two, &two), image(&one, &one)]);
    assert!(judge(&report, &whole).trusted().is_ok());
    let mixed = policy(&[image(&one, &two), image(&two, &one)]);
    refused_by(judge(&report, &mixed), &["tdx.image"]);
}
