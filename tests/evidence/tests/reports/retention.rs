//! The policy's limits on retention, for all tenants and for one.

use std::time::Duration;

use attest_core::retention::{PolicySignatures, RetentionPolicy, SignatureError, Unopened};
use attest_core::{
    AttestationPolicy, Cause, CheckId, PolicyError, Sha256Digest, SigningKey, Subject,
};
use vendors::TdMeasurements;
use vendors::policy::pinned_policy;

use super::{CONFIG, NOW, judge_under, made, policy, refused_by};

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
