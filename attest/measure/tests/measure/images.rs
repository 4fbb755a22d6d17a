//! PE images and UKIs: the hash that a signature covers, and what is refused.

use proptest::prelude::*;

use crate::support::{COMMAND_LINE, hex, pe, put, uki};
use attest_core::Sha256Digest;
use attest_measure::pe::{Pe, PeError, authenticode_parts, authenticode_sha384};
use attest_measure::uki::{Uki, UkiError};

const OPTIONAL: usize = 0x58;

fn image() -> Vec<u8> {
    uki("257.13-1", COMMAND_LINE, &[])
}

#[test]
fn the_authenticode_hash_equals_another_implementations() {
    let answer = "b3142ea44338785eb67ebc2c16264f50183815ed7fb13e60392ebefd8b5c7f42100fcf8c64aac2481644939759306b72";
    let image = image();
    let pe = Pe::parse(&image).unwrap();
    assert_eq!(hex(&authenticode_sha384(&pe).unwrap()), answer);
}

#[test]
fn checksum_and_certificates_are_not_hashed_and_everything_else_is() {
    let hash = |file: &[u8]| authenticode_sha384(&Pe::parse(file).unwrap()).unwrap();
    let plain = image();
    let mut checksum = plain.clone();
    checksum[OPTIONAL + 64] ^= 1;
    assert_eq!(hash(&checksum), hash(&plain));

    let mut signed = plain.clone();
    let at = u32::try_from(signed.len()).unwrap();
    signed.extend_from_slice(&[0xCE; 24]);
    put(&mut signed, OPTIONAL + 144, &at.to_le_bytes());
    put(&mut signed, OPTIONAL + 148, &24_u32.to_le_bytes());
    assert_eq!(hash(&signed), hash(&plain));

    let mut trailing = plain.clone();
    trailing.extend_from_slice(&[0xCE; 24]);
    assert_ne!(hash(&trailing), hash(&plain));
    let last = plain.len() - 1;
    for at in [0x10, OPTIONAL + 70, 0x3FF, 0x400, last] {
        let mut changed = plain.clone();
        changed[at] ^= 1;
        assert_ne!(hash(&changed), hash(&plain), "{at:#x}");
    }
}

#[test]
fn hashes_the_whole_file_but_twelve_bytes() {
    let image = image();
    let parts = authenticode_parts(&Pe::parse(&image).unwrap()).unwrap();
    let len: usize = parts.iter().map(|part| part.len()).sum();
    assert_eq!(len, image.len() - 12);
}

#[test]
fn a_file_that_is_no_pe_image_is_refused_by_name() {
    let plain = pe(&[(".text", b"code", 4)]);
    assert_eq!(Pe::parse(b"").unwrap_err(), PeError::Signature("MZ"));
    let mut no_pe = plain.clone();
    no_pe[0x40] = 0;
    assert_eq!(Pe::parse(&no_pe).unwrap_err(), PeError::Signature("PE"));
    let mut far = plain.clone();
    put(&mut far, 0x3C, &u32::MAX.to_le_bytes());
    assert_eq!(Pe::parse(&far).unwrap_err(), PeError::Signature("PE"));
    let mut narrow = plain.clone();
    put(&mut narrow, OPTIONAL, &0x10B_u16.to_le_bytes());
    assert_eq!(Pe::parse(&narrow).unwrap_err(), PeError::Magic);
    let mut headers = plain.clone();
    put(&mut headers, OPTIONAL + 60, &u32::MAX.to_le_bytes());
    assert_eq!(
        Pe::parse(&headers).unwrap_err(),
        PeError::Header("length of headers")
    );
    let mut outside = plain.clone();
    put(&mut outside, OPTIONAL + 240 + 20, &u32::MAX.to_le_bytes());
    assert_eq!(
        Pe::parse(&outside).unwrap_err(),
        PeError::Section { index: 0 }
    );
    let cut = &plain[..OPTIONAL + 100];
    assert_eq!(
        Pe::parse(cut).unwrap_err(),
        PeError::Truncated("optional header")
    );
}

#[test]
fn certificates_longer_than_the_file_are_refused() {
    let mut image = image();
    image.extend_from_slice(&[0; 8]);
    put(&mut image, OPTIONAL + 148, &u32::MAX.to_le_bytes());
    let refused = authenticode_sha384(&Pe::parse(&image).unwrap());
    assert_eq!(refused, Err(PeError::Header("length of certificates")));
}

#[test]
fn the_section_table_can_be_extended_by_image_builders() {
    let image = pe(&[(".text", b"code", 4), (".data", b"more", 0x20)]);
    let read = Pe::parse(&image).unwrap();
    let names: Vec<_> = read.sections().iter().filter_map(|s| s.name()).collect();
    assert_eq!(names, [".text", ".data"]);
    assert_eq!(read.alignments(), (0x1000, 0x200));
    assert_eq!(read.section_table_offset(), OPTIONAL + 240);
    assert_eq!(
        read.room_for_sections(),
        (0x400 - (OPTIONAL + 240 + 80)) / 40
    );
    assert!(read.raw(&read.sections()[1]).starts_with(b"more\0"));
}

