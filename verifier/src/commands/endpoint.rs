//! `endpoint`: a fresh nonce, the report and the TLS key on one connection, one verdict.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::args::{OutputArgs, TrustArgs};
use crate::collateral::{FetchArgs, Services};
use crate::conclusion::Conclusion;
use crate::evidence_input::EvidenceInput;
use crate::failure::Failure;
use crate::inputs;
use crate::qualified_verdict::QualifiedVerdict;
use crate::trust_inputs::TrustInputs;
use attest_channel::{ChannelError, Dialer, Origin, Timeouts};
use attest_core::{Appraisal, Channel, Decision, Freshness, Nonce, Report, to_base64};

/// A service's answer to a challenge, and its appraisal.
pub struct Challenged {
    pub report: Vec<u8>,
    pub nonce: Nonce,
    pub certificate_der: Vec<u8>,
    pub appraisal: Appraisal,
}

#[derive(Debug, Args)]
pub struct EndpointArgs {
    /// The service, as https://host[:port]
    pub url: String,
    #[command(flatten)]
    pub trust: TrustArgs,
    #[command(flatten)]
    pub fetch: FetchArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    /// Save the report as it was received, and the nonce it answers as FILE.nonce
    #[arg(long, value_name = "FILE")]
    pub save_report: Option<PathBuf>,
    /// Save the server's certificate (PEM), only if the verdict is "accepted"
    #[arg(long, value_name = "FILE")]
    pub save_cert: Option<PathBuf>,
    /// Print a policy pinned to what was just measured, for a person to review
    #[arg(long, conflicts_with_all = ["json", "policy"])]
    pub print_policy: bool,
}

pub async fn run(args: EndpointArgs) -> Result<u8, Failure> {
    let mut trust = TrustInputs::from_args(&args.trust)?;
    let challenge = challenge(
        &args.url,
        &mut trust,
        args.trust.at.is_some(),
        args.fetch.services(),
    )
    .await?;
    if let Some(path) = &args.save_report {
        inputs::write(path, &challenge.report)?;
        inputs::write(&nonce_beside(path), challenge.nonce.to_string().as_bytes())?;
    }
    let verdict = challenge.appraisal.verdict();
    let qualified = QualifiedVerdict {
        verdict,
        policy: trust.policy_origin,
        subject: &args.url,
    };
    let accepted = qualified.decision() == Decision::Accepted;
    if let (Some(path), true) = (&args.save_cert, accepted) {
        inputs::write(path, pem(&challenge.certificate_der).as_bytes())?;
    }
    Ok(Conclusion {
        qualified,
        form: args.output.form(),
        draft_policy: args.print_policy,
    }
    .print())
}

/// Challenges the service and appraises its report for the key of this connection.
pub async fn challenge(
    url: &str,
    trust: &mut TrustInputs,
    time_is_stated: bool,
    fetch_from: Option<Services<'_>>,
) -> Result<Challenged, Failure> {
    let origin = Origin::parse(url).map_err(|e| Failure::Usage(format!("{url}: {e}")))?;
    let nonce = inputs::fresh_nonce()?;
    let unreachable = |e: ChannelError| Failure::Unreachable(format!("{url}: {e}"));
    let mut connection = Dialer::new(Timeouts::default())
        .dial(&origin)
        .await
        .map_err(unreachable)?;
    let report = connection.fetch_report(&nonce).await.map_err(unreachable)?;
    if let Some(services) = fetch_from {
        supply_collateral(trust, &report, services).await?;
    }
    if !time_is_stated {
        trust.now = inputs::time(None)?;
    }
    let channel = Channel::Tls {
        spki: connection.spki(),
        host: origin.host(),
    };
    let appraisal = trust
        .appraiser()
        .report(&report, Freshness::Challenged(nonce), channel);
    Ok(Challenged {
        report,
        nonce,
        certificate_der: connection.certificate_der().to_owned(),
        appraisal,
    })
}

/// Fetches collateral for the report's evidence. A report that cannot be read is reported by the
/// verdict.
pub async fn supply_collateral(
    trust: &mut TrustInputs,
    report: &[u8],
    services: Services<'_>,
) -> Result<(), Failure> {
    let Ok(parsed) = Report::parse(report) else {
        return Ok(());
    };
    let Ok(presented) = EvidenceInput::from_report(String::new(), &parsed) else {
        return Ok(());
    };
    trust.supply(services.fetch_available(&presented).await?);
    Ok(())
}

/// `FILE.nonce`: without the nonce a report cannot be verified later.
fn nonce_beside(report: &Path) -> PathBuf {
    let mut name = report.as_os_str().to_owned();
    name.push(".nonce");
    name.into()
}

fn pem(der: &[u8]) -> String {
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    let encoded = to_base64(der);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_written_in_lines_of_64() {
        let text = pem(&[7; 100]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.first(), Some(&"-----BEGIN CERTIFICATE-----"));
        assert_eq!(lines[1].len(), 64);
        assert!(lines.iter().all(|line| line.len() <= 64));
        assert_eq!(lines[1..lines.len() - 1].concat(), to_base64(&[7; 100]));
    }
}
