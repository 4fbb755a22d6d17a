//! Compares measured values with the lists of accepted ones in a policy.

use crate::encoding::to_hex;
use crate::policy::Accepted;
use crate::verdict::{Cause, CheckId, Checks, Why};

/// Enters checks that could not be made.
pub(super) fn nothing_of(ids: &[CheckId], why: &Why, checks: &mut Checks) {
    for check in ids.iter().copied() {
        // A check that failed already stays failed.
        if *why != (Why::Stopped { at: check }) {
            checks.not_evaluated(check, why.clone());
        }
    }
}

/// A check whose accepted values the policy may leave open.
pub(super) fn pinned<const N: usize>(
    check: CheckId,
    measured: &[u8; N],
    accepted: &Accepted<N>,
    checks: &mut Checks,
) {
    match accepted {
        None => checks.not_required(check, Why::NotInPolicy),
        Some(accepted) => checks.record(check, listed(measured, accepted)),
    }
}

pub(super) fn listed<const N: usize>(
    measured: &[u8; N],
    accepted: &[[u8; N]],
) -> Result<(), Cause> {
    if accepted.contains(measured) {
        Ok(())
    } else {
        Err(Cause::NotAccepted(to_hex(measured)))
    }
}
