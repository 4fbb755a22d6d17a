//! Targets as the kernel's documentation words them (`Documentation/admin-guide/device-mapper`).

use std::fmt::Write;

use crate::cmdline::Verity;

/// Sectors of 512 bytes in a block of 4096.
const SECTORS_PER_BLOCK: u64 = 8;

/// A table of one target that begins at sector 0.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// Lowercase hex.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verity_table_is_the_contracts() {
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
}
