//! The event log of a report against the registers of its quote, and what the policy pins in it.

use crate::encoding::to_hex;
use crate::event_log::{EventLog, EventLogError, ReplayedLog, SecureBoot, Sha384, SystemEvent};
use crate::policy::EventLogPolicy;
use crate::verdict::{Cause, CheckId, Checks, EventLogFacts, Why};

const AFTER_FORMAT: [CheckId; 5] = [
    CheckId::EventLogReplay,
    CheckId::EventLogAppId,
    CheckId::EventLogComposeHash,
    CheckId::EventLogOsImageHash,
    CheckId::EventLogSecureBoot,
];

/// `rtmrs` are the quote's registers, or why there are none that could be relied on.
pub(super) fn appraise(
    log: Option<Result<EventLog, EventLogError>>,
    rtmrs: Result<&[Sha384; 4], Why>,
    policy: Option<&EventLogPolicy>,
    checks: &mut Checks,
) -> Option<EventLogFacts> {
    let facts = log
        .as_ref()
        .and_then(|log| log.as_ref().ok())
        .map(EventLogFacts::from_log);
    let Some(policy) = policy else {
        all_unasked(Why::NotInPolicy, checks);
        return facts;
    };
    let log = match log {
        Some(Ok(log)) => log,
        Some(Err(error)) => {
            checks.fail(CheckId::EventLogFormat, Cause::EventLog(error));
            stop(
                policy,
                Why::Stopped {
                    at: CheckId::EventLogFormat,
                },
                checks,
            );
            return facts;
        }
        None if policy.needs_log() => {
            checks.not_evaluated(CheckId::EventLogFormat, Why::Absent);
            stop(policy, Why::Absent, checks);
            return facts;
        }
        None => {
            all_unasked(Why::Absent, checks);
            return facts;
        }
    };
    checks.pass(CheckId::EventLogFormat);
    let replayed = rtmrs.and_then(|rtmrs| {
        log.verify_registers(rtmrs, &policy.registers)
            .map_err(|error| {
                checks.fail(CheckId::EventLogReplay, Cause::EventLog(error));
                Why::Stopped {
                    at: CheckId::EventLogReplay,
                }
            })
    });
    match replayed {
        Ok(replayed) => {
            checks.pass(CheckId::EventLogReplay);
            pins(&replayed, policy, checks);
        }
        Err(why) => stop(policy, why, checks),
    }
    facts
}

fn all_unasked(why: Why, checks: &mut Checks) {
    checks.not_required(CheckId::EventLogFormat, why.clone());
    for check in AFTER_FORMAT {
        checks.not_required(check, why.clone());
    }
}

fn stop(policy: &EventLogPolicy, why: Why, checks: &mut Checks) {
    for check in AFTER_FORMAT {
        let asked = match check {
            CheckId::EventLogAppId => policy.app_id.is_some(),
            CheckId::EventLogComposeHash => policy.compose_hash.is_some(),
            CheckId::EventLogOsImageHash => policy.os_image_hash.is_some(),
            CheckId::EventLogSecureBoot => policy.secure_boot,
            _ => true,
        };
        match asked {
            _ if why == (Why::Stopped { at: check }) => {}
            true => checks.not_evaluated(check, why.clone()),
            false => checks.not_required(check, Why::NotInPolicy),
        }
    }
}

fn pins(log: &ReplayedLog, policy: &EventLogPolicy, checks: &mut Checks) {
    let system = [
        (CheckId::EventLogAppId, SystemEvent::AppId, &policy.app_id),
        (
            CheckId::EventLogComposeHash,
            SystemEvent::ComposeHash,
            &policy.compose_hash,
        ),
        (
            CheckId::EventLogOsImageHash,
            SystemEvent::OsImageHash,
            &policy.os_image_hash,
        ),
    ];
    for (check, event, accepted) in system {
        match accepted {
            None => checks.not_required(check, Why::NotInPolicy),
            Some(accepted) => checks.record(check, measured(log, event, accepted)),
        }
    }
    if policy.secure_boot {
        let enforced = match log.secure_boot() {
            Ok(SecureBoot::Enforced) => Ok(()),
            Ok(SecureBoot::Off) => Err(Cause::SecureBootOff),
            Err(error) => Err(Cause::Event(error)),
        };
        checks.record(CheckId::EventLogSecureBoot, enforced);
    } else {
        checks.not_required(CheckId::EventLogSecureBoot, Why::NotInPolicy);
    }
}

fn measured(log: &ReplayedLog, event: SystemEvent, accepted: &[Vec<u8>]) -> Result<(), Cause> {
    let payload = log.system_event(event).map_err(Cause::Event)?;
    if accepted.iter().any(|accepted| accepted == payload) {
        Ok(())
    } else {
        Err(Cause::NotAccepted(to_hex(payload)))
    }
}
