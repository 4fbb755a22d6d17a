use enclave_image::machine::memory::{event_log, log_len};

/// A log with the event that begins it and two more.
fn log() -> Vec<u8> {
    let mut log = Vec::new();
    log.extend_from_slice(&0_u32.to_le_bytes());
    log.extend_from_slice(&3_u32.to_le_bytes());
    log.extend_from_slice(&[0; 20]);
    let first = [b"Spec ID Event03\0".as_slice(), &[0; 17]].concat();
    log.extend_from_slice(&(first.len() as u32).to_le_bytes());
    log.extend_from_slice(&first);
    for register in [4_u32, 11] {
        log.extend_from_slice(&register.to_le_bytes());
        log.extend_from_slice(&13_u32.to_le_bytes());
        log.extend_from_slice(&1_u32.to_le_bytes());
        log.extend_from_slice(&0x000c_u16.to_le_bytes());
        log.extend_from_slice(&[register as u8; 48]);
        log.extend_from_slice(&5_u32.to_le_bytes());
        log.extend_from_slice(b"event");
    }
    log
}

#[test]
fn a_log_ends_where_its_last_event_does() {
    let log = log();
    for rest in [[0; 100], [0xff; 100]] {
        let bytes = [log.as_slice(), &rest].concat();
        assert_eq!(log_len(&bytes), log.len());
    }
    assert_eq!(log_len(&log[..log.len() - 1]), log.len() - 71);
    assert_eq!(log_len(&log[1..]), 0);
}

#[test]
fn the_longest_log_in_a_memory_is_found_wherever_it_lies() {
    let log = log();
    let short = &log[..log.len() - 71];
    let file = std::env::temp_dir().join(format!("sealgate-memory-{}", std::process::id()));
    // Across the border of what is read at once.
    let mut memory = vec![0; 8 << 20];
    memory.truncate((8 << 20) - 40);
    memory.extend_from_slice(&log);
    memory.extend_from_slice(&[0; 5000]);
    memory.extend_from_slice(short);
    memory.extend_from_slice(&[0; 5000]);
    std::fs::write(&file, &memory).expect("a temporary file");
    assert_eq!(event_log(&file).expect("it can be read"), Some(log));
    std::fs::write(&file, [0; 9000]).expect("a temporary file");
    assert_eq!(event_log(&file).expect("it can be read"), None);
    std::fs::remove_file(&file).expect("it is there");
}
