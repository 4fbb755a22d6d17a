//! What a report needs from the hardware: one quote, every device, and the event log, for one challenge.

use std::sync::Arc;

use attest_collect::{Attester, DeviceAttester, EventLogSource};
use attest_core::nvidia::UnverifiedDevice;
use attest_core::{CpuEvidence, Nonce, ReportData, Sha256Digest, Statement, gpu_nonce};

use gateway_base::events::AttestationFailure;

/// The sources of evidence on this machine.
#[derive(Clone)]
pub struct Hardware {
    pub cpu: Arc<dyn Attester>,
    pub devices: Option<Arc<dyn DeviceAttester>>,
    pub event_log: Option<Arc<dyn EventLogSource>>,
}

/// What the hardware signs: report data for the CPU, a nonce for devices. Both are derived from the client's nonce and
/// the epoch's keyset.
#[derive(Clone, Copy)]
pub(crate) struct Challenge {
    pub report_data: ReportData,
    pub gpu_nonce: [u8; 32],
}

impl Challenge {
    /// Without a client's nonce, devices sign zeros in its place (docs/profile.md §3).
    pub fn new(keyset: Sha256Digest, nonce: Option<Nonce>) -> Self {
        let statement = match nonce {
            Some(nonce) => Statement::challenged(keyset, nonce),
            None => Statement::unchallenged(keyset),
        };
        Self {
            report_data: statement.report_data(),
            gpu_nonce: gpu_nonce(&nonce.unwrap_or(Nonce::from_bytes([0; 32])), &keyset),
        }
    }
}

/// Evidence for one challenge.
#[derive(Clone)]
pub(crate) struct HardwareEvidence {
    pub cpu: CpuEvidence,
    pub devices: Vec<UnverifiedDevice>,
    pub event_log: Option<Vec<u8>>,
}

impl Hardware {
    /// Collects all of it, or fails. Blocks.
    pub(crate) fn collect(
        &self,
        challenge: &Challenge,
    ) -> Result<HardwareEvidence, AttestationFailure> {
        let cpu = self.cpu.attest(&challenge.report_data);
        let devices = self
            .devices
            .as_ref()
            .map(|devices| devices.attest_devices(&challenge.gpu_nonce));
        let event_log = self.event_log.as_ref().map(|source| source.event_log());
        Ok(HardwareEvidence {
            cpu: cpu.map_err(|_| AttestationFailure::Hardware)?,
            devices: devices
                .transpose()
                .map_err(|_| AttestationFailure::Devices)?
                .unwrap_or_default(),
            event_log: event_log
                .transpose()
                .map_err(|_| AttestationFailure::EventLog)?,
        })
    }
}
