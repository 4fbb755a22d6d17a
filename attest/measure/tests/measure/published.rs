//! Answers that others have published for firmware that can be had. They need that firmware; where it
//! is not, they are skipped by name.

use attest_core::Sha256Digest;
use attest_measure::firmware::Firmware;
use attest_measure::snp::{KernelHashes, Machine, Processor, launch_digest};
use attest_measure::tdx::{PageOrder, mrtd};

use crate::support::{digest, hex};

/// A file that an environment variable names.
fn file(variable: &str) -> Option<Vec<u8>> {
    let found = std::env::var_os(variable).and_then(|path| std::fs::read(path).ok());
    if found.is_none() {
        println!("skipped: {variable} names no file");
    }
    found
}

/// `tests/fixtures/*/expected.json` of virtee/tdx-measure (Apache-2.0), for `OVMF.fd` of Ubuntu's
/// package `ovmf` 2025.02-3ubuntu2; the authors compare it with real TDs.
#[test]
fn mrtd_of_ubuntus_firmware_equals_the_published_value() {
    let Some(image) = file("SEALGATE_OVMF_UBUNTU") else {
        return;
    };
    let expected = "9e807cb2cd4313406a3aa4becc0836671a5c64ca7bdc08a45e15260184b446bf";
    assert_eq!(
        Sha256Digest::hash(&image).to_hex(),
        expected,
        "not that firmware"
    );
    let tdvf = Firmware::parse(&image).unwrap().tdvf().unwrap();
    assert_eq!(
        hex(&mrtd(&tdvf, PageOrder::PerPage)),
        "7357a10d2e2724dffe68813e3cc4cfcde6814d749f2fb62e3953e54f6e0b50a219786afe2cd478f684b52c61837e1114"
    );
}

/// `tests/measurement.rs` of the crate `sev` 8.0.0 (Apache-2.0), for `ovmf_AmdSev_suffix.bin` there.
#[test]
fn launch_digests_of_the_sev_crates_firmware_equal_the_published_values() {
    let Some(image) = file("SEALGATE_OVMF_SEV_CRATE") else {
        return;
    };
    let firmware = Firmware::parse(&image).unwrap();
    let answers = [
        (
            1,
            0x21,
            "console=ttyS0 loglevel=7",
            "803f691094946e42068aaa3a8f9e26a5c89f36f7b73ecfb28c653360fe4b3aba7e534442e7e1e17895dfe778d0228977",
        ),
        (
            1,
            0x1,
            "console=ttyS0 loglevel=7",
            "6d287813eb5222d770f75005c664e34c204f385ce832cc2ce7d0d6f354454362f390ef83a92046c042e706363b4b08fa",
        ),
        (
            4,
            0x1,
            "",
            "5061fffb019493a903613d56d54b94912a1a2f9e4502385f5c194616753720a92441310ba6c4933de877c36e23046ad5",
        ),
        (
            4,
            0x21,
            "",
            "4953b1fb416fa874980e8442b3706d345926d5f38879134e00813c5d7abcbe78eafe7b422907be0b4698e2414a631942",
        ),
    ];
    for (processors, guest_features, command_line, answer) in answers {
        let machine = Machine {
            processors,
            processor: Processor::named("EPYC-v4").unwrap(),
            guest_features,
        };
        let booted = KernelHashes::from_parts(b"", b"", command_line);
        let found = launch_digest(&firmware, &booted, &machine);
        assert_eq!(
            found,
            Ok(digest(answer)),
            "{processors} {guest_features:#x}"
        );
    }
}
