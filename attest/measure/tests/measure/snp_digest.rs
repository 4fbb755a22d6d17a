//! SNP launch digests. The answers are those of `sev-snp-measure` 0.0.13 (virtee/sev-snp-measure,
//! Apache-2.0) for the same bytes: `--mode snp --ovmf firmware --kernel image`.

use attest_core::Sha256Digest;
use attest_measure::firmware::{Firmware, FirmwareError};
use attest_measure::snp::{KernelHashes, Machine, Processor, SnpError, launch_digest, vmsa_page};

use crate::support::{FirmwareImage, digest, uki};

const FIRMWARE: &str = "b0635b2e58fa3d54ad8676cd831a2c901b2f73ce53aa788849689dcdcbc89be6";
const IMAGE: &str = "e16867599d0f22c4e688a8e971c67901a50489d03354e2672de5a7928a182e43";

/// Processor, count, guest features, answer.
const ANSWERS: [(&str, u32, u64, &str); 4] = [
    (
        "EPYC-v4",
        1,
        0x1,
        "ae7f49215d7c6f78719a1849dd273efd00b10ef677227997c41c64f276ad540899cfc67efe096ef12acb87da24b070e4",
    ),
    (
        "EPYC-Milan",
        4,
        0x1,
        "6a8788832895c3354fc0e79fc7878ca4c7b9b82d9386bc1565d7498ef5df1786004217131b7c47d033a45e294e1600bf",
    ),
    (
        "EPYC-Genoa",
        2,
        0x21,
        "8ce4c8e8383ff4227dab99657601a67259676cdc295a1e95d44cd8d407d7129ebcfd5aaab07c68bd702cf9907aa4b887",
    ),
    (
        "EPYC-Rome",
        1,
        0x1,
        "de0549c15bea8cc0588ba425c2a659c038fdd928cf0816b29870c51490fbd4d2b89a6d058b65a7bd59782ee07e73e25a",
    ),
];

fn machine(name: &str, processors: u32, guest_features: u64) -> Machine {
    Machine {
        processors,
        processor: Processor::named(name).expect("a model of QEMU's"),
        guest_features,
    }
}

fn milan() -> Machine {
    machine("EPYC-Milan", 1, 1)
}

#[test]
fn launch_digests_equal_another_implementations() {
    let firmware = FirmwareImage::default().build();
    let image = uki("257.13-1", crate::support::COMMAND_LINE, &[]);
    assert_eq!(Sha256Digest::hash(&firmware).to_hex(), FIRMWARE);
    assert_eq!(Sha256Digest::hash(&image).to_hex(), IMAGE);
    let firmware = Firmware::parse(&firmware).unwrap();
    let hashes = KernelHashes::from_uki(&image);
    for (name, processors, features, answer) in ANSWERS {
        let found = launch_digest(&firmware, &hashes, &machine(name, processors, features));
        assert_eq!(found, Ok(digest(answer)), "{name}");
    }
}

#[test]
fn every_input_changes_the_digest() {
    let built = FirmwareImage::default().build();
    let firmware = Firmware::parse(&built).unwrap();
    let hashes = KernelHashes::from_parts(b"kernel", b"initrd", "quiet");
    let base = launch_digest(&firmware, &hashes, &milan()).unwrap();
    let mut seen = vec![base];
    for (kernel, initrd, command_line) in [
        (&b"Kernel"[..], &b"initrd"[..], "quiet"),
        (b"kernel", b"Initrd", "quiet"),
        (b"kernel", b"initrd", "quiet debug"),
    ] {
        let hashes = KernelHashes::from_parts(kernel, initrd, command_line);
        seen.push(launch_digest(&firmware, &hashes, &milan()).unwrap());
    }
    for other in [
        machine("EPYC-Milan", 2, 1),
        machine("EPYC-Genoa", 1, 1),
        machine("EPYC-Milan", 1, 0x21),
    ] {
        seen.push(launch_digest(&firmware, &hashes, &other).unwrap());
    }
    let mut flipped = built.clone();
    flipped[0x4000] ^= 1;
    let flipped = Firmware::parse(&flipped).unwrap();
    seen.push(launch_digest(&flipped, &hashes, &milan()).unwrap());
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count);
}

