//! Verdicts and findings as a person reads them, or as JSON. Rendering decides nothing.

mod audit;
mod draft;
mod facts;
mod flat;
mod form;
mod json;
mod paint;
mod policy;
mod summary;
mod table;
mod verdict;

pub use audit::audit_text;
pub use draft::policy_draft;
pub use flat::lines as flat_lines;
pub use form::{Detail, Form};
pub use json::{pretty, sorted};
pub use paint::{Paint, printable, shorten};
pub use policy::policy_in_words;
pub use verdict::verdict_text;

use crate::audit::Audit;
use crate::judged::Judged;

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
