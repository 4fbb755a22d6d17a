//! Renders the findings about a document as a table.

use super::Detail;
use super::paint::Paint;
use super::table::{Mark, Row, headline, pairs, rows};
use super::verdict::verdict_text;
use crate::findings::{DocumentResult, Finding, FindingOutcome};

/// The findings, then the verdict on the evidence that the document depends on.
pub fn document_text(result: &DocumentResult, detail: Detail, paint: Paint) -> String {
    let mut out = String::new();
    headline(&mut out, result.decision(), &result.title, paint);
    pairs(&mut out, &result.facts);
    out.push('\n');
    let lines: Vec<Row> = result.findings.iter().map(row).collect();
    rows(&mut out, &lines, paint);
    if let Some(qualified) = result.qualified_verdict() {
        out.push_str("\nThe evidence this rests on:\n");
        out.push_str(&verdict_text(&qualified, detail, paint));
    }
    out
}

fn row(finding: &Finding) -> Row {
    let (mark, note) = match &finding.outcome {
        FindingOutcome::Pass(note) => (Mark::Pass, note),
        FindingOutcome::Fail(note) => (Mark::Fail, note),
        FindingOutcome::Missing(note) => (Mark::Missing, note),
        FindingOutcome::NotChecked(note) => (Mark::NotApplicable, note),
    };
    Row {
        id: finding.id.to_owned(),
        mark,
        note: note.clone(),
    }
}
