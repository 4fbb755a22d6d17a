//! Writes a new, empty file system to a disk: ext2, revision 1, which the kernel's ext4 driver mounts.
//!
//! It is made at every boot and never used after it, so features for durability are left out: no journal, no copies of
//! the superblock, no times. Its bytes depend on the disk's size and the owner only. Little-endian, blocks of
//! 4096 bytes, groups of 32768 blocks with 2048 inodes of 256 bytes each (`Documentation/filesystems/ext4`).
//!
//! | block of group 0 | what |
//! |---|---|
//! | 0 | 1024 zeros, the superblock |
//! | 1 .. | descriptors of all groups, 32 bytes each |
//! | next | bitmap of blocks, bitmap of inodes, 128 blocks of inodes |
//! | next | the root directory |
//!
//! The other groups begin with their bitmaps and inodes. On a disk that is read through a new key every block that
//! was not written holds noise, so tables of inodes are written too: half a MiB for each 128 MiB.

use std::io::{self, Seek, SeekFrom, Write};

use crate::mounts::Owner;

pub const BLOCK: usize = 4096;
const BLOCKS_PER_GROUP: u64 = 32_768;
const INODES_PER_GROUP: u64 = 2048;
const INODE_LEN: usize = 256;
const TABLE_BLOCKS: u64 = INODES_PER_GROUP * INODE_LEN as u64 / BLOCK as u64;
const DESCRIPTOR_LEN: usize = 32;
/// A rest with less room than this behind its inodes is left unused.
const LEAST_ROOM: u64 = 64;

/// Numbers 1 to 10 are not for files; 2 is the root directory.
const RESERVED_INODES: u64 = 10;
const ROOT_INODE: u32 = 2;

/// 64 MiB.
pub const LEAST_BYTES: u64 = 64 << 20;
/// 1 TiB: at this size 4 GiB of inodes are written before anything starts.
pub const MOST_BYTES: u64 = 1 << 40;

const DIRECTORY: u16 = 0o040_000;
const SPARSE_SUPER_2: u32 = 0x200;
const FILE_TYPE: u32 = 2;
const LARGE_FILE: u32 = 2;
/// A file system that contradicts itself stops the machine.
const PANIC_ON_ERRORS: u16 = 3;
/// Not used to find the disk: there is only one state disk.
const UUID: &[u8; 16] = b"sealgate state 1";

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the disk has {bytes} bytes, and a state disk has {LEAST_BYTES} to {MOST_BYTES}")]
pub struct SizeError {
    pub bytes: u64,
}

/// Where everything lies on a disk of some size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Of 4096 bytes; what is left of the disk is not used.
    pub blocks: u64,
    groups: u64,
}

impl Layout {
    pub fn of(bytes: u64) -> Result<Self, SizeError> {
        if !(LEAST_BYTES..=MOST_BYTES).contains(&bytes) {
            return Err(SizeError { bytes });
        }
        let blocks = bytes / BLOCK as u64;
        let rest = blocks % BLOCKS_PER_GROUP;
        let unused = if rest < 2 + TABLE_BLOCKS + LEAST_ROOM {
            rest
        } else {
            0
        };
        let blocks = blocks - unused;
        Ok(Self {
            blocks,
            groups: blocks.div_ceil(BLOCKS_PER_GROUP),
        })
    }

    fn descriptor_blocks(self) -> u64 {
        (self.groups * DESCRIPTOR_LEN as u64).div_ceil(BLOCK as u64)
    }

    fn group(self, index: u64) -> Group {
        let start = index * BLOCKS_PER_GROUP;
        let before_bitmaps = match index {
            0 => 1 + self.descriptor_blocks(),
            _ => 0,
        };
        let root = u64::from(index == 0);
        Group {
            start,
            blocks: BLOCKS_PER_GROUP.min(self.blocks - start),
            bitmaps: start + before_bitmaps,
            used_blocks: before_bitmaps + 2 + TABLE_BLOCKS + root,
            used_inodes: root * RESERVED_INODES,
            directories: root,
        }
    }

    fn all_groups(self) -> impl Iterator<Item = Group> {
        (0..self.groups).map(move |index| self.group(index))
    }

