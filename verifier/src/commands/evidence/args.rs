//! The command line of `evidence`.

use std::path::PathBuf;

use clap::Args;

use super::pins::PinArgs;
use crate::args::{OutputArgs, TrustArgs};
use crate::evidence_input::EvidenceFileArgs;

#[derive(Debug, Args)]
pub struct EvidenceArgs {
    /// Everything in one JSON document; "-" reads standard input
    #[arg(long, value_name = "FILE",
          conflicts_with_all = ["quote", "snp_report", "gpus", "switches", "event_log",
                                "report_data", "gpu_nonce", "collateral"])]
    pub input: Option<PathBuf>,
    #[command(flatten)]
    pub presented: EvidenceFileArgs,
    /// The event log of the machine (CCEL area or dstack's JSON); its replay must give the quote's registers
    #[arg(long, value_name = "FILE")]
    pub event_log: Option<PathBuf>,
    /// The 64 bytes of report data that the CPU's evidence must contain
    #[arg(long, value_name = "HEX|@FILE")]
    pub report_data: Option<String>,
    /// The nonce that the devices were challenged with; without it their nonces must be equal
    #[arg(long, value_name = "HEX|@FILE", requires = "gpus")]
    pub gpu_nonce: Option<String>,

    #[command(flatten)]
    pub trust: TrustArgs,
    #[command(flatten)]
    pub parts: PartArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub pins: PinArgs,
}

/// Collateral in pieces; a piece replaces the same vendor's part of the bundle.
#[derive(Debug, Args, Default)]
#[command(next_help_heading = "Collateral in pieces")]
pub struct PartArgs {
    /// One of the nine parts of Intel's collateral, named as in the bundle, such as
    /// tcb_info=FILE; give all nine
    #[arg(long = "tdx-part", value_name = "NAME=FILE")]
    pub tdx_parts: Vec<String>,
    /// The endorsement key's certificate (VCEK or VLEK; DER or PEM)
    #[arg(long, value_name = "FILE", requires = "ask")]
    pub vek: Option<PathBuf>,
    /// The certificate of the key that signed it (ASK or ASVK; DER or PEM,
    /// also with the root's behind it)
    #[arg(long, value_name = "FILE", requires = "vek")]
    pub ask: Option<PathBuf>,
    /// AMD's revocation list (DER or PEM)
    #[arg(long, value_name = "FILE", requires = "vek")]
    pub crl: Option<PathBuf>,
    /// A reference integrity manifest (XML); repeatable
    #[arg(id = "manifests", long = "rim", value_name = "FILE")]
    pub manifests: Vec<PathBuf>,
    /// An OCSP response (DER) about a certificate of NVIDIA's; repeatable
    #[arg(long, value_name = "FILE")]
    pub ocsp: Vec<PathBuf>,
}
