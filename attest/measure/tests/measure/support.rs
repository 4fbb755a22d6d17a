//! Firmware, PE images and logs made byte by byte, and hex.

use attest_core::{parse_hex, to_hex};
use attest_measure::Sha384;

pub const PAGE: usize = 4096;

pub fn digest(hex: &str) -> Sha384 {
    parse_hex(hex).expect("96 lowercase hex digits")
}

pub fn hex(bytes: &[u8]) -> String {
    to_hex(bytes)
}

/// A GUID as it is stored.
pub fn guid(text: &str) -> [u8; 16] {
    let bytes: [u8; 16] = parse_hex(&text.replace('-', "")).expect("a GUID");
    let b = bytes;
    [
        b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13],
        b[14], b[15],
    ]
}

/// An image of two variable pages and the rest code, with the structures that OVMF has.
pub struct FirmwareImage {
    pub pages: usize,
    /// Data offset, data length, address, length, type, attributes.
    pub tdvf: Vec<(u32, u32, u64, u64, u32, u32)>,
    /// Address, length, type.
    pub sev: Vec<(u32, u32, u32)>,
    pub hashes_at: u32,
    pub reset_address: u32,
    pub volume: Vec<u8>,
}

/// Where the firmware's temporary memory lies in dstack's and Debian's builds of OVMF.
pub const TEMPORARY: [(u64, u64, u32); 4] = [
    (0x81_0000, 0x1_0000, 3),
    (0x80_B000, 0x2000, 3),
    (0x80_9000, 0x2000, 2),
    (0x80_0000, 0x6000, 3),
];

impl Default for FirmwareImage {
    fn default() -> Self {
        let pages = 16;
        let volume = volume(&[]);
        let code_pages = u32::try_from(pages - 2).unwrap();
        let mut tdvf = vec![
            (
                0x2000,
                code_pages * 0x1000,
                0xFFFF_2000,
                u64::from(code_pages) * 0x1000,
                0,
                1,
            ),
            (0, 0x2000, 0xFFFF_0000, 0x2000, 1, 0),
        ];
        tdvf.extend(TEMPORARY.map(|(address, len, kind)| (0, 0, address, len, kind, 0)));
        Self {
            pages,
            tdvf,
            sev: vec![
                (0x80_0000, 0x9000, 1),
                (0x80_A000, 0x3000, 1),
                (0x80_D000, 0x1000, 2),
                (0x80_E000, 0x1000, 3),
                (0x80_F000, 0x1000, 4),
                (0x81_1000, 0xF000, 1),
                (0x81_0000, 0x1000, 0x10),
            ],
            hashes_at: 0x81_0C00,
            reset_address: 0x80_B004,
            volume,
        }
    }
}

impl FirmwareImage {
    pub fn build(&self) -> Vec<u8> {
        let len = self.pages * PAGE;
        let mut image: Vec<u8> = (0..len).map(|at| (at * 7 + at / 256) as u8).collect();
        image[..self.volume.len()].copy_from_slice(&self.volume);
        let tdvf = self.tdvf_metadata();
        let sev = self.sev_metadata();
        let tdvf_at = len - 0x800;
        let sev_at = len - 0x400;
        image[tdvf_at..tdvf_at + tdvf.len()].copy_from_slice(&tdvf);
        image[sev_at..sev_at + sev.len()].copy_from_slice(&sev);
        let mut table = Vec::new();
        entry(
            &mut table,
            "e47a6535-984a-4798-865e-4685a7bf8ec2",
            &0x800_u32.to_le_bytes(),
        );
        entry(
            &mut table,
            "dc886566-984a-4798-a75e-5585a7bf67cc",
            &0x400_u32.to_le_bytes(),
        );
        let hashes = [self.hashes_at.to_le_bytes(), 0x400_u32.to_le_bytes()].concat();
        entry(&mut table, "7255371f-3a3b-4b04-927b-1da6efa8d454", &hashes);
        let reset = self.reset_address.to_le_bytes();
        entry(&mut table, "00f771de-1a7e-4fcb-890e-68c77e2fb44e", &reset);
        let table_len = u16::try_from(table.len() + 18).unwrap();
        table.extend_from_slice(&table_len.to_le_bytes());
        table.extend_from_slice(&guid("96b582de-1fb2-45f7-baea-a366c55a082d"));
        let end = len - 32;
        image[end - table.len()..end].copy_from_slice(&table);
        image
    }

    fn tdvf_metadata(&self) -> Vec<u8> {
        let mut out = b"TDVF".to_vec();
        let count = u32::try_from(self.tdvf.len()).unwrap();
        for field in [16 + 32 * count, 1, count] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        for (offset, data, address, len, kind, attributes) in &self.tdvf {
            out.extend_from_slice(&offset.to_le_bytes());
            out.extend_from_slice(&data.to_le_bytes());
            out.extend_from_slice(&address.to_le_bytes());
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(&kind.to_le_bytes());
            out.extend_from_slice(&attributes.to_le_bytes());
        }
        out
    }

    fn sev_metadata(&self) -> Vec<u8> {
        let mut out = b"ASEV".to_vec();
        let count = u32::try_from(self.sev.len()).unwrap();
        for field in [16 + 12 * count, 1, count] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        for (address, len, kind) in &self.sev {
            for field in [address, len, kind] {
                out.extend_from_slice(&field.to_le_bytes());
            }
        }
        out
    }
}

fn entry(table: &mut Vec<u8>, name: &str, data: &[u8]) {
    table.extend_from_slice(data);
    let len = u16::try_from(data.len() + 18).unwrap();
    table.extend_from_slice(&len.to_le_bytes());
    table.extend_from_slice(&guid(name));
}

