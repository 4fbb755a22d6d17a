//! `evidence`: verifies raw evidence of a machine, with every input stated separately
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
use crate::evidence_input::{EvidenceDocument, EvidenceInput, hex};
use crate::failure::Failure;
use crate::inputs::{self, MAX_EVIDENCE};
use crate::qualified_verdict::QualifiedVerdict;
use crate::trust_inputs::TrustInputs;

/// Evidence and collateral, from a document or from flags.
struct Case {
    presented: EvidenceInput,
    collateral: Collateral,
}

pub fn run(mut args: EvidenceArgs) -> Result<u8, Failure> {
    let document = args
        .input
        .as_deref()
        .map(|path| {
            let bytes = inputs::read(path, MAX_EVIDENCE)?;
            EvidenceDocument::parse(&bytes, &path.display().to_string())
        })
        .transpose()?;
    if let Some(document) = &document {
        args.trust.at = one_time(args.trust.at.take(), document.at.as_deref())?;
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
        None => case_from_flags(&args)?,
    };
    let policy_file = args.trust.policy.take();
    let mut trust = TrustInputs::from_args(&args.trust)?;
    let stated = policy::PolicySources {
        file: policy_file.as_deref(),
        document: stated_policy.as_ref(),
        pins: &args.pins,
    };
    (trust.policy, trust.policy_origin) = stated.policy(&case.presented.sections())?;
    let given = trust.collateral.take().unwrap_or_default();
    let pieces = parts::collateral(&args.parts)?;
    trust.collateral = Some(pieces.or(case.collateral).or(given));
    let verdict = trust.appraiser().machine(&case.presented.machine());
    let qualified = QualifiedVerdict {
        verdict: &verdict,
        policy: trust.policy_origin,
        subject: &case.presented.subject,
    };
    Ok(Conclusion {
        qualified,
        form: args.output.form(),
        draft_policy: false,
    }
    .print())
}

fn case_from_flags(args: &EvidenceArgs) -> Result<Case, Failure> {
    if args.presented.is_empty() {
        let why = "evidence is missing: give --quote, --snp-report, --gpu or --input";
        return Err(Failure::Usage(why.to_owned()));
    }
    let report_data = args.report_data.as_deref();
    let device_nonce = args.gpu_nonce.as_deref();
    let log = args.event_log.as_deref();
    let presented = EvidenceInput {
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

/// The time of the flag or of the document; both may be given if they are equal.
fn one_time(flag: Option<String>, document: Option<&str>) -> Result<Option<String>, Failure> {
    match (flag, document) {
        (Some(flag), Some(stated)) if flag != stated => Err(Failure::Usage(format!(
            "--at {flag}: the document states {stated}"
        ))),
        (flag, stated) => Ok(flag.or_else(|| stated.map(str::to_owned))),
    }
}
