use attest_core::nvidia::DeviceKind;

use super::driver::{Driver, MAX_CHAIN, MAX_DEVICES, MAX_REPORT, Mode};
use super::{DeviceAttester, DeviceError, NvidiaDevices, Question};

/// A driver that answers as told.
#[derive(Clone)]
struct Told {
    modes: Vec<Mode>,
    report: usize,
    chain: usize,
    count: Option<u32>,
}

fn healthy(devices: usize) -> Told {
    Told {
        modes: vec![Mode::On; devices],
        report: MAX_REPORT,
        chain: MAX_CHAIN,
        count: None,
    }
}

impl Driver for Told {
    fn count(&self) -> Result<u32, DeviceError> {
        let there = u32::try_from(self.modes.len()).expect("few");
        Ok(self.count.unwrap_or(there))
    }

    fn mode(&self, index: u32) -> Result<Mode, DeviceError> {
        Ok(self.modes[index as usize])
    }

    fn report(&self, index: u32, nonce: &[u8; 32]) -> Result<Vec<u8>, DeviceError> {
        if index == 9 {
            return Err(DeviceError::Driver {
                asked: Question::Report,
                said: "lost".to_owned(),
            });
        }
        let mut report = nonce.to_vec();
        report.push(index as u8);
        report.resize(self.report, 0);
        Ok(report)
    }

    fn certificates(&self, index: u32) -> Result<Vec<u8>, DeviceError> {
        Ok(vec![index as u8; self.chain])
    }
}

fn asked(driver: Told) -> Result<usize, DeviceError> {
    let devices = NvidiaDevices::with(Box::new(driver), None)?;
    Ok(devices.attest_devices(&[7; 32])?.len())
}

#[test]
fn every_device_is_asked_for_the_same_nonce() {
    let devices = NvidiaDevices::with(Box::new(healthy(3)), Some(3)).expect("healthy");
    let evidence = devices.attest_devices(&[7; 32]).expect("evidence");
    assert_eq!(evidence.len(), 3);
    for (index, device) in evidence.iter().enumerate() {
        assert_eq!(device.kind, DeviceKind::Gpu);
        assert_eq!(device.evidence[..32], [7; 32]);
        assert_eq!(usize::from(device.evidence[32]), index);
        assert_eq!(device.certificate_chain, vec![index as u8; MAX_CHAIN]);
    }
}

#[test]
fn a_machine_without_devices_is_no_machine_with_devices() {
    assert_eq!(asked(healthy(0)), Err(DeviceError::NoDevice));
}

#[test]
fn more_devices_than_a_report_carries_are_refused() {
    let mut driver = healthy(1);
    driver.count = Some(MAX_DEVICES + 1);
    let error = DeviceError::TooManyDevices {
        found: MAX_DEVICES + 1,
        limit: MAX_DEVICES,
    };
    assert_eq!(asked(driver), Err(error));
}

#[test]
fn a_device_more_or_less_than_expected_is_told_apart_from_none() {
    for (found, wanted) in [(2, 3), (3, 2)] {
        let devices = NvidiaDevices::with(Box::new(healthy(found)), Some(wanted));
        let found = u32::try_from(found).expect("few");
        let error = DeviceError::OtherCount { found, wanted };
        assert_eq!(devices.err(), Some(error));
    }
    let none = NvidiaDevices::with(Box::new(healthy(0)), Some(1));
    assert_eq!(none.err(), Some(DeviceError::NoDevice));
}

#[test]
fn one_device_out_of_its_mode_stops_all() {
    let mut driver = healthy(3);
    driver.modes[2] = Mode::Off;
    let off = DeviceError::ConfidentialComputingOff { device: 2 };
    assert_eq!(asked(driver.clone()), Err(off));
    driver.modes[1] = Mode::DevTools;
    assert_eq!(asked(driver), Err(DeviceError::DevTools { device: 1 }));
}

#[test]
fn answers_of_no_or_too_great_length_are_refused() {
    let long = |asked, limit| DeviceError::TooLong {
        device: 0,
        asked,
        limit,
    };
    let empty = |asked| DeviceError::Empty { device: 0, asked };
    let with = |report, chain| Told {
        report,
        chain,
        ..healthy(1)
    };
    assert_eq!(
        asked(with(MAX_REPORT + 1, 10)),
        Err(long(Question::Report, MAX_REPORT))
    );
    assert_eq!(
        asked(with(100, MAX_CHAIN + 1)),
        Err(long(Question::Certificates, MAX_CHAIN))
    );
    assert_eq!(asked(with(100, 0)), Err(empty(Question::Certificates)));
}

#[test]
fn one_device_that_does_not_answer_stops_all() {
    let error = asked(healthy(10));
    assert_eq!(
        error,
        Err(DeviceError::Driver {
            asked: Question::Report,
            said: "lost".to_owned()
        })
    );
}

#[test]
fn this_machine_gives_evidence_or_says_why_not() {
    // What it says depends on the machine; that it returns is what counts.
    if let Err(error) = NvidiaDevices::probe(None) {
        assert!(!error.to_string().is_empty());
        println!("skipped: no NVIDIA evidence on this machine: {error}");
    }
}
