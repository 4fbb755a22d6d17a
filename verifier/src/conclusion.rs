//! How a command that verifies evidence ends: it prints the verdict, or a policy drafted from it.

use attest_core::Decision;

use crate::failure::exit;
use crate::qualified_verdict::QualifiedVerdict;
use crate::render::{self, OutputFormat, policy_draft};

/// Writes to standard output. An error is ignored, since the reader may have closed it.
pub fn print(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// The result of a command that verifies evidence.
pub struct Conclusion<'a> {
    pub qualified: QualifiedVerdict<'a>,
    pub form: OutputFormat,
    /// Draft a policy from genuine evidence instead of printing the verdict.
    pub draft_policy: bool,
}

impl Conclusion<'_> {
    /// Prints it and returns the exit code. A policy is drafted from genuine evidence only.
    pub fn print(&self) -> u8 {
        let verdict = self.qualified.verdict;
        if self.draft_policy && verdict.decision() == Decision::Accepted {
            print(&policy_draft(verdict, self.qualified.subject));
            return exit::ACCEPTED;
        }
        print(&render::verdict_output(&self.qualified, self.form));
        self.qualified.exit_code()
    }
}
