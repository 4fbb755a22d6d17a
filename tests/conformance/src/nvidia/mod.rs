//! Cases about NVIDIA devices.

mod manifests;
mod revocation;
mod sets;

use attest_core::{Collateral, NvidiaCollateral};
use vendors::nvidia::evidence::Evidence as Says;
use vendors::nvidia::knobs::{CertifiedFirmware, Dates, DeviceKnobs, ManifestKnobs, Signer};
use vendors::nvidia::{Chip, MockNvidia, Source};

use crate::case::{Expected, Kind};
use crate::kit::{Judged, Kit, accepted, evidence, expected, missing, rejected};
use crate::{NOW, SEED};

const NONCE: [u8; 32] = [0x3c; 32];
const AUTHENTIC: &str = "name = \"device\"\n[nvidia]\nrims = \"optional\"\nocsp = \"off\"\n";
const MEASURED: &str = "name = \"device\"\n[nvidia]\nrequired = true\nocsp = \"off\"\n";

struct Made {
    chip: Chip,
    knobs: DeviceKnobs,
    manifests: Vec<Vec<u8>>,
    answers: Vec<Vec<u8>>,
    policy: String,
    says: fn(&mut Says),
    times: usize,
    nonce: [u8; 32],
}

fn made() -> Made {
    Made {
        chip: Chip::Hopper,
        knobs: DeviceKnobs::default(),
        manifests: vec![],
        answers: vec![],
        policy: AUTHENTIC.into(),
        says: |_| {},
        times: 1,
        nonce: NONCE,
    }
}

fn manifest(source: Source, knobs: &ManifestKnobs) -> Vec<u8> {
    let nvidia = MockNvidia::new(&SEED, NOW.secs());
    nvidia
        .sign(&nvidia.manifest(Chip::Hopper, source), knobs)
        .into_bytes()
}

impl Made {
    fn add(self, kit: &mut Kit, name: &str, says: &str, expected: Expected) {
        let nvidia = MockNvidia::new(&SEED, NOW.secs());
        let device = nvidia.device(self.chip, "conformance", self.knobs);
        let mut report = nvidia.evidence(&device, &NONCE);
        (self.says)(&mut report);
        let one = evidence(
            "nvidia_gpu",
            &device.sign(&report),
            Some(&device.chain_pem()),
        );
        let collateral = Collateral::from(NvidiaCollateral {
            rims: self.manifests,
            ocsp: self.answers,
        });
        let judged = Judged {
            collateral: Some(&collateral),
            roots: &[
                ("nvidia-device-root", nvidia.device_root()),
                ("nvidia-rim-root", nvidia.manifest_root()),
            ],
            nonce: Some(attest_core::to_hex(&self.nonce)),
            ..Judged::now(Kind::NvidiaDevices, &self.policy, vec![one; self.times])
        };
        kit.add(&format!("nvidia-{name}"), says, judged, expected);
    }
}

/// Bytes that no signature covers, behind the evidence.
fn trailing(kit: &mut Kit) {
    type Follows = fn(&mut Says);
    let refused = || expected("malformed", &["nvidia.evidence.format"]);
    let cases: [(&str, Follows, &str, Expected); 4] = [
        (
            "byte-tolerated",
            |e| e.after_signature = vec![0x0f],
            "any",
            accepted(),
        ),
        (
            "byte-not-zero",
            |e| e.after_signature = vec![0x0f],
            "zero",
            refused(),
        ),
        (
            "zero-tolerated",
            |e| e.after_signature = vec![0],
            "zero",
            accepted(),
        ),
        (
            "zero-refused",
            |e| e.after_signature = vec![0],
            "none",
            refused(),
        ),
    ];
    for (name, says, tolerated, expected) in cases {
        Made {
            says,
            policy: format!("{AUTHENTIC}trailing_bytes = \"{tolerated}\"\n"),
            ..made()
        }
        .add(
            kit,
            &format!("trailing-{name}"),
            "bytes behind the signed evidence",
            expected,
        );
    }
}

