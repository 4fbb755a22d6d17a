//! `measure`: predicts what launching an image will measure, from files only.
//!
//! Reads the files, has `attest_measure` predict, and prints each value with the inputs it follows from. A
//! prediction is no evidence, and the output never says that something ran.

mod boot;
mod policy;
mod predict;
mod profile;
mod render;

use std::path::PathBuf;

use clap::Args;

use crate::conclusion::print;
use crate::failure::{Failure, exit};
use crate::inputs;
use crate::render::{OutputFormat, pretty};
use attest_core::AttestationPolicy;
use predict::Prediction;

#[derive(Debug, Args)]
pub struct MeasureArgs {
    /// The unified kernel image that is launched with -kernel
    #[arg(long, value_name = "FILE")]
    pub uki: PathBuf,
    /// Launch profile (TOML): the firmware and the machine. Several may be given; without one, only
    /// the values that follow from the image are predicted
    #[arg(long, value_name = "FILE")]
    pub profile: Vec<PathBuf>,
    /// Write an attestation policy that pins what is predicted
    #[arg(long, value_name = "FILE")]
    pub write_policy: Option<PathBuf>,
    /// Compare the prediction with the event log of a real boot: a TPM's with a SHA-384 bank
    /// (binary_bios_measurements), a TD's CCEL area, or dstack's
    #[arg(long, value_name = "LOG", conflicts_with = "write_policy")]
    pub compare: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Print every predicted event on a separate line
    #[arg(long, conflicts_with = "json")]
    pub all: bool,
}

impl MeasureArgs {
    fn form(&self) -> OutputFormat {
        crate::args::OutputArgs {
            json: self.json,
            all: self.all,
        }
        .form()
    }
}

pub fn run(args: &MeasureArgs) -> Result<u8, Failure> {
    let prediction = Prediction::make(&args.uki, &args.profile)?;
    if let Some(log) = &args.compare {
        return boot::run(&prediction, log, args.form());
    }
    if let Some(file) = &args.write_policy {
        let text = policy::text(&prediction);
        AttestationPolicy::parse(&text)
            .map_err(|e| Failure::Internal(format!("the policy does not parse: {e}")))?;
        inputs::write(file, text.as_bytes())?;
    }
    print(&match args.form() {
        OutputFormat::Json => pretty(&render::json(&prediction)),
        OutputFormat::Text(detail) => render::text(&prediction, detail),
    });
    Ok(exit::ACCEPTED)
}
