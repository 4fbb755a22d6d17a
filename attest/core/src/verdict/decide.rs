//! From checks to a decision. A failed check always refuses; a required check that was not
//! evaluated is not a pass; and nothing is accepted unless hardware's own signature was checked.

use super::{CauseKind, Check, Decision, Outcome, Why, id};

pub(super) fn decide(checks: &[Check]) -> Decision {
    let failed = |kind| {
        checks
            .iter()
            .any(|check| matches!(&check.outcome, Outcome::Fail(cause) if cause.kind() == kind))
    };
    let missed = |unsupported: bool| {
        checks.iter().any(|check| {
            check.required
                && matches!(&check.outcome, Outcome::NotEvaluated(why)
                    if (*why == Why::NotSupported) == unsupported)
        })
    };
    let signed_by_hardware = checks
        .iter()
        .any(|check| check.id == id::TDX_QUOTE_SIGNATURE && check.outcome == Outcome::Pass);

    if failed(CauseKind::Malformed) {
        Decision::Malformed
    } else if failed(CauseKind::Refused) {
        Decision::Rejected
    } else if failed(CauseKind::Unsupported) || missed(true) {
        Decision::Unsupported
    } else if missed(false) || !signed_by_hardware {
        Decision::Rejected
    } else {
        Decision::Accepted
    }
}

#[cfg(test)]
mod tests {
    use super::super::Cause;
    use super::*;

    fn check(id: &'static str, outcome: Outcome, required: bool) -> Check {
        Check {
            id,
            outcome,
            required,
        }
    }

    fn signed() -> Check {
        check(id::TDX_QUOTE_SIGNATURE, Outcome::Pass, true)
    }

    #[test]
    fn nothing_checked_is_nothing_accepted() {
        assert_eq!(decide(&[]), Decision::Rejected);
        assert_eq!(
            decide(&[check(id::REPORT_FORMAT, Outcome::Pass, true)]),
            Decision::Rejected
        );
        assert_eq!(decide(&[signed()]), Decision::Accepted);
    }

    #[test]
    fn a_required_check_that_was_not_evaluated_is_not_a_pass() {
        let outcome = || Outcome::NotEvaluated(Why::NoCollateral);
        let required = check(id::TDX_TCB_STATUS, outcome(), true);
        let optional = check(id::TDX_TCB_STATUS, outcome(), false);
        assert_eq!(decide(&[signed(), required]), Decision::Rejected);
        assert_eq!(decide(&[signed(), optional]), Decision::Accepted);
    }

    #[test]
    fn a_failed_check_refuses_even_if_it_was_not_required() {
        let failed = check(id::TDX_RTMR3, Outcome::Fail(Cause::Signature), false);
        assert_eq!(decide(&[signed(), failed]), Decision::Rejected);
    }

    #[test]
    fn unsupported_is_said_only_where_nothing_worse_is_known() {
        let unsupported = || {
            check(
                id::SNP_REPORT,
                Outcome::Fail(Cause::UnsupportedEvidence("SEV-SNP")),
                true,
            )
        };
        let devices = check(
            id::NVIDIA_DEVICES,
            Outcome::NotEvaluated(Why::NotSupported),
            true,
        );
        let forged = check(id::BINDING_KEYSET, Outcome::Fail(Cause::ReportData), true);
        assert_eq!(decide(&[unsupported()]), Decision::Unsupported);
        assert_eq!(decide(&[signed(), devices]), Decision::Unsupported);
        assert_eq!(decide(&[unsupported(), forged]), Decision::Rejected);
    }
}
