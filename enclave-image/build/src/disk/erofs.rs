//! Writes an uncompressed erofs (Linux, `fs/erofs/erofs_fs.h`).
//!
//! Blocks of 4096 bytes: the superblock at byte 1024 and the inodes after it, then directories and files one after
//! the other, each from a block boundary on. No compression, no extended attributes, no time but zero, no identifier.
//! Everything belongs to root. The length is a whole number of blocks, and unused bytes are zero.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};

use super::tree::{Contents, Kind, Tree};

const BLOCK: u64 = 4096;
const SUPERBLOCK_AT: u64 = 1024;
const SUPERBLOCK_LEN: u64 = 128;
const MAGIC: u32 = 0xE0F5_E1E2;
/// Inodes are numbered by their place, in units of 32 bytes.
const SLOT: u64 = 32;
/// All are of the long form, which has room for any length.
const INODE_LEN: u64 = 64;
const FIRST_INODE_AT: u64 = SUPERBLOCK_AT + SUPERBLOCK_LEN;
/// Long form, contents in separate blocks.
const FORMAT: u16 = 1;
const DIRENT_LEN: usize = 12;

/// Why a tree cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ErofsError {
    #[error("{0} is a device; there is a file system for those in the guest")]
    Device(String),
    #[error("a name in {0} is longer than 255 bytes")]
    Name(String),
    #[error("the file system has more than 2³² blocks")]
    TooLarge,
    #[error("{path} has changed its length while it was read")]
    Changed { path: String },
    #[error("{path}: {error}")]
    Io { path: String, error: io::Error },
}

/// Where an entry's inode and contents lie.
struct Place {
    inode: u64,
    block: u64,
    len: u64,
}

/// Writes a tree as a file system.
pub fn write(tree: &Tree, out: &mut dyn Write) -> Result<(), ErofsError> {
    let layout = Layout::of(tree)?;
    let mut sink = Sink { out, at: 0 };
    sink.zeros(SUPERBLOCK_AT)?;
    sink.bytes(&layout.superblock(tree)?)?;
    for (path, node) in tree.iter() {
        sink.bytes(&layout.inode(tree, path, &node.kind, node.mode)?)?;
    }
    sink.fill_block()?;
    for (path, node) in tree.iter() {
        match &node.kind {
            Kind::Directory => sink.bytes(&layout.directory(tree, path)?)?,
            Kind::File(Contents::Bytes(bytes)) => sink.bytes(bytes)?,
            Kind::File(Contents::OnDisk { path: file, len }) => sink.file(file, *len)?,
            Kind::Link(target) => sink.bytes(target.as_bytes())?,
            Kind::CharacterDevice { .. } => return Err(ErofsError::Device(path.to_owned())),
        }
        sink.fill_block()?;
    }
    Ok(())
}

struct Layout {
    places: BTreeMap<String, Place>,
    blocks: u64,
}

impl Layout {
    fn of(tree: &Tree) -> Result<Self, ErofsError> {
        let inodes_end = FIRST_INODE_AT + INODE_LEN * tree.len() as u64;
        let mut block = inodes_end.div_ceil(BLOCK);
        let mut inode = FIRST_INODE_AT;
        let mut places = BTreeMap::new();
        for (path, node) in tree.iter() {
            let len = match &node.kind {
                Kind::Directory => directory_len(tree, path)?,
                Kind::File(contents) => contents.len(),
                Kind::Link(target) => target.len() as u64,
                Kind::CharacterDevice { .. } => return Err(ErofsError::Device(path.to_owned())),
            };
            places.insert(path.to_owned(), Place { inode, block, len });
            block += len.div_ceil(BLOCK);
            inode += INODE_LEN;
        }
        if u32::try_from(block).is_err() {
            return Err(ErofsError::TooLarge);
        }
        Ok(Self {
            places,
            blocks: block,
        })
    }

    fn number(&self, path: &str) -> u64 {
        self.places[path].inode / SLOT
    }

    fn superblock(&self, tree: &Tree) -> Result<Vec<u8>, ErofsError> {
        let mut block = vec![0; SUPERBLOCK_LEN as usize];
        put(&mut block, 0, &MAGIC.to_le_bytes());
        put(&mut block, 12, &[BLOCK.trailing_zeros() as u8]);
        let root = u16::try_from(self.number("/")).map_err(|_| ErofsError::TooLarge)?;
        put(&mut block, 14, &root.to_le_bytes());
        put(&mut block, 16, &(tree.len() as u64).to_le_bytes());
        let blocks = u32::try_from(self.blocks).map_err(|_| ErofsError::TooLarge)?;
        put(&mut block, 36, &blocks.to_le_bytes());
        Ok(block)
    }

