//! Reports of whole machines: CPU, event log and GPUs under one policy, each part bound to the
//! others.

use attest_core::nvidia::DeviceKind;
use attest_core::{
    Collateral, CpuEvidence, DeviceEvidence, NvidiaCollateral, SnpCollateral, to_hex,
};
use vendors::amd::MockAmd;
use vendors::amd::knobs::{EndorsementKey, Processor};
use vendors::event_log::{Event, ccel, dstack, healthy, kind, registers};
use vendors::nvidia::knobs::ManifestKnobs;
use vendors::nvidia::node::NodeKnobs;
use vendors::nvidia::{Chip, MockNvidia, Source};
use vendors::policy::pinned_policy;
use vendors::report::{ReportParts, of_node, presented};
use vendors::{TdMeasurements, Vendors};

use crate::case::{Expected, Kind};
use crate::kit::{Judged, Kit, accepted, evidence, missing, rejected};
use crate::{NOW, SEED};

const NONCE: [u8; 32] = [6; 32];
const SPKI: [u8; 32] = [4; 32];
const GPU: &str = "[nvidia]\nrequired = true\ngpus = 1\nocsp = \"off\"\n";
const NODE: &str = "[nvidia]\nrequired = true\nrims = \"optional\"\nocsp = \"off\"\ngpus = 2\nswitches = 2\nmodes = [\"PPCIE\"]\n";

/// Which CPU, and what of it a case bends.
enum Cpu {
    /// A TD that measured these events.
    Td(Vec<Event>),
    Snp,
}

struct Made {
    cpu: Cpu,
    /// The log that is handed over.
    log: Option<Vec<u8>>,
    devices: fn(&ReportParts) -> Vec<DeviceEvidence>,
    manifests: bool,
    policy: String,
    edit: fn(String) -> String,
}

fn td() -> Made {
    Made {
        cpu: Cpu::Td(healthy()),
        log: None,
        devices: |_| vec![],
        manifests: true,
        policy: String::new(),
        edit: |report| report,
    }
}

fn nvidia() -> MockNvidia {
    MockNvidia::new(&SEED, NOW.secs())
}

fn measurements(events: &[Event]) -> TdMeasurements {
    let mut td = TdMeasurements::named("conformance");
    td.rtmr = registers(events);
    td
}

fn gpu(parts: &ReportParts) -> Vec<DeviceEvidence> {
    let device = nvidia().healthy(Chip::Hopper, "conformance");
    let evidence = device.report(&parts.gpu_nonce());
    vec![presented(DeviceKind::Gpu, &evidence, &device.chain_pem())]
}

impl Made {
    fn add(self, kit: &mut Kit, name: &str, says: &str, expected: Expected) {
        let platform = Vendors::from_seed(&SEED, NOW);
        let amd = MockAmd::healthy(&SEED, Processor::Milan, EndorsementKey::Vcek, NOW.secs());
        let nvidia = nvidia();
        let rims = [Source::Driver, Source::Vbios].map(|source| {
            let manifest = nvidia.manifest(Chip::Hopper, source);
            let signed = nvidia.sign(&manifest, &ManifestKnobs::default());
            signed.into_bytes()
        });
        let mut parts = ReportParts::answering(NONCE, SPKI, NOW);
        parts.event_log = self.log;
        parts.devices = (self.devices)(&parts);
        let data = parts.report_data();
        let (cpu, policy, mut collateral) = match &self.cpu {
            Cpu::Td(events) => {
                let td = measurements(events);
                let quote = platform.quote(&td, &data);
                let policy = pinned_policy("conformance", &td);
                (CpuEvidence::Tdx { quote }, policy, platform.collateral())
            }
            Cpu::Snp => {
                let cpu = CpuEvidence::SevSnp {
                    report: amd.report("conformance", data.as_bytes()),
                    certs: amd.certificate_table(),
                };
                let policy = "name = \"conformance\"\n[snp]\nmeasurements = \"any\"\n";
                let collateral = Collateral::from(SnpCollateral {
                    vek: amd.vek().to_vec(),
                    ask: amd.ask().to_vec(),
                    crl: None,
                });
                (cpu, policy.to_owned(), collateral)
            }
        };
        collateral.nvidia = self.manifests.then(|| NvidiaCollateral {
            rims: rims.to_vec(),
            ocsp: vec![],
        });
        let nonce = parts.nonce.to_string();
        let report = (self.edit)(parts.signed(cpu));
        let policy = policy + &self.policy;
        let judged = Judged {
            collateral: Some(&collateral),
            roots: &[
                ("intel-root", platform.intel().root_der()),
                ("amd-ark-milan", amd.ark()),
                ("nvidia-device-root", nvidia.device_root()),
                ("nvidia-rim-root", nvidia.manifest_root()),
            ],
            nonce: Some(nonce),
            channel_spki: Some(to_hex(&SPKI)),
            ..Judged::now(
                Kind::Report,
                &policy,
                vec![evidence("report", report.as_bytes(), None)],
            )
        };
        kit.add(&format!("machine-{name}"), says, judged, expected);
    }
}

