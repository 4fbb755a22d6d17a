//! The collector against an emulated kernel.
//!
//! The entry is a real directory with real files, read and written by the same code as on a real
//! guest; the emulation adds only what a plain directory lacks. It creates
//! the attributes with the entry, answers a write with a new `generation` and a new `outblob`,
//! acts as another process that writes at the wrong moment, and removes the attributes with
//! the entry.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use attest_core::{CpuEvidence, ReportData, TeeType};

use super::files::{Files, OsFiles, ReadError};
use super::{ATTEMPTS, ConfigfsTsm};
use crate::{Attester, Attribute, CollectError, OsError};

/// What goes wrong, and at which of the attempts (counted from the first one after the probe).
#[derive(Clone, Copy)]
enum Fault {
    None,
    /// Another process writes `inblob` between our write and our read.
    RaceOn(fn(u32) -> bool),
    /// Reading this attribute fails with this error.
    FailOn(fn(u32) -> bool, Attribute, io::ErrorKind),
    /// The write of this attribute fails.
    RefuseWrite(Attribute, io::ErrorKind),
}

struct Kernel {
    os: OsFiles,
    provider: Mutex<&'static str>,
    outblob: Option<Vec<u8>>,
    auxblob: Vec<u8>,
    fault: Fault,
    entries: AtomicU32,
    removed: AtomicU32,
    first_generation: u64,
}

impl Kernel {
    fn new(provider: &'static str) -> Self {
        Kernel {
            os: OsFiles,
            provider: Mutex::new(provider),
            outblob: None,
            auxblob: Vec::new(),
            fault: Fault::None,
            entries: AtomicU32::new(0),
            removed: AtomicU32::new(0),
            first_generation: 0,
        }
    }

    fn attempt(&self) -> u32 {
        self.entries.load(Ordering::SeqCst) - 1
    }

    fn left_behind(&self) -> u32 {
        self.entries.load(Ordering::SeqCst) - self.removed.load(Ordering::SeqCst)
    }

    /// After a write: the next generation, and another answer.
    fn written(&self, entry: &Path) -> io::Result<()> {
        let generation = entry.join("generation");
        let number: u64 = fs::read_to_string(&generation)?
            .trim()
            .parse()
            .map_err(|_| io::ErrorKind::InvalidData)?;
        fs::write(&generation, format!("{}\n", number.wrapping_add(1)))?;
        let question = fs::read(entry.join("inblob"))?;
        let answer = match &self.outblob {
            Some(fixed) => fixed.clone(),
            None => [b"signed:", question.as_slice()].concat(),
        };
        fs::write(entry.join("outblob"), answer)
    }
}

