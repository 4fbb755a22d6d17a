//! One file per command: gather, ask the core, render, exit code.

pub mod endpoint;
pub mod evidence;
pub mod inspect;
pub mod log;
pub mod measure;
pub mod policy;
mod policy_draft;
pub mod quote;
pub mod receipt;
pub mod report;
pub mod session;

use attest_core::{Appraiser, Collateral, Decision};
use attest_fetch::{CollateralSource, FetchError, IntelPcs};

use crate::failure::{Failure, exit};
use crate::inputs::Judge;
use crate::judged::Judged;
use crate::render::{self, Form};

/// Standard output, tolerant of a reader that has closed it.
pub(crate) fn print(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

impl Judge {
    pub(crate) fn appraiser(&self) -> Appraiser<'_> {
        Appraiser {
            roots: &self.roots,
            policy: &self.policy,
            collateral: self.collateral.as_ref(),
            now: self.now,
        }
    }
}

/// What a judging command ends with.
pub(crate) struct Conclusion<'a> {
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
            print(&policy_draft::of(verdict, self.judged.subject));
            return exit::ACCEPTED;
        }
        print(&render::verdict_output(&self.judged, self.form));
        self.judged.exit_code()
    }
}

/// Collateral for this quote from Intel's service or a cache of it. `None` for what is no quote of
/// a known platform: the verdict will name that.
pub(crate) async fn fetch_collateral(
    base_url: &str,
    quote: &[u8],
) -> Result<Option<Collateral>, Failure> {
    let source = IntelPcs::new(base_url)
        .map_err(|e| Failure::Usage(format!("--fetch-collateral {base_url}: {e}")))?;
    match source.tdx(quote).await {
        Ok(tdx) => Ok(Some(Collateral::from(tdx))),
        Err(FetchError::Quote(_) | FetchError::Platform) => Ok(None),
        Err(other) => Err(Failure::Unreachable(format!(
            "cannot fetch collateral from {base_url}: {other}"
        ))),
    }
}
