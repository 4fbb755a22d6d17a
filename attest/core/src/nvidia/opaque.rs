//! What a device says about itself beside its measurements: typed fields inside the signed response.
//!
//! Types are numbered as in NVIDIA's attestation SDK. Old drivers send few of them, so every field
//! is optional here and policy says which it needs.

/// A field type this verifier knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum OpaqueField {
    /// Version of the GPU driver, text.
    DriverVersion = 3,
    /// Version of the firmware.
    VbiosVersion = 6,
    /// 0x55: the video decoder is off; 0xAA: it is on.
    Nvdec0Status = 11,
    /// Part of the id of a VBIOS manifest, text.
    ChipSku = 15,
    /// Part of the id of a VBIOS manifest, text.
    Project = 17,
    /// Part of the id of a VBIOS manifest, text.
    ProjectSku = 18,
    /// SHA-384 of the firmware that holds the attestation key.
    FirmwareId = 20,
    /// 0x55: off; 0xAA: the GPU is part of a protected PCIe node.
    ProtectedPcieStatus = 21,
    /// Device ids: of a switch its own; of a GPU those of the switches at its ports.
    SwitchPdi = 22,
    /// Device ids of the GPUs at a switch's ports.
    GpuPdi = 26,
    /// Version of the opaque data.
    OpaqueDataVersion = 34,
    /// Chip name for Blackwell manifests, text.
    ChipInfo = 35,
    /// How many GPUs the confidential mode is for.
    FeatureFlag = 36,
}

/// The confidential mode a GPU is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FeatureFlag {
    /// One GPU passed through.
    SinglePassthrough,
    /// Several GPUs with encrypted links.
    MultiPassthrough,
    /// Protected PCIe: several GPUs, links in the clear inside the node.
    ProtectedPcie,
}

impl FeatureFlag {
    /// `SPT`, `MPT` or `PPCIE`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SinglePassthrough => "SPT",
            Self::MultiPassthrough => "MPT",
            Self::ProtectedPcie => "PPCIE",
        }
    }
}

/// A switch that is off or on, as NVIDIA encodes it against bit errors.
const OFF: u8 = 0x55;
const ON: u8 = 0xAA;
const PDI_LEN: usize = 8;

/// The fields of one response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opaque(Vec<(u16, Vec<u8>)>);

impl Opaque {
    /// Reads fields to the end of the data. `None` if one is cut short or stands twice.
    pub(super) fn parse(mut data: &[u8]) -> Option<Self> {
        let mut fields: Vec<(u16, Vec<u8>)> = Vec::new();
        while !data.is_empty() {
            let ([t0, t1, l0, l1], rest) = data.split_first_chunk::<4>()?;
            let kind = u16::from_le_bytes([*t0, *t1]);
            let len = usize::from(u16::from_le_bytes([*l0, *l1]));
            let (value, rest) = rest.split_at_checked(len)?;
            if fields.iter().any(|(seen, _)| *seen == kind) {
                return None;
            }
            fields.push((kind, value.to_vec()));
            data = rest;
        }
        Some(Self(fields))
    }

    /// Every field, by number, in the order sent.
    pub fn fields(&self) -> impl Iterator<Item = (u16, &[u8])> {
        self.0.iter().map(|(kind, value)| (*kind, value.as_slice()))
    }

    /// A field's bytes.
    pub fn get(&self, field: OpaqueField) -> Option<&[u8]> {
        self.0
            .iter()
            .find(|(kind, _)| *kind == field as u16)
            .map(|(_, value)| value.as_slice())
    }

    /// A field as printable ASCII, up to its first zero byte.
    pub fn text(&self, field: OpaqueField) -> Option<&str> {
        let value = self.get(field)?;
        let end = value
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(value.len());
        let text = std::str::from_utf8(value.get(..end)?).ok()?;
        let printable = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        printable.then_some(text)
    }

    /// Whether a field encoded as off or on is on. `None` if absent or neither.
    pub fn switched_on(&self, field: OpaqueField) -> Option<bool> {
        match self.get(field)? {
            [OFF] => Some(false),
            [ON] => Some(true),
            _ => None,
        }
    }

    /// The confidential mode, where the driver reports one. `Some(Err)` for an unknown number.
    pub fn feature_flag(&self) -> Option<Result<FeatureFlag, u16>> {
        let bytes: [u8; 2] = self.get(OpaqueField::FeatureFlag)?.try_into().ok()?;
        Some(match u16::from_le_bytes(bytes) {
            0 => Ok(FeatureFlag::SinglePassthrough),
            1 => Ok(FeatureFlag::MultiPassthrough),
            2 => Ok(FeatureFlag::ProtectedPcie),
            other => Err(other),
        })
    }

    /// The device ids in a field, without the zeros of unused ports. `None` if the field is absent
    /// or not whole ids.
    pub fn device_ids(&self, field: OpaqueField) -> Option<Vec<[u8; PDI_LEN]>> {
        let (ids, rest) = self.get(field)?.as_chunks::<PDI_LEN>();
        rest.is_empty().then(|| {
            ids.iter()
                .filter(|id| **id != [0; PDI_LEN])
                .copied()
                .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_to_the_end_or_not_at_all() {
        let data = [3, 0, 2, 0, b'5', 0, 11, 0, 1, 0, 0x55];
        let opaque = Opaque::parse(&data).unwrap();
        assert_eq!(opaque.text(OpaqueField::DriverVersion), Some("5"));
        assert_eq!(opaque.switched_on(OpaqueField::Nvdec0Status), Some(false));
        assert_eq!(opaque.switched_on(OpaqueField::ProtectedPcieStatus), None);
        for len in (1..data.len()).filter(|len| *len != 6) {
            assert_eq!(Opaque::parse(&data[..len]), None, "{len}");
        }
    }

    #[test]
    fn a_field_that_stands_twice_leaves_no_choice_to_make() {
        assert_eq!(Opaque::parse(&[11, 0, 1, 0, 0x55, 11, 0, 1, 0, 0xAA]), None);
    }

    #[test]
    fn neither_on_nor_off_is_not_off() {
        let opaque = Opaque::parse(&[21, 0, 1, 0, 0x54]).unwrap();
        assert_eq!(opaque.switched_on(OpaqueField::ProtectedPcieStatus), None);
    }
}
