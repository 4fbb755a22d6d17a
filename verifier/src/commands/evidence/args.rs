//! The command line of `evidence`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{JudgeArgs, OutputArgs};

#[derive(Debug, Args)]
#[group(id = "presented", required = true, multiple = false,
        args = ["quote", "snp_report", "gpus", "input"])]
pub struct EvidenceArgs {
    /// A TDX quote (raw bytes or hex)
    #[arg(long, value_name = "FILE")]
    pub quote: Option<PathBuf>,
    /// An SEV-SNP report (raw bytes or hex), or one in Azure's wrapping
    #[arg(long, value_name = "FILE")]
    pub snp_report: Option<PathBuf>,
    /// A GPU's evidence and its PEM certificate chain; repeat for each GPU of the machine
    #[arg(id = "gpus", long = "gpu", value_name = "EVIDENCE:CHAIN")]
    pub gpus: Vec<String>,
    /// Everything in one JSON document; "-" reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "collateral")]
    pub input: Option<PathBuf>,

    /// The same for a switch beside those GPUs
    #[arg(long = "switch", value_name = "EVIDENCE:CHAIN", requires = "gpus")]
    pub switches: Vec<String>,
    /// The nonce that devices were asked with; without it they must agree on one
    #[arg(long, value_name = "HEX", requires = "gpus")]
    pub gpu_nonce: Option<String>,
    /// A reference integrity manifest (XML); repeatable
    #[arg(long = "rim", value_name = "FILE", requires = "gpus")]
    pub rims: Vec<PathBuf>,
    /// An OCSP response (DER) about a device's certificate; repeatable
    #[arg(long, value_name = "FILE", requires = "gpus")]
    pub ocsp: Vec<PathBuf>,

    /// The certificate table that came with the SNP report
    #[arg(long, value_name = "FILE", requires = "snp_report")]
    pub snp_certs: Option<PathBuf>,
    /// The endorsement key's certificate (VCEK or VLEK, DER)
    #[arg(long, value_name = "FILE", requires_all = ["snp_report", "ask"])]
    pub vek: Option<PathBuf>,
    /// The certificate of the key that signed it (ASK or ASVK, DER)
    #[arg(long, value_name = "FILE", requires = "vek")]
    pub ask: Option<PathBuf>,
    /// AMD's revocation list (DER)
    #[arg(long, value_name = "FILE", requires = "vek")]
    pub crl: Option<PathBuf>,

    /// One of the nine parts of Intel's collateral, as the bundle has it, such as
    /// tcb_info=FILE; give all nine
    #[arg(
        long = "tdx-part",
        value_name = "NAME=FILE",
        requires = "quote",
        conflicts_with = "collateral"
    )]
    pub tdx_parts: Vec<String>,

    #[command(flatten)]
    pub judge: JudgeArgs,
    #[command(flatten)]
    pub pins: PinArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// A policy in flags: measurements that must match.
#[derive(Debug, Args, Default)]
#[group(id = "pins", multiple = true, conflicts_with = "policy")]
pub struct PinArgs {
    /// Accept only this MRTD; repeatable, as are all pins
    #[arg(long, value_name = "HEX", requires = "quote")]
    pub mrtd: Vec<String>,
    #[arg(long, value_name = "HEX", requires = "quote")]
    pub rtmr0: Vec<String>,
    #[arg(long, value_name = "HEX", requires = "quote")]
    pub rtmr1: Vec<String>,
    #[arg(long, value_name = "HEX", requires = "quote")]
    pub rtmr2: Vec<String>,
    #[arg(long, value_name = "HEX", requires = "quote")]
    pub rtmr3: Vec<String>,
    /// Accept only this TDX module
    #[arg(long, value_name = "HEX", requires = "quote")]
    pub mrseam: Vec<String>,
    /// Accept only this SNP launch measurement
    #[arg(long, value_name = "HEX", requires = "snp_report")]
    pub measurement: Vec<String>,
    /// Accept only this SNP host data
    #[arg(long, value_name = "HEX", requires = "snp_report")]
    pub host_data: Vec<String>,
    /// Accept only this many GPUs
    #[arg(long, value_name = "NUMBER", requires = "gpus")]
    pub gpu_count: Option<usize>,
}
