//! `session`: a session record by itself. Its id and evidence digest always; its evidence again,
//! under the reader's own policy, if one is given (ACI/1 §9.2).

use std::path::PathBuf;

use attest_core::{
    Channel, ChannelBinding, Claim, Freshness, Nonce, Report, Session, SessionId, SessionRecord,
};

use clap::Args;

use crate::args::{JudgeArgs, OutputArgs};
use crate::audit::{Audit, Finding};
use crate::conclusion::print;
use crate::failure::Failure;
use crate::inputs;
use crate::judge::Judge;
use crate::judged::PolicyOrigin;
use crate::render;

#[derive(Debug, Args)]
pub struct SessionArgs {
    /// The session record (JSON); "-" reads standard input
    pub file: PathBuf,
    /// The id that it must have, as a receipt cites it
    #[arg(long, value_name = "HEX")]
    pub id: Option<String>,
    #[command(flatten)]
    pub judge: JudgeArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

pub fn run(args: &SessionArgs) -> Result<u8, Failure> {
    let judge = Judge::from_args(&args.judge)?;
    let session = read(
        &inputs::read(&args.file, inputs::MAX_EVIDENCE)?,
        &args.file.display().to_string(),
    )?;
    let mut audit = Audit {
        title: format!("session {}", session.id()),
        facts: facts(session.record()),
        findings: Vec::new(),
        verdict: None,
        policy: judge.policy_origin,
    };
    audit.findings.push(id(&session, args.id.as_deref())?);
    audit.findings.push(Finding::pass(
        "session.evidence.digest",
        session.record().evidence.digest().to_string(),
    ));
    shallow(&mut audit, session.record(), &judge);
    deep(&mut audit, session.record(), &judge);
    print(&render::audit_output(&audit, args.output.form()));
    Ok(audit.exit_code())
}

pub fn read(bytes: &[u8], name: &str) -> Result<Session, Failure> {
    Session::parse(bytes).map_err(|e| Failure::malformed(name, e))
}

fn id(session: &Session, wanted: Option<&str>) -> Result<Finding, Failure> {
    let Some(hex) = wanted else {
        return Ok(Finding::not_checked(
            "session.id",
            "no id was given to compare with (--id)",
        ));
    };
    let wanted = SessionId::parse(hex).map_err(|e| Failure::Usage(format!("--id: {e}")))?;
    Ok(Finding::of("session.id", session.check_id(wanted)))
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

/// What the service *says* it found: its claims, its bindings, its period.
fn shallow(audit: &mut Audit, record: &SessionRecord, judge: &Judge) {
    let now = judge.now;
    audit.findings.push(if now < record.established_at {
        Finding::fail(
            "session.period",
            format!("begins only at {}", record.established_at),
        )
    } else if now >= record.expires_at {
        Finding::fail("session.period", format!("ended at {}", record.expires_at))
    } else {
        Finding::pass("session.period", "")
    });
    audit.findings.push(tee_claim(&record.claims.tee_attested));
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
        audit.findings.push(match claim {
            Claim::Refuted { .. } => Finding::fail(id, words(claim)),
            Claim::Asserted { .. } => Finding::pass(id, words(claim)),
            Claim::Unknown => Finding::not_checked(id, words(claim)),
        });
    }
}

/// Without a TEE behind it there is nothing to hold a session for.
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

/// The evidence itself, judged again as if it had been sent to us.
fn deep(audit: &mut Audit, record: &SessionRecord, judge: &Judge) {
    const CHANNEL: &str = "session.channel_binding";
    const EVIDENCE: &str = "session.evidence.verdict";
    let report = &record.evidence.bytes;
    let Ok(parsed) = Report::parse(report) else {
        let why = format!(
            "its evidence ({}) is not an ACI/1 report",
            record.evidence.content_type
        );
        audit.findings.push(Finding::missing(CHANNEL, why.clone()));
        audit.findings.push(Finding::missing(EVIDENCE, why));
        return;
    };
    audit.findings.push(binding(record, &parsed));
    if judge.policy_origin == PolicyOrigin::Absent {
        let why = "no policy says what is wanted (--policy); the evidence was not judged";
        audit.findings.push(Finding::missing(EVIDENCE, why));
        return;
    }
    let freshness = match nonce(record) {
        Some(nonce) => Freshness::Challenged(nonce),
        None => {
            let why = "the record does not say which nonce the upstream was challenged with \
                       (claims.extra.nonce)";
            audit.findings.push(Finding::missing("session.nonce", why));
            Freshness::Unchallenged
        }
    };
    let appraisal = judge
        .appraiser()
        .report(report, freshness, Channel::NotObserved);
    audit.verdict = Some(appraisal.verdict().clone());
}

/// The nonce the service challenged its upstream with, as it recorded it.
fn nonce(record: &SessionRecord) -> Option<Nonce> {
    record
        .claims
        .extra
        .get("nonce")?
        .as_str()
        .and_then(|hex| Nonce::parse(hex).ok())
}

/// Is the channel that was enforced one of the keys that the evidence binds?
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
        Ok(origin) => Finding::of(ID, report.keyset().lists_tls_key(spki, origin.host())),
        Err(e) => Finding::fail(ID, format!("its origin cannot be read: {e}")),
    }
}
