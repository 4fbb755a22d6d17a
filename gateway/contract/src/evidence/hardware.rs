//! What the desk asks of the machine: one quote, every device, and the event log, for one question.

use std::sync::Arc;

use attest_collect::{Attester, DeviceAttester, EventLogSource};
use attest_core::nvidia::UnverifiedDevice;
use attest_core::{CpuEvidence, Nonce, ReportData, Sha256Digest, Statement, gpu_nonce};

use gateway_base::events::AttestationFailure;

/// Everything on this machine that has something to show.
#[derive(Clone)]
pub struct Hardware {
    pub cpu: Arc<dyn Attester>,
    pub devices: Option<Arc<dyn DeviceAttester>>,
    pub event_log: Option<Arc<dyn EventLogSource>>,
}

/// What hardware is asked to sign: report data for the CPU, a nonce for devices. Both follow from the caller's
/// challenge and the epoch's keyset.
#[derive(Clone, Copy)]
pub(crate) struct Challenge {
    pub report_data: ReportData,
    pub gpu_nonce: [u8; 32],
}

impl Challenge {
    /// Where nobody challenged, zeros stand for the nonce that devices are asked with (docs/profile.md §3).
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

/// What hardware showed for one challenge.
#[derive(Clone)]
pub(crate) struct Collected {
    pub cpu: CpuEvidence,
    pub devices: Vec<UnverifiedDevice>,
    pub event_log: Option<Vec<u8>>,
}

impl Hardware {
    /// All of it or nothing. Blocks.
    pub(crate) fn show(&self, challenge: &Challenge) -> Result<Collected, AttestationFailure> {
        let cpu = self.cpu.attest(&challenge.report_data);
        let devices = self
            .devices
            .as_ref()
            .map(|devices| devices.attest_devices(&challenge.gpu_nonce));
        let event_log = self.event_log.as_ref().map(|source| source.event_log());
        Ok(Collected {
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