fn attribute_at(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

impl Files for Kernel {
    fn is_directory(&self, path: &Path) -> bool {
        self.os.is_directory(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.os.create_directory(path)?;
        self.entries.fetch_add(1, Ordering::SeqCst);
        let provider = *self.provider.lock().expect("not poisoned");
        fs::write(path.join("provider"), format!("{provider}\n"))?;
        fs::write(
            path.join("generation"),
            format!("{}\n", self.first_generation),
        )?;
        fs::write(path.join("inblob"), b"")?;
        fs::write(path.join("outblob"), b"")?;
        if provider == "sev_guest" {
            fs::write(path.join("privlevel"), b"")?;
            fs::write(path.join("auxblob"), &self.auxblob)?;
        }
        Ok(())
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        for attribute in fs::read_dir(path)? {
            fs::remove_file(attribute?.path())?;
        }
        self.os.remove_directory(path)?;
        self.removed.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, ReadError> {
        match self.fault {
            Fault::FailOn(at, attribute, kind)
                if attribute_at(path) == Some(attribute.file_name()) && at(self.attempt()) =>
            {
                return Err(ReadError::Io(kind.into()));
            }
            _ => {}
        }
        self.os.read(path, limit)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if let Fault::RefuseWrite(attribute, kind) = self.fault
            && attribute_at(path) == Some(attribute.file_name())
        {
            return Err(kind.into());
        }
        self.os.write(path, bytes)?;
        let entry = path.parent().ok_or(io::ErrorKind::NotFound)?;
        self.written(entry)?;
        if let Fault::RaceOn(at) = self.fault
            && attribute_at(path) == Some("inblob")
            && at(self.attempt())
        {
            fs::write(path, [0xEE; 64])?;
            self.written(entry)?;
        }
        Ok(())
    }
}

/// A separate directory for one test.
struct Base(PathBuf);

impl Base {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let path =
            std::env::temp_dir().join(format!("sealgate-collect-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary directory");
        Base(path)
    }

    fn entries(&self) -> usize {
        fs::read_dir(&self.0).expect("the base directory").count()
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn report_data() -> ReportData {
    let mut bytes = [0u8; 64];
    for (position, byte) in bytes.iter_mut().enumerate() {
        *byte = position as u8;
    }
    ReportData::observed(bytes)
}

fn signed(report_data: &ReportData) -> Vec<u8> {
    [b"signed:", report_data.as_bytes().as_slice()].concat()
}

fn probe(base: &Base, kernel: &Arc<Kernel>) -> Result<ConfigfsTsm, CollectError> {
    let files: Arc<dyn Files> = Arc::clone(kernel) as Arc<dyn Files>;
    ConfigfsTsm::probe_with(&base.0, files, Duration::ZERO)
}

/// Probes, requests evidence once, and checks that no entry is left, whatever the result.
fn ask(kernel: Kernel) -> Result<CpuEvidence, CollectError> {
    ask_of(Arc::new(kernel), |collector| collector)
}

fn ask_of(
    kernel: Arc<Kernel>,
    with: fn(ConfigfsTsm) -> ConfigfsTsm,
) -> Result<CpuEvidence, CollectError> {
    let base = Base::new();
    let collector = with(probe(&base, &kernel).expect("a known provider"));
    let answer = collector.attest(&report_data());
    assert_eq!(kernel.left_behind(), 0, "entries left behind");
    assert_eq!(base.entries(), 0, "directories left behind");
    answer
}

#[test]
fn returns_a_tdx_quote_over_the_report_data() {
    let answer = ask(Kernel::new("tdx_guest")).expect("evidence");
    assert_eq!(
        answer,
        CpuEvidence::Tdx {
            quote: signed(&report_data())
        }
    );
}

#[test]
fn returns_an_snp_report_with_the_hosts_certificates() {
    let kernel = Kernel {
        auxblob: b"certificate table".to_vec(),
        ..Kernel::new("sev_guest")
    };
    assert_eq!(
        ask(kernel).expect("evidence"),
        CpuEvidence::SevSnp {
            report: signed(&report_data()),
            certs: b"certificate table".to_vec(),
        }
    );
}

#[test]
fn an_snp_host_without_certificates_is_no_error() {
    let answer = ask(Kernel::new("sev_guest")).expect("evidence");
    assert!(matches!(answer, CpuEvidence::SevSnp { certs, .. } if certs.is_empty()));
}

#[test]
fn the_tee_type_follows_the_provider() {
    for (provider, tee_type) in [("tdx_guest", TeeType::Tdx), ("sev_guest", TeeType::SevSnp)] {
        let base = Base::new();
        let collector = probe(&base, &Arc::new(Kernel::new(provider))).expect("a collector");
        assert_eq!(collector.tee_type(), tee_type);
    }
}

#[test]
fn writes_the_privilege_level_and_counts_the_write() {
    let kernel = Arc::new(Kernel::new("sev_guest"));
    let answer = ask_of(Arc::clone(&kernel), |collector| {
        collector.with_privilege_level(2)
    });
    assert!(answer.is_ok());
    // TDX has no such attribute: requesting a level there is an error and not ignored.
    let refused = ask_of(Arc::new(Kernel::new("tdx_guest")), |collector| {
        collector.with_privilege_level(2)
    });
    assert!(matches!(
        refused,
        Err(CollectError::Io {
            attribute: Attribute::Privlevel,
            cause: OsError {
                kind: io::ErrorKind::NotFound,
                ..
            }
        })
    ));
}

#[test]
fn a_generation_counter_that_wraps_around_is_accepted() {
    let kernel = Kernel {
        first_generation: u64::MAX,
        ..Kernel::new("tdx_guest")
    };
    assert!(ask(kernel).is_ok());
}

#[test]
fn an_unknown_provider_is_refused_by_name_and_its_entry_removed() {
    let base = Base::new();
    let kernel = Arc::new(Kernel::new("arm_cca_guest"));
    let refused = probe(&base, &kernel).err();
    assert_eq!(
        refused,
        Some(CollectError::UnknownProvider {
            name: "arm_cca_guest".to_owned()
        })
    );
    assert_eq!(kernel.left_behind(), 0);
}

#[test]
fn a_provider_that_changes_after_the_probe_is_refused() {
    let base = Base::new();
    let kernel = Arc::new(Kernel::new("tdx_guest"));
    let collector = probe(&base, &kernel).expect("a collector");
    *kernel.provider.lock().expect("not poisoned") = "sev_guest";
    assert_eq!(
        collector.attest(&report_data()),
        Err(CollectError::ProviderChanged {
            expected: "tdx_guest",
            found: "sev_guest"
        })
    );
    assert_eq!(kernel.left_behind(), 0);
}

#[test]
fn a_missing_directory_is_named() {
    let path = PathBuf::from("/nonexistent/tsm/report");
    let refused = ConfigfsTsm::probe(&path).err();
    assert_eq!(refused, Some(CollectError::NoReportDirectory { path }));
}

#[test]
fn discards_a_raced_answer_and_retries() {
    let kernel = Arc::new(Kernel {
        fault: Fault::RaceOn(|attempt| attempt <= 2),
        ..Kernel::new("tdx_guest")
    });
    let answer = ask_of(Arc::clone(&kernel), |collector| collector).expect("evidence");
    assert_eq!(
        answer,
        CpuEvidence::Tdx {
            quote: signed(&report_data())
        }
    );
    assert_eq!(kernel.attempt(), 3, "two raced attempts and a good one");
}

#[test]
fn reports_both_generations_if_every_attempt_is_raced() {
    let kernel = Kernel {
        fault: Fault::RaceOn(|_| true),
        ..Kernel::new("sev_guest")
    };
    assert_eq!(
        ask(kernel),
        Err(CollectError::GenerationRaced {
            attempts: ATTEMPTS,
            expected: 1,
            found: 2
        })
    );
}

#[test]
fn retries_busy_and_would_block_and_then_reports_busy() {
    for kind in [io::ErrorKind::ResourceBusy, io::ErrorKind::WouldBlock] {
        let passing = Kernel {
            fault: Fault::FailOn(|attempt| attempt == 1, Attribute::Outblob, kind),
            ..Kernel::new("tdx_guest")
        };
        assert!(ask(passing).is_ok());
        let lasting = Kernel {
            fault: Fault::FailOn(|_| true, Attribute::Outblob, kind),
            ..Kernel::new("tdx_guest")
        };
        assert_eq!(
            ask(lasting),
            Err(CollectError::Busy {
                attempts: ATTEMPTS,
                attribute: Attribute::Outblob
            })
        );
    }
}

#[test]
fn reports_any_other_error_at_once_with_its_attribute() {
    let cases = [
        Fault::FailOn(|_| true, Attribute::Auxblob, io::ErrorKind::TimedOut),
        Fault::FailOn(|_| true, Attribute::Outblob, io::ErrorKind::TimedOut),
        Fault::RefuseWrite(Attribute::Inblob, io::ErrorKind::TimedOut),
    ];
    let attributes = [Attribute::Auxblob, Attribute::Outblob, Attribute::Inblob];
    for (fault, attribute) in cases.into_iter().zip(attributes) {
        let kernel = Arc::new(Kernel {
            fault,
            ..Kernel::new("sev_guest")
        });
        assert_eq!(
            ask_of(Arc::clone(&kernel), |collector| collector),
            Err(CollectError::Io {
                attribute,
                cause: OsError {
                    kind: io::ErrorKind::TimedOut,
                    code: None
                }
            })
        );
        assert_eq!(kernel.attempt(), 1, "not tried again");
    }
}

#[test]
fn a_blob_over_the_limit_is_refused_and_one_at_the_limit_is_not() {
    let limit = 1024 * 1024;
    let kernel = |size| Kernel {
        outblob: Some(vec![7; size]),
        ..Kernel::new("tdx_guest")
    };
    assert!(ask(kernel(limit)).is_ok());
    assert_eq!(
        ask(kernel(limit + 1)),
        Err(CollectError::TooLarge {
            attribute: Attribute::Outblob,
            limit
        })
    );
}

#[test]
fn an_empty_blob_is_no_evidence() {
    let kernel = Kernel {
        outblob: Some(Vec::new()),
        ..Kernel::new("tdx_guest")
    };
    assert_eq!(
        ask(kernel),
        Err(CollectError::Malformed {
            attribute: Attribute::Outblob
        })
    );
}

#[test]
fn reuses_and_keeps_a_provided_entry() {
    let base = Base::new();
    let kernel = Arc::new(Kernel::new("tdx_guest"));
    let lent = base.0.join("sealgate");
    kernel.create_directory(&lent).expect("an entry");
    let collector = probe(&base, &kernel).expect("a known provider");
    for _ in 0..3 {
        let answer = collector.attest(&report_data()).expect("evidence");
        let quote = signed(&report_data());
        assert_eq!(answer, CpuEvidence::Tdx { quote });
    }
    assert_eq!(kernel.left_behind(), 1);
    assert_eq!(base.entries(), 1);
    assert!(lent.is_dir());
}
