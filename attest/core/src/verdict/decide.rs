//! From checks to a decision. A failed check always refuses; a required check that was not
//! evaluated is not a pass; and nothing is accepted unless hardware's own signature was checked.

use super::{CauseKind, Check, CheckId, Decision, Obstacle, Why};

pub(super) fn decide(checks: &[Check]) -> Decision {
    let failed = |kind| {
        obstacles(checks)
            .any(|(_, it)| matches!(it, Obstacle::Failed(cause) if cause.kind() == kind))
    };
    let missing = |unsupported: bool| {
        obstacles(checks).any(|(_, it)| {
            matches!(it, Obstacle::NotEvaluated(why) if (*why == Why::NotSupported) == unsupported)
        })
    };
    let entered = |id| checks.iter().any(|check| check.id == id);
    let passed = |id| checks.iter().any(|check| check.id == id && check.passed());
    // Devices alone may be appraised by themselves; a report depends on its CPU's evidence.
    let signed_by_hardware = passed(CheckId::TdxQuoteSignature)
        || passed(CheckId::SnpReportSignature)
        || (passed(CheckId::NvidiaReportSignature) && !entered(CheckId::ReportFormat));

    if failed(CauseKind::Malformed) {
        Decision::Malformed
    } else if failed(CauseKind::Refused) {
        Decision::Rejected
    } else if failed(CauseKind::Unsupported) || missing(true) {
        Decision::Unsupported
    } else if missing(false) || !signed_by_hardware {
        Decision::Rejected
    } else {
        Decision::Accepted
    }
}

/// Every check that stands against acceptance, in the order of the checks.
pub(super) fn obstacles(checks: &[Check]) -> impl Iterator<Item = (CheckId, Obstacle<'_>)> {
    checks
        .iter()
        .filter_map(|check| Some((check.id, check.obstacle()?)))
}

#[cfg(test)]
mod tests {
    use super::super::{Cause, Outcome};
    use super::*;

    fn check(id: CheckId, outcome: Outcome, required: bool) -> Check {
        Check {
            id,
            outcome,
            required,
        }
    }

    fn signed() -> Check {
        check(CheckId::TdxQuoteSignature, Outcome::Pass, true)
    }

    #[test]
    fn nothing_checked_is_nothing_accepted() {
        assert_eq!(decide(&[]), Decision::Rejected);
        assert_eq!(
            decide(&[check(CheckId::ReportFormat, Outcome::Pass, true)]),
            Decision::Rejected
        );
        assert_eq!(decide(&[signed()]), Decision::Accepted);
    }

    #[test]
    fn devices_do_not_stand_for_the_machine_that_a_report_is_from() {
        let devices = || check(CheckId::NvidiaReportSignature, Outcome::Pass, true);
        let report = check(CheckId::ReportFormat, Outcome::Pass, true);
        assert_eq!(decide(&[devices()]), Decision::Accepted);
        assert_eq!(decide(&[report, devices()]), Decision::Rejected);
    }

    #[test]
    fn a_required_check_that_was_not_evaluated_is_not_a_pass() {
        let outcome = || Outcome::NotEvaluated(Why::NoCollateral);
        let required = check(CheckId::TdxTcbStatus, outcome(), true);
        let optional = check(CheckId::TdxTcbStatus, outcome(), false);
        assert_eq!(decide(&[signed(), required]), Decision::Rejected);
        assert_eq!(decide(&[signed(), optional]), Decision::Accepted);
    }

    #[test]
    fn a_failed_check_refuses_even_if_it_was_not_required() {
        let failed = check(CheckId::TdxRtmr3, Outcome::Fail(Cause::Signature), false);
        assert_eq!(decide(&[signed(), failed]), Decision::Rejected);
    }

    #[test]
    fn unsupported_is_said_only_where_nothing_worse_is_known() {
        let unsupported = || {
            check(
                CheckId::TdxTeeType,
                Outcome::Fail(Cause::UnsupportedEvidence("SGX enclave")),
                true,
            )
        };
        let devices = check(
            CheckId::NvidiaDevices,
            Outcome::NotEvaluated(Why::NotSupported),
            true,
        );
        let forged = check(
            CheckId::BindingKeyset,
            Outcome::Fail(Cause::ReportData),
            true,
        );
        assert_eq!(decide(&[unsupported()]), Decision::Unsupported);
        assert_eq!(decide(&[signed(), devices]), Decision::Unsupported);
        assert_eq!(decide(&[unsupported(), forged]), Decision::Rejected);
    }
}
