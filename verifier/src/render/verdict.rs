//! A verdict as a short table.

use attest_core::{Check, Outcome, RootOrigin, Verdict, Why};

use super::facts;
use super::paint::{Paint, shorten};
use super::table::{Mark, Row, headline, pairs, rows};
use crate::judged::{Judged, NO_POLICY, POLICY_GIVEN, PolicyOrigin};

pub fn verdict_text(judged: &Judged<'_>, paint: Paint) -> String {
    let verdict = judged.verdict;
    let mut out = String::new();
    headline(&mut out, judged.decision(), judged.subject, paint);
    pairs(&mut out, &grounds(verdict));
    out.push('\n');
    let mut lines: Vec<Row<'_>> = verdict.checks().iter().map(row).collect();
    if judged.policy == PolicyOrigin::Absent {
        lines.push(Row {
            id: POLICY_GIVEN,
            mark: Mark::Missing,
            note: NO_POLICY.to_owned(),
        });
    }
    rows(&mut out, &lines, paint);
    if not_observed(verdict) {
        out.push_str("\nChannel not observed: this says nothing about who a connection ends at.\n");
    }
    let facts = facts::pairs(verdict.facts());
    if !facts.is_empty() {
        out.push('\n');
        pairs(&mut out, &facts);
    }
    out
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

fn row(check: &Check) -> Row<'_> {
    let (mark, note) = match &check.outcome {
        Outcome::Pass => (Mark::Pass, String::new()),
        Outcome::Fail(cause) => (Mark::Fail, cause.to_string()),
        Outcome::NotEvaluated(why) if check.required => (Mark::Missing, why.to_string()),
        Outcome::NotEvaluated(why) => (Mark::NotApplicable, why.to_string()),
    };
    Row {
        id: check.id,
        mark,
        note,
    }
}

fn not_observed(verdict: &Verdict) -> bool {
    verdict
        .checks()
        .iter()
        .any(|c| c.outcome == Outcome::NotEvaluated(Why::ChannelNotObserved))
}

/// `sha256:` and the shortened rest.
pub fn short_digest(digest: &str) -> String {
    match digest.split_once(':') {
        Some((algorithm, hex)) => format!("{algorithm}:{}", shorten(hex)),
        None => shorten(digest),
    }
}