pub fn add(kit: &mut Kit) {
    made().add(kit, "good-hopper", "an authentic GPU", accepted());
    Made {
        chip: Chip::Blackwell,
        ..made()
    }
    .add(kit, "good-blackwell", "an authentic GPU", accepted());
    Made {
        policy: MEASURED.into(),
        ..made()
    }
    .add(
        kit,
        "no-manifests",
        "no manifests where they are required",
        missing(&["nvidia.measurements"]),
    );
    let both = || {
        [Source::Driver, Source::Vbios].map(|source| manifest(source, &ManifestKnobs::default()))
    };
    Made {
        manifests: both().to_vec(),
        policy: MEASURED.into(),
        ..made()
    }
    .add(
        kit,
        "measured",
        "the measurements are those of the manifests",
        accepted(),
    );
    Made {
        manifests: both().to_vec(),
        policy: MEASURED.into(),
        says: |e| e.measured(1).value = vec![0xEE; 48],
        ..made()
    }
    .add(
        kit,
        "measured-otherwise",
        "one measurement is another",
        rejected(&["nvidia.measurements"]),
    );
    trailing(kit);
    type Bend = fn(&mut DeviceKnobs);
    let bent: [(&str, Bend, &str); 8] = [
        (
            "root-impostor",
            |k| k.root = Signer::Impostor,
            "nvidia.chain",
        ),
        ("leaf-forged", |k| k.forged = Some(0), "nvidia.chain"),
        ("identity-forged", |k| k.forged = Some(2), "nvidia.chain"),
        (
            "identity-expired",
            |k| k.dates = Some((2, Dates::Expired)),
            "nvidia.chain",
        ),
        (
            "identity-early",
            |k| k.dates = Some((2, Dates::NotYetValid)),
            "nvidia.chain",
        ),
        ("leaf-is-authority", |k| k.flag = Some(0), "nvidia.chain"),
        (
            "firmware-other",
            |k| k.firmware = CertifiedFirmware::Another,
            "nvidia.fwid",
        ),
        (
            "report-forged",
            |k| k.report_signer = Signer::Impostor,
            "nvidia.report.signature",
        ),
    ];
    for (name, bend, failing) in bent {
        let mut knobs = DeviceKnobs::default();
        bend(&mut knobs);
        Made { knobs, ..made() }.add(
            kit,
            name,
            "one thing about keys is not as it should be",
            rejected(&[failing]),
        );
    }
    Made {
        nonce: [9; 32],
        ..made()
    }
    .add(
        kit,
        "another-nonce",
        "evidence for another nonce",
        rejected(&["nvidia.nonce"]),
    );
    Made { times: 2, ..made() }.add(
        kit,
        "twice",
        "one device passes for two",
        rejected(&["nvidia.distinct"]),
    );
    Made {
        policy: format!("{AUTHENTIC}gpus = 2\n"),
        ..made()
    }
    .add(
        kit,
        "too-few",
        "fewer devices than wanted",
        rejected(&["nvidia.count"]),
    );
    Made {
        policy: format!("{AUTHENTIC}driver_versions = [\"1.2.3\"]\n"),
        ..made()
    }
    .add(
        kit,
        "driver-unlisted",
        "a driver the policy does not list",
        rejected(&["nvidia.driver"]),
    );
    Made {
        policy: format!("{AUTHENTIC}vbios_versions = [\"1.2.3\"]\n"),
        ..made()
    }
    .add(
        kit,
        "vbios-unlisted",
        "firmware the policy does not list",
        rejected(&["nvidia.vbios"]),
    );
    devices(kit);
    manifests::add(kit);
    revocation::add(kit);
    sets::add(kit);
}

/// Devices that are not what they are said to be.
fn devices(kit: &mut Kit) {
    Made {
        policy: format!("{AUTHENTIC}architectures = [\"BLACKWELL\"]\n"),
        ..made()
    }
    .add(
        kit,
        "architecture-unlisted",
        "an architecture the policy does not list",
        rejected(&["nvidia.architecture"]),
    );
    Made {
        policy: format!("{AUTHENTIC}modes = [\"PPCIE\"]\n"),
        ..made()
    }
    .add(
        kit,
        "mode-unlisted",
        "a confidential mode the policy does not list",
        rejected(&["nvidia.mode"]),
    );
    Made {
        says: |e| e.request_header = [0; 4],
        ..made()
    }
    .add(
        kit,
        "no-request",
        "evidence that begins with no request",
        expected("malformed", &["nvidia.evidence.format"]),
    );
    Made {
        says: |e| e.stated_blocks = Some(63),
        ..made()
    }
    .add(
        kit,
        "miscounted",
        "fewer blocks stated than there are",
        expected("malformed", &["nvidia.evidence.format"]),
    );
    Made {
        says: |e| e.after_signature = vec![0],
        ..made()
    }
    .add(
        kit,
        "trailing-byte",
        "a byte after the signature",
        expected("malformed", &["nvidia.evidence.format"]),
    );
    Made {
        times: 0,
        policy: MEASURED.into(),
        ..made()
    }
    .add(
        kit,
        "nothing",
        "no device where one is required",
        missing(&["nvidia.devices"]),
    );
}