    fn root_directory(self) -> u64 {
        self.group(0).table() + TABLE_BLOCKS
    }
}

struct Group {
    start: u64,
    blocks: u64,
    /// The bitmap of blocks; that of inodes and the inodes follow.
    bitmaps: u64,
    /// All of them at the group's beginning.
    used_blocks: u64,
    used_inodes: u64,
    directories: u64,
}

impl Group {
    fn table(&self) -> u64 {
        self.bitmaps + 2
    }
}

/// Writes the whole file system, its root directory empty, owned by `owner` and with mode 0700.
pub fn write(layout: Layout, owner: Owner, disk: &mut (impl Write + Seek)) -> io::Result<()> {
    at(disk, 0)?;
    disk.write_all(&superblock(layout))?;
    disk.write_all(&descriptors(layout))?;
    let no_inodes = vec![0; TABLE_BLOCKS as usize * BLOCK];
    for group in layout.all_groups() {
        at(disk, group.bitmaps)?;
        disk.write_all(&bitmap(group.used_blocks, group.blocks))?;
        disk.write_all(&bitmap(group.used_inodes, INODES_PER_GROUP))?;
        if group.start == 0 {
            let mut inodes = no_inodes.clone();
            put_root_inode(&mut inodes, layout, owner);
            disk.write_all(&inodes)?;
            disk.write_all(&root_directory())?;
        } else {
            disk.write_all(&no_inodes)?;
        }
    }
    disk.flush()
}

fn at(disk: &mut impl Seek, block: u64) -> io::Result<()> {
    disk.seek(SeekFrom::Start(block * BLOCK as u64)).map(drop)
}

/// Block 0.
fn superblock(layout: Layout) -> Vec<u8> {
    let inodes = layout.groups * INODES_PER_GROUP;
    let used_blocks: u64 = layout.all_groups().map(|group| group.used_blocks).sum();
    let mut block = vec![0; BLOCK];
    let bytes = &mut block[1024..2048];
    put32(bytes, 0, inodes as u32);
    put32(bytes, 4, layout.blocks as u32);
    put32(bytes, 12, (layout.blocks - used_blocks) as u32);
    put32(bytes, 16, (inodes - RESERVED_INODES) as u32);
    // Sizes of blocks and of clusters: 1024 shifted left by this.
    put32(bytes, 24, 2);
    put32(bytes, 28, 2);
    put32(bytes, 32, BLOCKS_PER_GROUP as u32);
    put32(bytes, 36, BLOCKS_PER_GROUP as u32);
    put32(bytes, 40, INODES_PER_GROUP as u32);
    // Never to be checked for having been mounted often.
    put16(bytes, 54, u16::MAX);
    put16(bytes, 56, 0xef53);
    // Clean.
    put16(bytes, 58, 1);
    put16(bytes, 60, PANIC_ON_ERRORS);
    // Revision 1: the fields below count.
    put32(bytes, 76, 1);
    put32(bytes, 84, RESERVED_INODES as u32 + 1);
    put16(bytes, 88, INODE_LEN as u16);
    // Copies of the superblock are where two fields at 588 say: nowhere.
    put32(bytes, 92, SPARSE_SUPER_2);
    put32(bytes, 96, FILE_TYPE);
    put32(bytes, 100, LARGE_FILE);
    bytes[104..120].copy_from_slice(UUID);
    // Bytes that inodes use beyond the first 128, for times after 2038.
    put16(bytes, 348, 32);
    put16(bytes, 350, 32);
    block
}

fn descriptors(layout: Layout) -> Vec<u8> {
    let mut blocks = vec![0; layout.descriptor_blocks() as usize * BLOCK];
    for (group, bytes) in layout
        .all_groups()
        .zip(blocks.chunks_exact_mut(DESCRIPTOR_LEN))
    {
        put32(bytes, 0, group.bitmaps as u32);
        put32(bytes, 4, group.bitmaps as u32 + 1);
        put32(bytes, 8, group.table() as u32);
        put16(bytes, 12, (group.blocks - group.used_blocks) as u16);
        put16(bytes, 14, (INODES_PER_GROUP - group.used_inodes) as u16);
        put16(bytes, 16, group.directories as u16);
    }
    blocks
}

