//! Judging a whole report: parse, signature, binding, contract, then the CPU and what else it
//! brought.

use super::contract::{self, Contract};
use super::trusted::Offer;
use super::{Appraisal, Appraiser, Channel, Freshness, binding, cpu};
use crate::aci::{EvidenceBundle, Report};
use crate::evidence::UnverifiedEvidence;
use crate::policy::{AttestationPolicy, ProvenancePolicy};
use crate::verdict::{Cause, Checks, Facts, ReportFacts, Verdict, Why, id};

pub(super) fn judge(
    appraiser: &Appraiser<'_>,
    bytes: &[u8],
    freshness: Freshness,
    channel: Channel<'_>,
) -> Appraisal {
    let mut checks = Checks::default();
    let report = match Report::parse(bytes) {
        Ok(report) => report,
        Err(error) => {
            checks.fail(id::REPORT_FORMAT, Cause::ReportMalformed(error));
            return Appraisal::refused(Verdict::new(checks, Facts::default(), appraiser.grounds()));
        }
    };
    checks.pass(id::REPORT_FORMAT);
    binding::of_report(&report, &mut checks);

    // The CPU's evidence is taken apart before what it binds can be compared, and told after it.
    let mut cpu_checks = Checks::default();
    let evidence = report.evidence();
    let collateral = evidence.collateral.as_ref().or(appraiser.collateral);
    let cpu = cpu::judge(
        appraiser,
        UnverifiedEvidence::from(&evidence.cpu),
        collateral,
        &mut cpu_checks,
    );
    let slot = cpu.facts.as_ref().map(|facts| &facts.body.report_data);
    let unreadable = cpu_checks.first_failure().unwrap_or(id::TDX_QUOTE_FORMAT);
    binding::of_report_data(&report, slot, &freshness, unreadable, &mut checks);
    binding::of_keyset_dates(&report, appraiser, &mut checks);
    binding::of_channel(&report, &channel, &mut checks);
    let contract = contract::judge(&report, &appraiser.policy.contract, &mut checks);
    provenance(&report, &appraiser.policy.provenance, &mut checks);
    checks.append(cpu_checks);
    not_judged(evidence, appraiser.policy, &mut checks);

    let facts = Facts {
        tdx: cpu.facts,
        report: Some(report_facts(&report, &contract)),
    };
    let verdict = Verdict::new(checks, facts, appraiser.grounds());
    Appraisal::of(
        verdict,
        Offer {
            report,
            report_bytes: bytes.to_vec(),
            subject: contract.subject,
            verified: cpu.verified,
            freshness,
            spki: channel.spki(),
        },
    )
}

/// Parts of the evidence that this version does not look into. Where the policy wants them, that
/// is not a pass.
fn not_judged(evidence: &EvidenceBundle, policy: &AttestationPolicy, checks: &mut Checks) {
    let why = if evidence.event_log.is_some() {
        Why::NotSupported
    } else {
        Why::Absent
    };
    checks.not_asked(id::TDX_EVENT_LOG, why);
    if policy.nvidia_required {
        let why = if evidence.devices.is_empty() {
            Why::Absent
        } else {
            Why::NotSupported
        };
        checks.missed(id::NVIDIA_DEVICES, why);
    } else {
        let why = if evidence.devices.is_empty() {
            Why::Absent
        } else {
            Why::NotSupported
        };
        checks.not_asked(id::NVIDIA_DEVICES, why);
    }
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
        checks.not_asked(id::PROVENANCE_SOURCE, Why::NotInPolicy);
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
    checks.judge(id::PROVENANCE_SOURCE, result);
}

fn report_facts(report: &Report, contract: &Contract) -> ReportFacts {
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
        devices: report.evidence().devices.len(),
        event_log: report.evidence().event_log.is_some(),
    }
}
