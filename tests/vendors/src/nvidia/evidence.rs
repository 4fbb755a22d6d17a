//! Measurement reports: an SPDM 1.1 request for all measurements and the device's answer (DMTF
//! DSP0274), with the opaque fields that drivers send.

use super::chain::Device;
use super::chip::{Chip, Source, measurement};
use crate::intel::keys::derive_bytes;

/// Field numbers of NVIDIA's attestation SDK.
pub mod field {
    pub const DRIVER_VERSION: u16 = 3;
    pub const GPU_INFO: u16 = 4;
    pub const VBIOS_VERSION: u16 = 6;
    pub const NVDEC0_STATUS: u16 = 11;
    pub const MEASUREMENT_COUNT: u16 = 12;
    pub const CHIP_SKU: u16 = 15;
    pub const PROJECT: u16 = 17;
    pub const PROJECT_SKU: u16 = 18;
    pub const FIRMWARE_ID: u16 = 20;
    pub const PROTECTED_PCIE: u16 = 21;
    pub const SWITCH_PDI: u16 = 22;
    pub const GPU_PDI: u16 = 26;
    pub const DATA_VERSION: u16 = 34;
    pub const CHIP_INFO: u16 = 35;
    pub const FEATURE_FLAG: u16 = 36;
}

pub const OFF: u8 = 0x55;
pub const ON: u8 = 0xAA;
/// The index of a driver manifest that is not compared while the video decoder is off.
pub const NVDEC0: u8 = 34;

/// One measurement block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub index: u8,
    /// 1 is DMTF's.
    pub specification: u8,
    pub kind: u8,
    pub value: Vec<u8>,
}

/// Request and answer before the device signs. Every field may be bent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub request_header: [u8; 4],
    pub request_nonce: [u8; 32],
    pub slot: u8,
    pub response_header: [u8; 4],
    pub blocks: Vec<Block>,
    /// The number of blocks that the response states; the true one if `None`.
    pub stated_blocks: Option<u8>,
    pub response_nonce: [u8; 32],
    pub opaque: Vec<(u16, Vec<u8>)>,
    pub after_signature: Vec<u8>,
}

impl Evidence {
    pub fn healthy(device: &Device, nonce: &[u8; 32]) -> Self {
        let opaque = match device.chip {
            Chip::Ls10 => switch_fields(device),
            _ => gpu_fields(device),
        };
        Self {
            request_header: [0x11, 0xE0, 0x01, 0xFF],
            request_nonce: *nonce,
            slot: 0,
            response_header: [0x11, 0x60, 0, 0],
            blocks: blocks(device.chip),
            stated_blocks: None,
            response_nonce: derive_bytes(nonce, "response nonce"),
            opaque,
            after_signature: Vec::new(),
        }
    }

    /// Sets a field, in its place or at the end.
    pub fn set(&mut self, number: u16, value: &[u8]) {
        match self.opaque.iter_mut().find(|(this, _)| *this == number) {
            Some((_, place)) => *place = value.to_vec(),
            None => self.opaque.push((number, value.to_vec())),
        }
    }

    pub fn remove(&mut self, number: u16) {
        self.opaque.retain(|(this, _)| *this != number);
    }

    /// The block that a manifest's `index` speaks for.
    pub fn measured(&mut self, index: u8) -> &mut Block {
        &mut self.blocks[usize::from(index)]
    }

    /// Switches the video decoder on, and its firmware's measurement with it.
    pub fn with_decoder(&mut self, chip: Chip) {
        self.set(field::NVDEC0_STATUS, &[ON]);
        self.measured(NVDEC0).value = measurement(chip, Source::Driver, NVDEC0).to_vec();
    }

    pub(super) fn signed_part(&self) -> Vec<u8> {
        let record: Vec<u8> = self.blocks.iter().flat_map(Block::bytes).collect();
        let count = self.stated_blocks.unwrap_or(self.blocks.len() as u8);
        let opaque: Vec<u8> = self
            .opaque
            .iter()
            .flat_map(|(number, value)| {
                let head = [number.to_le_bytes(), (value.len() as u16).to_le_bytes()];
                [head.concat(), value.clone()].concat()
            })
            .collect();
        [
            &self.request_header[..],
            &self.request_nonce,
            &[self.slot],
            &self.response_header,
            &[count],
            &(record.len() as u32).to_le_bytes()[..3],
            &record,
            &self.response_nonce,
            &(opaque.len() as u16).to_le_bytes(),
            &opaque,
        ]
        .concat()
    }
}

impl Block {
    fn bytes(&self) -> Vec<u8> {
        let len = self.value.len() as u16;
        [
            &[self.index, self.specification][..],
            &(len + 3).to_le_bytes(),
            &[self.kind],
            &len.to_le_bytes(),
            &self.value,
        ]
        .concat()
    }
}

fn blocks(chip: Chip) -> Vec<Block> {
    let value = |index| {
        let source = [Source::Driver, Source::Vbios]
            .into_iter()
            .find(|source| chip.measured(*source).contains(&index));
        match source {
            // The decoder is off, so its firmware is not measured.
            Some(Source::Driver) if index == NVDEC0 => [0; 48],
            Some(source) => measurement(chip, source, index),
            None => [0; 48],
        }
    };
    (0..chip.blocks())
        .map(|index| Block {
            index: index + 1,
            specification: 1,
            kind: 1,
            value: value(index).to_vec(),
        })
        .collect()
}

fn gpu_fields(device: &Device) -> Vec<(u16, Vec<u8>)> {
    let chip = device.chip;
    let text = |text: &str| [text.as_bytes(), &[0]].concat();
    let mut fields = vec![
        (
            field::VBIOS_VERSION,
            little_endian_halves(chip.version(Source::Vbios)),
        ),
        (field::CHIP_SKU, text("885")),
        (field::PROJECT, text("G520")),
        (field::PROJECT_SKU, text("0200")),
        (field::DRIVER_VERSION, text(chip.version(Source::Driver))),
        (field::GPU_INFO, vec![0x80, 1, 0, 0, 0, 0, 0, 0]),
        (field::MEASUREMENT_COUNT, vec![0; 256]),
        (field::NVDEC0_STATUS, vec![OFF]),
        (field::FIRMWARE_ID, device.firmware_id.to_vec()),
        (field::PROTECTED_PCIE, vec![OFF]),
        (field::DATA_VERSION, vec![1, 0]),
        (field::FEATURE_FLAG, vec![0, 0]),
    ];
    if chip == Chip::Blackwell {
        fields.push((field::CHIP_INFO, text("GB100")));
    }
    fields
}

fn switch_fields(device: &Device) -> Vec<(u16, Vec<u8>)> {
    vec![
        (
            field::VBIOS_VERSION,
            device.chip.version(Source::Vbios).as_bytes().to_vec(),
        ),
        (field::SWITCH_PDI, device.number.to_vec()),
        (field::MEASUREMENT_COUNT, vec![0; 104]),
        (field::GPU_PDI, vec![0xFF; 128]),
    ]
}

/// `96.00.9F.00.01` as GPUs send it: each half of eight bytes little-endian.
fn little_endian_halves(version: &str) -> Vec<u8> {
    let byte = |part| u8::from_str_radix(part, 16).expect("two hex digits");
    let mut parts: Vec<u8> = version.split('.').map(byte).collect();
    parts[..4].reverse();
    parts.resize(8, 0);
    parts
}
