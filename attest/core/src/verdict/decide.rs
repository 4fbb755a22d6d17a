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
    let told = |id| checks.iter().any(|check| check.id == id);
    let passed = |id| {
        checks
            .iter()
            .any(|check| check.id == id && check.outcome == Outcome::Pass)
    };
    // Devices alone may be judged by themselves; a report stands on its CPU.
    let signed_by_hardware = passed(id::TDX_QUOTE_SIGNATURE)
        || passed(id::SNP_REPORT_SIGNATURE)
        || (passed(id::NVIDIA_REPORT_SIGNATURE) && !told(id::REPORT_FORMAT));

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
    fn devices_do_not_stand_for_the_machine_that_a_report_is_from() {
        let devices = || check(id::NVIDIA_REPORT_SIGNATURE, Outcome::Pass, true);
        let report = check(id::REPORT_FORMAT, Outcome::Pass, true);
        assert_eq!(decide(&[devices()]), Decision::Accepted);
        assert_eq!(decide(&[report, devices()]), Decision::Rejected);
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
                id::TDX_TEE_TYPE,
                Outcome::Fail(Cause::UnsupportedEvidence("SGX enclave")),
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
