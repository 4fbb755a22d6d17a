//! Appraising the evidence of one machine without a report around it: CPU, event log and devices, as far
//! as they are presented, under one policy.

use super::nvidia::{self, ExpectedNonce};
use super::{Appraiser, cpu, event_log};
use crate::event_log::EventLog;
use crate::evidence::{EndorsementCache, UnverifiedEvidence};
use crate::nvidia::UnverifiedDevice;
use crate::verdict::{Cause, CheckId, Checks, Facts, Verdict, Why};

/// Evidence of one machine, each part of which may be left out. What the policy requires and is left
/// out is missed, not passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MachineEvidence<'a> {
    /// Of its CPU.
    pub cpu: Option<UnverifiedEvidence<'a>>,
    /// The 64 bytes that the CPU's evidence must carry; without them, what the evidence binds is not checked.
    pub report_data: Option<[u8; 64]>,
    /// A CCEL area or dstack's JSON.
    pub event_log: Option<&'a [u8]>,
    /// Its GPUs and switches.
    pub devices: &'a [UnverifiedDevice],
    /// The nonce that devices were challenged with; otherwise they must agree on one.
    pub device_nonce: Option<[u8; 32]>,
}

pub(super) fn appraise(
    appraiser: &Appraiser<'_>,
    evidence: &MachineEvidence<'_>,
    cache: &mut EndorsementCache,
) -> Verdict {
    let mut checks = Checks::default();
    let mut facts = Facts::default();
    let mut rtmrs = Err(Why::Absent);
    let cpu = evidence.cpu.map(|cpu| {
        let outcome = cpu::appraise(appraiser, cpu, appraiser.collateral, cache, &mut checks);
        report_data(evidence.report_data, outcome.report_data(), &mut checks);
        outcome
    });
    if let Some(cpu) = &cpu {
        rtmrs = cpu.rtmrs();
        facts.tdx.clone_from(&cpu.tdx);
        facts.snp.clone_from(&cpu.snp);
    } else if evidence.report_data.is_some() {
        checks.not_evaluated(CheckId::BindingReportData, Why::Absent);
    }
    let policy = appraiser.policy.event_log.as_ref();
    let log = evidence.event_log.map(EventLog::parse);
    if log.is_some() || (evidence.cpu.is_some() && policy.is_some()) {
        facts.event_log = event_log::appraise(log, rtmrs, policy, &mut checks);
    }
    let policy = appraiser.policy.nvidia.as_ref();
    let wanted = policy.is_some_and(|policy| policy.required);
    if wanted || !evidence.devices.is_empty() || evidence.cpu.is_none() {
        let presented: Vec<_> = evidence.devices.iter().cloned().map(Ok).collect();
        let collateral = appraiser.collateral;
        let collateral = collateral.and_then(|collateral| collateral.nvidia.as_ref());
        let nonce = evidence.device_nonce.as_ref();
        let expected_nonce = nonce.map_or(ExpectedNonce::AnyCommon, ExpectedNonce::Exactly);
        let outcome = nvidia::appraise(
            appraiser,
            &presented,
            collateral,
            expected_nonce,
            cache,
            &mut checks,
        );
        facts.devices = outcome.facts;
    }
    Verdict::new(checks, facts, appraiser.grounds())
}

/// The caller that requested the evidence states what it must carry.
fn report_data(wanted: Option<[u8; 64]>, found: Option<&[u8; 64]>, checks: &mut Checks) {
    match (wanted, found) {
        (None, _) => {}
        (Some(_), None) => {
            let at = checks.first_failure().unwrap_or(CheckId::PolicyTee);
            checks.not_evaluated(CheckId::BindingReportData, Why::Stopped { at });
        }
        (Some(wanted), Some(found)) => {
            checks.require(CheckId::BindingReportData, wanted == *found, || {
                Cause::ReportDataOther(Box::new(*found))
            });
        }
    }
}
