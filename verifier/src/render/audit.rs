//! What was found about a receipt or a session, as a table.

use super::form::Detail;
use super::paint::Paint;
use super::table::{Mark, Row, headline, pairs, rows};
use super::verdict::verdict_text;
use crate::audit::{Audit, Finding, Standing};

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
        out.push_str(&verdict_text(&judged, detail, paint));
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
