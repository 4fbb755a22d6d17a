//! Appraising a whole report: parse, signature, binding, contract, then the CPU, the event log and the
//! devices it brought.

use std::borrow::Cow;

use super::contract::{self, Contract};
use super::nvidia::{self, ExpectedNonce};
use super::trusted::TrustInputs;
use super::{Appraisal, Appraiser, Channel, Freshness, binding, cpu, event_log, log};
use crate::aci::Report;
use crate::collateral::Collateral;
use crate::digest::Nonce;
use crate::event_log::EventLog;
use crate::evidence::{EndorsementCache, UnverifiedEvidence};
use crate::nvidia::UnverifiedDevice;
use crate::policy::ProvenancePolicy;
use crate::profile::gpu_nonce;
use crate::verdict::{Cause, CheckId, Checks, Facts, LogFacts, ReportFacts, Verdict, Why};

pub(super) fn appraise(
    appraiser: &Appraiser<'_>,
    bytes: &[u8],
    freshness: Freshness,
    channel: Channel<'_>,
    cache: &mut EndorsementCache,
) -> Appraisal {
    let mut checks = Checks::default();
    let report = match Report::parse(bytes) {
        Ok(report) => report,
        Err(error) => {
            checks.fail(CheckId::ReportFormat, Cause::ReportMalformed(error));
            return Appraisal::refused(Verdict::new(checks, Facts::default(), appraiser.grounds()));
        }
    };
    checks.pass(CheckId::ReportFormat);
    binding::check_report(&report, &mut checks);

    // The CPU's evidence must be parsed before what it binds can be compared; its checks are listed after those.
    let mut cpu_checks = Checks::default();
    let evidence = report.evidence();
    let collateral = collected(evidence.collateral.as_ref(), appraiser.collateral);
    let cpu = cpu::appraise(
        appraiser,
        UnverifiedEvidence::from(&evidence.cpu),
        Some(&collateral),
        cache,
        &mut cpu_checks,
    );
    let unreadable = cpu_checks.first_failure().unwrap_or(CheckId::PolicyTee);
    binding::check_report_data(
        &report,
        cpu.report_data(),
        &freshness,
        unreadable,
        &mut checks,
    );
    binding::check_keyset_dates(&report, appraiser, &mut checks);
    binding::check_channel(&report, &channel, &mut checks);
    let contract = contract::appraise(&report, appraiser.policy, &mut checks);
    let log = log::appraise(
        &report,
        contract.subject.as_ref(),
        appraiser.policy.log.as_ref(),
        &mut checks,
    );
    provenance(&report, &appraiser.policy.provenance, &mut checks);
    checks.append(cpu_checks);
    let event_log = event_log::appraise(
        evidence.event_log.as_deref().map(EventLog::parse_base64),
        cpu.rtmrs(),
        appraiser.policy.event_log.as_ref(),
        &mut checks,
    );
    let presented: Vec<_> = evidence
        .devices
        .iter()
        .map(UnverifiedDevice::from_evidence)
        .collect();
    let devices = nvidia::appraise(
        appraiser,
        &presented,
        collateral.nvidia.as_ref(),
        ExpectedNonce::Exactly(&device_nonce(&report, &freshness)),
        cache,
        &mut checks,
    );

    let facts = Facts {
        tdx: cpu.tdx,
        snp: cpu.snp,
        devices: devices.facts,
        event_log,
        report: Some(report_facts(&report, &contract, log)),
    };
    let verdict = Verdict::new(checks, facts, appraiser.grounds());
    Appraisal::new(
        verdict,
        TrustInputs {
            report,
            report_bytes: bytes.to_vec(),
            subject: contract.subject,
            verified: match devices.valid_until {
                Some(limit) => cpu.verified.map(|evidence| evidence.until(limit)),
                None => cpu.verified,
            },
            freshness,
            spki: channel.spki(),
        },
    )
}

/// What came with the report, each part that did not come from the caller. Both are appraised alike.
fn collected<'a>(
    carried: Option<&'a Collateral>,
    given: Option<&'a Collateral>,
) -> Cow<'a, Collateral> {
    match (carried, given) {
        (None, None) => Cow::Owned(Collateral::default()),
        (Some(only), None) | (None, Some(only)) => Cow::Borrowed(only),
        (Some(carried), Some(given)) => Cow::Owned(carried.clone().or(given.clone())),
    }
}

/// What GPU evidence has to answer: the profile's nonce, with zeros where the report was made without a nonce.
fn device_nonce(report: &Report, freshness: &Freshness) -> [u8; 32] {
    let nonce = match freshness {
        Freshness::Challenged(nonce) => *nonce,
        Freshness::Unchallenged => Nonce::from_bytes([0; 32]),
    };
    gpu_nonce(&nonce, &report.keyset_digest())
}

/// What the service claims to be built from. A claim only: it is worth what the measurements make
/// of it.
fn provenance(report: &Report, policy: &ProvenancePolicy, checks: &mut Checks) {
    let claimed = report.provenance();
    let wanted = [
        ("repo_url", &claimed.repo_url, &policy.repo_url),
        ("repo_commit", &claimed.repo_commit, &policy.repo_commit),
        ("image_digest", &claimed.image_digest, &policy.image_digest),
    ];
    let mut asked = wanted
        .iter()
        .filter(|(_, _, accepted)| accepted.is_some())
        .peekable();
    if asked.peek().is_none() {
        checks.not_required(CheckId::ProvenanceSource, Why::NotInPolicy);
        return;
    }
    let refused = asked.find(|(_, claimed, accepted)| {
        let accepted = accepted.as_deref().unwrap_or_default();
        !claimed
            .as_ref()
            .is_some_and(|claimed| accepted.contains(claimed))
    });
    let result = match refused {
        Some((field, ..)) => Err(Cause::Provenance(field)),
        None => Ok(()),
    };
    checks.record(CheckId::ProvenanceSource, result);
}

fn report_facts(report: &Report, contract: &Contract, log: Option<LogFacts>) -> ReportFacts {
    let provenance = report.provenance();
    ReportFacts {
        keyset_digest: report.keyset_digest(),
        not_after: report.keyset().not_after,
        subject: report.keyset().subject.clone(),
        serving: report.serving(),
        repo_url: provenance.repo_url.clone(),
        repo_commit: provenance.repo_commit.clone(),
        image_digest: provenance.image_digest.clone(),
        retention_mode: contract.retention_mode.map(|mode| mode.as_str()),
        retention_tenant: contract.retention_tenant.clone(),
        devices: report.evidence().devices.len(),
        event_log: report.evidence().event_log.is_some(),
        log,
    }
}
