//! Evidence from `/dev/sev-guest`, for kernels before 6.7, which have no configfs-tsm.
//!
//! The plain guest request only (`SNP_GET_REPORT`), through the `sev` crate. Its answer is copied
//! into a buffer of fixed length. The extended request would also return the host's certificate table,
//! but `sev` 8 follows the offsets and lengths that the host writes into it without checking them against its
//! end: a host could have our memory read out as a certificate. So there is no table here, and
//! the endorsement key's certificate has to come from AMD's service. A guest whose report is signed
//! with a loaded key (VLEK) needs configfs-tsm.
//!
//! Not tested on hardware; tested is how answers and refusals are handled.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use sev::firmware::guest::Firmware;

use crate::error::OsError;
use crate::{Attester, CollectError};
use attest_core::snp::SnpReport;
use attest_core::{CpuEvidence, ReportData, TeeType};

/// The device that the `sev` crate opens.
pub const SEV_GUEST: &str = "/dev/sev-guest";

/// The most privileged level, which a guest without a paravisor runs at.
const VMPL: u32 = 0;

/// The one request that is made of the device.
trait Guest: Send {
    fn report(&mut self, data: [u8; 64], vmpl: u32) -> Result<Vec<u8>, String>;
}

impl Guest for Firmware {
    fn report(&mut self, data: [u8; 64], vmpl: u32) -> Result<Vec<u8>, String> {
        self.get_report(None, Some(data), Some(vmpl))
            .map_err(|error| error.to_string())
    }
}

/// The guest device of this machine.
// A lock because a request needs `&mut`; held for one request to the device.
pub struct SevGuest(Mutex<Box<dyn Guest>>);

impl SevGuest {
    /// Opens the device, which stays open.
    pub fn open() -> Result<Self, CollectError> {
        match Firmware::open() {
            Ok(firmware) => Ok(Self::with(Box::new(firmware))),
            Err(error) => Err(CollectError::NoGuestDevice {
                path: PathBuf::from(SEV_GUEST),
                cause: OsError::from(&error),
            }),
        }
    }

    fn with(guest: Box<dyn Guest>) -> Self {
        Self(Mutex::new(guest))
    }
}

impl Attester for SevGuest {
    fn tee_type(&self) -> TeeType {
        TeeType::SevSnp
    }

    fn attest(&self, report_data: &ReportData) -> Result<CpuEvidence, CollectError> {
        let data = *report_data.as_bytes();
        // One request at a time: the device serves no more, and the lock is held over a blocking call on purpose. A
        // panic under it is caught below, so a poisoned lock has lost nothing.
        let mut guest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The crate parses values of the host; a panic on one of them must not end the process.
        let answer = catch_unwind(AssertUnwindSafe(|| guest.report(data, VMPL)));
        let message = match answer {
            Ok(Ok(report)) => return evidence(report),
            Ok(Err(message)) => message,
            Err(_) => "an answer that the library could not read".to_owned(),
        };
        Err(CollectError::GuestRequest { message })
    }
}

/// Parses the report to tell it from a buffer of zeros; its content is not checked.
fn evidence(report: Vec<u8>) -> Result<CpuEvidence, CollectError> {
    match SnpReport::parse(&report) {
        Ok(_) => Ok(CpuEvidence::SevSnp {
            report,
            certs: Vec::new(),
        }),
        Err(_) => Err(CollectError::GuestReport),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device with scripted answers.
    enum ScriptedGuest {
        Report,
        Zeros,
        Refusal,
        Panic,
    }

    fn report(data: [u8; 64]) -> Vec<u8> {
        let mut report = vec![0; 1184];
        report[0] = 2;
        // Signature algorithm 1 is ECDSA P-384 with SHA-384.
        report[0x34] = 1;
        report[0x50..0x90].copy_from_slice(&data);
        // A chip id, by which `sev` tells processors apart.
        report[0x1A0..0x1E0].fill(9);
        report
    }

    impl Guest for ScriptedGuest {
        fn report(&mut self, data: [u8; 64], vmpl: u32) -> Result<Vec<u8>, String> {
            assert_eq!(vmpl, 0);
            match self {
                ScriptedGuest::Report => Ok(report(data)),
                ScriptedGuest::Zeros => Ok(vec![0; 1184]),
                ScriptedGuest::Refusal => Err("rate limit".to_owned()),
                ScriptedGuest::Panic => panic!("scripted"),
            }
        }
    }

    fn attest(guest: ScriptedGuest) -> Result<CpuEvidence, CollectError> {
        SevGuest::with(Box::new(guest)).attest(&ReportData::observed([7; 64]))
    }

    #[test]
    fn a_report_over_the_data_asked_for_comes_without_a_certificate_table() {
        let evidence = CpuEvidence::SevSnp {
            report: report([7; 64]),
            certs: vec![],
        };
        assert_eq!(attest(ScriptedGuest::Report), Ok(evidence));
    }

    #[test]
    fn a_refusal_a_panic_and_an_empty_buffer_are_different_errors() {
        let message = "rate limit".to_owned();
        assert_eq!(
            attest(ScriptedGuest::Refusal),
            Err(CollectError::GuestRequest { message })
        );
        assert_eq!(attest(ScriptedGuest::Zeros), Err(CollectError::GuestReport));
        let message = "an answer that the library could not read".to_owned();
        assert_eq!(
            attest(ScriptedGuest::Panic),
            Err(CollectError::GuestRequest { message })
        );
    }

    #[test]
    fn without_the_device_the_error_names_it() {
        match SevGuest::open() {
            Err(error) => assert!(error.to_string().contains(SEV_GUEST), "{error}"),
            Ok(_) => println!("skipped: this machine has {SEV_GUEST}"),
        }
    }

    /// Both parsers read the same bytes and must agree.
    #[test]
    fn the_sev_crate_reads_the_same_report() {
        use sev::parser::ByteParser;
        let bytes = report([7; 64]);
        let theirs = sev::firmware::guest::AttestationReport::from_bytes(&bytes)
            .expect("the crate reads it");
        let ours = SnpReport::parse(&bytes).expect("a report");
        assert_eq!(theirs.report_data.as_slice(), &ours.report_data);
        assert_eq!((theirs.version, theirs.vmpl), (ours.version, ours.vmpl));
    }
}
