//! MRTD and RTMR0 to RTMR2. The answers were computed by a second implementation, in Python, from the
//! specifications; what has been seen on real machines is in `recorded.rs` and `published.rs`.

use attest_core::event_log::Register;
use attest_measure::firmware::{Firmware, FirmwareError};
use attest_measure::tdx::{
    self, BootVariables, Machine, MemoryMap, PageOrder, SecureBoot, TdxError, handoff_block, mrtd,
};
use attest_measure::uki::Uki;
use attest_measure::{ExpectedEvent, Origin, register_value, sha384};

use crate::support::{COMMAND_LINE, FirmwareImage, digest, hex, uki, volume};

const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
const IMAGE_SECURITY: &str = "d719b2cb-3d3a-4596-a3bc-dad00e67656f";
const ENABLE: &str = "f0a30bc7-af08-4556-99c4-001009c93a44";

fn machine() -> Machine {
    Machine {
        memory: Some(MemoryMap::q35(8 << 30).unwrap()),
        acpi: Some(
            [&b"loader"[..], b"rsdp", b"tables"]
                .map(|file| sha384(&[file]))
                .to_vec(),
        ),
        boot: Some(BootVariables::ui_app_alone()),
        secure_boot: SecureBoot::AsConfigured,
    }
}

fn rtmr0_of(image: &FirmwareImage, machine: &Machine) -> Result<Vec<ExpectedEvent>, TdxError> {
    let built = image.build();
    tdx::rtmr0(&Firmware::parse(&built).unwrap().tdvf().unwrap(), machine)
}

#[test]
fn mrtd_depends_on_the_order_in_which_the_host_adds_pages() {
    let built = FirmwareImage::default().build();
    let tdvf = Firmware::parse(&built).unwrap().tdvf().unwrap();
    let answers = [
        (
            PageOrder::PerPage,
            "6a059efb383d6529d8e52d12faa3ad8b88c59699bb5d7e4867758a34015a307cd3685a787f1d65693ac1171df593b611",
        ),
        (
            PageOrder::PerSection,
            "c18d3e2b3690d588673e9f7c1e6c1c3ee82fa87b230d8c5b708d15de3c34d1cd79dfd7d4b62377c040907e8406d532d3",
        ),
    ];
    for (order, answer) in answers {
        assert_eq!(hex(&mrtd(&tdvf, order)), answer, "{order:?}");
    }
}

#[test]
fn mrtd_covers_the_code_and_not_the_variables() {
    let value = |image: &[u8]| {
        let tdvf = Firmware::parse(image).unwrap().tdvf().unwrap();
        mrtd(&tdvf, PageOrder::PerPage)
    };
    let built = FirmwareImage::default().build();
    let mut variables = built.clone();
    variables[0x1000] ^= 1;
    assert_eq!(value(&variables), value(&built));
    let mut code = built.clone();
    code[0x2000] ^= 1;
    assert_ne!(value(&code), value(&built));
}

#[test]
fn the_handoff_block_describes_the_memory() {
    let built = FirmwareImage::default().build();
    let tdvf = Firmware::parse(&built).unwrap().tdvf().unwrap();
    let answers = [
        (
            512 << 20,
            "00934f9ff0a0f65e41109afb9a7c5a0719f567f32514aeaef4c23c8535793f7064a2c69738a2000500ffae6ba349a153",
        ),
        (
            8 << 30,
            "2e070cda358b5aa00f27cca25c47381bb564f4be3a84d059805a73cbbde764ed8341f7e09915b5e7b370f9c08a743fbd",
        ),
    ];
    for (memory, answer) in answers {
        let block = handoff_block(&tdvf, &MemoryMap::q35(memory).unwrap()).unwrap();
        assert_eq!(hex(&sha384(&[&block])), answer, "{memory}");
    }
}

#[test]
fn refuses_memory_without_the_firmwares_sections() {
    let built = FirmwareImage::default().build();
    let tdvf = Firmware::parse(&built).unwrap().tdvf().unwrap();
    let little = MemoryMap::q35(1 << 20).unwrap();
    assert_eq!(
        handoff_block(&tdvf, &little),
        Err(TdxError::Memory(1 << 20))
    );
    assert_eq!(MemoryMap::q35(0), Err(TdxError::Memory(0)));
    assert_eq!(MemoryMap::q35(u64::MAX), Err(TdxError::Memory(u64::MAX)));
}

#[test]
fn predicts_rtmr0_if_the_profile_is_complete() {
    let events = rtmr0_of(&FirmwareImage::default(), &machine()).unwrap();
    let answer = "24989d99fd4f48624bffaa3dc28789d2869519d19550100e52b5a428cbfb48455a7586fa3efb4018add2370bcc8c958d";
    assert_eq!(
        register_value(&events, Register::Rtmr0),
        Some(digest(answer))
    );
}

#[test]
fn predicts_no_rtmr0_if_a_field_of_the_profile_is_missing() {
    let forgetful = [
        Machine {
            memory: None,
            ..machine()
        },
        Machine {
            acpi: None,
            ..machine()
        },
        Machine {
            boot: None,
            ..machine()
        },
    ];
    for machine in forgetful {
        let events = rtmr0_of(&FirmwareImage::default(), &machine).unwrap();
        assert_eq!(register_value(&events, Register::Rtmr0), None);
        let open: Vec<_> = events.iter().filter(|e| e.origin == Origin::Host).collect();
        assert_eq!(open.len(), 1);
        assert_eq!(open[0].digest, None);
    }
}

