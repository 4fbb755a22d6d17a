//! Verdicts and findings as a person reads them, or as JSON. Rendering decides nothing.

mod facts;
mod flat;
mod paint;
mod table;
mod verdict;

pub use flat::lines as flat_lines;
pub use paint::{Paint, printable, shorten};
pub use table::audit_text;
pub use verdict::verdict_text;

use crate::audit::Audit;
use crate::judged::Judged;

/// A verdict in the form that was asked for, for standard output.
pub fn verdict_output(judged: &Judged<'_>, json: bool) -> String {
    if json {
        return pretty(&judged.to_json());
    }
    verdict_text(judged, Paint::for_stdout())
}

/// An audit in the form that was asked for, for standard output.
pub fn audit_output(audit: &Audit, json: bool) -> String {
    if json {
        return pretty(&audit.to_json());
    }
    audit_text(audit, Paint::for_stdout())
}

/// JSON with a newline at its end. Keys are sorted, so the form is stable.
pub fn pretty(value: &serde_json::Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_else(|_| "null".to_owned());
    text.push('\n');
    text
}
