//! How a command that judges ends: with a verdict shown, or a policy drafted from it.

use attest_core::Decision;

use crate::failure::exit;
use crate::judged::Judged;
use crate::render::{self, Form, policy_draft};

/// Standard output, tolerant of a reader that has closed it.
pub fn print(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// What a judging command ends with.
pub struct Conclusion<'a> {
    pub judged: Judged<'a>,
    pub form: Form,
    /// Draft a policy from genuine evidence instead of showing the verdict.
    pub draft_policy: bool,
}

impl Conclusion<'_> {
    /// Shows it, and says how the process ends. A policy is drafted from genuine evidence only.
    pub fn show(&self) -> u8 {
        let verdict = self.judged.verdict;
        if self.draft_policy && verdict.decision() == Decision::Accepted {
            print(&policy_draft(verdict, self.judged.subject));
            return exit::ACCEPTED;
        }
        print(&render::verdict_output(&self.judged, self.form));
        self.judged.exit_code()
    }
}
