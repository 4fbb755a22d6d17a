//! `receipt`: checks a receipt against the keys of an attested service and against the bytes that were sent and
//! received (ACI/1 §9.3). The service signed it, or entered it in its audit log.

use std::path::{Path, PathBuf};

use clap::Args;

use super::report::freshness;
use super::{endpoint, session};
use crate::args::{OutputArgs, TrustArgs};
use crate::conclusion::print;
use crate::failure::Failure;
use crate::findings::{DocumentResult, Finding};
use crate::inputs;
use crate::qualified_verdict::PolicyOrigin;
use crate::receipt_check::{self, Observed, UpstreamOutcome};
use crate::render;
use crate::trust_inputs::TrustInputs;
use attest_core::{
    Channel, Keyset, ReceiptDocument, Report, Serving, Sha256Digest, Verdict,
    signs_receipts_on_fetch,
};

/// The keyset, where it came from, and the verdict on it.
struct Keys {
    keyset: Keyset,
    serving: Option<Serving>,
    signs_on_fetch: bool,
    established: Finding,
    verdict: Option<Verdict>,
    policy: PolicyOrigin,
}

#[derive(Debug, Args)]
pub struct ReceiptArgs {
    /// The receipt (JSON); "-" reads standard input
    pub file: PathBuf,
    /// Report whose keyset signs: it is verified too, under --policy
    #[arg(long, value_name = "FILE", group = "keys")]
    pub report: Option<PathBuf>,
    /// Keyset (JSON) that you verified by other means; trusted without a check
    #[arg(long, value_name = "FILE", group = "keys")]
    pub keyset: Option<PathBuf>,
    /// Live service whose keyset signs: it is verified first, like `endpoint`
    #[arg(long, value_name = "URL", group = "keys")]
    pub endpoint: Option<String>,
    /// The nonce the saved report was requested with
    #[arg(long, value_name = "HEX|@FILE", requires = "report")]
    pub nonce: Option<String>,
    /// The request body, exactly as sent
    #[arg(long, value_name = "FILE")]
    pub request: Option<PathBuf>,
    /// The response body, exactly as received
    #[arg(long, value_name = "FILE")]
    pub response: Option<PathBuf>,
    /// The session record that the receipt cites
    #[arg(long, value_name = "FILE")]
    pub session: Option<PathBuf>,
    #[command(flatten)]
    pub trust: TrustArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

pub async fn run(args: ReceiptArgs) -> Result<u8, Failure> {
    let receipt = ReceiptDocument::parse(&inputs::read(&args.file, inputs::MAX_EVIDENCE)?)
        .map_err(|e| Failure::malformed(args.file.display().to_string(), e))?;
    let keys = keys(&args).await?;
    let mut result = DocumentResult {
        title: format!("receipt {}", receipt.body().receipt_id),
        facts: facts(&receipt),
        findings: vec![keys.established],
        verdict: keys.verdict,
        policy: keys.policy,
    };
    let checked = receipt_check::check(
        &receipt,
        &Observed {
            keyset: &keys.keyset,
            serving: keys.serving,
            signs_on_fetch: keys.signs_on_fetch,
            request: digest_of(args.request.as_deref())?,
            response: digest_of(args.response.as_deref())?,
            exchange: None,
        },
    );
    result.findings.extend(checked.findings);
    if let Some(upstream) = checked.upstream {
        result
            .findings
            .push(cited_session(&args, &receipt, upstream)?);
    }
    print(&render::document_output(&result, args.output.form()));
    Ok(result.exit_code())
}

async fn keys(args: &ReceiptArgs) -> Result<Keys, Failure> {
    const ID: &str = "receipt.keyset.established";
    if let Some(path) = &args.keyset {
        let keyset = Keyset::parse(&inputs::read(path, inputs::MAX_EVIDENCE)?)
            .map_err(|e| Failure::malformed(path.display().to_string(), e))?;
        let established =
            Finding::not_checked(ID, "the keyset was given and is trusted without a check");
        return Ok(Keys {
            keyset,
            serving: None,
            signs_on_fetch: false,
            established,
            verdict: None,
            policy: PolicyOrigin::Absent,
        });
    }
    let mut trust = TrustInputs::from_args(&args.trust)?;
    let (bytes, verdict, name) = match (&args.report, &args.endpoint) {
        (Some(path), _) => {
            let bytes = inputs::read(path, inputs::MAX_EVIDENCE)?;
            let freshness = freshness(args.nonce.as_deref())?;
            let verdict = trust
                .appraiser()
                .report(&bytes, freshness, Channel::NotObserved)
                .verdict()
                .clone();
            (bytes, verdict, path.display().to_string())
        }
        (None, Some(url)) => {
            let stated = args.trust.at.is_some();
            let challenged = endpoint::challenge(url, &mut trust, stated, None).await?;
            (
                challenged.report,
                challenged.appraisal.verdict().clone(),
                url.clone(),
            )
        }
        (None, None) => {
            return Err(Failure::Usage(
                "the signing keys are missing: give --report, --keyset or --endpoint".to_owned(),
            ));
        }
    };
    let report = Report::parse(&bytes).map_err(|e| Failure::malformed(name, e))?;
    let established = Finding::not_checked(ID, "see the verdict on the report below");
    let keyset = report.keyset().clone();
    Ok(Keys {
        signs_on_fetch: signs_receipts_on_fetch(&keyset, &report.evidence().documents),
        keyset,
        serving: Some(report.serving()),
        established,
        verdict: Some(verdict),
        policy: trust.policy_origin,
    })
}

fn facts(receipt: &ReceiptDocument) -> Vec<(&'static str, String)> {
    let body = receipt.body();
    vec![
        ("request", format!("{} {}", body.method, body.endpoint)),
        (
            "model",
            body.model.clone().unwrap_or_else(|| "–".to_owned()),
        ),
        ("served at", body.served_at.to_string()),
    ]
}

fn digest_of(file: Option<&Path>) -> Result<Option<Sha256Digest>, Failure> {
    let body = file.map(|path| inputs::read(path, inputs::MAX_BODY));
    Ok(body.transpose()?.map(|body| Sha256Digest::hash(&body)))
}

fn cited_session(
    args: &ReceiptArgs,
    receipt: &ReceiptDocument,
    upstream: UpstreamOutcome,
) -> Result<Finding, Failure> {
    const ID: &str = "receipt.session";
    let Some(path) = &args.session else {
        return Ok(Finding::not_checked(ID, "not compared (--session)"));
    };
    let session = session::read(
        &inputs::read(path, inputs::MAX_EVIDENCE)?,
        &path.display().to_string(),
    )?;
    let UpstreamOutcome::Verified(session_id) = upstream else {
        return Ok(Finding::fail(ID, "the receipt cites no session"));
    };
    if let Err(error) = session.check_id(session_id) {
        return Ok(Finding::fail(ID, error));
    }
    let record = session.record();
    let served_at = receipt.body().served_at;
    Ok(
        if served_at < record.established_at || served_at >= record.expires_at {
            let period = format!("{} to {}", record.established_at, record.expires_at);
            Finding::fail(
                ID,
                format!("served at {served_at}, outside the session's {period}"),
            )
        } else {
            Finding::pass(
                ID,
                "cited, and valid when served; verify its evidence with `session`",
            )
        },
    )
}
