//! Attestation reports, versions 2 to 5: 1184 bytes, of which the first 0x2A0 are signed (AMD
//! publication 56860, `ATTESTATION_REPORT`).

use ring::digest::{SHA384, digest};

use super::knobs::{EndorsementKey, Knobs, SignatureField};

pub const SIGNED_LEN: usize = 0x2A0;
const SCALAR_LEN: usize = 48;
const NUMBER_LEN: usize = 72;

/// Bit 17, which must be one, and bit 16, which permits multithreading.
pub const POLICY: u64 = 0x3_0000;
pub const POLICY_MIGRATION_AGENT: u64 = 1 << 18;
pub const POLICY_DEBUG: u64 = 1 << 19;

/// What a report says. Every field may be bent; nothing here is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestReport {
    pub version: u32,
    pub guest_svn: u32,
    pub policy: u64,
    pub family_id: [u8; 16],
    pub image_id: [u8; 16],
    pub vmpl: u32,
    pub signature_algorithm: u32,
    pub current_tcb: [u8; 8],
    pub platform_info: u64,
    /// Bit 0: author key; bit 1: chip id masked; bits 2 to 4: which key signs.
    pub key_info: u32,
    pub report_data: [u8; 64],
    pub measurement: [u8; 48],
    pub host_data: [u8; 32],
    pub id_key_digest: [u8; 48],
    pub author_key_digest: [u8; 48],
    pub report_id: [u8; 32],
    pub report_id_ma: [u8; 32],
    pub reported_tcb: [u8; 8],
    /// Family, model, stepping; written from version 3 on.
    pub cpuid: [u8; 3],
    pub chip_id: [u8; 64],
    pub committed_tcb: [u8; 8],
    /// Build, minor, major.
    pub current_firmware: [u8; 3],
    pub committed_firmware: [u8; 3],
    pub launch_tcb: [u8; 8],
    /// At launch and now; written from version 5 on.
    pub mitigations: [u64; 2],
}

impl GuestReport {
    pub(super) fn healthy(
        knobs: &Knobs,
        chip_id: &[u8; 64],
        name: &str,
        report_data: &[u8; 64],
    ) -> Self {
        let tcb = knobs.certified.raw(knobs.processor);
        let loaded = knobs.key == EndorsementKey::Vlek;
        Self {
            version: 3,
            guest_svn: 1,
            policy: POLICY,
            family_id: [0; 16],
            image_id: [0; 16],
            vmpl: 0,
            signature_algorithm: 1,
            current_tcb: tcb,
            platform_info: 0x25,
            key_info: u32::from(loaded) << 2,
            report_data: *report_data,
            measurement: measurement(name),
            host_data: [0; 32],
            id_key_digest: [0; 48],
            author_key_digest: [0; 48],
            report_id: first_32(&format!("report id of {name}")),
            report_id_ma: [0xFF; 32],
            reported_tcb: tcb,
            cpuid: knobs.processor.cpuid(),
            chip_id: if loaded { [0; 64] } else { *chip_id },
            committed_tcb: tcb,
            current_firmware: [21, 55, 1],
            committed_firmware: [21, 55, 1],
            launch_tcb: tcb,
            mitigations: [0; 2],
        }
    }

    pub fn signed_part(&self) -> [u8; SIGNED_LEN] {
        let mut out = [0; SIGNED_LEN];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0x00, &self.version.to_le_bytes());
        put(0x04, &self.guest_svn.to_le_bytes());
        put(0x08, &self.policy.to_le_bytes());
        put(0x10, &self.family_id);
        put(0x20, &self.image_id);
        put(0x30, &self.vmpl.to_le_bytes());
        put(0x34, &self.signature_algorithm.to_le_bytes());
        put(0x38, &self.current_tcb);
        put(0x40, &self.platform_info.to_le_bytes());
        put(0x48, &self.key_info.to_le_bytes());
        put(0x50, &self.report_data);
        put(0x90, &self.measurement);
        put(0xC0, &self.host_data);
        put(0xE0, &self.id_key_digest);
        put(0x110, &self.author_key_digest);
        put(0x140, &self.report_id);
        put(0x160, &self.report_id_ma);
        put(0x180, &self.reported_tcb);
        if self.version >= 3 {
            put(0x188, &self.cpuid);
        }
        put(0x1A0, &self.chip_id);
        put(0x1E0, &self.committed_tcb);
        put(0x1E8, &self.current_firmware);
        put(0x1EC, &self.committed_firmware);
        put(0x1F0, &self.launch_tcb);
        if self.version >= 5 {
            put(0x1F8, &self.mitigations[0].to_le_bytes());
            put(0x200, &self.mitigations[1].to_le_bytes());
        }
        out
    }
}

/// The launch digest of the guest called `name`.
pub fn measurement(name: &str) -> [u8; 48] {
    digest(&SHA384, format!("software guest {name}").as_bytes())
        .as_ref()
        .try_into()
        .expect("SHA-384 is 48 bytes")
}

fn first_32(text: &str) -> [u8; 32] {
    digest(&SHA384, text.as_bytes()).as_ref()[..32]
        .try_into()
        .expect("32 of 48 bytes")
}

/// r and s as little-endian numbers of 72 bytes each, then zeros.
pub fn signature_field(big_endian: &[u8; 2 * SCALAR_LEN], spelling: SignatureField) -> [u8; 512] {
    let (r, s) = big_endian.split_at(SCALAR_LEN);
    let mut field = [0; 512];
    for (start, number) in [(0, r), (NUMBER_LEN, s)] {
        let place = &mut field[start..start + SCALAR_LEN];
        place.copy_from_slice(number);
        if spelling != SignatureField::BigEndian {
            place.reverse();
        }
    }
    match spelling {
        SignatureField::Canonical | SignatureField::BigEndian => {}
        SignatureField::HighByteOfR => field[SCALAR_LEN] = 1,
        SignatureField::HighByteOfS => field[NUMBER_LEN + SCALAR_LEN] = 1,
        SignatureField::ReservedByte => field[511] = 1,
    }
    field
}