#[test]
fn parses_the_parts_of_a_uki() {
    let image = image();
    let read = Uki::parse(&image).unwrap();
    assert_eq!(read.command_line(), COMMAND_LINE);
    assert_eq!(read.stub_version(), 257);
    assert_eq!(read.initrd().unwrap(), b"an initial file system");
    assert!(Pe::parse(&read.kernel().unwrap()).is_ok());
    let sections = read.measured_sections();
    let names: Vec<_> = sections.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, [".linux", ".cmdline", ".initrd", ".sbat"]);
}

#[test]
fn a_section_longer_in_memory_than_in_the_file_ends_in_zeros() {
    let image = pe(&[(".initrd", b"x", 0x300)]);
    let read = Pe::parse(&image).unwrap();
    assert_eq!(read.raw(&read.sections()[0]).len(), 0x200);
    let image = uki("257.1", COMMAND_LINE, &[]);
    let mut longer = image.clone();
    // .initrd is the fifth section.
    put(
        &mut longer,
        OPTIONAL + 240 + 4 * 40 + 8,
        &0x400_u32.to_le_bytes(),
    );
    let initrd = Uki::parse(&longer).unwrap().initrd().unwrap();
    assert_eq!(initrd.len(), 0x400);
    assert!(initrd.ends_with(&[0; 0x200]));
    put(
        &mut longer,
        OPTIONAL + 240 + 4 * 40 + 8,
        &u32::MAX.to_le_bytes(),
    );
    let refused = Uki::parse(&longer).unwrap_err();
    let (index, len) = (4, u32::MAX);
    assert_eq!(refused, UkiError::Tail { index, len });
}

#[test]
fn sections_that_make_measurements_depend_on_more_are_refused_by_name() {
    for name in [
        ".osrel", ".ucode", ".pcrsig", ".pcrpkey", ".profile", ".dtbauto", ".hwids", ".efifw",
    ] {
        let image = uki("257.13-1", COMMAND_LINE, &[(name, b"something")]);
        assert_eq!(Uki::parse(&image).unwrap_err(), UkiError::Unpredicted(name));
    }
}

#[test]
fn an_image_that_is_not_a_whole_uki_is_refused() {
    let stub = pe(&[(".text", b"code", 4)]);
    assert_eq!(Uki::parse(&stub).unwrap_err(), UkiError::Stub);
    let twice = uki("257.13-1", COMMAND_LINE, &[(".initrd", b"another")]);
    assert_eq!(
        Uki::parse(&twice).unwrap_err(),
        UkiError::Repeated(".initrd")
    );
    for version in ["258.1", "251.2", "300"] {
        let untried = uki(version, COMMAND_LINE, &[]);
        let number = version.split('.').next().unwrap().parse().unwrap();
        assert_eq!(
            Uki::parse(&untried).unwrap_err(),
            UkiError::UntestedStub(number)
        );
    }
    let mut renamed = image();
    let at = renamed.windows(6).position(|w| w == b".linux").unwrap();
    put(&mut renamed, at, b".other");
    let read = Uki::parse(&renamed).unwrap();
    assert_eq!(read.kernel(), Err(UkiError::Missing(".linux")));
}

#[test]
fn a_command_line_that_the_stub_would_change_is_refused() {
    for bad in [" quiet", "quiet ", "quiet\n", "quiet\u{e9}"] {
        let image = uki("257.13-1", bad, &[]);
        assert_eq!(
            Uki::parse(&image).unwrap_err(),
            UkiError::CommandLine,
            "{bad:?}"
        );
    }
    let silent = uki("262.1-1", "quiet", &[]);
    assert_eq!(
        Uki::parse(&silent).unwrap_err(),
        UkiError::Console { version: 262 }
    );
    assert!(Uki::parse(&uki("257.13-1", "quiet", &[])).is_ok());
}

#[test]
fn the_test_images_are_those_that_the_answers_were_computed_for() {
    let digest = Sha256Digest::hash(&image()).to_hex();
    assert_eq!(
        digest,
        "e16867599d0f22c4e688a8e971c67901a50489d03354e2672de5a7928a182e43"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_image_makes_the_reader_panic(
        changes in prop::collection::vec((0_usize..0x400, any::<u8>()), 0..12),
        len in 0_usize..0x1000,
    ) {
        let mut file = image();
        for (at, byte) in changes {
            file[at] = byte;
        }
        for file in [&file[..], &file[..len.min(file.len())]] {
            if let Ok(pe) = Pe::parse(file) {
                let _ = authenticode_sha384(&pe);
            }
            if let Ok(uki) = Uki::parse(file) {
                let _ = attest_measure::tdx::rtmr1(&uki);
                let _ = attest_measure::tdx::rtmr2(&uki);
            }
        }
    }
}
