//! Event logs made here, byte by byte, and the arithmetic of registers, written a second time.
#![allow(dead_code, reason = "each suite uses what it needs")]

use ring::digest;
use serde_json::{Value, json};

use attest_core::event_log::{EventLog, EventType, LoggedEvent, ReplayedLog};
use attest_core::to_hex;

pub type Sha384 = [u8; 48];

pub const ZERO: Sha384 = [0; 48];

pub fn sha384(bytes: &[u8]) -> Sha384 {
    let digest = digest::digest(&digest::SHA384, bytes);
    digest.as_ref().try_into().expect("48 bytes")
}

pub fn extended(register: Sha384, digest: Sha384) -> Sha384 {
    sha384(&[register, digest].concat())
}

/// A register after these digests.
pub fn register(digests: &[Sha384]) -> Sha384 {
    digests.iter().copied().fold(ZERO, extended)
}

/// Only SHA-384.
pub const SHA384_ONLY: &[(u16, u16)] = &[(0xc, 48)];

/// The header of a log with these algorithms.
pub fn header(algorithms: &[(u16, u16)]) -> Vec<u8> {
    header_with(algorithms, b"vendor")
}

pub fn header_with(algorithms: &[(u16, u16)], vendor: &[u8]) -> Vec<u8> {
    let mut spec = b"Spec ID Event03\0".to_vec();
    spec.extend([0, 0, 0, 0, 0, 2, 0, 2]);
    spec.extend(u32::try_from(algorithms.len()).unwrap().to_le_bytes());
    for (algorithm, size) in algorithms {
        spec.extend(algorithm.to_le_bytes());
        spec.extend(size.to_le_bytes());
    }
    spec.push(u8::try_from(vendor.len()).unwrap());
    spec.extend(vendor);
    let mut log = 0u32.to_le_bytes().to_vec();
    log.extend(3u32.to_le_bytes());
    log.extend([0; 20]);
    log.extend(u32::try_from(spec.len()).unwrap().to_le_bytes());
    log.extend(spec);
    log
}

/// A CCEL log with SHA-384 digests only.
pub struct Ccel(pub Vec<u8>);

impl Ccel {
    pub fn new() -> Self {
        Self(header(SHA384_ONLY))
    }

    /// Index 1 is RTMR0.
    pub fn event(self, index: u32, kind: EventType, digest: Sha384, payload: &[u8]) -> Self {
        self.event_with(index, kind, &[(0xc, &digest)], payload)
    }

    /// An event whose digest is its payload's.
    pub fn hashed(self, index: u32, kind: EventType, payload: &[u8]) -> Self {
        self.event(index, kind, sha384(payload), payload)
    }

    pub fn event_with(
        mut self,
        index: u32,
        kind: EventType,
        digests: &[(u16, &[u8])],
        payload: &[u8],
    ) -> Self {
        self.0.extend(index.to_le_bytes());
        self.0.extend(kind.code().to_le_bytes());
        self.0
            .extend(u32::try_from(digests.len()).unwrap().to_le_bytes());
        for (algorithm, digest) in digests {
            self.0.extend(algorithm.to_le_bytes());
            self.0.extend(*digest);
        }
        self.0
            .extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
        self.0.extend(payload);
        self
    }

    pub fn parse(&self) -> EventLog {
        EventLog::from_ccel(&self.0).expect("the log is well formed")
    }
}

pub const GLOBAL: [u8; 16] = [
    0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c,
];

/// A `UEFI_VARIABLE_DATA`.
pub fn variable(vendor: [u8; 16], name: &str, value: &[u8]) -> Vec<u8> {
    let units: Vec<u16> = name.encode_utf16().collect();
    let mut payload = vendor.to_vec();
    payload.extend((units.len() as u64).to_le_bytes());
    payload.extend((value.len() as u64).to_le_bytes());
    payload.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
    payload.extend(value);
    payload
}

pub fn secure_boot(value: u8) -> Vec<u8> {
    variable(GLOBAL, "SecureBoot", &[value])
}

pub const RUNTIME: u32 = 0x0800_0001;

/// The digest of a runtime event of version 1.
pub fn runtime_digest(name: &str, payload: &[u8]) -> Sha384 {
    let code = RUNTIME.to_le_bytes();
    sha384(&[&code[..], b":", name.as_bytes(), b":", payload].concat())
}

/// A dstack runtime event as JSON.
pub fn runtime(name: &str, payload: &[u8]) -> Value {
    json!({
        "imr": 3,
        "event_type": RUNTIME,
        "digest": to_hex(&runtime_digest(name, payload)),
        "event": name,
        "event_payload": to_hex(payload),
    })
}

pub fn boot(imr: u32, kind: EventType, digest: Sha384, payload: &[u8]) -> Value {
    json!({
        "imr": imr,
        "event_type": kind.code(),
        "digest": to_hex(&digest),
        "event": "",
        "event_payload": to_hex(payload),
    })
}

pub fn json_bytes(events: &[Value]) -> Vec<u8> {
    serde_json::to_vec(events).expect("JSON is written")
}

/// That `after`, accepted, says nothing of an event that `before` did not: the same digests in the
/// same registers, and of the payloads the same measured bytes or fewer.
pub fn assert_claims_no_more(before: &ReplayedLog, after: &ReplayedLog, context: &str) {
    let positions = |log: &ReplayedLog| log.events().len();
    assert_eq!(positions(before), positions(after), "{context}");
    for (old, new) in before.events().iter().zip(after.events()) {
        assert_claims_no_more_of(old, new, context);
    }
}

fn assert_claims_no_more_of(old: &LoggedEvent, new: &LoggedEvent, context: &str) {
    assert_eq!(old.register(), new.register(), "{context}");
    assert_eq!(old.digest(), new.digest(), "{context}");
    assert_eq!(old.name(), new.name(), "{context}");
    if let Some(measured) = new.bound_payload() {
        assert_eq!(sha384_or_runtime(new, measured), *new.digest(), "{context}");
        assert_eq!(old.bound_payload(), Some(measured), "{context}");
    }
}

fn sha384_or_runtime(event: &LoggedEvent, measured: &[u8]) -> Sha384 {
    match event.name() {
        Some(name) => runtime_digest(name, measured),
        None => sha384(measured),
    }
}
