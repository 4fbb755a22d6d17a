//! Drafts a policy that pins the measured values. It states what *was* measured; a person has to compare the
//! values with expected ones before it states what *should* be measured.

use std::fmt::Write as _;

use attest_core::tdx::TdxFacts;
use attest_core::{ReportFacts, Subject, Verdict, to_hex};

use super::paint::printable;

/// From the facts of genuine evidence.
pub fn policy_draft(verdict: &Verdict, subject: &str) -> String {
    let mut text = format!(
        "# Drafted from {} as measured at {}.\n\
         # It states what WAS running there, not what should be: compare every value with one that you\n\
         # computed yourself or have from a source you trust, then give the policy a name.\n\
         name = \"draft\"\n",
        printable(subject),
        verdict.at()
    );
    if let Some(tdx) = &verdict.facts().tdx {
        tdx_section(&mut text, tdx);
    }
    if let Some(report) = &verdict.facts().report {
        contract_section(&mut text, report);
    }
    text
}

fn tdx_section(text: &mut String, facts: &TdxFacts) {
    let body = &facts.body;
    let rtmr = |index: usize| body.rtmr.get(index).map(|r| to_hex(r)).unwrap_or_default();
    let status = facts
        .tcb
        .as_ref()
        .map_or("UpToDate", |tcb| tcb.status.as_str());
    let _ = write!(
        text,
        "\n[tdx]\n\
         mrtd = [\"{}\"]\n\
         # depends on the shape of the machine\n\
         rtmr0 = [\"{}\"]\n\
         rtmr1 = [\"{}\"]\n\
         rtmr2 = [\"{}\"]\n\
         # extended by the workload\n\
         rtmr3 = [\"{}\"]\n\
         td_attributes = [\"{}\"]\n\
         xfam = [\"{}\"]\n\
         tcb_statuses = [\"{status}\"]\n",
        to_hex(&body.mrtd),
        rtmr(0),
        rtmr(1),
        rtmr(2),
        rtmr(3),
        to_hex(&body.td_attributes),
        to_hex(&body.xfam),
    );
}

fn contract_section(text: &mut String, facts: &ReportFacts) {
    let subject = facts
        .subject
        .as_deref()
        .and_then(|s| Subject::parse(s).ok());
    if let Some(subject) = subject {
        let _ = write!(
            text,
            "\n[contract]\n\
             # changes with every change of the service's configuration\n\
             config = [\"{}\"]\n\
             retention = [\"{}\"]\n",
            subject.config, subject.retention
        );
    }
}
