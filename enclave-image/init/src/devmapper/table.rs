//! The tables of a `verity` and of a `crypt` target, in the kernel's syntax (`Documentation/admin-guide/device-mapper`).

use crate::cmdline::Verity;

/// Sectors of 512 bytes in a block of 4096.
const SECTORS_PER_BLOCK: u64 = 8;

/// What a volume is encrypted with: AES-256 in XTS, which takes two keys of 32 bytes.
const CIPHER: &str = "aes-xts-plain64";
pub const KEY_LEN: usize = 64;

/// A table of one target that begins at sector 0. Its parameters may hold a key: they are wiped when it is dropped,
/// and `Debug` leaves them out.
pub struct Table {
    pub sectors: u64,
    pub target: &'static str,
    pub parameters: String,
}

impl Table {
    /// dm-verity version 1 without salt, data and tree on one device, the tree behind the data. A block that
    /// does not hash to what the tree says makes the kernel panic: a guest whose root is being changed under
    /// it should stop, not go on with read errors that a program might take for something else.
    pub fn verity(verity: &Verity, device: &str) -> Self {
        let Verity { root_hash, blocks } = verity;
        let digest = hex(root_hash);
        Self {
            sectors: blocks * SECTORS_PER_BLOCK,
            target: "verity",
            parameters: format!(
                "1 {device} {device} 4096 4096 {blocks} {blocks} sha256 {digest} - 1 panic_on_corruption"
            ),
        }
    }

    /// dm-crypt over the whole device, sector by sector. Blocks that are discarded are not passed on: the host
    /// would see which are free.
    pub fn crypt(key: &[u8; KEY_LEN], device: &str, sectors: u64) -> Self {
        // Long enough from the start: a text that grows leaves copies behind.
        let mut parameters = String::with_capacity(CIPHER.len() + 2 * KEY_LEN + device.len() + 8);
        parameters.push_str(CIPHER);
        parameters.push(' ');
        push_hex(&mut parameters, key);
        for word in [" 0 ", device, " 0"] {
            parameters.push_str(word);
        }
        Self {
            sectors,
            target: "crypt",
            parameters,
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.parameters).into_bytes();
        bytes.fill(0);
        std::hint::black_box(&mut bytes);
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            sectors, target, ..
        } = self;
        write!(f, "Table {{ {target}, {sectors} sectors }}")
    }
}

/// Lowercase hex.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    push_hex(&mut text, bytes);
    text
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        for half in [byte >> 4, byte & 15] {
            text.push(char::from(DIGITS[usize::from(half)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verity_table_has_the_parameters_of_the_contract() {
        let verity = Verity {
            root_hash: [0xab; 32],
            blocks: 1000,
        };
        let table = Table::verity(&verity, "254:16");
        assert_eq!(table.sectors, 8000);
        assert_eq!(table.target, "verity");
        let digest = "ab".repeat(32);
        assert_eq!(
            table.parameters,
            format!("1 254:16 254:16 4096 4096 1000 1000 sha256 {digest} - 1 panic_on_corruption")
        );
    }

    #[test]
    fn the_crypt_table_is_the_kernels_with_the_key_in_hex() {
        let mut key = [0x0f; KEY_LEN];
        key[63] = 0xa0;
        let table = Table::crypt(&key, "254:32", 131_072);
        assert_eq!((table.sectors, table.target), (131_072, "crypt"));
        let digits = format!("{}a0", "0f".repeat(63));
        assert_eq!(
            table.parameters,
            format!("aes-xts-plain64 {digits} 0 254:32 0")
        );
    }

    #[test]
    fn debug_hides_the_disk_key_and_its_buffer_was_never_reallocated() {
        let table = Table::crypt(&[0x5a; KEY_LEN], "254:32", 8);
        assert_eq!(format!("{table:?}"), "Table { crypt, 8 sectors }");
        let room = CIPHER.len() + 2 * KEY_LEN + "254:32".len() + 8;
        assert_eq!(table.parameters.capacity(), room);
        assert!(table.parameters.len() <= room);
    }
}
