//! A verdict as a short table.

use attest_core::verdict::id;
use attest_core::{Check, Outcome, RootOrigin, Verdict, Why};

use super::paint::{Paint, shorten};
use super::table::{Mark, Row, headline, pairs, rows};
use super::{Detail, facts, summary};
use crate::judged::{Judged, NO_POLICY, POLICY_GIVEN, PolicyOrigin};

pub fn verdict_text(judged: &Judged<'_>, detail: Detail, paint: Paint) -> String {
    let verdict = judged.verdict;
    let mut out = String::new();
    headline(&mut out, judged.decision(), judged.subject, paint);
    pairs(&mut out, &grounds(verdict));
    out.push('\n');
    let mut lines: Vec<Row> = verdict.checks().iter().map(row).collect();
    if judged.policy == PolicyOrigin::Absent {
        lines.push(Row {
            id: POLICY_GIVEN.to_owned(),
            mark: Mark::Missing,
            note: NO_POLICY.to_owned(),
        });
    }
    let lines = match detail {
        Detail::Short => summary::of(lines),
        Detail::EveryCheck => lines,
    };
    rows(&mut out, &lines, paint);
    if not_observed(verdict) {
        out.push_str("\nChannel not observed: this says nothing about who a connection ends at.\n");
    }
    let facts = facts::pairs(verdict.facts());
    if !facts.is_empty() {
        out.push_str(match vouched_for(verdict) {
            true => "\n",
            false => "\nWhat the bytes say (no hardware vouches for it):\n",
        });
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

fn row(check: &Check) -> Row {
    let (mark, note) = match &check.outcome {
        Outcome::Pass => (Mark::Pass, String::new()),
        Outcome::Fail(cause) => (Mark::Fail, cause.to_string()),
        Outcome::NotEvaluated(why) if check.required => (Mark::Missing, why.to_string()),
        Outcome::NotEvaluated(why) => (Mark::NotApplicable, why.to_string()),
    };
    Row {
        id: check.id.to_owned(),
        mark,
        note,
    }
}

fn vouched_for(verdict: &Verdict) -> bool {
    verdict
        .check(id::TDX_QUOTE_SIGNATURE)
        .is_some_and(|check| check.outcome == Outcome::Pass)
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

#[cfg(test)]
mod tests {
    use super::*;
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
        let judged = Judged {
            verdict: &verdict,
            policy: PolicyOrigin::Given,
            subject: "a\x1b[2J",
        };
        verdict_text(&judged, Detail::EveryCheck, paint)
    }

    #[test]
    fn colours_add_nothing_but_colours() {
        let mut coloured = text(Paint::Colour);
        for code in ["0", "1", "2", "31", "32", "33"] {
            coloured = coloured.replace(&format!("\x1b[{code}m"), "");
        }
        let plain = text(Paint::Plain);
        assert_eq!(coloured, plain);
        assert!(
            !plain.contains('\x1b'),
            "what was judged cannot draw on the terminal"
        );
        assert!(plain.starts_with("MALFORMED  a\\u{1b}[2J\n"), "{plain}");
    }
}
