//! Renders verdicts and findings as text or as JSON. Rendering decides nothing.

mod draft;
mod facts;
mod findings;
mod flat;
mod json;
mod paint;
mod policy;
mod summary;
mod table;
mod verdict;

pub use draft::policy_draft;
pub use findings::document_text;
pub use flat::lines as flat_lines;
pub use json::{pretty, sorted};
pub use paint::{Paint, printable, shorten};
pub use policy::policy_text;
pub use verdict::verdict_text;

use crate::findings::DocumentResult;
use crate::qualified_verdict::QualifiedVerdict;

/// How much of the checks is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Passed checks grouped by family, all others separately.
    Short,
    /// Every check on a separate line.
    EveryCheck,
}

/// The format of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    Text(Detail),
    Json,
}

/// A verdict in the requested format, for standard output.
pub fn verdict_output(qualified: &QualifiedVerdict<'_>, form: OutputFormat) -> String {
    match form {
        OutputFormat::Json => pretty(&qualified.to_json()),
        OutputFormat::Text(detail) => verdict_text(qualified, detail, Paint::for_stdout()),
    }
}

/// The result for a document in the requested format, for standard output.
pub fn document_output(result: &DocumentResult, form: OutputFormat) -> String {
    match form {
        OutputFormat::Json => pretty(&result.to_json()),
        OutputFormat::Text(detail) => document_text(result, detail, Paint::for_stdout()),
    }
}
