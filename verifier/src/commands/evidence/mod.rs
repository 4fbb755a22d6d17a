//! `evidence`: raw evidence of a CPU or of devices, with everything it is to be judged by stated
//! piece by piece: in files, in flags, or in one JSON document.

mod args;
mod document;
mod parts;
mod pins;

pub use args::EvidenceArgs;

use attest_core::nvidia::UnverifiedDevice;
use attest_core::{Collateral, Verdict};

use super::Conclusion;
use crate::failure::Failure;
use crate::inputs::{self, Judge};
use crate::judged::Judged;

/// What is to be judged.
enum Presented {
    Quote(Vec<u8>),
    SnpReport { report: Vec<u8>, certs: Vec<u8> },
    Devices(Vec<UnverifiedDevice>),
}

impl Presented {
    fn section(&self) -> &'static str {
        match self {
            Self::Quote(_) => "tdx",
            Self::SnpReport { .. } => "snp",
            Self::Devices(_) => "nvidia",
        }
    }
}

/// Everything stated, wherever it was.
struct Case {
    subject: String,
    presented: Presented,
    gpu_nonce: Option<[u8; 32]>,
    collateral: Collateral,
}

pub fn run(mut args: EvidenceArgs) -> Result<u8, Failure> {
    let document = args
        .input
        .as_deref()
        .map(|path| document::Document::parse(&inputs::read(path, inputs::MAX_EVIDENCE)?))
        .transpose()?;
    if let Some(document) = &document {
        args.judge.at = args.judge.at.take().or_else(|| document.at.clone());
    }
    let mut judge = Judge::from_args(&args.judge)?;
    let mut case = match &document {
        Some(document) => document.case()?,
        None => parts::case(&args)?,
    };
    let given = judge.collateral.take().unwrap_or_default();
    judge.collateral = Some(Collateral {
        tdx: case.collateral.tdx.take().or(given.tdx),
        snp: case.collateral.snp.take().or(given.snp),
        nvidia: case.collateral.nvidia.take().or(given.nvidia),
    });
    if args.judge.policy.is_none() {
        let stated = document.as_ref().and_then(|it| it.policy.as_deref());
        (judge.policy, judge.policy_origin) =
            pins::policy(&args.pins, stated, case.presented.section())?;
    }
    let verdict = judged(&judge, &case);
    let judged = Judged {
        verdict: &verdict,
        policy: judge.policy_origin,
        subject: &case.subject,
    };
    Ok(Conclusion {
        judged,
        form: args.output.form(),
        draft_policy: false,
    }
    .show())
}

fn judged(judge: &Judge, case: &Case) -> Verdict {
    let appraiser = judge.appraiser();
    match &case.presented {
        Presented::Quote(quote) => appraiser.quote(quote),
        Presented::SnpReport { report, certs } => appraiser.snp_report(report, certs),
        Presented::Devices(devices) => appraiser.devices(devices, case.gpu_nonce.as_ref()),
    }
}
