//! The page of hashes: those of the kernel, initial file system and command line that the firmware accepts
//! from the host.
//!
//! QEMU writes a table of GUIDed entries (`target/i386/sev.c`): GUID, length (`u16`, its 18 bytes
//! included), then entries of the same form for command line, initial file system and kernel, each a
//! SHA-256; zeros up to a multiple of 16.

use crate::bytes::to_usize;
use crate::firmware::PAGE;
use crate::guid::Guid;
use crate::hash::sha256;

const TABLE: Guid = Guid::new(0x9438_d606, 0x4f22, 0x4cc9, 0xb479_a793_d411_fd21);
const KERNEL: Guid = Guid::new(0x4de7_9437, 0xabd2, 0x427f, 0xb835_d5b1_72d2_045b);
const INITRD: Guid = Guid::new(0x44ba_f731, 0x3a2f, 0x4bd7, 0x9af1_41e2_9169_781d);
const COMMAND_LINE: Guid = Guid::new(0x97d0_2dd8, 0xbd20, 0x4c94, 0xaa78_e771_4d36_ab2a);

const ENTRY_LEN: usize = 50;
const TABLE_LEN: usize = 18 + 3 * ENTRY_LEN;
const PADDED_LEN: usize = TABLE_LEN.next_multiple_of(16);

/// The hashes of the values of `-kernel`, `-initrd` and `-append`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelHashes {
    kernel: [u8; 32],
    initrd: [u8; 32],
    command_line: [u8; 32],
}

impl KernelHashes {
    /// `-kernel uki.efi` and nothing else: the image contains initial file system and command
    /// line, and the firmware refuses others from the host.
    pub fn from_uki(uki: &[u8]) -> Self {
        Self::from_parts(uki, &[], "")
    }

    /// `-kernel`, `-initrd` and `-append`, each empty if it is not given.
    pub fn from_parts(kernel: &[u8], initrd: &[u8], command_line: &str) -> Self {
        let terminated = [command_line.as_bytes(), b"\0"].concat();
        Self {
            kernel: sha256(kernel),
            initrd: sha256(initrd),
            command_line: sha256(&terminated),
        }
    }

    /// A page of zeros with the table at an offset; `None` if the table does not fit there.
    pub(super) fn page(&self, offset: u32) -> Option<[u8; PAGE]> {
        let mut page = [0; PAGE];
        let place = page.get_mut(to_usize(offset)..)?.get_mut(..PADDED_LEN)?;
        let table = self.table();
        place.get_mut(..table.len())?.copy_from_slice(&table);
        Some(page)
    }

    fn table(&self) -> Vec<u8> {
        let mut table = header(&TABLE, TABLE_LEN);
        for (guid, hash) in [
            (COMMAND_LINE, &self.command_line),
            (INITRD, &self.initrd),
            (KERNEL, &self.kernel),
        ] {
            table.extend_from_slice(&header(&guid, ENTRY_LEN));
            table.extend_from_slice(hash);
        }
        table
    }
}

fn header(guid: &Guid, len: usize) -> Vec<u8> {
    let len = u16::try_from(len).expect("the table has 168 bytes");
    [&guid.as_bytes()[..], &len.to_le_bytes()].concat()
}
