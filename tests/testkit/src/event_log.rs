//! The boot event log of a software guest: a CCEL area in the crypto-agile format (TCG PC Client
//! Platform Firmware Profile 1.05) and the registers that it leads to.

use attest_core::event_log::EventType;
use ring::digest::{SHA384, digest};

type Sha384 = [u8; 48];

/// `TPM_ALG_SHA384`
const ALGORITHM: u16 = 0xc;
/// As much padding as firmware leaves behind the last event.
const PADDING: usize = 1024;

/// 8be4df61-93ca-11d2-aa0d-00e098032b8c, `EFI_GLOBAL_VARIABLE`, as UEFI writes it.
const GLOBAL: [u8; 16] = [
    0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c,
];

/// Every event's digest is that of its payload.
struct Event {
    /// RTMR0 to RTMR3.
    register: usize,
    kind: EventType,
    payload: Vec<u8>,
}

/// What the guest of a name measured while it came up.
pub struct BootLog(Vec<Event>);

impl BootLog {
    pub fn of(name: &str) -> Self {
        let event = |register, kind, payload: &[u8]| Event {
            register,
            kind,
            payload: payload.to_vec(),
        };
        let kernel = format!("kernel_cmdline: root=software-image-{name}");
        Self(vec![
            event(
                0,
                EventType::EFI_VARIABLE_DRIVER_CONFIG,
                &variable("SecureBoot", &[1]),
            ),
            event(0, EventType::SEPARATOR, &[0; 4]),
            event(
                1,
                EventType::EFI_ACTION,
                b"Calling EFI Application from Boot Option",
            ),
            event(1, EventType::SEPARATOR, &[0; 4]),
            event(2, EventType::IPL, kernel.as_bytes()),
            event(3, EventType::ACTION, format!("{name} is up").as_bytes()),
        ])
    }

    /// The four registers after these events.
    pub fn rtmrs(&self) -> [Sha384; 4] {
        let mut registers = [[0; 48]; 4];
        for event in &self.0 {
            let register = &mut registers[event.register];
            *register = sha384(&[&register[..], &sha384(&event.payload)].concat());
        }
        registers
    }

    /// The area as firmware leaves it, padding included.
    pub fn ccel(&self) -> Vec<u8> {
        let mut area = header();
        for event in &self.0 {
            // The register of a CC event: 1 is RTMR0.
            area.extend((event.register as u32 + 1).to_le_bytes());
            area.extend(event.kind.code().to_le_bytes());
            area.extend(1u32.to_le_bytes());
            area.extend(ALGORITHM.to_le_bytes());
            area.extend(sha384(&event.payload));
            area.extend((event.payload.len() as u32).to_le_bytes());
            area.extend(&event.payload);
        }
        area.extend([0xFF; PADDING]);
        area
    }

    /// The same area with one bit of the last event's payload turned.
    pub fn altered_ccel(&self) -> Vec<u8> {
        let mut area = self.ccel();
        let last = area.len() - PADDING - 1;
        area[last] ^= 1;
        area
    }
}

fn header() -> Vec<u8> {
    let mut spec = b"Spec ID Event03\0".to_vec();
    spec.extend([0, 0, 0, 0, 0, 2, 0, 2]);
    spec.extend(1u32.to_le_bytes());
    spec.extend(ALGORITHM.to_le_bytes());
    spec.extend(48u16.to_le_bytes());
    spec.push(0);
    let mut header = 0u32.to_le_bytes().to_vec();
    header.extend(EventType::NO_ACTION.code().to_le_bytes());
    header.extend([0; 20]);
    header.extend((spec.len() as u32).to_le_bytes());
    header.extend(spec);
    header
}

/// `UEFI_VARIABLE_DATA`
fn variable(name: &str, value: &[u8]) -> Vec<u8> {
    let units: Vec<u16> = name.encode_utf16().collect();
    let mut data = GLOBAL.to_vec();
    data.extend((units.len() as u64).to_le_bytes());
    data.extend((value.len() as u64).to_le_bytes());
    data.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
    data.extend(value);
    data
}

fn sha384(bytes: &[u8]) -> Sha384 {
    digest(&SHA384, bytes)
        .as_ref()
        .try_into()
        .expect("SHA-384 is 48 bytes")
}