#[test]
fn a_firmware_without_a_page_for_kernel_hashes_is_refused() {
    let hashes = KernelHashes::from_uki(b"image");
    let mut no_section = FirmwareImage::default();
    no_section.sev.retain(|(_, _, kind)| *kind != 0x10);
    let no_place = FirmwareImage {
        hashes_at: 0,
        ..FirmwareImage::default()
    };
    for image in [no_section, no_place] {
        let built = image.build();
        let firmware = Firmware::parse(&built).unwrap();
        let refused = launch_digest(&firmware, &hashes, &milan());
        assert_eq!(refused, Err(SnpError::NoKernelHashes));
    }
}

#[test]
fn refuses_hashes_outside_of_their_page() {
    let hashes = KernelHashes::from_uki(b"image");
    for hashes_at in [0x81_0FF0, 0x81_1000, 0x80_FFFF] {
        let built = FirmwareImage {
            hashes_at,
            ..FirmwareImage::default()
        }
        .build();
        let firmware = Firmware::parse(&built).unwrap();
        let refused = launch_digest(&firmware, &hashes, &milan());
        assert_eq!(refused, Err(SnpError::HashesOutsidePage), "{hashes_at:#x}");
    }
}

#[test]
fn impossible_machines_are_refused() {
    let built = FirmwareImage::default().build();
    let firmware = Firmware::parse(&built).unwrap();
    let hashes = KernelHashes::from_uki(b"image");
    let of = |machine: Machine| launch_digest(&firmware, &hashes, &machine);
    let none = machine("EPYC-Milan", 0, 1);
    assert_eq!(of(none), Err(SnpError::Processors(0)));
    let crowd = machine("EPYC-Milan", 1025, 1);
    assert_eq!(of(crowd), Err(SnpError::Processors(1025)));
    let not_snp = machine("EPYC-Milan", 1, 0x20);
    assert_eq!(of(not_snp), Err(SnpError::NotSnp(0x20)));
    assert_eq!(Processor::named("EPYC-Milan-vx"), None);
}

#[test]
fn a_save_area_has_its_registers_at_the_offsets_of_the_manual() {
    let page = vmsa_page(0xFFFF_FFF0, &machine("EPYC-Milan", 1, 0x21));
    let at = |offset: usize| u64::from_le_bytes(page[offset..offset + 8].try_into().unwrap());
    assert_eq!(at(0x178), 0xFFF0, "RIP");
    assert_eq!(at(0x018), 0xFFFF_0000, "CS base");
    assert_eq!(
        at(0x310),
        0x00A0_0F11,
        "RDX: family 25, model 1, stepping 1"
    );
    assert_eq!(at(0x3B0), 0x21, "SEV_FEATURES");
}

#[test]
fn broken_sev_metadata_is_refused_by_section_and_field() {
    let cases = [
        ((0x80_0001, 0x1000, 1), "address"),
        ((0x80_0000, 0x1001, 1), "length"),
        ((0xFFFF_F000, 0x2000, 1), "address"),
        ((0x80_0000, 0x4000_0000, 1), "length"),
        ((0x80_0000, 0x2000, 3), "length"),
        ((0x80_0000, 0x1000, 9), "type"),
    ];
    for (section, field) in cases {
        let mut image = FirmwareImage::default();
        image.sev[1] = section;
        let built = image.build();
        let refused = Firmware::parse(&built).unwrap().sev().unwrap_err();
        let expected = FirmwareError::Section {
            structure: "SEV metadata",
            index: 1,
            field,
        };
        assert_eq!(refused, expected, "{section:x?}");
    }
}
