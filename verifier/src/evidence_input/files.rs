//! Reads evidence from files and flags.

use std::path::{Path, PathBuf};

use clap::Args;

use super::EvidenceInput;
use crate::failure::Failure;
use crate::inputs::{self, MAX_EVIDENCE, raw};
use attest_core::nvidia::{DeviceKind, UnverifiedDevice};
use attest_core::{CpuEvidence, parse_hex};

/// A machine's evidence in files.
#[derive(Debug, Args, Default)]
pub struct EvidenceFileArgs {
    /// A TDX quote (raw bytes or hex)
    #[arg(long, value_name = "FILE", conflicts_with = "snp_report")]
    pub quote: Option<PathBuf>,
    /// An SEV-SNP report (raw bytes or hex), or one wrapped by Azure
    #[arg(long, value_name = "FILE")]
    pub snp_report: Option<PathBuf>,
    /// The certificate table that came with the SNP report
    #[arg(long, value_name = "FILE", requires = "snp_report")]
    pub snp_certs: Option<PathBuf>,
    #[command(flatten)]
    pub devices: DeviceArgs,
}

/// A machine's devices in files.
#[derive(Debug, Args, Default)]
pub struct DeviceArgs {
    /// A GPU's evidence and its PEM certificate chain; repeat for each GPU of the machine
    #[arg(id = "gpus", long = "gpu", value_name = "EVIDENCE:CHAIN")]
    pub gpus: Vec<String>,
    /// The same for a switch
    #[arg(id = "switches", long = "switch", value_name = "EVIDENCE:CHAIN")]
    pub switches: Vec<String>,
}

impl EvidenceFileArgs {
    /// Whether there is anything to read.
    pub fn is_empty(&self) -> bool {
        self.quote.is_none() && self.snp_report.is_none() && self.devices.is_empty()
    }

    pub fn read(&self) -> Result<EvidenceInput, Failure> {
        let file = |path: &Path| inputs::read(path, MAX_EVIDENCE);
        let mut subject = Vec::new();
        let cpu = match (&self.quote, &self.snp_report) {
            (Some(path), _) => {
                subject.push(path.display().to_string());
                let quote = raw(file(path)?);
                Some(CpuEvidence::Tdx { quote })
            }
            (None, Some(path)) => {
                subject.push(path.display().to_string());
                let certs = self.snp_certs.as_deref().map(file).transpose()?;
                let (report, certs) = (raw(file(path)?), certs.unwrap_or_default());
                Some(CpuEvidence::SevSnp { report, certs })
            }
            (None, None) => None,
        };
        let devices = self.devices.read()?;
        match devices.len() {
            0 => {}
            1 => subject.push("1 device".to_owned()),
            several => subject.push(format!("{several} devices")),
        }
        Ok(EvidenceInput {
            subject: subject.join(", "),
            cpu,
            devices,
            ..EvidenceInput::default()
        })
    }
}

impl DeviceArgs {
    fn is_empty(&self) -> bool {
        self.gpus.is_empty() && self.switches.is_empty()
    }

    fn read(&self) -> Result<Vec<UnverifiedDevice>, Failure> {
        let gpus = self.gpus.iter().map(|pair| device(DeviceKind::Gpu, pair));
        let switches = self.switches.iter();
        let switches = switches.map(|pair| device(DeviceKind::Switch, pair));
        gpus.chain(switches).collect()
    }
}

fn device(kind: DeviceKind, pair: &str) -> Result<UnverifiedDevice, Failure> {
    let (evidence, chain) = pair
        .split_once(':')
        .ok_or_else(|| Failure::Usage(format!("{pair}: expected EVIDENCE:CHAIN, two files")))?;
    Ok(UnverifiedDevice {
        kind,
        evidence: raw(inputs::read(Path::new(evidence), MAX_EVIDENCE)?),
        certificate_chain: inputs::read(Path::new(chain), MAX_EVIDENCE)?,
    })
}

/// Exactly `N` bytes in hexadecimal, or `@FILE` with them.
pub fn hex<const N: usize>(flag: &str, text: &str) -> Result<[u8; N], Failure> {
    let read = inputs::text_or_file(text)?;
    let digits = read.trim();
    parse_hex::<N>(digits).map_err(|e| Failure::malformed(flag, e))
}
