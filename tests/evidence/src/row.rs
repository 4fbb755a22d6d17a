//! One recorded case, judged.

use attest_core::Verdict;

/// One line of the table.
pub struct Row {
    pub id: String,
    pub at: String,
    pub collateral: String,
    pub recorded: String,
    pub ours: String,
    pub differences: Vec<String>,
}

/// The ids of the checks that failed.
pub fn failures(verdict: &Verdict) -> Vec<&'static str> {
    verdict.failures().map(|(id, _)| id.as_str()).collect()
}

/// Decision and failed checks in one cell.
pub fn summary(verdict: &Verdict) -> String {
    match failures(verdict).as_slice() {
        [] => verdict.decision().to_string(),
        failed => format!("{}: {}", verdict.decision(), failed.join(", ")),
    }
}
