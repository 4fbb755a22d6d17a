//! Appraises a genuine TDX quote: compares what it says with the policy.

mod genuine;
mod grace;
mod platform;
mod td;

use super::pins::nothing_of;
use super::status::VerificationStatus;
use crate::policy::TdxPolicy;
use crate::tdx::TdxFacts;
use crate::time::UnixTime;
use crate::verdict::{Checks, Why};

pub(super) use genuine::enter as enter_genuine;

/// Enters every check of policy, as far as the quote's status allows.
pub(super) fn appraise(
    facts: Option<&TdxFacts>,
    status: &VerificationStatus,
    policy: &TdxPolicy,
    now: UnixTime,
    checks: &mut Checks,
) {
    match (facts, status) {
        (Some(facts), VerificationStatus::Genuine { .. }) => {
            platform::appraise(facts, policy, now, checks);
            td::appraise(facts, policy, checks);
        }
        (Some(facts), VerificationStatus::SignedOnly(why)) => {
            nothing_of(&platform::CHECKS, why, checks);
            td::appraise(facts, policy, checks);
        }
        (_, VerificationStatus::Unproven(why)) => {
            nothing_of(&platform::CHECKS, why, checks);
            nothing_of(&td::CHECKS, why, checks);
        }
        (None, VerificationStatus::Genuine { .. } | VerificationStatus::SignedOnly(_)) => {
            let why = Why::Absent;
            nothing_of(&platform::CHECKS, &why, checks);
            nothing_of(&td::CHECKS, &why, checks);
        }
    }
}
