//! Firmware files: hostile and broken ones.

use proptest::prelude::*;

use crate::support::{FirmwareImage, PAGE};
use attest_measure::firmware::{Firmware, FirmwareError, SectionKind};
use attest_measure::snp::{KernelHashes, Machine, Processor, launch_digest};
use attest_measure::tdx::{MemoryMap, PageOrder, handoff_block, mrtd};

#[test]
fn reads_the_described_sections() {
    let built = FirmwareImage::default().build();
    let firmware = Firmware::parse(&built).unwrap();
    assert_eq!(firmware.base(), 0xFFFF_0000);
    assert_eq!(firmware.kernel_hashes_address(), Some(0x81_0C00));
    assert_eq!(firmware.sev_es_reset_address(), Ok(0x80_B004));
    let tdvf = firmware.tdvf().unwrap();
    let code = tdvf.section(SectionKind::Code).unwrap();
    assert_eq!(code.data, &built[0x2000..]);
    assert!(code.measured);
    let variables = tdvf.section(SectionKind::Variables).unwrap();
    assert_eq!(variables.data, &built[..0x2000]);
    assert!(!variables.measured);
    assert_eq!(tdvf.sections().len(), 6);
}

#[test]
fn a_file_that_is_no_ovmf_image_is_refused() {
    assert_eq!(Firmware::parse(&[]).unwrap_err(), FirmwareError::Length(0));
    assert_eq!(
        Firmware::parse(&[0; 4097]).unwrap_err(),
        FirmwareError::Length(4097)
    );
    let mut built = FirmwareImage::default().build();
    let footer = built.len() - 33;
    built[footer] ^= 1;
    assert_eq!(Firmware::parse(&built).unwrap_err(), FirmwareError::NoTable);
}

#[test]
fn entries_that_reach_out_of_the_table_or_do_not_advance_are_refused() {
    for len in [0_u16, 17, 0x200] {
        let mut built = FirmwareImage::default().build();
        // The last entry's length lies before its GUID, which lies before the footer.
        let at = built.len() - 32 - 18 - 18;
        built[at..at + 2].copy_from_slice(&len.to_le_bytes());
        let refused = Firmware::parse(&built).unwrap_err();
        let offset = at + 18;
        let len = usize::from(len);
        assert_eq!(refused, FirmwareError::Entry { offset, len });
    }
}

#[test]
fn broken_tdx_metadata_is_refused_by_section_and_field() {
    let good = FirmwareImage::default().tdvf[0];
    let cases = [
        (
            (0xF_0000, good.1, good.2, good.3, good.4, good.5),
            "data offset or length",
        ),
        (
            (good.0, good.1, good.2 + 1, good.3, good.4, good.5),
            "memory address",
        ),
        (
            (good.0, good.1, !0xFFF, good.3, good.4, good.5),
            "memory address",
        ),
        (
            (good.0, good.1, good.2, 0x1000, good.4, good.5),
            "memory length",
        ),
        ((0, 0, 0x80_0000, 1 << 40, 3, 0), "memory length"),
        ((good.0, good.1, good.2, good.3, good.4, 4), "attribute"),
    ];
    for (section, field) in cases {
        let mut image = FirmwareImage::default();
        image.tdvf[0] = section;
        let built = image.build();
        let refused = Firmware::parse(&built).unwrap().tdvf().unwrap_err();
        let expected = FirmwareError::Section {
            structure: "TDX metadata",
            index: 0,
            field,
        };
        assert_eq!(refused, expected);
    }
}

#[test]
fn refuses_missing_or_foreign_metadata() {
    let built = FirmwareImage::default().build();
    let at = built.len() - 0x800;
    for (offset, byte, field) in [
        (0, 0, "signature"),
        (8, 2, "version"),
        (12, 0, "number of sections"),
        (12, 65, "number of sections"),
    ] {
        let mut changed = built.clone();
        changed[at + offset] = byte;
        let refused = Firmware::parse(&changed).unwrap().tdvf().unwrap_err();
        let structure = "TDX metadata";
        assert_eq!(refused, FirmwareError::Structure { structure, field });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_firmware_makes_the_reader_panic(
        changes in prop::collection::vec((0_usize..0x900, any::<u8>()), 0..16),
    ) {
        let mut built = FirmwareImage { pages: 4, ..FirmwareImage::default() }.build();
        let len = built.len();
        for (back, byte) in changes {
            built[len - 1 - back] = byte;
        }
        let Ok(firmware) = Firmware::parse(&built) else { return Ok(()) };
        if let Ok(tdvf) = firmware.tdvf() {
            let small = tdvf.sections().iter().all(|s| s.len <= 64 * PAGE as u64);
            if small {
                let _ = mrtd(&tdvf, PageOrder::PerPage);
                let _ = mrtd(&tdvf, PageOrder::PerSection);
            }
            let _ = handoff_block(&tdvf, &MemoryMap::q35(4 << 30).unwrap());
        }
        if let Ok(sev) = firmware.sev()
            && sev.sections().iter().all(|s| s.len <= 0x10_0000)
        {
            let machine = Machine {
                processors: 1,
                processor: Processor::new(25, 1, 1),
                guest_features: 1,
            };
            let _ = launch_digest(&firmware, &KernelHashes::from_uki(b""), &machine);
        }
    }
}
