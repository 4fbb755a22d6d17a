use attest_core::nvidia::DeviceKind;

use super::driver::{Driver, MAX_CHAIN, MAX_DEVICES, MAX_REPORT, Mode};
use super::{DeviceAttester, DeviceError, DriverRequest, NvidiaDevices};

/// A driver with scripted answers.
#[derive(Clone)]
struct ScriptedDriver {
    modes: Vec<Mode>,
    report: usize,
    chain: usize,
    count: Option<u32>,
}

fn healthy(devices: usize) -> ScriptedDriver {
    ScriptedDriver {
        modes: vec![Mode::On; devices],
        report: MAX_REPORT,
        chain: MAX_CHAIN,
        count: None,
    }
}

impl Driver for ScriptedDriver {
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
                request: DriverRequest::Report,
                message: "lost".to_owned(),
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

fn request(driver: ScriptedDriver) -> Result<usize, DeviceError> {
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
fn refuses_a_machine_without_devices() {
    assert_eq!(request(healthy(0)), Err(DeviceError::NoDevice));
}

#[test]
fn more_devices_than_a_report_carries_are_refused() {
    let mut driver = healthy(1);
    driver.count = Some(MAX_DEVICES + 1);
    let error = DeviceError::TooManyDevices {
        found: MAX_DEVICES + 1,
        limit: MAX_DEVICES,
    };
    assert_eq!(request(driver), Err(error));
}

#[test]
fn reports_another_number_of_devices_than_expected() {
    for (found, expected) in [(2, 3), (3, 2)] {
        let devices = NvidiaDevices::with(Box::new(healthy(found)), Some(expected));
        let found = u32::try_from(found).expect("few");
        let error = DeviceError::OtherCount { found, expected };
        assert_eq!(devices.err(), Some(error));
    }
    let none = NvidiaDevices::with(Box::new(healthy(0)), Some(1));
    assert_eq!(none.err(), Some(DeviceError::NoDevice));
}

#[test]
fn refuses_all_devices_if_one_is_not_in_confidential_mode() {
    let mut driver = healthy(3);
    driver.modes[2] = Mode::Off;
    let off = DeviceError::ConfidentialComputingOff { device: 2 };
    assert_eq!(request(driver.clone()), Err(off));
    driver.modes[1] = Mode::DevTools;
    assert_eq!(request(driver), Err(DeviceError::DevTools { device: 1 }));
}

#[test]
fn refuses_empty_and_too_long_answers() {
    let long = |request, limit| DeviceError::TooLong {
        device: 0,
        request,
        limit,
    };
    let empty = |request| DeviceError::Empty { device: 0, request };
    let with = |report, chain| ScriptedDriver {
        report,
        chain,
        ..healthy(1)
    };
    assert_eq!(
        request(with(MAX_REPORT + 1, 10)),
        Err(long(DriverRequest::Report, MAX_REPORT))
    );
    assert_eq!(
        request(with(100, MAX_CHAIN + 1)),
        Err(long(DriverRequest::Certificates, MAX_CHAIN))
    );
    assert_eq!(
        request(with(100, 0)),
        Err(empty(DriverRequest::Certificates))
    );
}

#[test]
fn refuses_all_devices_if_one_does_not_answer() {
    let error = request(healthy(10));
    assert_eq!(
        error,
        Err(DeviceError::Driver {
            request: DriverRequest::Report,
            message: "lost".to_owned()
        })
    );
}

#[test]
fn this_machine_returns_evidence_or_an_error() {
    // The result depends on the machine; the test is that the call returns.
    if let Err(error) = NvidiaDevices::probe(None) {
        assert!(!error.to_string().is_empty());
        println!("skipped: no NVIDIA evidence on this machine: {error}");
    }
}