/// A block of bits: the first `used` are set, and those of what does not exist, from `len` on.
fn bitmap(used: u64, len: u64) -> Vec<u8> {
    let mut bytes = vec![0; BLOCK];
    for bit in (0..used).chain(len..BLOCK as u64 * 8) {
        bytes[(bit / 8) as usize] |= 1 << (bit % 8);
    }
    bytes
}

fn put_root_inode(table: &mut [u8], layout: Layout, owner: Owner) {
    let bytes = &mut table[(ROOT_INODE as usize - 1) * INODE_LEN..][..INODE_LEN];
    put16(bytes, 0, DIRECTORY | 0o700);
    put16(bytes, 2, owner.user as u16);
    put32(bytes, 4, BLOCK as u32);
    put16(bytes, 24, owner.group as u16);
    // Links: its own name and `.`.
    put16(bytes, 26, 2);
    // In units of 512 bytes.
    put32(bytes, 28, (BLOCK / 512) as u32);
    put32(bytes, 40, layout.root_directory() as u32);
    put16(bytes, 120, (owner.user >> 16) as u16);
    put16(bytes, 122, (owner.group >> 16) as u16);
    put16(bytes, 128, 32);
}

/// `.` and `..`, both itself: number, length of the entry, length of the name, 2 for a directory, name.
fn root_directory() -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    let second = 12;
    for (at, len, name) in [(0, second, &b"."[..]), (second, BLOCK - second, &b".."[..])] {
        put32(&mut block, at, ROOT_INODE);
        put16(&mut block, at + 4, len as u16);
        block[at + 6] = name.len() as u8;
        block[at + 7] = 2;
        block[at + 8..at + 8 + name.len()].copy_from_slice(name);
    }
    block
}

fn put16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn sizes_outside_of_the_bounds_are_refused_by_the_number() {
        for bytes in [0, LEAST_BYTES - 1, MOST_BYTES + 1, u64::MAX] {
            assert_eq!(Layout::of(bytes), Err(SizeError { bytes }));
        }
        assert_eq!(Layout::of(LEAST_BYTES).map(|layout| layout.groups), Ok(1));
        assert_eq!(Layout::of(MOST_BYTES).map(|layout| layout.groups), Ok(8192));
    }

    #[test]
    fn space_too_small_for_a_block_group_is_left_unused() {
        let layout = |bytes| Layout::of(bytes).expect("within the bounds");
        assert_eq!(layout(128 * MIB), layout(128 * MIB + 4095));
        assert_eq!(
            layout(128 * MIB).blocks,
            layout(128 * MIB + 512 * 1024).blocks
        );
        let more = layout(129 * MIB);
        assert_eq!((more.groups, more.blocks), (2, 129 * 256));
    }

    #[test]
    fn used_blocks_fit_into_their_group_at_every_disk_size() {
        for mib in 64..2048 {
            for odd in [0, 1, 777 * 512] {
                let layout = Layout::of(mib * MIB + odd).expect("within the bounds");
                for group in layout.all_groups() {
                    assert!(group.used_blocks + LEAST_ROOM <= group.blocks, "{mib} MiB");
                }
                let blocks: u64 = layout.all_groups().map(|group| group.blocks).sum();
                assert_eq!(blocks, layout.blocks);
            }
        }
        let layout = Layout::of(MOST_BYTES).expect("within the bounds");
        assert!(layout.group(0).used_blocks < BLOCKS_PER_GROUP);
        assert!(u32::try_from(layout.blocks).is_ok());
    }

    #[test]
    fn a_bitmap_marks_used_blocks_and_those_beyond_the_end() {
        let bits = bitmap(10, 2048);
        assert_eq!((bits[0], bits[1], bits[2]), (0xff, 0x03, 0));
        assert_eq!((bits[255], bits[256], bits[4095]), (0, 0xff, 0xff));
        assert!(bitmap(0, BLOCK as u64 * 8).iter().all(|byte| *byte == 0));
    }
}
