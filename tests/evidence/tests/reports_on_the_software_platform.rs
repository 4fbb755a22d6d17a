//! Whole reports, put together on the software platform: accepted as they should be, and refused
//! by the right check when one thing about them is not.

#[path = "reports/log.rs"]
mod log;

use std::collections::BTreeMap;
use std::time::Duration;

use attest_core::retention::{PolicySignatures, RetentionPolicy, SignatureError, Unopened};
use attest_core::{
    Appraisal, Appraiser, AttestationPolicy, Cause, Channel, CheckId, Collateral, CpuEvidence,
    Decision, DeviceEvidence, EvidenceBundle, Freshness, Keyset, KeysetError, Nonce, Outcome,
    PolicyError, Serving, Sha256Digest, SigningKey, SourceProvenance, SpkiDigest, Statement,
    Subject, TeeType, TlsKeyEntry, UnixTime, UnsignedReport, Why,
};
use vendors::policy::pinned_policy;
use vendors::{TdMeasurements, Vendors};

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
const CONFIG: &str = "listen = \"somewhere\"\n";
const RETENTION: &str = "version = 1\nmode = \"metadata\"\n";

fn platform() -> Vendors {
    Vendors::from_seed(&[5; 32], NOW)
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
    let subject = Subject {
        config: Sha256Digest::hash(CONFIG.as_bytes()),
        retention: Sha256Digest::hash(RETENTION.as_bytes()),
    };
    Keyset {
        subject: Some(subject.to_string()),
        not_after: NOW.plus(Duration::from_secs(86_400)),
        receipt_signing_keys: vec![signing_key().public_entry()],
        e2ee_public_keys: vec![],
        tls_public_keys: vec![TlsKeyEntry {
            spki_sha256: spki(),
            domain: None,
        }],
    }
}

/// What a report is made of. Tests bend one of these.
struct Made {
    keyset: Keyset,
    /// What the hardware is asked to sign; the statement over keyset and nonce if nothing else.
    statement: Option<Statement>,
    documents: BTreeMap<String, String>,
    provenance: SourceProvenance,
    devices: Vec<DeviceEvidence>,
    collateral: Option<Collateral>,
    key: SigningKey,
}

fn made() -> Made {
    Made {
        keyset: keyset(),
        statement: None,
        documents: [("config", CONFIG), ("retention", RETENTION)]
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .into(),
        provenance: SourceProvenance::default(),
        devices: vec![],
        collateral: Some(platform().collateral()),
        key: signing_key(),
    }
}

impl Made {
    fn unsigned(self) -> (UnsignedReport, SigningKey) {
        let statement = self
            .statement
            .unwrap_or_else(|| Statement::challenged(self.keyset.digest(), nonce()));
        let report_data = statement.report_data();
        let report = UnsignedReport {
            keyset: self.keyset,
            tee_type: TeeType::Tdx,
            report_data: report_data.digest_half(),
            provenance: self.provenance,
            evidence: EvidenceBundle {
                cpu: CpuEvidence::Tdx {
                    quote: platform().quote(&TdMeasurements::named("enclave"), &report_data),
                },
                event_log: None,
                devices: self.devices,
                documents: self.documents,
                collateral: self.collateral,
            },
            serving: Serving::Direct,
        };
        (report, self.key)
    }

    fn sign(self) -> String {
        let (report, key) = self.unsigned();
        report.sign(&key).to_json()
    }
}

fn policy(more: &str) -> AttestationPolicy {
    let text = pinned_policy("enclave", &TdMeasurements::named("enclave")) + more;
    AttestationPolicy::parse(&text).expect("a policy")
}

fn tls() -> Channel<'static> {
    Channel::Tls {
        spki: spki(),
        host: "localhost",
    }
}

fn judge_under(report: &str, policy: &AttestationPolicy, at: UnixTime) -> Appraisal {
    Appraiser {
        roots: &platform().roots(),
        policy,
        collateral: None,
        now: at,
    }
    .report(report.as_bytes(), Freshness::Challenged(nonce()), tls())
}