pub fn add(kit: &mut Kit) {
    devices(kit);
    formats(kit);
    lies(kit);
    pins(kit);
}

fn devices(kit: &mut Kit) {
    for (name, cpu) in [("td", Cpu::Td(healthy())), ("snp", Cpu::Snp)] {
        Made {
            cpu,
            devices: gpu,
            policy: GPU.into(),
            ..td()
        }
        .add(
            kit,
            &format!("{name}-gpu"),
            "a guest and a measured GPU that answers for it",
            accepted(),
        );
    }
    for (name, cpu) in [("td", Cpu::Td(healthy())), ("snp", Cpu::Snp)] {
        Made {
            cpu,
            devices: |_| gpu(&ReportParts::answering([7; 32], SPKI, NOW)),
            policy: GPU.into(),
            ..td()
        }
        .add(
            kit,
            &format!("{name}-gpu-replayed"),
            "the GPU's evidence was made for an earlier nonce",
            rejected(&["nvidia.nonce"]),
        );
    }
    Made {
        devices: |_| gpu(&ReportParts::answering(NONCE, [8; 32], NOW)),
        policy: GPU.into(),
        ..td()
    }
    .add(
        kit,
        "gpu-of-another",
        "the GPU answers for the keyset of another machine, under our nonce",
        rejected(&["nvidia.nonce"]),
    );
    Made {
        policy: GPU.into(),
        ..td()
    }
    .add(
        kit,
        "no-gpu",
        "no GPU where one is required",
        missing(&["nvidia.devices"]),
    );
    Made {
        devices: gpu,
        manifests: false,
        policy: GPU.into(),
        ..td()
    }
    .add(
        kit,
        "gpu-not-measured",
        "an authentic GPU whose measurements nobody can judge",
        missing(&["nvidia.measurements"]),
    );
    Made {
        devices: |parts| {
            of_node(&nvidia().node(
                "conformance",
                2,
                2,
                &parts.gpu_nonce(),
                &NodeKnobs::default(),
            ))
        },
        policy: NODE.into(),
        ..td()
    }
    .add(kit, "node", "two GPUs behind two switches", accepted());
    Made {
        devices: |parts| {
            let knobs = NodeKnobs {
                stray_gpu: Some(0),
                ..NodeKnobs::default()
            };
            of_node(&nvidia().node("conformance", 2, 2, &parts.gpu_nonce(), &knobs))
        },
        policy: NODE.into(),
        ..td()
    }
    .add(
        kit,
        "node-stray-gpu",
        "a GPU is linked to a switch that is not here",
        rejected(&["nvidia.topology"]),
    );
    Made {
        edit: |report| vendors::report::with_keyset_digest(&report, [0x99; 32]),
        ..td()
    }
    .add(
        kit,
        "digest-of-another-keyset",
        "the report states the digest of another keyset than it carries",
        rejected(&["binding.keyset"]),
    );
}

