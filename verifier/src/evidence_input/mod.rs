//! The evidence of one machine, from files and flags, from one JSON document, or from a
//! report.

mod document;
mod files;

pub use document::EvidenceDocument;
pub use files::{DeviceArgs, EvidenceFileArgs, hex};

use attest_core::nvidia::UnverifiedDevice;
use attest_core::{CpuEvidence, MachineEvidence, Report, UnverifiedEvidence};

use crate::failure::Failure;

/// Evidence of one machine, as bytes.
#[derive(Default)]
pub struct EvidenceInput {
    /// Where it was read from, for the reader.
    pub subject: String,
    pub cpu: Option<CpuEvidence>,
    pub report_data: Option<[u8; 64]>,
    pub event_log: Option<Vec<u8>>,
    pub devices: Vec<UnverifiedDevice>,
    pub device_nonce: Option<[u8; 32]>,
}

impl EvidenceInput {
    /// As the core's type.
    pub fn machine(&self) -> MachineEvidence<'_> {
        MachineEvidence {
            cpu: self.cpu.as_ref().map(UnverifiedEvidence::from),
            report_data: self.report_data,
            event_log: self.event_log.as_deref(),
            devices: &self.devices,
            device_nonce: self.device_nonce,
        }
    }

    /// The sections that a policy for it must have.
    pub fn sections(&self) -> Vec<&'static str> {
        let cpu = self.cpu.as_ref().map(|cpu| match cpu {
            CpuEvidence::Tdx { .. } => "tdx",
            CpuEvidence::SevSnp { .. } => "snp",
        });
        let log = self.event_log.as_ref().map(|_| "event_log");
        let devices = (!self.devices.is_empty()).then_some("nvidia");
        cpu.into_iter().chain(log).chain(devices).collect()
    }

    /// The evidence in a report. An error names an unreadable device by its index.
    pub fn from_report(subject: String, report: &Report) -> Result<Self, Failure> {
        let evidence = report.evidence();
        let devices = evidence.devices.iter().enumerate();
        let devices = devices.map(|(index, device)| {
            UnverifiedDevice::from_evidence(device)
                .map_err(|e| Failure::malformed(format!("{subject}: device {index}"), e))
        });
        Ok(Self {
            devices: devices.collect::<Result<_, _>>()?,
            cpu: Some(evidence.cpu.clone()),
            subject,
            ..Self::default()
        })
    }
}