fn judge(report: &str) -> Appraisal {
    judge_under(report, &policy(""), NOW)
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

#[test]
fn rejects_documents_that_the_hardware_evidence_does_not_bind() {
    for (name, check) in [
        ("config", "contract.config"),
        ("retention", "contract.retention"),
    ] {
        let mut other = made();
        other
            .documents
            .insert(name.into(), "mode = \"zero\"\n".into());
        let appraisal = judge(&other.sign());
        assert!(matches!(
            appraisal.verdict().failures().next(),
            Some((failed, Cause::DocumentDigest { .. })) if failed.as_str() == check
        ));
        refused_by(appraisal, &[check]);

        let mut missing = made();
        missing.documents.remove(name);
        refused_by(judge(&missing.sign()), &[check]);
    }
}

#[test]
fn rejects_a_contract_outside_the_policys_limits() {
    let report = made().sign();
    let under = |more: &str| judge_under(&report, &policy(more), NOW);
    let config = Sha256Digest::hash(CONFIG.as_bytes());
    let other = Sha256Digest::hash(b"other");
    assert!(
        under(&format!("[contract]\nconfig = [\"{config}\"]\n"))
            .trusted()
            .is_ok()
    );
    refused_by(
        under(&format!("[contract]\nconfig = [\"{other}\"]\n")),
        &["contract.config"],
    );
    refused_by(
        under(&format!("[contract]\nretention = [\"{other}\"]\n")),
        &["contract.retention"],
    );
    assert!(
        under("[contract]\nmax_retention = \"metadata\"\n")
            .trusted()
            .is_ok()
    );
    assert!(
        under("[contract]\nmax_retention = \"content\"\n")
            .trusted()
            .is_ok()
    );
    let appraisal = under("[contract]\nmax_retention = \"zero\"\n");
    assert_eq!(
        appraisal.verdict().failures().collect::<Vec<_>>(),
        [(
            CheckId::ContractRetention,
            &Cause::RetentionMode {
                got: "metadata",
                limit: "zero"
            }
        )]
    );
}

#[test]
fn rejects_a_report_without_the_required_contract() {
    let mut without = made();
    without.keyset.subject = None;
    let report = without.sign();
    assert!(judge(&report).trusted().is_ok());
    let asked = policy("[contract]\nmax_retention = \"metadata\"\n");
    let appraisal = judge_under(&report, &asked, NOW);
    assert_eq!(failures(&appraisal), Vec::<&str>::new());
    assert_eq!(appraisal.verdict().decision(), Decision::Rejected);
    let check = appraisal
        .verdict()
        .check(CheckId::ContractRetention)
        .expect("a check");
    assert_eq!(check.outcome, Outcome::NotEvaluated(Why::NoContract));
    assert!(appraisal.trusted().is_err());

    let mut garbled = made();
    garbled.keyset.subject = Some("sealgate:1?config=none".into());
    refused_by(
        judge(&garbled.sign()),
        &["contract.config", "contract.retention"],
    );
}

#[test]
fn rejects_a_retention_document_without_a_readable_mode() {
    let text = "version = 1\nmode = \"everything\"\n";
    let mut odd = made();
    odd.documents.insert("retention".into(), text.into());
    let subject = Subject {
        config: Sha256Digest::hash(CONFIG.as_bytes()),
        retention: Sha256Digest::hash(text.as_bytes()),
    };
    odd.keyset.subject = Some(subject.to_string());
    let report = odd.sign();
    assert!(judge(&report).trusted().is_ok());
    let limited = policy("[contract]\nmax_retention = \"content\"\n");
    let appraisal = judge_under(&report, &limited, NOW);
    assert_eq!(
        appraisal.verdict().failures().collect::<Vec<_>>(),
        [(CheckId::ContractRetention, &Cause::RetentionModeUnreadable)]
    );
}

/// A report that shows this retention policy, with these signatures under it.
fn showing(shown: &RetentionPolicy, signatures: &str) -> String {
    let mut report = made();
    report
        .documents
        .insert("retention".into(), shown.published().text().into());
    let name = "retention_signatures".to_owned();
    report.documents.insert(name, signatures.into());
    let subject = Subject {
        config: Sha256Digest::hash(CONFIG.as_bytes()),
        retention: shown.digest(),
    };
    report.keyset.subject = Some(subject.to_string());
    report.sign()
}

#[test]
fn limits_on_retention_apply_to_the_tenant_and_model_they_name() {
    let shown = RetentionPolicy::from_toml(&format!(
        "format = \"sealgate/retention/1\"\nepoch = 2\npredecessor = \"{}\"\n\
         [default]\nmode = \"metadata\"\nttl = \"30d\"\n\
         [[rule]]\ntenants = [\"clinic\"]\nmode = \"zero\"\n\
         [[rule]]\ntenants = [\"bank\"]\nmode = \"content\"\nttl = \"365d\"\n\
         recipients = [\"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj\"]\n",
        Sha256Digest::hash(b"the first")
    ))
    .expect("a policy");
    let operator = SigningKey::from_seed("policy", &[3; 32]).expect("a key");
    let mut signatures = PolicySignatures::default();
    signatures.sign(shown.digest(), &operator);
    let report = showing(&shown, &signatures.to_string());
    let cause = |more: &str| {
        let appraisal = judge_under(&report, &policy(&format!("[retention]\n{more}\n")), NOW);
        let failures: Vec<_> = appraisal.verdict().failures().collect();
        match failures[..] {
            [] => None,
            [(CheckId::ContractRetention, cause)] => Some(cause.clone()),
            _ => panic!("{more}: {failures:?}"),
        }
    };
    let mode = |got, limit| Some(Cause::RetentionMode { got, limit });
    assert_eq!(cause("max = \"content\""), None);
    assert_eq!(cause("max = \"metadata\""), mode("content", "metadata"));
    assert_eq!(cause("max = \"zero\"\ntenant = \"clinic\""), None);
    assert_eq!(
        cause("max = \"zero\"\ntenant = \"other\""),
        mode("metadata", "zero")
    );
    assert_eq!(
        cause("max = \"metadata\"\ntenant = \"bank\"\nmodel = \"any\""),
        mode("content", "metadata")
    );
    let days = |days: u64| Duration::from_secs(days * 86_400);
    assert_eq!(cause("max_ttl = \"365d\""), None);
    assert_eq!(
        cause("max_ttl = \"90d\""),
        Some(Cause::RetentionTtl {
            got: days(365),
            limit: days(90)
        })
    );
    assert_eq!(cause("max_ttl = \"90d\"\ntenant = \"other\""), None);
    assert_eq!(cause("min_epoch = 2"), None);
    assert_eq!(
        cause("min_epoch = 3"),
        Some(Cause::RetentionEpoch { got: 2, floor: 3 })
    );
    let key = |key: &SigningKey| attest_core::to_hex(key.verifying_key().as_bytes());
    let stranger = SigningKey::from_seed("policy", &[4; 32]).expect("a key");
    let (ours, theirs) = (key(&operator), key(&stranger));
    assert_eq!(cause(&format!("keys = [\"{ours}\"]")), None);
    assert_eq!(
        cause(&format!("keys = [\"{theirs}\"]")),
        Some(Cause::RetentionSignature(SignatureError::Unsigned))
    );
    assert_eq!(
        cause(&format!("keys = [\"{ours}\", \"{theirs}\"]")),
        Some(Cause::RetentionSignature(SignatureError::TooFew {
            found: 1,
            needed: 2
        }))
    );
    assert_eq!(
        cause(&format!("keys = [\"{ours}\", \"{theirs}\"]\nthreshold = 1")),
        None
    );
    let whole = policy("[contract]\nmax_retention = \"metadata\"\n");
    refused_by(judge_under(&report, &whole, NOW), &["contract.retention"]);
}

#[test]
fn without_a_matching_opening_a_tenants_limit_applies_to_the_most_lenient_terms() {
    let shown = RetentionPolicy::from_toml(&format!(
        "format = \"sealgate/retention/2\"\nepoch = 1\nsalt = \"{}1e\"\n\
         [default]\nmode = \"metadata\"\nttl = \"30d\"\n\
         [[rule]]\ntenants = [\"clinic\"]\nmode = \"zero\"\n\
         [[rule]]\ntenants = [\"bank\"]\nmode = \"content\"\nttl = \"365d\"\n\
         recipients = [\"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj\"]\n",
        "0f".repeat(31)
    ))
    .expect("a policy");
    let report = showing(&shown, "");
    let limited = |limit: &str, tenant: &str, salt: Option<&str>| {
        let salt = salt.map_or(String::new(), |name| {
            let opening = shown.tenant_opening(name).expect("a salt").tenant;
            format!("tenant_salt = \"{}\"\n", attest_core::to_hex(&opening.salt))
        });
        let more = format!("[retention]\n{limit}\ntenant = \"{tenant}\"\n{salt}");
        let appraisal = judge_under(&report, &policy(&more), NOW);
        let failures: Vec<_> = appraisal.verdict().failures().collect();
        let facts = appraisal.verdict().facts().report.clone().expect("facts");
        let of = facts.retention_tenant.expect("a tenant");
        let cause = match failures[..] {
            [] => None,
            [(CheckId::ContractRetention, cause)] => Some(cause.clone()),
            _ => panic!("{more}: {failures:?}"),
        };
        (cause, of.mode, of.unopened)
    };
    let unopened = |reason, cause| {
        let cause = Box::new(cause);
        Some(Cause::RetentionUnopened { reason, cause })
    };
    let mode = |got, limit| Cause::RetentionMode { got, limit };
    let zero = "max = \"zero\"";
    assert_eq!(
        limited(zero, "clinic", Some("clinic")),
        (None, "zero", None)
    );
    assert_eq!(
        limited("max = \"metadata\"", "bank", Some("bank")),
        (Some(mode("content", "metadata")), "content", None)
    );
    assert_eq!(
        limited(zero, "clinic", None),
        (
            unopened(Unopened::NoOpening, mode("content", "zero")),
            "content",
            Some(Unopened::NoOpening)
        )
    );
    for (tenant, salt) in [("clinic", "bank"), ("bank", "clinic"), ("other", "other")] {
        assert_eq!(
            limited("max = \"metadata\"", tenant, Some(salt)),
            (
                unopened(Unopened::NoMatch, mode("content", "metadata")),
                "content",
                Some(Unopened::NoMatch)
            )
        );
    }
    assert_eq!(
        limited("max = \"content\"", "clinic", None),
        (None, "content", Some(Unopened::NoOpening))
    );
    assert_eq!(
        limited("max_ttl = \"90d\"", "clinic", Some("clinic")).0,
        None
    );
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let ttl = Cause::RetentionTtl {
        got: days(365),
        limit: days(90),
    };
    assert_eq!(
        limited("max_ttl = \"90d\"", "clinic", None).0,
        unopened(Unopened::NoOpening, ttl)
    );
    let text = limited(zero, "clinic", None)
        .0
        .expect("a cause")
        .to_string();
    assert_eq!(
        text,
        "the service retains \"content\", the policy allows at most \"zero\", of some tenant; it names tenants by \
         commitments, and there is no opening for this tenant, so that the most lenient of all terms counts"
    );
}

#[test]
fn rejects_a_policy_with_empty_limits_on_retention() {
    let error = |more: &str| {
        let text = pinned_policy("enclave", &TdMeasurements::named("enclave")) + more;
        let invalid = AttestationPolicy::parse(&text).expect_err("no policy");
        let errors = invalid.problems().iter();
        errors
            .map(|problem| problem.error.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        error("[retention]\n"),
        [PolicyError::AsksNothing("retention")]
    );
    assert_eq!(
        error("[retention]\nmax = \"zero\"\nmodel = \"m\"\n"),
        [PolicyError::Needs("retention.model", "retention.tenant")]
    );
    let salt = format!("tenant_salt = \"{}\"\n", "0a".repeat(32));
    assert_eq!(
        error(&format!("[retention]\nmax = \"zero\"\n{salt}")),
        [PolicyError::Needs(
            "retention.tenant_salt",
            "retention.tenant"
        )]
    );
    assert_eq!(
        error(&format!("[retention]\ntenant = \"clinic\"\n{salt}")),
        [PolicyError::AsksNothing("retention")]
    );
    assert_eq!(
        error("[retention]\nmax = \"zero\"\nthreshold = 1\n"),
        [PolicyError::Needs("retention.threshold", "retention.keys")]
    );
}

#[test]
fn checks_claimed_provenance_against_the_policy() {
    let mut claimed = made();
    claimed.provenance.repo_commit = Some("abc".into());
    let report = claimed.sign();
    let accepted = policy("[provenance]\nrepo_commit = [\"abc\", \"def\"]\n");
    assert!(judge_under(&report, &accepted, NOW).trusted().is_ok());
    for other in [
        "repo_commit = [\"def\"]",
        "repo_commit = [\"abc\"]\nimage_digest = [\"sha256:00\"]",
    ] {
        let policy = policy(&format!("[provenance]\n{other}\n"));
        refused_by(judge_under(&report, &policy, NOW), &["provenance.source"]);
    }
}

#[test]
fn rejects_a_report_without_the_devices_a_policy_requires() {
    let wanted = policy("[nvidia]\nrequired = true\n");
    let none = judge_under(&made().sign(), &wanted, NOW);
    assert_eq!(none.verdict().decision(), Decision::Rejected);
    assert!(none.trusted().is_err());

    let mut with = made();
    let device = serde_json::json!({"type": "abacus"});
    with.devices = vec![DeviceEvidence::new(device).expect("an object")];
    let report = with.sign();
    let some = judge_under(&report, &wanted, NOW);
    assert_eq!(some.verdict().decision(), Decision::Rejected);
    assert!(failures(&some).contains(&"nvidia.evidence.format"));
    assert!(some.trusted().is_err());
    // Where the policy does not require them, the verdict lists them as not evaluated.
    let unasked = judge(&report);
    let check = unasked
        .verdict()
        .check(CheckId::NvidiaDevices)
        .expect("a check");
    assert_eq!(check.outcome, Outcome::NotEvaluated(Why::NotInPolicy));
    assert!(unasked.trusted().is_ok());
}

#[test]
fn accepts_collateral_from_the_report_or_the_caller_and_rejects_without() {
    let mut without = made();
    without.collateral = None;
    let report = without.sign();
    let alone = judge(&report);
    assert_eq!(alone.verdict().decision(), Decision::Rejected);
    let check = alone
        .verdict()
        .check(CheckId::TdxQuoteSignature)
        .expect("a check");
    assert_eq!(check.outcome, Outcome::NotEvaluated(Why::NoCollateral));
    assert!(alone.trusted().is_err());

    let appraisal = Appraiser {
        roots: &platform().roots(),
        policy: &policy(""),
        collateral: Some(&platform().collateral()),
        now: NOW,
    }
    .report(report.as_bytes(), Freshness::Challenged(nonce()), tls());
    assert!(appraisal.trusted().is_ok());
}

#[test]
fn rejects_another_image_by_its_measurements() {
    let text = pinned_policy("other", &TdMeasurements::named("other"));
    let other = AttestationPolicy::parse(&text).expect("a policy");
    refused_by(
        judge_under(&made().sign(), &other, NOW),
        &[
            "tdx.measurement.mrtd",
            "tdx.measurement.rtmr0",
            "tdx.measurement.rtmr1",
            "tdx.measurement.rtmr2",
            "tdx.measurement.rtmr3",
        ],
    );
}

#[test]
fn rejects_evidence_of_another_tee_without_any_passed_check() {
    let (mut report, key) = made().unsigned();
    report.tee_type = TeeType::SevSnp;
    report.evidence.cpu = CpuEvidence::SevSnp {
        report: vec![0; 1184],
        certs: vec![],
    };
    let appraisal = judge(&report.sign(&key).to_json());
    assert_eq!(appraisal.verdict().decision(), Decision::Malformed);
    assert_eq!(failures(&appraisal), ["snp.report.format", "policy.tee"]);
    assert!(appraisal.trusted().is_err());
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
