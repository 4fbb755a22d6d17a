use attest_measure::pe::Pe;
use enclave_image::boot::uki::{Section, UkiError, assemble};

/// A stub with one section and room for five more.
fn stub() -> Vec<u8> {
    let mut image = vec![0; 0x600];
    let put = |image: &mut Vec<u8>, at: usize, bytes: &[u8]| {
        image[at..at + bytes.len()].copy_from_slice(bytes);
    };
    put(&mut image, 0, b"MZ");
    put(&mut image, 0x3c, &0x80_u32.to_le_bytes());
    put(&mut image, 0x80, b"PE\0\0");
    put(&mut image, 0x84, &0x8664_u16.to_le_bytes());
    put(&mut image, 0x86, &1_u16.to_le_bytes());
    put(&mut image, 0x94, &240_u16.to_le_bytes());
    put(&mut image, 0x98, &0x20b_u16.to_le_bytes());
    put(&mut image, 0x98 + 32, &0x1000_u32.to_le_bytes());
    put(&mut image, 0x98 + 36, &0x200_u32.to_le_bytes());
    put(&mut image, 0x98 + 56, &0x2000_u32.to_le_bytes());
    put(&mut image, 0x98 + 60, &0x400_u32.to_le_bytes());
    put(&mut image, 0x98 + 64, &7_u32.to_le_bytes());
    put(&mut image, 0x98 + 108, &16_u32.to_le_bytes());
    let table = 0x98 + 240;
    put(&mut image, table, b".text");
    put(&mut image, table + 8, &0x123_u32.to_le_bytes());
    put(&mut image, table + 12, &0x1000_u32.to_le_bytes());
    put(&mut image, table + 16, &0x200_u32.to_le_bytes());
    put(&mut image, table + 20, &0x400_u32.to_le_bytes());
    image
}

fn section<'a>(name: &'a str, contents: &'a [u8]) -> Section<'a> {
    Section { name, contents }
}

#[test]
fn the_measuring_parser_finds_every_section_of_a_built_uki() {
    let long = vec![9; 0x2345];
    let sections = [
        section(".cmdline", b"console=ttyS0"),
        section(".linux", &long),
    ];
    let image = assemble(&stub(), &sections).expect("there is room");
    let pe = Pe::parse(&image).expect("a PE image");
    let seen: Vec<_> = pe
        .sections()
        .iter()
        .map(|s| (s.name().expect("text"), s.virtual_len))
        .collect();
    assert_eq!(
        seen,
        [(".text", 0x123), (".cmdline", 13), (".linux", 0x2345)]
    );
    let linux = pe.raw(&pe.sections()[2]);
    assert_eq!(&linux[..0x2345], long.as_slice());
    assert_eq!(image.len() % 0x200, 0);
    // Behind .text at 0x1000: 0x2000, then 0x3000 for so many bytes.
    let size_of_image = u32::from_le_bytes(image[0xd0..0xd4].try_into().expect("four"));
    assert_eq!(size_of_image, 0x6000);
    assert_eq!(&image[0xd8..0xdc], &[0; 4], "no checksum");
}

#[test]
fn a_stub_changes_in_its_header_alone() {
    let image = assemble(&stub(), &[section(".linux", b"x")]).expect("there is room");
    assert_eq!(&image[0x400..0x600], &stub()[0x400..0x600]);
}

#[test]
fn doubled_names_bad_names_and_full_headers_are_refused() {
    let twice = [section(".linux", b"x"), section(".linux", b"y")];
    assert_eq!(
        assemble(&stub(), &twice),
        Err(UkiError::Twice(".linux".into()))
    );
    let text = [section(".text", b"x")];
    assert_eq!(
        assemble(&stub(), &text),
        Err(UkiError::Twice(".text".into()))
    );
    for name in ["", ".too-long-a-name"] {
        let named = [section(name, b"x")];
        assert_eq!(assemble(&stub(), &named), Err(UkiError::Name(name.into())));
    }
    let names: Vec<String> = (0..20).map(|index| format!(".s{index}")).collect();
    let many: Vec<_> = names.iter().map(|name| section(name, b"x")).collect();
    assert_eq!(assemble(&stub(), &many), Err(UkiError::NoRoom));
}

#[test]
fn a_truncated_or_invalid_uki_stub_is_refused() {
    let whole = stub();
    for len in 0..whole.len() {
        // Some lengths cut off nothing but zeros of the section; none may panic.
        let _ = assemble(&whole[..len], &[section(".linux", b"x")]);
    }
    assert_eq!(assemble(b"MZ", &[]), Err(UkiError::Stub));
    assert_eq!(assemble(&whole[..0x300], &[]), Err(UkiError::Stub));
}
