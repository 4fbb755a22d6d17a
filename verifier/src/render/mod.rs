//! Verdicts and findings as a person reads them, or as JSON. Rendering decides nothing.

mod facts;
mod flat;
mod paint;
mod summary;
mod table;
mod verdict;

pub use flat::lines as flat_lines;
pub use paint::{Paint, printable, shorten};
pub use table::audit_text;
pub use verdict::verdict_text;

use serde_json::Value;

use crate::audit::Audit;
use crate::judged::Judged;

/// How much a person wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Checks that passed by family, those that did not one by one.
    Short,
    /// Every check on a line of its own.
    EveryCheck,
}

/// For whom the output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Person(Detail),
    Json,
}

/// A verdict in the form that was asked for, for standard output.
pub fn verdict_output(judged: &Judged<'_>, form: Form) -> String {
    match form {
        Form::Json => pretty(&judged.to_json()),
        Form::Person(detail) => verdict_text(judged, detail, Paint::for_stdout()),
    }
}

/// An audit in the form that was asked for, for standard output.
pub fn audit_output(audit: &Audit, form: Form) -> String {
    match form {
        Form::Json => pretty(&audit.to_json()),
        Form::Person(detail) => audit_text(audit, detail, Paint::for_stdout()),
    }
}

/// JSON with a newline at its end. Keys are sorted, so the form is stable.
pub fn pretty(value: &Value) -> String {
    let mut text =
        serde_json::to_string_pretty(&sorted(value)).unwrap_or_else(|_| "null".to_owned());
    text.push('\n');
    text
}

/// Whether a map of `serde_json` sorts its keys depends on what else is in the build.
pub(crate) fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            keys.into_iter()
                .map(|key| (key.clone(), sorted(&map[key])))
                .collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        leaf => leaf.clone(),
    }
}
