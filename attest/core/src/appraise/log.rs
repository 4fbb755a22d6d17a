//! The audit log's head that a report shows: is it this service's, and does it tell of this epoch?
//!
//! A head proves nothing about the past by itself. What it is worth is that it can be kept: a service
//! that later shows a head which does not continue it has rewritten its history, and its own
//! signature says so.

use crate::aci::Report;
use crate::log::{Checkpoint, EpochProof, LogProofError};
use crate::policy::LogPolicy;
use crate::profile::Subject;
use crate::verdict::{Cause, CheckId, Checks, LogFacts, Why};

const DOCUMENT: &str = "log";

pub(super) fn appraise(
    report: &Report,
    subject: Option<&Subject>,
    policy: Option<&LogPolicy>,
    checks: &mut Checks,
) -> Option<LogFacts> {
    let Some(text) = report.evidence().documents.get(DOCUMENT) else {
        for check in [CheckId::LogCheckpoint, CheckId::LogEpoch] {
            match policy {
                Some(_) => checks.not_evaluated(check, Why::Absent),
                None => checks.not_required(check, Why::Absent),
            }
        }
        return None;
    };
    let stopped = Why::Stopped {
        at: CheckId::LogCheckpoint,
    };
    let proof = match EpochProof::parse(text.as_bytes()) {
        Ok(proof) => proof,
        Err(error) => {
            checks.fail(CheckId::LogCheckpoint, Cause::Log(error));
            checks.not_evaluated(CheckId::LogEpoch, stopped);
            return None;
        }
    };
    let facts = LogFacts::from_checkpoint(proof.claimed_head());
    let key = report
        .key_id()
        .map(|key_id| report.keyset().receipt_key(key_id));
    let Some(Ok(key)) = key else {
        checks.not_evaluated(
            CheckId::LogCheckpoint,
            Why::Stopped {
                at: CheckId::ReportSignature,
            },
        );
        checks.not_evaluated(CheckId::LogEpoch, stopped);
        return Some(facts);
    };
    checks.record(
        CheckId::LogCheckpoint,
        proof
            .verify_head(&key)
            .map_err(Cause::Log)
            .and_then(|head| wanted(&head, policy)),
    );
    let contract = subject.map(|subject| (subject.config, subject.retention));
    let epoch: Result<_, LogProofError> =
        proof.verify_epoch(report.keyset_digest(), contract, &key);
    checks.record(CheckId::LogEpoch, epoch.map(|_| ()).map_err(Cause::Log));
    Some(facts)
}

fn wanted(head: &Checkpoint, policy: Option<&LogPolicy>) -> Result<(), Cause> {
    let Some(policy) = policy else { return Ok(()) };
    if let Some(origins) = &policy.origins
        && !origins.contains(&head.origin)
    {
        return Err(Cause::LogOrigin(head.origin));
    }
    match policy.min_size {
        Some(floor) if head.size < floor => Err(Cause::LogSize {
            got: head.size,
            floor,
        }),
        _ => Ok(()),
    }
}
