//! Freshness, signatures, keys and channels: a report counts only for its nonce, its keyset and its connection.

use attest_core::{
    Appraiser, Cause, Channel, CheckId, Freshness, KeysetError, Nonce, Sha256Digest, SigningKey,
    SpkiDigest, Statement, UnixTime,
};

use super::{
    Made, NOW, judge, judge_under, keyset, made, nonce, platform, policy, refused_by, tls,
};

#[test]
fn rejects_a_report_for_another_nonce_as_not_fresh() {
    let other = Nonce::from_bytes([7; 32]);
    let replayed = Made {
        statement: Some(Statement::challenged(keyset().digest(), other)),
        ..made()
    };
    refused_by(
        judge(&replayed.sign()),
        &["binding.report_data", "freshness.nonce"],
    );
    let unchallenged = Made {
        statement: Some(Statement::unchallenged(keyset().digest())),
        ..made()
    };
    let appraisal = judge(&unchallenged.sign());
    assert_eq!(
        appraisal.verdict().failures().collect::<Vec<_>>(),
        [(CheckId::FreshnessNonce, &Cause::UnchallengedEvidence)]
    );
    // A challenged report is not an unchallenged one either.
    let appraisal = Appraiser {
        roots: &platform().roots(),
        policy: &policy(""),
        collateral: None,
        now: NOW,
    }
    .report(made().sign().as_bytes(), Freshness::Unchallenged, tls());
    refused_by(appraisal, &["binding.report_data"]);
}

#[test]
fn rejects_genuine_evidence_relayed_under_other_keys() {
    // The attacker shows the victim's evidence with the attacker's keyset, signed by the attacker's key.
    let attackers = SigningKey::from_seed("receipt-1", &[9; 32]).expect("a key");
    let mut relayed = made();
    relayed.statement = Some(Statement::challenged(keyset().digest(), nonce()));
    relayed.keyset.receipt_signing_keys = vec![attackers.public_entry()];
    relayed.key = attackers;
    refused_by(
        judge(&relayed.sign()),
        &["binding.report_data", "freshness.nonce"],
    );
}

#[test]
fn rejects_a_relay_by_its_tls_key() {
    let other = SpkiDigest::from_bytes([8; 32]);
    let appraisal = Appraiser {
        roots: &platform().roots(),
        policy: &policy(""),
        collateral: None,
        now: NOW,
    }
    .report(
        made().sign().as_bytes(),
        Freshness::Challenged(nonce()),
        Channel::Tls {
            spki: other,
            host: "localhost",
        },
    );
    assert_eq!(
        appraisal.verdict().failures().collect::<Vec<_>>(),
        [(
            CheckId::ChannelSpki,
            &Cause::ChannelKey(KeysetError::TlsKeyNotListed { spki: other })
        )]
    );
    assert!(appraisal.trusted().is_err());
}

#[test]
fn rejects_a_key_of_another_host_name() {
    let mut named = made();
    named.keyset.tls_public_keys[0].domain = Some("gateway.example".into());
    refused_by(judge(&named.sign()), &["channel.spki"]);
}

#[test]
fn rejects_a_report_changed_after_signing() {
    let report = made().sign();
    refused_by(
        judge(&report.replace("\"serving\":\"direct\"", "\"serving\":\"aggregator\"")),
        &["report.signature"],
    );
    let stranger = SigningKey::from_seed("receipt-1", &[9; 32]).expect("a key");
    let foreign = Made {
        key: stranger,
        ..made()
    };
    refused_by(judge(&foreign.sign()), &["report.signature"]);
    let mut unsigned: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    let members = unsigned.as_object_mut().expect("an object");
    members.remove("signature");
    members.remove("key_id");
    refused_by(judge(&unsigned.to_string()), &["report.signature"]);
}

#[test]
fn reports_a_stated_digest_that_differs_from_the_keyset() {
    let report = made().sign();
    let other = Sha256Digest::hash(b"another keyset").to_string();
    let forged = report.replacen(
        &format!("\"workload_keyset_digest\":\"{}\"", keyset().digest()),
        &format!("\"workload_keyset_digest\":\"{other}\""),
        1,
    );
    assert_ne!(forged, report);
    refused_by(judge(&forged), &["report.signature", "binding.keyset"]);
}

#[test]
fn rejects_an_expired_keyset_and_one_that_is_valid_too_long() {
    let report = made().sign();
    let end = keyset().not_after;
    let just_before = UnixTime::from_secs(end.secs() - 1);
    assert!(
        judge_under(&report, &policy(""), just_before)
            .trusted()
            .is_ok()
    );
    refused_by(judge_under(&report, &policy(""), end), &["keyset.expiry"]);

    let short = policy("[keyset]\nmax_lifetime = \"23h\"\n");
    refused_by(judge_under(&report, &short, NOW), &["keyset.lifetime"]);
    let enough = policy("[keyset]\nmax_lifetime = \"24h\"\n");
    assert!(judge_under(&report, &enough, NOW).trusted().is_ok());
    // Without a limit of the policy's own: as a verifier nine days earlier would see it.
    let early = UnixTime::from_secs(NOW.secs() - 8 * 86_400);
    let failing = |more: &str| {
        let verdict = judge_under(&report, &policy(more), early).into_verdict();
        let lifetime = verdict.check(CheckId::KeysetLifetime).expect("the check");
        matches!(lifetime.outcome, attest_core::Outcome::Fail(_))
    };
    assert!(failing(""), "no policy field is needed to refuse it");
    assert!(!failing("[keyset]\nmax_lifetime = \"9d\"\n"));
    assert!(!failing("[keyset]\nmax_lifetime = \"any\"\n"));
}
