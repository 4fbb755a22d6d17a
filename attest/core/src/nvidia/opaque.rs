//! What a device says about itself beside its measurements: typed fields inside the signed response.
//!
//! Types are numbered as in NVIDIA's attestation SDK. Old drivers send few of them, so every field
//! is optional here and policy says which it needs.

use crate::reader::Reader;

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
/// As many GPUs as one switch has at its ports, and the ports it has.
const MAX_GPUS: usize = 8;
const GPU_PDI_LEN: usize = MAX_GPUS * PDI_LEN + 64;

/// A device's own number, by which devices name each other.
pub type DeviceId = [u8; PDI_LEN];

/// The fields of one response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opaque(Vec<(u16, Vec<u8>)>);

impl Opaque {
    /// Reads fields to the end of the data. `None` if one is cut short or stands twice.
    pub(super) fn parse(data: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(data);
        let mut fields: Vec<(u16, Vec<u8>)> = Vec::new();
        while !reader.rest().is_empty() {
            let kind = reader.u16("type").ok()?;
            let len = reader.u16("length").ok()?;
            let value = reader.bytes("value", usize::from(len)).ok()?;
            if fields.iter().any(|(seen, _)| *seen == kind) {
                return None;
            }
            fields.push((kind, value.to_vec()));
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
        let mut reader = Reader::new(self.get(OpaqueField::FeatureFlag)?);
        let flag = reader.u16("feature flag").ok()?;
        reader.rest().is_empty().then_some(match flag {
            0 => Ok(FeatureFlag::SinglePassthrough),
            1 => Ok(FeatureFlag::MultiPassthrough),
            2 => Ok(FeatureFlag::ProtectedPcie),
            other => Err(other),
        })
    }

    /// The id of the switch that made the response, as its certificate names it. `None` where the
    /// field is absent or lists other devices, as a GPU's does.
    pub fn own_switch_id(&self) -> Option<DeviceId> {
        self.get(OpaqueField::SwitchPdi)?.try_into().ok()
    }

    /// The switches at a GPU's ports, once per port in use, as their certificates name them: GPUs
    /// write them with the bytes the other way round. `None` if the field is absent or not whole ids.
    pub fn switch_ids(&self) -> Option<Vec<DeviceId>> {
        let (ids, rest) = self.get(OpaqueField::SwitchPdi)?.as_chunks::<PDI_LEN>();
        let turned = |mut id: DeviceId| {
            id.reverse();
            id
        };
        rest.is_empty()
            .then(|| in_use(ids).map(|id| turned(*id)).collect())
    }

    /// The GPUs at a switch's ports, as their certificates name them. The field holds eight ids,
    /// then for each port the place of its GPU among them. `None` if the field is absent or has
    /// another length.
    pub fn gpu_ids(&self) -> Option<Vec<DeviceId>> {
        let field: &[u8; GPU_PDI_LEN] = self.get(OpaqueField::GpuPdi)?.try_into().ok()?;
        let (ids, _ports) = field.split_at(MAX_GPUS * PDI_LEN);
        Some(in_use(ids.as_chunks::<PDI_LEN>().0).copied().collect())
    }
}

/// The ids that name a device: unused places are all zeros or all ones.
fn in_use(ids: &[DeviceId]) -> impl Iterator<Item = &DeviceId> {
    ids.iter()
        .filter(|id| ![[0; PDI_LEN], [0xFF; PDI_LEN]].contains(id))
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

    #[test]
    fn a_gpu_names_its_switches_turned_round_and_a_switch_names_itself_as_it_is() {
        let id = [1, 2, 3, 4, 5, 6, 7, 8];
        let own = Opaque::parse(&[&[22, 0, 8, 0][..], &id].concat()).unwrap();
        assert_eq!(own.own_switch_id(), Some(id));
        let ports = [[8, 7, 6, 5, 4, 3, 2, 1], [0; 8], [0xFF; 8], [9; 8]].concat();
        let gpu = Opaque::parse(&[&[22, 0, 32, 0][..], &ports].concat()).unwrap();
        assert_eq!(gpu.switch_ids(), Some(vec![id, [9; 8]]));
        assert_eq!(gpu.own_switch_id(), None);
        let cut = Opaque::parse(&[&[22, 0, 31, 0][..], &ports[..31]].concat()).unwrap();
        assert_eq!(cut.switch_ids(), None);
    }

    #[test]
    fn the_ports_of_a_switch_are_not_taken_for_gpus() {
        let mut field = [[5; 8], [6; 8]].concat();
        field.resize(64, 0);
        field.extend([0, 0, 1, 1].repeat(16));
        let switch = Opaque::parse(&[&[26, 0, 128, 0][..], &field].concat()).unwrap();
        assert_eq!(switch.gpu_ids(), Some(vec![[5; 8], [6; 8]]));
        let short = Opaque::parse(&[&[26, 0, 64, 0][..], &field[..64]].concat()).unwrap();
        assert_eq!(short.gpu_ids(), None);
    }
}
