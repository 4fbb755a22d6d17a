//! `collateral save`: fetches all collateral of some evidence and writes it as one bundle, with
//! which the evidence can be verified later without a network. Fetched collateral proves nothing: it is verified
//! when the bundle is used.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::collateral::{ServiceArgs, Services};
use crate::conclusion::print;
use crate::evidence_input::{EvidenceDocument, EvidenceFileArgs, EvidenceInput};
use crate::failure::{Failure, exit};
use crate::inputs::{self, MAX_EVIDENCE};
use crate::render;
use attest_core::{Collateral, Report};
use attest_fetch::INTEL_PCS;

#[derive(Debug, Args)]
pub struct CollateralArgs {
    #[command(subcommand)]
    pub command: CollateralCommand,
}

#[derive(Debug, Subcommand)]
pub enum CollateralCommand {
    /// Fetch everything that verifies some evidence and write it as one bundle (for --collateral)
    Save(Box<SaveArgs>),
}

#[derive(Debug, Args)]
pub struct SaveArgs {
    /// Where to write the bundle (JSON); "-" is standard output
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// A saved attestation report (JSON) whose evidence it is for
    #[arg(long, value_name = "FILE", conflicts_with_all = ["input", "quote", "snp_report", "gpus", "switches"])]
    pub report: Option<PathBuf>,
    /// Evidence in one JSON document, as `evidence --input` takes it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["quote", "snp_report", "gpus", "switches"])]
    pub input: Option<PathBuf>,
    #[command(flatten)]
    pub presented: EvidenceFileArgs,
    /// Intel's provisioning certification service, or a PCCS
    #[arg(long, value_name = "BASEURL", default_value = INTEL_PCS, hide_default_value = true)]
    pub pcs: String,
    #[command(flatten)]
    pub services: ServiceArgs,
    /// Print what was saved as JSON
    #[arg(long)]
    pub json: bool,
}

pub async fn run(args: CollateralArgs) -> Result<u8, Failure> {
    let CollateralCommand::Save(args) = args.command;
    let presented = presented(&args)?;
    let services = Services {
        pcs: &args.pcs,
        others: &args.services,
    };
    let collateral = services.fetch_all(&presented).await?;
    let bundle = render::pretty(&collateral.to_value());
    let to_standard_output = args.out.as_os_str() == "-";
    if to_standard_output {
        print(&bundle);
        return Ok(exit::ACCEPTED);
    }
    inputs::write_whole(&args.out, bundle.as_bytes())?;
    print(&summary(&args, &collateral, bundle.len()));
    Ok(exit::ACCEPTED)
}

fn presented(args: &SaveArgs) -> Result<EvidenceInput, Failure> {
    if let Some(path) = &args.report {
        let name = path.display().to_string();
        let report = Report::parse(&inputs::read(path, MAX_EVIDENCE)?)
            .map_err(|e| Failure::malformed(name.clone(), e))?;
        return EvidenceInput::from_report(name, &report);
    }
    if let Some(path) = &args.input {
        let bytes = inputs::read(path, MAX_EVIDENCE)?;
        return Ok(EvidenceDocument::parse(&bytes, &path.display().to_string())?.presented);
    }
    if args.presented.is_empty() {
        let why = "evidence is missing: give --quote, --snp-report, --gpu, --report or --input";
        return Err(Failure::Usage(why.to_owned()));
    }
    args.presented.read()
}

/// A summary of the bundle, none of which is verified yet.
fn summary(args: &SaveArgs, collateral: &Collateral, bytes: usize) -> String {
    let nvidia = collateral.nvidia.as_ref();
    let manifests = nvidia.map_or(0, |it| it.rims.len());
    let answers = nvidia.map_or(0, |it| it.ocsp.len());
    if args.json {
        return render::pretty(&json!({
            "file": args.out.display().to_string(),
            "bytes": bytes,
            "tdx": collateral.tdx.is_some(),
            "snp": collateral.snp.is_some(),
            "nvidia_manifests": manifests,
            "nvidia_ocsp_responses": answers,
        }));
    }
    let mut parts = Vec::new();
    if collateral.tdx.is_some() {
        parts.push("Intel's for the quote".to_owned());
    }
    if let Some(snp) = &collateral.snp {
        let list = match snp.crl {
            Some(_) => " with a revocation list",
            None => "",
        };
        parts.push(format!("AMD's for the report{list}"));
    }
    if nvidia.is_some() {
        parts.push(format!(
            "NVIDIA's for the devices ({manifests} manifests, {answers} OCSP responses)"
        ));
    }
    format!(
        "saved {}: {}\nNot verified yet: that happens when evidence is verified with --collateral.\n",
        render::printable(&args.out.display().to_string()),
        parts.join("; ")
    )
}
