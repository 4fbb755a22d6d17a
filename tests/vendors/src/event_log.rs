//! Event logs in both formats, and the registers that they lead to.

use ring::digest::{SHA384, digest};
use serde_json::{Value, json};

/// As much padding as is left behind the last event.
const PADDING: usize = 64;

/// A digest as registers hold it.
pub type Sha384 = [u8; 48];

/// An event type of TCG's, and the two that logs of TDs use beside them.
pub mod kind {
    pub const EFI_ACTION: u32 = 0x8000_0007;
    pub const EFI_VARIABLE_DRIVER_CONFIG: u32 = 0x8000_0001;
    pub const SEPARATOR: u32 = 4;
    pub const ACTION: u32 = 5;
    pub const IPL: u32 = 13;
    /// dstack's events of the running system.
    pub const RUNTIME: u32 = 0x0800_0001;
}

/// `EFI_GLOBAL_VARIABLE`.
const GLOBAL: [u8; 16] = [
    0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c,
];

pub fn sha384(bytes: &[u8]) -> Sha384 {
    let digest = digest(&SHA384, bytes);
    digest.as_ref().try_into().expect("SHA-384 is 48 bytes")
}

/// One event: what it says, and the digest that its register was extended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// 0 to 3, for RTMR0 to RTMR3.
    pub register: u8,
    pub kind: u32,
    /// Of runtime events alone.
    pub name: String,
    pub payload: Vec<u8>,
    pub digest: Sha384,
}

impl Event {
    /// An event of the firmware or the loader, whose digest is its payload's.
    pub fn boot(register: u8, kind: u32, payload: &[u8]) -> Self {
        Self {
            register,
            kind,
            name: String::new(),
            payload: payload.to_vec(),
            digest: sha384(payload),
        }
    }

    /// What the firmware says of `SecureBoot`.
    pub fn secure_boot(on: bool) -> Self {
        let units: Vec<u16> = "SecureBoot".encode_utf16().collect();
        let mut payload = GLOBAL.to_vec();
        payload.extend((units.len() as u64).to_le_bytes());
        payload.extend(1u64.to_le_bytes());
        payload.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        payload.push(u8::from(on));
        Self::boot(0, kind::EFI_VARIABLE_DRIVER_CONFIG, &payload)
    }

    /// An event of the running system, in RTMR3, as dstack measures it.
    pub fn runtime(name: &str, payload: &[u8]) -> Self {
        let code = kind::RUNTIME.to_le_bytes();
        Self {
            register: 3,
            kind: kind::RUNTIME,
            name: name.to_owned(),
            payload: payload.to_vec(),
            digest: sha384(&[&code[..], b":", name.as_bytes(), b":", payload].concat()),
        }
    }
}

/// The registers after `events`.
pub fn registers(events: &[Event]) -> [Sha384; 4] {
    let mut registers = [[0; 48]; 4];
    for event in events {
        let register = &mut registers[usize::from(event.register)];
        *register = sha384(&[*register, event.digest].concat());
    }
    registers
}

/// A CCEL area, padded with 0xFF.
pub fn ccel(events: &[Event]) -> Vec<u8> {
    let mut spec = b"Spec ID Event03\0".to_vec();
    spec.extend([0, 0, 0, 0, 0, 2, 0, 2]);
    spec.extend(1u32.to_le_bytes());
    spec.extend([0xc, 0, 48, 0, 0]);
    let mut area = [0u32.to_le_bytes(), 3u32.to_le_bytes()].concat();
    area.extend([0; 20]);
    area.extend((spec.len() as u32).to_le_bytes());
    area.extend(spec);
    for event in events {
        area.extend((u32::from(event.register) + 1).to_le_bytes());
        area.extend(event.kind.to_le_bytes());
        area.extend(1u32.to_le_bytes());
        area.extend([0xc, 0]);
        area.extend(event.digest);
        area.extend((event.payload.len() as u32).to_le_bytes());
        area.extend(&event.payload);
    }
    area.extend([0xFF; PADDING]);
    area
}

/// dstack's JSON.
pub fn dstack(events: &[Event]) -> Vec<u8> {
    let entry = |event: &Event| -> Value {
        json!({
            "imr": event.register,
            "event_type": event.kind,
            "digest": hex(&event.digest),
            "event": event.name,
            "event_payload": hex(&event.payload),
        })
    };
    let entries: Vec<Value> = events.iter().map(entry).collect();
    serde_json::to_vec(&entries).expect("plain members")
}

fn hex(bytes: &[u8]) -> String {
    attest_core::to_hex(bytes)
}

/// What a guest of dstack's measures of a healthy start.
pub fn healthy() -> Vec<Event> {
    vec![
        Event::secure_boot(true),
        Event::boot(0, kind::SEPARATOR, &[0; 4]),
        Event::boot(
            1,
            kind::EFI_ACTION,
            b"Calling EFI Application from Boot Option",
        ),
        Event::boot(2, kind::EFI_ACTION, b"Exit Boot Services Invocation"),
        Event::runtime("system-preparing", b""),
        Event::runtime("app-id", &[0xA1; 20]),
        Event::runtime("compose-hash", &[0xC0; 32]),
        Event::runtime("os-image-hash", &[0x05; 32]),
        Event::runtime("system-ready", b""),
    ]
}

/// What the guest of a name measured while it came up.
pub struct BootLog(Vec<Event>);

impl BootLog {
    pub fn of(name: &str) -> Self {
        let kernel = format!("kernel_cmdline: root=software-image-{name}");
        Self(vec![
            Event::secure_boot(true),
            Event::boot(0, kind::SEPARATOR, &[0; 4]),
            Event::boot(
                1,
                kind::EFI_ACTION,
                b"Calling EFI Application from Boot Option",
            ),
            Event::boot(1, kind::SEPARATOR, &[0; 4]),
            Event::boot(2, kind::IPL, kernel.as_bytes()),
            Event::boot(3, kind::ACTION, format!("{name} is up").as_bytes()),
        ])
    }

    /// The four registers after these events.
    pub fn rtmrs(&self) -> [Sha384; 4] {
        registers(&self.0)
    }

    /// The area as firmware leaves it, padding included.
    pub fn ccel(&self) -> Vec<u8> {
        ccel(&self.0)
    }

    /// The same area with one bit of the last event's payload turned.
    pub fn altered_ccel(&self) -> Vec<u8> {
        let mut area = self.ccel();
        let last = area.len() - PADDING - 1;
        area[last] ^= 1;
        area
    }
}