/// A configuration volume of two pages with these variables: vendor, name, value, state.
pub fn volume(variables: &[(&str, &str, &[u8], u8)]) -> Vec<u8> {
    let mut out = vec![0; 72];
    out[32..40].copy_from_slice(&0x2000_u64.to_le_bytes());
    out[40..44].copy_from_slice(b"_FVH");
    out[48..50].copy_from_slice(&72_u16.to_le_bytes());
    out.extend_from_slice(&guid("aaf32c78-947b-439a-a180-2e144ec37792"));
    out.extend_from_slice(&(0x2000_u32 - 72).to_le_bytes());
    out.extend_from_slice(&[0x5A, 0xFE, 0, 0, 0, 0, 0, 0]);
    for (vendor, name, value, state) in variables {
        let name: Vec<u8> = format!("{name}\0")
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        out.extend_from_slice(&0x55AA_u16.to_le_bytes());
        out.extend_from_slice(&[*state, 0]);
        out.extend_from_slice(&[0; 32]);
        out.extend_from_slice(&u32::try_from(name.len()).unwrap().to_le_bytes());
        out.extend_from_slice(&u32::try_from(value.len()).unwrap().to_le_bytes());
        out.extend_from_slice(&guid(vendor));
        out.extend_from_slice(&name);
        out.extend_from_slice(value);
        out.resize(out.len().next_multiple_of(4), 0xFF);
    }
    out.resize(0x2000, 0xFF);
    out
}

/// A 64-bit PE image with these sections: name, contents, length in memory.
pub fn pe(sections: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let mut file = vec![0; 0x400];
    file[..2].copy_from_slice(b"MZ");
    file[0x3C] = 0x40;
    file[0x40..0x44].copy_from_slice(b"PE\0\0");
    put(
        &mut file,
        0x46,
        &u16::try_from(sections.len()).unwrap().to_le_bytes(),
    );
    put(&mut file, 0x54, &240_u16.to_le_bytes());
    let optional = 0x58;
    put(&mut file, optional, &0x20B_u16.to_le_bytes());
    put(&mut file, optional + 32, &0x1000_u32.to_le_bytes());
    put(&mut file, optional + 36, &0x200_u32.to_le_bytes());
    put(&mut file, optional + 60, &0x400_u32.to_le_bytes());
    put(&mut file, optional + 64, &0xDEAD_BEEF_u32.to_le_bytes());
    put(&mut file, optional + 108, &16_u32.to_le_bytes());
    let mut address = 0x1000;
    for (index, (name, contents, len)) in sections.iter().enumerate() {
        let header = optional + 240 + 40 * index;
        let raw_len = contents.len().next_multiple_of(0x200);
        let offset = file.len();
        put(&mut file, header, name.as_bytes());
        put(&mut file, header + 8, &len.to_le_bytes());
        put(&mut file, header + 12, &u32::to_le_bytes(address));
        put(
            &mut file,
            header + 16,
            &u32::try_from(raw_len).unwrap().to_le_bytes(),
        );
        put(
            &mut file,
            header + 20,
            &u32::try_from(offset).unwrap().to_le_bytes(),
        );
        file.extend_from_slice(contents);
        file.resize(offset + raw_len, 0);
        address += len.next_multiple_of(0x1000);
    }
    file
}

pub fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

pub const COMMAND_LINE: &str = "console=ttyS0 panic=-1";

/// A UKI with a stub of this version, and a kernel that is a PE image.
pub fn uki(version: &str, command_line: &str, more: &[(&str, &[u8])]) -> Vec<u8> {
    let magic = format!("#### LoaderInfo: systemd-stub {version} ####");
    let kernel = pe(&[(".text", b"a kernel", 8)]);
    let mut sections = vec![
        (".text", &b"a stub"[..]),
        (".sdmagic", magic.as_bytes()),
        (".sbat", b"sbat,1\n"),
        (".cmdline", command_line.as_bytes()),
        (".initrd", b"an initial file system"),
        (".linux", &kernel),
    ];
    sections.extend(more);
    let with_len: Vec<_> = sections
        .into_iter()
        .map(|(name, bytes)| (name, bytes, u32::try_from(bytes.len()).unwrap()))
        .collect();
    pe(&with_len)
}

/// A crypto-agile log with SHA-256 and SHA-384 digests: register, type, SHA-384 digest, payload.
pub fn log(events: &[(u32, u32, Sha384, &[u8])]) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.extend_from_slice(&3_u32.to_le_bytes());
    out.extend_from_slice(&[0; 20]);
    let mut header = b"Spec ID Event03\0".to_vec();
    header.extend_from_slice(&[0, 0, 0, 0, 0, 2, 0, 2]);
    header.extend_from_slice(&2_u32.to_le_bytes());
    for (id, len) in [(0xB_u16, 32_u16), (0xC, 48)] {
        header.extend_from_slice(&id.to_le_bytes());
        header.extend_from_slice(&len.to_le_bytes());
    }
    header.push(0);
    out.extend_from_slice(&u32::try_from(header.len()).unwrap().to_le_bytes());
    out.extend_from_slice(&header);
    for (register, kind, digest, payload) in events {
        out.extend_from_slice(&register.to_le_bytes());
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&2_u32.to_le_bytes());
        out.extend_from_slice(&0xB_u16.to_le_bytes());
        out.extend_from_slice(&[0x11; 32]);
        out.extend_from_slice(&0xC_u16.to_le_bytes());
        out.extend_from_slice(digest);
        out.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        out.extend_from_slice(payload);
    }
    out
}
