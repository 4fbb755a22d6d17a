use std::path::PathBuf;

use attest_core::event_log::{CcelError, EventLog};

use super::*;

/// A folder that exists for one test.
struct Tables(PathBuf);

impl Tables {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sealgate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("data")).expect("a folder");
        Self(path)
    }

    fn with(self, file: &str, bytes: &[u8]) -> Self {
        std::fs::write(self.0.join(file), bytes).expect("written");
        self
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn table(technology: u8) -> Vec<u8> {
    let mut table = b"CCEL".to_vec();
    table.extend(56u32.to_le_bytes());
    table.resize(TYPE_AT, 0);
    table.extend([technology, 0, 0, 0]);
    table.extend(0x1_0000u64.to_le_bytes());
    table.extend(0x7fff_0000u64.to_le_bytes());
    table
}

/// The header of a crypto-agile log with SHA-384 alone, and one separator in RTMR0.
fn log() -> Vec<u8> {
    let mut spec = b"Spec ID Event03\0".to_vec();
    spec.extend([0, 0, 0, 0, 0, 2, 0, 2]);
    spec.extend(1u32.to_le_bytes());
    spec.extend(0xcu16.to_le_bytes());
    spec.extend(48u16.to_le_bytes());
    spec.push(0);
    let mut log = 0u32.to_le_bytes().to_vec();
    log.extend(3u32.to_le_bytes());
    log.extend([0; 20]);
    log.extend(u32::try_from(spec.len()).expect("short").to_le_bytes());
    log.extend(spec);
    let digest = ring::digest::digest(&ring::digest::SHA384, &[0; 4]);
    log.extend(1u32.to_le_bytes());
    log.extend(4u32.to_le_bytes());
    log.extend(1u32.to_le_bytes());
    log.extend(0xcu16.to_le_bytes());
    log.extend(digest.as_ref());
    log.extend(4u32.to_le_bytes());
    log.extend([0; 4]);
    log
}

#[test]
fn finds_the_firmwares_log_by_its_table_and_removes_the_padding() {
    let padded = [log(), vec![0xFF; 4096]].concat();
    let tables = Tables::new("ccel")
        .with("CCEL", &table(TDX))
        .with("data/CCEL", &padded);
    let file = EventLogFile::ccel(&tables.0).expect("a log");
    assert_eq!(file.event_log(), Ok(log()));
    assert_eq!(
        EventLog::parse(&log())
            .expect("a log")
            .claimed_events()
            .len(),
        1
    );
}

#[test]
fn reads_a_growing_log_again_each_time() {
    let tables = Tables::new("growing").with("log.json", b"[]");
    let file = EventLogFile::at(&tables.0.join("log.json")).expect("dstack's JSON");
    assert_eq!(file.event_log(), Ok(b"[]".to_vec()));
    let tables = tables.with("log.json", b" []");
    assert_eq!(file.event_log(), Ok(b" []".to_vec()));
    drop(tables);
    assert!(file.event_log().expect_err("it was removed").is_absent());
}

#[test]
fn a_table_of_another_name_length_or_technology_is_refused() {
    let tables = Tables::new("table").with("data/CCEL", &log());
    let path = tables.0.join("CCEL");
    let refused = |tables: &Tables| EventLogFile::ccel(&tables.0).expect_err("refused");
    assert!(refused(&tables).is_absent());
    let mut other_name = table(TDX);
    other_name[0] = b'D';
    let cut = table(TDX)[..55].to_vec();
    let mut other_length = table(TDX);
    other_length[4] = 57;
    let mut tables = tables;
    for wrong in [other_name, cut, other_length, vec![]] {
        tables = tables.with("CCEL", &wrong);
        assert_eq!(refused(&tables), LogError::Table { path: path.clone() });
    }
    tables = tables.with("CCEL", &[table(TDX), vec![0]].concat());
    let limit = TABLE_LEN;
    assert_eq!(
        refused(&tables),
        LogError::TooLarge {
            path: path.clone(),
            limit
        }
    );
    let tables = tables.with("CCEL", &table(1));
    assert_eq!(
        refused(&tables),
        LogError::Technology {
            path,
            technology: 1
        }
    );
}

#[test]
fn refuses_what_is_no_log_with_the_reason() {
    let tables = Tables::new("malformed").with("log", &log()[..log().len() - 1]);
    let path = tables.0.join("log");
    let error = EventLogFile::at(&path).expect_err("cut");
    let cut = CcelError::EventTruncated {
        event: 0,
        field: "payload",
    };
    assert_eq!(
        error,
        LogError::Format {
            path: path.clone(),
            error: cut.into()
        }
    );
    let tables = tables.with("log", &vec![0; MAX_LOG_LEN + 1]);
    let limit = MAX_LOG_LEN;
    assert_eq!(
        EventLogFile::at(&path),
        Err(LogError::TooLarge { path, limit })
    );
    drop(tables);
}