#[test]
fn secure_boot_variables_are_read_from_the_firmwares_volume() {
    let image = FirmwareImage {
        volume: volume(&[
            (GLOBAL, "PK", b"platform key", 0x3F),
            (GLOBAL, "KEK", b"old", 0x3C),
            (GLOBAL, "KEK", b"exchange key", 0x3F),
            (IMAGE_SECURITY, "db", b"allowed", 0x3F),
            (ENABLE, "SecureBootEnable", &[1], 0x3F),
        ]),
        ..FirmwareImage::default()
    };
    let answers = [
        "2cded0c6f453d4c6f59c5e14ec61abc6b018314540a2367cba326a52aa2b315ccc08ce68a816ce09c6ef2ac7e514ae1f",
        "1aac527081d27485a2ea66f36b999820585d3ef954d29d8c92feeda24d36c01d03371af2a433e3f9e65dc10b928e5460",
        "b15802c7b66284bf4e4cb70f2083bd40606dde85fc9d41d004ab62a8db580564de479dd4821ff07adbd079af8101dffe",
        "abaed32a077ff0d76a660307748b22eaefc6194d803a6a762112f39c11ecb1a14f92d0291ad440c9ad51a06d882a69e8",
        "18cc6e01f0c6ea99aa23f8a280423e94ad81d96d0aeb5180504fc0f7a40cb3619dd39bd6a95ec1680a86ed6ab0f9828d",
    ];
    let events = rtmr0_of(&image, &machine()).unwrap();
    let found: Vec<_> = events[2..7].iter().filter_map(|e| e.digest).collect();
    assert_eq!(found, answers.map(digest));
    let off = Machine {
        secure_boot: SecureBoot::Off,
        ..machine()
    };
    let events = rtmr0_of(&image, &off).unwrap();
    assert_ne!(events[2].digest, Some(digest(answers[0])));
    assert_eq!(events[3].digest, Some(digest(answers[1])));
}

#[test]
fn refuses_an_invalid_volume() {
    let image = FirmwareImage {
        volume: vec![0; 0x2000],
        ..FirmwareImage::default()
    };
    let expected = FirmwareError::Structure {
        structure: "variable store",
        field: "volume signature",
    };
    let refused = rtmr0_of(&image, &machine());
    assert_eq!(refused, Err(TdxError::Firmware(expected)));
}

#[test]
fn rtmr1_and_rtmr2_follow_from_the_image_alone() {
    let answers = [
        (
            "257.13-1",
            Register::Rtmr1,
            "b30fcc67639d36f3bb40e1d8ba56e22ed0c417e925d4aa2b912e0355746c55af7846436f9b5294c7124d6f91dcb54aa2",
        ),
        (
            "257.13-1",
            Register::Rtmr2,
            "96685c1150f45ba609df2b1f718fca67d409a689e988e13b14f9e1010774f751424089aac9313101b562e3f1528acd30",
        ),
        (
            "252.39",
            Register::Rtmr2,
            "be0730fbebce3b9bb6de7cff4c20cce45e3700db37840d94a1b8390ca0b624c13cc9ab78ebc47780cb90543c0d0a0047",
        ),
        (
            "262.1-1",
            Register::Rtmr1,
            "bbeefea7cca9512e78357a09eddda4dda3b5d2333964db34491f885d2e303bef2e63f29d120a174c60879898454945bb",
        ),
    ];
    for (version, register, answer) in answers {
        let image = uki(version, COMMAND_LINE, &[]);
        let image = Uki::parse(&image).unwrap();
        let mut events = tdx::rtmr1(&image).unwrap();
        events.extend(tdx::rtmr2(&image).unwrap());
        assert!(events.iter().all(|event| event.origin != Origin::Host));
        let found = register_value(&events, register);
        assert_eq!(found, Some(digest(answer)), "{version} {register}");
    }
}

#[test]
fn a_flipped_bit_of_each_part_changes_a_register() {
    let registers = |image: &[u8]| {
        let image = Uki::parse(image).unwrap();
        let mut events = tdx::rtmr1(&image).unwrap();
        events.extend(tdx::rtmr2(&image).unwrap());
        [Register::Rtmr1, Register::Rtmr2].map(|register| register_value(&events, register))
    };
    let image = uki("257.13-1", COMMAND_LINE, &[]);
    let [rtmr1, rtmr2] = registers(&image);
    let parts: [&[u8]; 4] = [b"a stub", b"panic=-1", b"an initial", b"a kernel"];
    for part in parts {
        let at = image.windows(part.len()).position(|w| w == part).unwrap();
        let mut changed = image.clone();
        changed[at] ^= 1;
        let [changed1, changed2] = registers(&changed);
        assert_ne!(changed1, rtmr1);
        let measured_by_section = part != b"a stub";
        assert_eq!(changed2 != rtmr2, measured_by_section);
    }
}
