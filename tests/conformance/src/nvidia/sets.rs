//! Several devices of one machine: GPUs in Protected PCIe mode and the switches between them.

use vendors::nvidia::MockNvidia;
use vendors::nvidia::node::{Node, NodeKnobs};

use super::NONCE;
use crate::case::{Expected, Kind};
use crate::kit::{Judged, Kit, accepted, evidence, rejected};
use crate::{NOW, SEED};

const NODE: &str = "name = \"node\"\n[nvidia]\nrequired = true\nrims = \"optional\"\nocsp = \"off\"\ngpus = 2\nswitches = 2\nmodes = [\"PPCIE\"]\n";

fn node(knobs: &NodeKnobs) -> Node {
    MockNvidia::new(&SEED, NOW.secs()).node("conformance", 2, 2, &NONCE, knobs)
}

fn judge(kit: &mut Kit, name: &str, says: &str, node: &Node, challenged: bool, expected: Expected) {
    let nvidia = MockNvidia::new(&SEED, NOW.secs());
    let role = |role: &'static str| {
        move |member: &vendors::nvidia::node::Member| {
            evidence(role, &member.evidence, Some(&member.chain_pem))
        }
    };
    let gpus = node.gpus.iter().map(role("nvidia_gpu"));
    let all = gpus.chain(node.switches.iter().map(role("nvidia_switch")));
    let judged = Judged {
        roots: &[("nvidia-device-root", nvidia.device_root())],
        nonce: challenged.then(|| attest_core::to_hex(&NONCE)),
        ..Judged::now(Kind::NvidiaDevices, NODE, all.collect())
    };
    kit.add(&format!("nvidia-node-{name}"), says, judged, expected);
}

pub(super) fn add(kit: &mut Kit) {
    let whole = node(&NodeKnobs::default());
    judge(
        kit,
        "good",
        "two GPUs behind two switches",
        &whole,
        true,
        accepted(),
    );
    type Bend = fn(&mut NodeKnobs);
    let bent: [(&str, &str, Bend, &str); 6] = [
        (
            "stray-gpu",
            "a GPU linked to a switch that is not here",
            |k| k.stray_gpu = Some(1),
            "nvidia.topology",
        ),
        (
            "stray-switch",
            "a switch linked to a GPU that is not here",
            |k| k.stray_switch = Some(0),
            "nvidia.topology",
        ),
        (
            "open-gpu",
            "a GPU that is not in Protected PCIe mode among those that are",
            |k| k.open_gpu = Some(0),
            "nvidia.mode",
        ),
        (
            "stale-gpu",
            "a GPU that answers another nonce",
            |k| k.stale_gpu = Some(1),
            "nvidia.nonce",
        ),
        (
            "stale-switch",
            "a switch that answers another nonce",
            |k| k.stale_switch = Some(1),
            "nvidia.nonce",
        ),
        (
            "two-nonces",
            "nobody was challenged, and the devices answer two nonces",
            |k| k.stale_gpu = Some(1),
            "nvidia.nonce",
        ),
    ];
    for (name, says, bend, failing) in bent {
        let mut knobs = NodeKnobs::default();
        bend(&mut knobs);
        let challenged = name != "two-nonces";
        judge(
            kit,
            name,
            says,
            &node(&knobs),
            challenged,
            rejected(&[failing]),
        );
    }
    let mut short = whole.clone();
    short.switches.pop();
    judge(
        kit,
        "switch-missing",
        "a switch that the GPUs are linked to does not present itself",
        &short,
        true,
        rejected(&["nvidia.count", "nvidia.topology"]),
    );
    let mut doubled = whole.clone();
    doubled.switches[1] = doubled.switches[0].clone();
    judge(
        kit,
        "switch-twice",
        "one switch passes for two",
        &doubled,
        true,
        rejected(&["nvidia.distinct", "nvidia.topology"]),
    );
    let mut disguised = whole;
    disguised.switches[1] = disguised.gpus[1].clone();
    judge(
        kit,
        "gpu-as-switch",
        "a GPU presented as a switch",
        &disguised,
        true,
        rejected(&["nvidia.architecture", "nvidia.distinct", "nvidia.topology"]),
    );
}
