//! The published files of a log: hash tiles and entry bundles (C2SP `tlog-tiles`).
//!
//! ```text
//! tile/<L>/<N>[.p/<W>]       up to 256 hashes of 32 bytes: the subtrees of height 8·L, from the N·256th on
//! tile/entries/<N>[.p/<W>]   up to 256 entries, each with its length before it as a big-endian u16
//! ```
//!
//! `<N>` is written in groups of three digits, all but the last with an `x` before them: 1234067 is
//! `x001/x234/067`. `.p/<W>` is there exactly if there are fewer than 256.

use super::tree::{Node, TreeHash};

/// Hashes in a tile, entries in a bundle.
pub const WIDTH: u64 = 256;

/// Levels of the tree between one level of tiles and the next.
const HEIGHT: u8 = 8;

/// One published file other than the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// What is in it.
    pub kind: Kind,
    /// Place among the files of this kind.
    pub index: u64,
    /// How many hashes or entries, 1 to 256.
    pub width: u16,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Hashes of subtrees of height 8 times this.
    Hashes(u8),
    /// Entries.
    Entries,
}

/// Why a file of a log cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// Not a path of this layout.
    #[error("not the path of a tile")]
    Path,
    /// A tile of hashes that is not as long as it is wide.
    #[error("{found} bytes are not {expected}")]
    Length {
        /// By its width.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// A bundle that ends within an entry, or holds more or fewer entries than its width.
    #[error("the bundle does not hold {width} whole entries")]
    Bundle {
        /// By its width.
        width: u16,
    },
}

impl Tile {
    /// The path below the log's prefix.
    ///
    /// ```
    /// use attest_core::log::tile::{Kind, Tile};
    /// let tile = Tile { kind: Kind::Entries, index: 1_234_067, width: 9 };
    /// assert_eq!(tile.path(), "tile/entries/x001/x234/067.p/9");
    /// assert_eq!(Tile::parse(&tile.path()), Ok(tile));
    /// ```
    pub fn path(&self) -> String {
        let level = match self.kind {
            Kind::Hashes(level) => level.to_string(),
            Kind::Entries => "entries".to_owned(),
        };
        let mut number = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            number = format!("x{:03}/{number}", rest % 1000);
            rest /= 1000;
        }
        if u64::from(self.width) == WIDTH {
            format!("tile/{level}/{number}")
        } else {
            format!("tile/{level}/{number}.p/{}", self.width)
        }
    }

    /// Reads a path, in its one spelling.
    pub fn parse(path: &str) -> Result<Self, TileError> {
        let rest = path.strip_prefix("tile/").ok_or(TileError::Path)?;
        let (level, rest) = rest.split_once('/').ok_or(TileError::Path)?;
        let kind = match level {
            "entries" => Kind::Entries,
            level => Kind::Hashes(level.parse().map_err(|_| TileError::Path)?),
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, width.parse().map_err(|_| TileError::Path)?),
            None => (rest, 256),
        };
        let mut index: u64 = 0;
        for group in number.split('/') {
            let digits = group.strip_prefix('x').unwrap_or(group);
            let digits: u64 = digits.parse().map_err(|_| TileError::Path)?;
            index = index
                .checked_mul(1000)
                .and_then(|index| index.checked_add(digits))
                .ok_or(TileError::Path)?;
        }
        let tile = Self { kind, index, width };
        let known = (1..=256).contains(&width) && !matches!(kind, Kind::Hashes(64..));
        // One path has one spelling: leading zeros, signs and missing groups show here.
        if known && tile.path() == path {
            Ok(tile)
        } else {
            Err(TileError::Path)
        }
    }

    /// The first and one past the last thing in it, counted in things of its kind.
    pub fn range(&self) -> Option<std::ops::Range<u64>> {
        let start = self.index.checked_mul(WIDTH)?;
        Some(start..start.checked_add(u64::from(self.width))?)
    }

    /// The height of the subtrees whose hashes are in it; 0 for entries.
    pub fn tree_level(&self) -> u8 {
        match self.kind {
            Kind::Hashes(level) => level.saturating_mul(HEIGHT),
            Kind::Entries => 0,
        }
    }

    /// Whether a tree of `size` leaves has this file, in full or as its last part so far.
    pub fn exists_in(&self, size: u64) -> bool {
        let things = size.checked_shr(self.tree_level().into()).unwrap_or(0);
        self.range().is_some_and(|range| range.end <= things)
    }

    /// The hashes in a file of hashes.
    pub fn hashes(&self, bytes: &[u8]) -> Result<Vec<TreeHash>, TileError> {
        let expected = usize::from(self.width) * 32;
        if bytes.len() != expected {
            return Err(TileError::Length {
                expected,
                found: bytes.len(),
            });
        }
        let (hashes, _) = bytes.as_chunks();
        Ok(hashes.iter().copied().map(TreeHash::from_bytes).collect())
    }

    /// The entries in a bundle.
    pub fn entries<'a>(&self, bytes: &'a [u8]) -> Result<Vec<&'a [u8]>, TileError> {
        let wrong = TileError::Bundle { width: self.width };
        let mut entries = Vec::with_capacity(self.width.into());
        let mut rest = bytes;
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            let (entry, after) = after.split_at_checked(length).ok_or(wrong)?;
            entries.push(entry);
            rest = after;
        }
        if rest.is_empty() && entries.len() == usize::from(self.width) {
            Ok(entries)
        } else {
            Err(wrong)
        }
    }
}

