//! `evidence`: raw evidence of a machine, with everything it is to be judged by stated piece by piece:
//! in files, in flags, or in one JSON document.

mod args;
mod fields;
mod parts;
mod pins;
mod policy;

pub use args::EvidenceArgs;
pub use pins::PinArgs;

use attest_core::Collateral;

use crate::conclusion::Conclusion;
use crate::failure::Failure;
use crate::inputs::{self, MAX_EVIDENCE};
use crate::judge::Judge;
use crate::judged::Judged;
use crate::presented::{Document, Presented, hex};

/// Everything stated, wherever it was.
struct Case {
    presented: Presented,
    collateral: Collateral,
}

pub fn run(mut args: EvidenceArgs) -> Result<u8, Failure> {
    let document = args
        .input
        .as_deref()
        .map(|path| {
            let bytes = inputs::read(path, MAX_EVIDENCE)?;
            Document::parse(&bytes, &path.display().to_string())
        })
        .transpose()?;
    if let Some(document) = &document {
        args.judge.at = one_time(args.judge.at.take(), document.at.as_deref())?;
    }
    let (stated_policy, document) = match document {
        Some(mut document) => (document.policy.take(), Some(document)),
        None => (None, None),
    };
    let case = match document {
        Some(document) => Case {
            presented: document.presented,
            collateral: document.collateral.unwrap_or_default(),
        },
        None => of_flags(&args)?,
    };
    let policy_file = args.judge.policy.take();
    let mut judge = Judge::from_args(&args.judge)?;
    let stated = policy::Stated {
        file: policy_file.as_deref(),
        document: stated_policy.as_ref(),
        pins: &args.pins,
    };
    (judge.policy, judge.policy_origin) = stated.policy(&case.presented.sections())?;
    let given = judge.collateral.take().unwrap_or_default();
    let pieces = parts::collateral(&args.parts)?;
    judge.collateral = Some(Collateral {
        tdx: pieces.tdx.or(case.collateral.tdx).or(given.tdx),
        snp: pieces.snp.or(case.collateral.snp).or(given.snp),
        nvidia: pieces.nvidia.or(case.collateral.nvidia).or(given.nvidia),
    });
    let verdict = judge.appraiser().machine(&case.presented.machine());
    let judged = Judged {
        verdict: &verdict,
        policy: judge.policy_origin,
        subject: &case.presented.subject,
    };
    Ok(Conclusion {
        judged,
        form: args.output.form(),
        draft_policy: false,
    }
    .show())
}

fn of_flags(args: &EvidenceArgs) -> Result<Case, Failure> {
    if args.presented.is_empty() {
        let why = "which evidence? Give --quote, --snp-report, --gpu or --input";
        return Err(Failure::Usage(why.to_owned()));
    }
    let report_data = args.report_data.as_deref();
    let device_nonce = args.gpu_nonce.as_deref();
    let log = args.event_log.as_deref();
    let presented = Presented {
        report_data: report_data
            .map(|text| hex("--report-data", text))
            .transpose()?,
        device_nonce: device_nonce
            .map(|text| hex("--gpu-nonce", text))
            .transpose()?,
        event_log: log
            .map(|path| inputs::read(path, MAX_EVIDENCE))
            .transpose()?,
        ..args.presented.read()?
    };
    Ok(Case {
        presented,
        collateral: Collateral::default(),
    })
}

/// A document that states a time is about that time.
fn one_time(flag: Option<String>, document: Option<&str>) -> Result<Option<String>, Failure> {
    match (flag, document) {
        (Some(flag), Some(stated)) if flag != stated => Err(Failure::Usage(format!(
            "--at {flag}: the document states {stated}"
        ))),
        (flag, stated) => Ok(flag.or_else(|| stated.map(str::to_owned))),
    }
}
