//! `session`: checks a session record: its id and evidence digest always; its evidence again,
//! under the reader's policy, if one is given (ACI/1 §9.2).

use std::path::PathBuf;

use clap::Args;

use crate::args::{OutputArgs, TrustArgs};
use crate::conclusion::print;
use crate::failure::Failure;
use crate::findings::{DocumentResult, Finding};
use crate::inputs;
use crate::qualified_verdict::PolicyOrigin;
use crate::render;
use crate::trust_inputs::TrustInputs;
use attest_core::{
    Channel, ChannelBinding, Claim, Freshness, Nonce, Report, Session, SessionId, SessionRecord,
};

#[derive(Debug, Args)]
pub struct SessionArgs {
    /// The session record (JSON); "-" reads standard input
    pub file: PathBuf,
    /// The id that it must have, from a receipt that cites it
    #[arg(long, value_name = "HEX")]
    pub id: Option<String>,
    #[command(flatten)]
    pub trust: TrustArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

pub fn run(args: &SessionArgs) -> Result<u8, Failure> {
    let trust = TrustInputs::from_args(&args.trust)?;
    let session = read(
        &inputs::read(&args.file, inputs::MAX_EVIDENCE)?,
        &args.file.display().to_string(),
    )?;
    let mut result = DocumentResult {
        title: format!("session {}", session.id()),
        facts: facts(session.record()),
        findings: Vec::new(),
        verdict: None,
        policy: trust.policy_origin,
    };
    result.findings.push(id(&session, args.id.as_deref())?);
    result.findings.push(Finding::pass(
        "session.evidence.digest",
        session.record().evidence.digest().to_string(),
    ));
    check_claims(&mut result, session.record(), &trust);
    check_evidence(&mut result, session.record(), &trust);
    print(&render::document_output(&result, args.output.form()));
    Ok(result.exit_code())
}

pub fn read(bytes: &[u8], name: &str) -> Result<Session, Failure> {
    Session::parse(bytes).map_err(|e| Failure::malformed(name, e))
}

fn id(session: &Session, expected: Option<&str>) -> Result<Finding, Failure> {
    let Some(hex) = expected else {
        return Ok(Finding::not_checked(
            "session.id",
            "no id was given to compare with (--id)",
        ));
    };
    let expected = SessionId::parse(hex).map_err(|e| Failure::Usage(format!("--id: {e}")))?;
    Ok(Finding::from_result(
        "session.id",
        session.check_id(expected),
    ))
}

fn facts(record: &SessionRecord) -> Vec<(&'static str, String)> {
    vec![
        ("upstream", record.upstream_name.clone()),
        (
            "endpoint",
            record.endpoint.clone().unwrap_or_else(|| "–".to_owned()),
        ),
        ("verified by", record.verifier_id.clone()),
        (
            "valid",
            format!("{} to {}", record.established_at, record.expires_at),
        ),
    ]
}

/// The service's statements: its claims and its period.
fn check_claims(result: &mut DocumentResult, record: &SessionRecord, trust: &TrustInputs) {
    let now = trust.now;
    result.findings.push(if now < record.established_at {
        Finding::fail(
            "session.period",
            format!("begins only at {}", record.established_at),
        )
    } else if now >= record.expires_at {
        Finding::fail("session.period", format!("ended at {}", record.expires_at))
    } else {
        Finding::pass("session.period", "")
    });
    result.findings.push(tee_claim(&record.claims.tee_attested));
    let claims = &record.claims;
    let informational = [
        ("claim.gpu_attested", &claims.gpu_attested),
        ("claim.tcb_up_to_date", &claims.tcb_up_to_date),
        ("claim.os_known_good", &claims.os_known_good),
        (
            "claim.serving_software_known_good",
            &claims.serving_software_known_good,
        ),
        (
            "claim.model_weights_provenance",
            &claims.model_weights_provenance,
        ),
    ];
    for (id, claim) in informational {
        result.findings.push(match claim {
            Claim::Refuted { .. } => Finding::fail(id, words(claim)),
            Claim::Asserted { .. } => Finding::pass(id, words(claim)),
            Claim::Unknown => Finding::not_checked(id, words(claim)),
        });
    }
}

/// A session requires a TEE.
fn tee_claim(claim: &Claim) -> Finding {
    match claim {
        Claim::Asserted { .. } => Finding::pass("claim.tee_attested", words(claim)),
        Claim::Refuted { .. } => Finding::fail("claim.tee_attested", words(claim)),
        Claim::Unknown => Finding::missing("claim.tee_attested", words(claim)),
    }
}

fn words(claim: &Claim) -> String {
    let (word, source, reason) = match claim {
        Claim::Unknown => return "unknown".to_owned(),
        Claim::Asserted { source, reason } => ("claimed", source, reason),
        Claim::Refuted { source, reason } => ("refuted", source, reason),
    };
    match reason {
        Some(reason) => format!("{word}, {}: {reason}", source.name()),
        None => format!("{word}, {}", source.name()),
    }
}

/// The evidence itself, appraised again as if it had been sent to us.
fn check_evidence(result: &mut DocumentResult, record: &SessionRecord, trust: &TrustInputs) {
    const CHANNEL: &str = "session.channel_binding";
    const EVIDENCE: &str = "session.evidence.verdict";
    let report = &record.evidence.bytes;
    let Ok(parsed) = Report::parse(report) else {
        let why = format!(
            "its evidence ({}) is not an ACI/1 report",
            record.evidence.content_type
        );
        result.findings.push(Finding::missing(CHANNEL, why.clone()));
        result.findings.push(Finding::missing(EVIDENCE, why));
        return;
    };
    result.findings.push(binding(record, &parsed));
    if trust.policy_origin == PolicyOrigin::Absent {
        let why = "no policy was given (--policy); the evidence was not appraised";
        result.findings.push(Finding::missing(EVIDENCE, why));
        return;
    }
    let freshness = match nonce(record) {
        Some(nonce) => Freshness::Challenged(nonce),
        None => {
            let why = "the record does not say which nonce the upstream was challenged with \
                       (claims.extra.nonce)";
            result.findings.push(Finding::missing("session.nonce", why));
            Freshness::Unchallenged
        }
    };
    let appraisal = trust
        .appraiser()
        .report(report, freshness, Channel::NotObserved);
    result.verdict = Some(appraisal.verdict().clone());
}

/// The recorded nonce that the service challenged its upstream with.
fn nonce(record: &SessionRecord) -> Option<Nonce> {
    record
        .claims
        .extra
        .get("nonce")?
        .as_str()
        .and_then(|hex| Nonce::parse(hex).ok())
}

/// Whether the recorded channel's key is one of the keys that the evidence binds.
fn binding(record: &SessionRecord, report: &Report) -> Finding {
    const ID: &str = "session.channel_binding";
    let mut tls = record
        .channel_binding
        .iter()
        .filter_map(|binding| match binding {
            ChannelBinding::TlsSpki {
                origin,
                spki_sha256,
            } => Some((origin, spki_sha256)),
            _ => None,
        });
    let Some((origin, spki)) = tls.next() else {
        return Finding::missing(ID, "no TLS key binding is recorded");
    };
    match attest_channel::Origin::parse(origin) {
        Ok(origin) => Finding::from_result(ID, report.keyset().lists_tls_key(spki, origin.host())),
        Err(e) => Finding::fail(ID, format!("its origin cannot be read: {e}")),
    }
}
