//! Accepted reports: the trusted peer, when trust expires, and the verdict as JSON.

use std::time::Duration;

use attest_core::{
    Appraiser, Channel, CheckId, Decision, Freshness, Outcome, Serving, Statement, Why,
};

use super::{
    CONFIG, Made, NOW, failures, judge, judge_under, keyset, made, nonce, platform, policy, spki,
    tls,
};

#[test]
fn a_good_report_earns_a_trusted_peer() {
    let report = made().sign();
    let appraisal = judge(&report);
    assert_eq!(failures(&appraisal), Vec::<&str>::new());
    assert_eq!(
        appraisal.verdict().decision(),
        Decision::Accepted,
        "{}",
        appraisal.verdict()
    );
    let peer = appraisal.trusted().expect("a trusted peer");
    assert_eq!(peer.keyset(), &keyset());
    assert_eq!(peer.keyset_digest(), keyset().digest());
    assert_eq!(peer.spki(), spki());
    assert_eq!(peer.subject().map(ToString::to_string), keyset().subject);
    assert_eq!(peer.documents()["config"], CONFIG);
    assert_eq!(peer.serving(), Serving::Direct);
    assert_eq!(peer.report_bytes(), report.as_bytes());
    assert_eq!(peer.expires_at(), keyset().not_after);
    assert_eq!(peer.verdict().to_json()["roots"], "supplied");
    let facts = peer.facts().report.as_ref().expect("report facts");
    assert_eq!(facts.retention_mode, Some("metadata"));
}

#[test]
fn trust_expires_with_the_collateral_if_that_is_first() {
    let mut long = made();
    long.keyset.not_after = NOW.plus(Duration::from_secs(400 * 86_400));
    let any_lifetime = policy("[keyset]\nmax_lifetime = \"any\"\n");
    let judged = judge_under(&long.sign(), &any_lifetime, NOW);
    let peer = judged.trusted().expect("a trusted peer");
    let collateral = peer
        .evidence()
        .tdx()
        .expect("a TD")
        .collateral
        .as_ref()
        .expect("facts");
    assert_eq!(peer.expires_at(), collateral.not_after);
    assert!(peer.expires_at() < peer.keyset().not_after);
}

#[test]
fn no_trusted_peer_without_a_nonce_or_a_channel() {
    let unchallenged = Made {
        statement: Some(Statement::unchallenged(keyset().digest())),
        ..made()
    }
    .sign();
    let challenged = made().sign();
    for (report, freshness, channel, missing, why) in [
        (
            &unchallenged,
            Freshness::Unchallenged,
            tls(),
            "freshness.nonce",
            Why::NotChallenged,
        ),
        (
            &challenged,
            Freshness::Challenged(nonce()),
            Channel::NotObserved,
            "channel.spki",
            Why::ChannelNotObserved,
        ),
    ] {
        let appraisal = Appraiser {
            roots: &platform().roots(),
            policy: &policy(""),
            collateral: None,
            now: NOW,
        }
        .report(report.as_bytes(), freshness, channel);
        assert_eq!(appraisal.verdict().decision(), Decision::Accepted);
        let check = appraisal
            .verdict()
            .check(missing.parse().expect(missing))
            .expect("a check");
        assert_eq!(check.outcome, Outcome::NotEvaluated(why));
        assert!(!check.required);
        assert!(appraisal.trusted().is_err());
    }
}

#[test]
fn the_json_of_a_verdict_contains_every_check_and_its_grounds() {
    let appraisal = judge(&made().sign());
    let json = appraisal.verdict().to_json();
    assert_eq!(json["decision"], "accepted");
    assert_eq!(json["exit_code"], 0);
    assert_eq!(json["at"], NOW.to_string());
    assert_eq!(json["policy"]["name"], "enclave");
    assert_eq!(json["policy"]["digest"], policy("").digest().to_string());
    assert_eq!(json["facts"]["report"]["serving"], "direct");
    let ids: Vec<_> = json["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .map(|check| check["id"].as_str().expect("an id").to_owned())
        .collect();
    // Each check once, each under a name that is written down.
    let mut once = ids.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), ids.len());
    for id in &ids {
        assert!(id.parse::<CheckId>().is_ok(), "{id}");
    }
    for id in CheckId::ALL.iter().map(|id| id.as_str()) {
        // The verdict has no check of the other TEE, and one of the devices that the policy does not require.
        let not_here =
            id.starts_with("snp.") || (id.starts_with("nvidia.") && id != "nvidia.devices");
        assert_eq!(ids.iter().any(|listed| listed == id), !not_here, "{id}");
    }
}

#[test]
fn reports_malformed_documents_and_unsupported_tees() {
    for bytes in ["", "{}", "[]", "null", "{\"api_version\":\"aci/1\"}"] {
        let appraisal = judge(bytes);
        assert_eq!(
            appraisal.verdict().decision(),
            Decision::Malformed,
            "{bytes}"
        );
        assert_eq!(failures(&appraisal), ["report.format"]);
        assert!(appraisal.trusted().is_err());
    }
    let foreign = made()
        .sign()
        .replace("\"tee_type\":\"tdx\"", "\"tee_type\":\"nitro\"");
    assert_eq!(judge(&foreign).verdict().decision(), Decision::Unsupported);
}
