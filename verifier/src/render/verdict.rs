//! Renders a verdict as a table.

use attest_core::{Check, CheckId, Obstacle, Outcome, RootOrigin, Verdict, Why};

use super::Detail;
use super::flat::{ABSENT, lines};
use super::paint::{Paint, short_digest};
use super::table::{Mark, Row, headline, pairs, rows};
use super::{facts, summary};
use crate::qualified_verdict::{POLICY_GIVEN, QualifiedVerdict};

pub fn verdict_text(qualified: &QualifiedVerdict<'_>, detail: Detail, paint: Paint) -> String {
    let verdict = qualified.verdict;
    let mut out = String::new();
    headline(&mut out, qualified.decision(), qualified.subject, paint);
    pairs(&mut out, &grounds(verdict));
    out.push('\n');
    let mut lines: Vec<Row> = verdict.checks().iter().map(row).collect();
    if let Some(missing) = qualified.policy.missing() {
        lines.push(Row {
            id: POLICY_GIVEN.to_owned(),
            mark: Mark::Missing,
            note: missing.to_owned(),
        });
    }
    let lines = match detail {
        Detail::Short => summary::summarize(lines),
        Detail::EveryCheck => lines,
    };
    rows(&mut out, &lines, paint);
    if not_observed(verdict) {
        out.push_str("\nChannel not observed: this says nothing about who a connection ends at.\n");
    }
    if measurements_unknown(verdict) {
        out.push_str(match verdict.facts().devices.len() {
            1 => "\nAuthentic device, measurements not appraised: no manifest states what it should run.\n",
            _ => "\nAuthentic devices, measurements not appraised: no manifest states what they should run.\n",
        });
    }
    let facts = match detail {
        Detail::Short => short_facts(verdict),
        Detail::EveryCheck => every_field(qualified),
    };
    if !facts.is_empty() {
        out.push_str(match hardware_signed(verdict) {
            true => "\n",
            false => "\nWhat the bytes say (not signed by hardware):\n",
        });
        pairs(&mut out, &facts);
    }
    out
}

fn short_facts(verdict: &Verdict) -> Vec<(String, String)> {
    let pairs = facts::pairs(verdict.facts()).into_iter();
    pairs
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Every decoded field, as in the JSON form; long values are shortened.
fn every_field(qualified: &QualifiedVerdict<'_>) -> Vec<(String, String)> {
    let facts = qualified.verdict.to_json()["facts"].take();
    let mut lines = lines(&facts);
    lines.retain(|(_, value)| value != ABSENT);
    lines
}

/// Whether the devices are genuine, and no manifest was compared with their measurements.
fn measurements_unknown(verdict: &Verdict) -> bool {
    let outcome = |id| verdict.check(id).map(|check| &check.outcome);
    let manifests = [CheckId::NvidiaRimDriver, CheckId::NvidiaRimVbios];
    let has_none = |id| matches!(outcome(id), None | Some(Outcome::NotEvaluated(_)));
    verdict.passed(CheckId::NvidiaReportSignature) && manifests.into_iter().all(has_none)
}

fn grounds(verdict: &Verdict) -> Vec<(&'static str, String)> {
    let roots = match verdict.root_origin() {
        RootOrigin::Vendor => "the hardware vendor's".to_owned(),
        RootOrigin::Supplied => "SUPPLIED ROOTS — not a vendor's".to_owned(),
    };
    let policy = format!(
        "{} ({})",
        verdict.policy_name(),
        short_digest(&verdict.policy_digest().to_string())
    );
    vec![
        ("roots", roots),
        ("policy", policy),
        ("time", verdict.at().to_string()),
    ]
}

fn row(check: &Check) -> Row {
    let (mark, note) = match (check.obstacle(), &check.outcome) {
        (Some(Obstacle::Failed(cause)), _) => (Mark::Fail, cause.to_string()),
        (Some(Obstacle::NotEvaluated(why)), _) => (Mark::Missing, why.to_string()),
        (None, Outcome::NotEvaluated(why)) => (Mark::NotApplicable, why.to_string()),
        (None, _) => (Mark::Pass, String::new()),
    };
    Row {
        id: check.id.to_string(),
        mark,
        note,
    }
}

/// Whether every checked hardware signature passed.
fn hardware_signed(verdict: &Verdict) -> bool {
    let signatures = [
        CheckId::TdxQuoteSignature,
        CheckId::SnpReportSignature,
        CheckId::NvidiaReportSignature,
    ];
    let checked = signatures.into_iter().filter_map(|id| verdict.check(id));
    let mut checked = checked.peekable();
    checked.peek().is_some() && checked.all(Check::passed)
}

fn not_observed(verdict: &Verdict) -> bool {
    verdict
        .checks()
        .iter()
        .any(|c| c.outcome == Outcome::NotEvaluated(Why::ChannelNotObserved))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qualified_verdict::PolicyOrigin;
    use attest_core::{Appraiser, AttestationPolicy, Roots, UnixTime};

    fn text(paint: Paint) -> String {
        let policy =
            AttestationPolicy::parse("name = \"t\"\n[tdx]\nmeasurements = \"any\"\n").unwrap();
        let appraiser = Appraiser {
            roots: &Roots::vendor(),
            policy: &policy,
            collateral: None,
            now: UnixTime::from_secs(0),
        };
        let verdict = appraiser.quote(b"no quote");
        let qualified = QualifiedVerdict {
            verdict: &verdict,
            policy: PolicyOrigin::Given,
            subject: "a\x1b[2J",
        };
        verdict_text(&qualified, Detail::EveryCheck, paint)
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let mut coloured = text(Paint::Colour);
        for code in ["0", "1", "2", "31", "32", "33"] {
            coloured = coloured.replace(&format!("\x1b[{code}m"), "");
        }
        let plain = text(Paint::Plain);
        assert_eq!(coloured, plain);
        assert!(
            !plain.contains('\x1b'),
            "the subject cannot control the terminal"
        );
        assert!(plain.starts_with("MALFORMED  a\\u{1b}[2J\n"), "{plain}");
    }
}
