//! Tables of checks: each mark has a word, so that colour is never the only difference.

use std::fmt::Write as _;

use attest_core::Decision;

use super::paint::{Paint, printable};

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
pub fn pairs<N: AsRef<str>>(out: &mut String, pairs: &[(N, String)]) {
    let width = pairs.iter().map(|(name, _)| name.as_ref().len());
    let width = width.max().unwrap_or(0);
    for (name, value) in pairs {
        let name = name.as_ref();
        let _ = writeln!(out, "  {name:<width$}  {}", printable(value));
    }
}

/// The decision in capitals, then what was verified.
pub fn headline(out: &mut String, decision: Decision, subject: &str, paint: Paint) {
    let word = decision.as_str().to_uppercase();
    let word = match decision {
        Decision::Accepted => paint.good(&word),
        Decision::Rejected => paint.bad(&word),
        Decision::Unsupported | Decision::Malformed => paint.warn(&word),
    };
    let _ = writeln!(out, "{}  {}", paint.strong(&word), printable(subject));
}
