//! Rows of checks: a mark with a word, so that colour is never the only difference.

use std::fmt::Write as _;

use attest_core::Decision;

use super::paint::{Paint, printable};
use super::{Detail, verdict};
use crate::audit::{Audit, Finding, Standing};

/// One row of a table of checks. A note of several lines is continued under itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub id: String,
    pub mark: Mark,
    pub note: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Pass,
    Fail,
    /// Not evaluated although acceptance needs it.
    Missing,
    NotApplicable,
}

impl Mark {
    fn painted(self, paint: Paint) -> String {
        match self {
            Self::Pass => paint.good("✓ PASS"),
            Self::Fail => paint.bad("✗ FAIL"),
            Self::Missing => paint.bad("– n/a "),
            Self::NotApplicable => paint.dim("– n/a "),
        }
    }
}

pub fn rows(out: &mut String, rows: &[Row], paint: Paint) {
    let width = rows
        .iter()
        .map(|row| row.id.chars().count())
        .max()
        .unwrap_or(0);
    for row in rows {
        let mark = row.mark.painted(paint);
        let required = if row.mark == Mark::Missing {
            "REQUIRED: "
        } else {
            ""
        };
        let mut notes = row.note.lines().map(printable);
        let first = notes.next().unwrap_or_default();
        let line = format!("  {:<width$}  {mark}  {required}{first}", row.id);
        let _ = writeln!(out, "{}", line.trim_end());
        for note in notes {
            let _ = writeln!(out, "  {:<width$}          {note}", "");
        }
    }
}

/// Name and value, aligned.
pub fn pairs(out: &mut String, pairs: &[(&str, String)]) {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in pairs {
        let _ = writeln!(out, "  {name:<width$}  {}", printable(value));
    }
}

/// The decision in capitals, then what was judged.
pub fn headline(out: &mut String, decision: Decision, subject: &str, paint: Paint) {
    let word = decision.as_str().to_uppercase();
    let word = match decision {
        Decision::Accepted => paint.good(&word),
        Decision::Rejected => paint.bad(&word),
        Decision::Unsupported | Decision::Malformed => paint.warn(&word),
    };
    let _ = writeln!(out, "{}  {}", paint.strong(&word), printable(subject));
}

/// Findings about a receipt or a session, then the verdict on the evidence they rest on.
pub fn audit_text(audit: &Audit, detail: Detail, paint: Paint) -> String {
    let mut out = String::new();
    headline(&mut out, audit.decision(), &audit.title, paint);
    pairs(&mut out, &audit.facts);
    out.push('\n');
    let lines: Vec<Row> = audit.findings.iter().map(row).collect();
    rows(&mut out, &lines, paint);
    if let Some(judged) = audit.judged() {
        out.push_str("\nThe evidence this rests on:\n");
        out.push_str(&verdict::verdict_text(&judged, detail, paint));
    }
    out
}

fn row(finding: &Finding) -> Row {
    let (mark, note) = match &finding.standing {
        Standing::Pass(note) => (Mark::Pass, note),
        Standing::Fail(note) => (Mark::Fail, note),
        Standing::Missing(note) => (Mark::Missing, note),
        Standing::NotChecked(note) => (Mark::NotApplicable, note),
    };
    Row {
        id: finding.id.to_owned(),
        mark,
        note: note.clone(),
    }
}
