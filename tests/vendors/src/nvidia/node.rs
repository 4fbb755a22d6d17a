//! A node in Protected PCIe mode: GPUs behind switches, all answering one nonce and naming each
//! other.

use super::chain::Device;
use super::chip::Chip;
use super::evidence::{Evidence, ON, field};
use super::{MockNvidia, knobs::DeviceKnobs};

/// The ports of a GPU.
const PORTS: usize = 18;
const PROTECTED_PCIE: [u8; 2] = [2, 0];

/// What one device of a node hands out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub chain_pem: Vec<u8>,
    pub evidence: Vec<u8>,
}

/// All that a node hands out. Tests may drop, double and exchange members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub gpus: Vec<Member>,
    pub switches: Vec<Member>,
}

/// What a node's devices say that they should not; places count from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeKnobs {
    /// A GPU that answers another nonce.
    pub stale_gpu: Option<usize>,
    /// A switch that answers another nonce.
    pub stale_switch: Option<usize>,
    /// A GPU with a switch of another node at its first port.
    pub stray_gpu: Option<usize>,
    /// A switch with a GPU of another node at its first port.
    pub stray_switch: Option<usize>,
    /// A switch that calls itself something else than its certificate does.
    pub renamed_switch: Option<usize>,
    /// A GPU that is not in Protected PCIe mode.
    pub open_gpu: Option<usize>,
}

impl MockNvidia {
    /// The node called `label`, of Hopper GPUs and LS10 switches.
    pub fn node(
        &self,
        label: &str,
        gpus: usize,
        switches: usize,
        nonce: &[u8; 32],
        knobs: &NodeKnobs,
    ) -> Node {
        let devices = |chip, count| -> Vec<Device> {
            (0..count)
                .map(|place| self.device(chip, &format!("{label}/{place}"), DeviceKnobs::default()))
                .collect()
        };
        let (gpus, switches) = (devices(Chip::Hopper, gpus), devices(Chip::Ls10, switches));
        Node {
            gpus: gpus
                .iter()
                .enumerate()
                .map(|(place, gpu)| member(gpu, &gpu_evidence(gpu, place, &switches, nonce, knobs)))
                .collect(),
            switches: switches
                .iter()
                .enumerate()
                .map(|(place, switch)| {
                    member(switch, &switch_evidence(switch, place, &gpus, nonce, knobs))
                })
                .collect(),
        }
    }
}

fn member(device: &Device, evidence: &Evidence) -> Member {
    Member {
        chain_pem: device.chain_pem(),
        evidence: device.sign(evidence),
    }
}

fn gpu_evidence(
    gpu: &Device,
    place: usize,
    switches: &[Device],
    nonce: &[u8; 32],
    knobs: &NodeKnobs,
) -> Evidence {
    let mut evidence = Evidence::healthy(gpu, nonce);
    // A GPU writes the ids of its switches with their bytes the other way round.
    let mut ports: Vec<[u8; 8]> = switches
        .iter()
        .cycle()
        .take(if switches.is_empty() { 0 } else { PORTS })
        .map(|switch| reversed(switch.number))
        .collect();
    if knobs.stray_gpu == Some(place) {
        ports[0] = [0x99; 8];
    }
    if knobs.stale_gpu == Some(place) {
        evidence.request_nonce[0] ^= 1;
    }
    evidence.set(field::SWITCH_PDI, &ports.concat());
    if knobs.open_gpu != Some(place) {
        evidence.set(field::PROTECTED_PCIE, &[ON]);
        evidence.set(field::FEATURE_FLAG, &PROTECTED_PCIE);
    }
    evidence
}

fn switch_evidence(
    switch: &Device,
    place: usize,
    gpus: &[Device],
    nonce: &[u8; 32],
    knobs: &NodeKnobs,
) -> Evidence {
    let mut evidence = Evidence::healthy(switch, nonce);
    let mut ids: Vec<[u8; 8]> = gpus.iter().map(|gpu| gpu.number).collect();
    ids.resize(8, [0; 8]);
    if knobs.stray_switch == Some(place) {
        ids[0] = [0x99; 8];
    }
    // Then the place of the GPU at each of 64 ports; 0xFF is an unused one.
    let mut field_26 = ids.concat();
    field_26.extend((0..64).map(|port: u8| {
        let gpu = port / 4;
        if usize::from(gpu) < gpus.len() {
            gpu
        } else {
            0xFF
        }
    }));
    evidence.set(field::GPU_PDI, &field_26);
    if knobs.renamed_switch == Some(place) {
        evidence.set(field::SWITCH_PDI, &[0x77; 8]);
    }
    if knobs.stale_switch == Some(place) {
        evidence.request_nonce[0] ^= 1;
    }
    evidence
}

fn reversed(mut id: [u8; 8]) -> [u8; 8] {
    id.reverse();
    id
}