    /// `struct erofs_inode_extended`.
    fn inode(
        &self,
        tree: &Tree,
        path: &str,
        kind: &Kind,
        mode: u16,
    ) -> Result<Vec<u8>, ErofsError> {
        let place = &self.places[path];
        let (kind_bits, links) = match kind {
            Kind::Directory => (0o040_000, 2 + directories_in(tree, path)),
            Kind::File(_) => (0o100_000, 1),
            Kind::Link(_) => (0o120_000, 1),
            Kind::CharacterDevice { .. } => return Err(ErofsError::Device(path.to_owned())),
        };
        let first = u32::try_from(place.block).map_err(|_| ErofsError::TooLarge)?;
        let number = u32::try_from(place.inode / SLOT).map_err(|_| ErofsError::TooLarge)?;
        let mut inode = vec![0; INODE_LEN as usize];
        put(&mut inode, 0, &FORMAT.to_le_bytes());
        put(&mut inode, 4, &(kind_bits | mode).to_le_bytes());
        put(&mut inode, 8, &place.len.to_le_bytes());
        put(&mut inode, 16, &first.to_le_bytes());
        put(&mut inode, 20, &number.to_le_bytes());
        put(&mut inode, 44, &links.to_le_bytes());
        Ok(inode)
    }

    fn directory(&self, tree: &Tree, path: &str) -> Result<Vec<u8>, ErofsError> {
        let mut out = Vec::new();
        for block in entry_blocks(tree, path)? {
            out.resize(out.len().next_multiple_of(BLOCK as usize), 0);
            let mut name_at = block.len() * DIRENT_LEN;
            for entry in &block {
                out.extend_from_slice(&self.number(entry.target).to_le_bytes());
                // Below 4096, since the block is not longer.
                out.extend_from_slice(&(name_at as u16).to_le_bytes());
                out.extend_from_slice(&[entry.kind, 0]);
                name_at += entry.name.len();
            }
            for entry in &block {
                out.extend_from_slice(entry.name.as_bytes());
            }
        }
        Ok(out)
    }
}

/// One name in a directory.
struct Entry<'a> {
    name: &'a str,
    target: &'a str,
    /// As in `d_type`, erofs' own numbers.
    kind: u8,
}

/// A directory's entries in byte order, with `.` and `..`, as many to a block as fit.
fn entry_blocks<'a>(tree: &'a Tree, path: &'a str) -> Result<Vec<Vec<Entry<'a>>>, ErofsError> {
    let mut entries = vec![
        Entry {
            name: ".",
            target: path,
            kind: 2,
        },
        Entry {
            name: "..",
            target: parent(path),
            kind: 2,
        },
    ];
    for (name, target) in tree.children(path) {
        if name.len() > 255 {
            return Err(ErofsError::Name(path.to_owned()));
        }
        let kind = match tree.get(target).map(|node| &node.kind) {
            Some(Kind::Directory) => 2,
            Some(Kind::Link(_)) => 7,
            _ => 1,
        };
        entries.push(Entry { name, target, kind });
    }
    entries.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    let mut blocks: Vec<Vec<Entry<'a>>> = vec![Vec::new()];
    let mut used = 0;
    for entry in entries {
        let len = DIRENT_LEN + entry.name.len();
        if used + len > BLOCK as usize {
            blocks.push(Vec::new());
            used = 0;
        }
        used += len;
        if let Some(last) = blocks.last_mut() {
            last.push(entry);
        }
    }
    Ok(blocks)
}

fn directory_len(tree: &Tree, path: &str) -> Result<u64, ErofsError> {
    let blocks = entry_blocks(tree, path)?;
    let last = blocks.last().map_or(0, |block| {
        block
            .iter()
            .map(|entry| DIRENT_LEN + entry.name.len())
            .sum()
    });
    Ok((blocks.len() as u64 - 1) * BLOCK + last as u64)
}

fn directories_in(tree: &Tree, path: &str) -> u32 {
    let of_kind = tree.children(path).filter(|(_, child)| {
        tree.get(child)
            .is_some_and(|node| node.kind == Kind::Directory)
    });
    u32::try_from(of_kind.count()).unwrap_or(u32::MAX)
}

fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(end) => &path[..end],
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

struct Sink<'a> {
    out: &'a mut dyn Write,
    at: u64,
}

impl Sink<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), ErofsError> {
        self.out.write_all(bytes).map_err(|error| ErofsError::Io {
            path: "the image".into(),
            error,
        })?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> Result<(), ErofsError> {
        self.bytes(&vec![0; len as usize])
    }

    fn fill_block(&mut self) -> Result<(), ErofsError> {
        self.zeros(self.at.next_multiple_of(BLOCK) - self.at)
    }

    fn file(&mut self, path: &std::path::Path, len: u64) -> Result<(), ErofsError> {
        let name = path.display().to_string();
        let io = |error| ErofsError::Io {
            path: name.clone(),
            error,
        };
        let mut file = File::open(path).map_err(io)?;
        let mut left = len;
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = file.read(&mut buffer).map_err(io)?;
            if read == 0 {
                break;
            }
            left = left
                .checked_sub(read as u64)
                .ok_or_else(|| ErofsError::Changed { path: name.clone() })?;
            self.bytes(&buffer[..read])?;
        }
        if left > 0 {
            return Err(ErofsError::Changed { path: name });
        }
        Ok(())
    }
}