fn formats(kit: &mut Kit) {
    const REQUIRED: &str = "[event_log]\nrequired = true\n";
    type Form = fn(&[Event]) -> Vec<u8>;
    let logs: [(&str, Form); 2] = [("ccel", ccel), ("dstack", dstack)];
    for (name, write) in logs {
        let events = match name {
            "ccel" => healthy()[..4].to_vec(),
            _ => healthy(),
        };
        Made {
            log: Some(write(&events)),
            cpu: Cpu::Td(events.clone()),
            policy: REQUIRED.into(),
            ..td()
        }
        .add(
            kit,
            &format!("log-{name}"),
            "the log leads to the quote's registers",
            accepted(),
        );
        let mut cut = write(&events);
        cut.truncate(cut.len() * 2 / 3);
        Made {
            log: Some(cut),
            cpu: Cpu::Td(events),
            policy: REQUIRED.into(),
            ..td()
        }
        .add(
            kit,
            &format!("log-{name}-cut"),
            "the log is cut short",
            rejected(&["event_log.format"]),
        );
    }
    Made {
        policy: REQUIRED.into(),
        ..td()
    }
    .add(
        kit,
        "log-absent",
        "no log where one is required",
        missing(&["event_log.format"]),
    );
    Made {
        cpu: Cpu::Snp,
        log: Some(dstack(&healthy())),
        policy: REQUIRED.into(),
        ..td()
    }
    .add(
        kit,
        "log-of-snp",
        "a log where hardware keeps no registers to hold it against",
        missing(&["event_log.replay"]),
    );
}

fn lies(kit: &mut Kit) {
    type Bend = fn(&mut Vec<Event>);
    let bent: [(&str, &str, Bend); 6] = [
        ("omitted", "an event is left out", |e| {
            e.remove(5);
        }),
        ("added", "an event is added", |e| {
            e.push(Event::runtime("late", b""));
        }),
        ("repeated", "an event stands twice", |e| {
            let twice = e[5].clone();
            e.insert(5, twice);
        }),
        ("reordered", "two events change places", |e| e.swap(5, 6)),
        ("moved", "an event stands in another register", |e| {
            e[2].register = 2;
        }),
        ("renamed", "a payload under another name", |e| {
            e[5] = Event::runtime("compose-hash", &e[5].payload.clone());
        }),
    ];
    for (name, says, bend) in bent {
        let mut events = healthy();
        bend(&mut events);
        Made {
            log: Some(dstack(&events)),
            policy: "[event_log]\nrequired = true\n".into(),
            ..td()
        }
        .add(
            kit,
            &format!("log-event-{name}"),
            says,
            rejected(&["event_log.replay"]),
        );
    }
    let mut lying = healthy();
    lying[5].payload = vec![0xEE; 20];
    Made {
        log: Some(dstack(&lying)),
        policy: "[event_log]\nrequired = true\n".into(),
        ..td()
    }
    .add(
        kit,
        "log-payload-not-measured",
        "a payload that is not the measured one, under the measured digest",
        rejected(&["event_log.replay"]),
    );
}

fn pins(kit: &mut Kit) {
    for (key, ours, check) in [
        ("app_id", "a1".repeat(20), "event_log.app_id"),
        ("compose_hash", "c0".repeat(32), "event_log.compose_hash"),
        ("os_image_hash", "05".repeat(32), "event_log.os_image_hash"),
    ] {
        for (suffix, value, expected) in [
            ("", ours.clone(), accepted()),
            ("-other", "77".repeat(20), rejected(&[check])),
        ] {
            Made {
                log: Some(dstack(&healthy())),
                policy: format!("[event_log]\n{key} = [\"{value}\"]\n"),
                ..td()
            }
            .add(
                kit,
                &format!("log-{}{suffix}", key.replace('_', "-")),
                "a listed value, or another",
                expected,
            );
        }
    }
    let mut late = healthy();
    let app = late.remove(5);
    late.push(app);
    Made {
        log: Some(dstack(&late)),
        cpu: Cpu::Td(late),
        policy: format!("[event_log]\napp_id = [\"{}\"]\n", "a1".repeat(20)),
        ..td()
    }
    .add(
        kit,
        "log-app-id-late",
        "measured by whoever ran once the system was ready",
        rejected(&["event_log.app_id"]),
    );
    for (name, on, expected) in [
        ("secure-boot", true, accepted()),
        (
            "secure-boot-off",
            false,
            rejected(&["event_log.secure_boot"]),
        ),
    ] {
        let events = vec![
            Event::secure_boot(on),
            Event::boot(0, kind::SEPARATOR, &[0; 4]),
        ];
        Made {
            log: Some(ccel(&events)),
            cpu: Cpu::Td(events),
            policy: "[event_log]\nsecure_boot = true\n".into(),
            ..td()
        }
        .add(
            kit,
            &format!("log-{name}"),
            "what the firmware measured about signatures",
            expected,
        );
    }
}
