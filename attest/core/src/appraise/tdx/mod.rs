//! What the policy wants of a genuine TDX quote.

mod grace;
mod platform;
mod td;

use super::pins::nothing_of;
use crate::evidence::Standing;
use crate::policy::TdxPolicy;
use crate::tdx::TdxFacts;
use crate::time::UnixTime;
use crate::verdict::{Checks, Why};

/// Enters every check of policy, as far as the quote's standing lets it be judged.
pub(super) fn appraise(
    facts: Option<&TdxFacts>,
    standing: &Standing,
    policy: &TdxPolicy,
    now: UnixTime,
    checks: &mut Checks,
) {
    match (facts, standing) {
        (Some(facts), Standing::Genuine { .. }) => {
            platform::appraise(facts, policy, now, checks);
            td::appraise(facts, policy, checks);
        }
        (Some(facts), Standing::SignedOnly(why)) => {
            nothing_of(&platform::CHECKS, why, checks);
            td::appraise(facts, policy, checks);
        }
        (_, Standing::Unproven(why)) => {
            nothing_of(&platform::CHECKS, why, checks);
            nothing_of(&td::CHECKS, why, checks);
        }
        (None, Standing::Genuine { .. } | Standing::SignedOnly(_)) => {
            let why = Why::Absent;
            nothing_of(&platform::CHECKS, &why, checks);
            nothing_of(&td::CHECKS, &why, checks);
        }
    }
}