/// The bundles of a tree of `size` leaves, in order. A claimed size may be anything: take them one by one.
pub fn bundles(size: u64) -> impl Iterator<Item = Tile> {
    of_kind(Kind::Entries, size)
}

/// The tiles of hashes of a tree of `size` leaves, level by level.
pub fn hash_tiles(size: u64) -> impl Iterator<Item = Tile> {
    let levels = (0..8).take_while(move |level| size >> (u32::from(HEIGHT) * level) > 0);
    levels.flat_map(move |level| {
        of_kind(
            Kind::Hashes(level as u8),
            size >> (u32::from(HEIGHT) * level),
        )
    })
}

fn of_kind(kind: Kind, things: u64) -> impl Iterator<Item = Tile> {
    let full = (0..things / WIDTH).map(move |index| Tile {
        kind,
        index,
        width: 256,
    });
    let partial = (!things.is_multiple_of(WIDTH)).then_some(Tile {
        kind,
        index: things / WIDTH,
        width: (things % WIDTH) as u16,
    });
    full.chain(partial)
}

/// Puts a growing tree's hashes into the files they are published in.
#[derive(Clone, Debug, Default)]
pub struct Tiler {
    /// The tile that is being filled, level by level.
    open: Vec<(u64, Vec<u8>)>,
}

impl Tiler {
    /// Takes a subtree that the tree has just completed, and gives the tile that it fills, if it does.
    pub fn push(&mut self, node: Node, hash: &TreeHash) -> Option<(Tile, Vec<u8>)> {
        if !node.level.is_multiple_of(HEIGHT) {
            return None;
        }
        let level = node.level / HEIGHT;
        if usize::from(level) >= self.open.len() {
            self.open.push((0, Vec::new()));
        }
        let (index, bytes) = self.open.get_mut(usize::from(level))?;
        bytes.extend_from_slice(hash.as_bytes());
        if bytes.len() as u64 != WIDTH * 32 {
            return None;
        }
        let tile = Tile {
            kind: Kind::Hashes(level),
            index: *index,
            width: 256,
        };
        *index += 1;
        Some((tile, std::mem::take(bytes)))
    }

    /// The tiles that are not full.
    pub fn partial(&self) -> impl Iterator<Item = (Tile, &[u8])> {
        let open = self.open.iter().zip(0..);
        open.filter(|((_, bytes), _)| !bytes.is_empty())
            .map(|((index, bytes), level)| {
                let tile = Tile {
                    kind: Kind::Hashes(level),
                    index: *index,
                    width: (bytes.len() / 32) as u16,
                };
                (tile, bytes.as_slice())
            })
    }
}

/// A bundle of these entries. Each must be at most 65535 bytes long; a longer one is cut off with
/// everything after it, which no reader takes for whole.
pub fn bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let Ok(length) = u16::try_from(entry.len()) else {
            return bytes;
        };
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    bytes
}
