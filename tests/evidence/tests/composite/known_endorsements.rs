//! EndorsementCache kept from one judgement to the next: they save work and change no verdict.

use super::super::*;

fn judge_with_cache(
    report: &str,
    policy: &AttestationPolicy,
    roots: &Roots,
    now: UnixTime,
    known: &mut EndorsementCache,
) -> Appraisal {
    let channel = Channel::Tls {
        spki: spki(),
        host: "localhost",
    };
    let appraiser = Appraiser {
        roots,
        policy,
        collateral: None,
        now,
    };
    let freshness = Freshness::Challenged(nonce());
    appraiser.report_with_cache(report.as_bytes(), freshness, channel, known)
}

/// The verdict with all there is to know, and with nothing, which must be the same.
#[track_caller]
fn judge_both(
    report: &str,
    policy: &AttestationPolicy,
    roots: &Roots,
    now: UnixTime,
    known: &mut EndorsementCache,
) -> Appraisal {
    let cold = judge_with_cache(report, policy, roots, now, &mut EndorsementCache::default());
    let warm = judge_with_cache(report, policy, roots, now, known);
    assert_eq!(warm.verdict().to_json(), cold.verdict().to_json());
    warm
}

/// Twelve devices, three manifests, Intel's collateral and the platform.
const NODE: usize = 12 + 3 + 2;

/// What a healthy node leaves behind.
fn known_node(policy: &AttestationPolicy) -> (String, EndorsementCache) {
    let report = node_report(&node(&NodeKnobs::default()));
    let mut known = EndorsementCache::default();
    peer(judge_with_cache(&report, policy, &roots(), NOW, &mut known));
    assert_eq!(known.len(), NODE);
    (report, known)
}

#[test]
fn known_evidence_gets_the_same_verdict() {
    let policy = policy(WHOLE_NODE);
    let (report, mut known) = known_node(&policy);
    peer(judge_both(&report, &policy, &roots(), NOW, &mut known));
    assert_eq!(known.len(), NODE);

    let machine = amd(Processor::Milan, EndorsementKey::Vcek);
    let report = super::super::report(snp(&machine), vec![], Collateral::default());
    let policy = snp_policy("");
    peer(judge_with_cache(
        &report,
        &policy,
        &roots(),
        NOW,
        &mut known,
    ));
    assert_eq!(known.len(), NODE + 1);
    peer(judge_both(&report, &policy, &roots(), NOW, &mut known));
}

#[test]
fn cached_results_expire_with_their_dates() {
    let nodes = policy(WHOLE_NODE);
    let (report, mut known) = known_node(&nodes);
    let machine = amd(Processor::Milan, EndorsementKey::Vcek);
    let of_machine = super::super::report(snp(&machine), vec![], Collateral::default());
    let machines = snp_policy("");
    peer(judge_with_cache(
        &of_machine,
        &machines,
        &roots(),
        NOW,
        &mut known,
    ));
    let century = Duration::from_secs(100 * 365 * 86_400);
    let (early, late) = (UnixTime::from_secs(1), NOW.plus(century));
    // The devices' certificates never end; those of the manifests' signer do.
    for (now, of_node) in [(early, "nvidia.chain"), (late, "nvidia.rim.signer_dates")] {
        let node = judge_both(&report, &nodes, &roots(), now, &mut known);
        assert!(failures(&node).contains(&of_node), "{}", node.verdict());
        let machine = judge_both(&of_machine, &machines, &roots(), now, &mut known);
        assert!(
            failures(&machine).contains(&"snp.chain"),
            "{}",
            machine.verdict()
        );
    }
}

#[test]
fn cached_results_hold_for_one_root_only() {
    let policy = policy(WHOLE_NODE);
    let (report, mut known) = known_node(&policy);
    let stranger = MockNvidia::new(&[77; 32], NOW.secs());
    for (kind, root, check) in [
        (
            RootKind::NvidiaDevice,
            stranger.device_root(),
            "nvidia.chain",
        ),
        (
            RootKind::NvidiaRim,
            stranger.manifest_root(),
            "nvidia.rim.driver",
        ),
    ] {
        let other = roots().with(kind, root).expect("a root");
        let appraisal = judge_both(&report, &policy, &other, NOW, &mut known);
        assert!(
            failures(&appraisal).contains(&check),
            "{}",
            appraisal.verdict()
        );
        assert_eq!(known.len(), NODE);
    }
}

#[test]
fn a_manifest_with_one_flipped_bit_is_not_taken_from_the_cache() {
    let policy = policy(WHOLE_NODE);
    let (_, mut known) = known_node(&policy);
    let mut changed = manifests();
    let driver = &mut changed.rims[1];
    let digit = driver
        .windows(7)
        .position(|at| at == b"Hash0=\"")
        .expect("a value")
        + 7;
    driver[digit] ^= 1;
    let node = presented(&node(&NodeKnobs::default()));
    let report = super::super::report(td(), node, collateral(changed));
    let appraisal = judge_both(&report, &policy, &roots(), NOW, &mut known);
    assert_eq!(failures(&appraisal), ["nvidia.rim.driver"]);
    assert_eq!(known.len(), NODE, "what is refused is not kept");
}

#[test]
fn a_device_whose_certificates_are_cached_is_rejected_with_an_invalid_signature() {
    let policy = policy(WHOLE_NODE);
    let (_, mut known) = known_node(&policy);
    let mut node = node(&NodeKnobs::default());
    let last = node.gpus[0].evidence.len() - 1;
    node.gpus[0].evidence[last] ^= 1;
    let report = node_report(&node);
    let appraisal = judge_both(&report, &policy, &roots(), NOW, &mut known);
    assert!(
        failures(&appraisal).contains(&"nvidia.report.signature"),
        "{}",
        appraisal.verdict()
    );
}

#[test]
fn the_policy_is_applied_to_cached_manifests_again() {
    let policy_of_node = policy(WHOLE_NODE);
    let (report, mut known) = known_node(&policy_of_node);
    for (more, check) in [
        (
            format!(
                "rim_digests = [\"{}\"]\n",
                attest_core::Sha256Digest::hash(b"another")
            ),
            "nvidia.rim.digest",
        ),
        ("rim_ocsp = \"required\"\n".to_owned(), "nvidia.rim.ocsp"),
    ] {
        let stricter = policy(&format!("{WHOLE_NODE}{more}"));
        let appraisal = judge_both(&report, &stricter, &roots(), NOW, &mut known);
        let outcome = &appraisal
            .verdict()
            .check(check.parse().expect(check))
            .expect(check)
            .outcome;
        assert_ne!(*outcome, Outcome::Pass, "{}", appraisal.verdict());
        assert_ne!(appraisal.verdict().decision(), Decision::Accepted);
    }
}

#[test]
fn rejects_a_cached_manifest_whose_signer_was_revoked() {
    let policy = policy(WHOLE_NODE);
    let (_, mut known) = known_node(&policy);
    let knobs = OcspKnobs {
        status: Status::Revoked,
        ..OcspKnobs::good(None)
    };
    let revoked = NvidiaCollateral {
        ocsp: vec![nvidia().ocsp_of_manifest_signer(0, &knobs)],
        ..manifests()
    };
    let node = presented(&node(&NodeKnobs::default()));
    let report = super::super::report(td(), node, collateral(revoked));
    let appraisal = judge_both(&report, &policy, &roots(), NOW, &mut known);
    assert!(
        failures(&appraisal).contains(&"nvidia.rim.ocsp"),
        "{}",
        appraisal.verdict()
    );
}
