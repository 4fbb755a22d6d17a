//! The last heads of the audit log that each ended epoch signed, as files `heads/SIZE` in the state directory.
//!
//! A receipt that was not signed while its epoch existed is proven by the log, under a head of that epoch's key. The key
//! is erased and signs no further head, so its last one is stored before the next epoch begins. Heads are public.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use attest_core::log::SignedHead;

const FOLDER: &str = "heads";
/// The oldest heads are removed beyond this number.
const MAX_HEADS: usize = 1000;
/// The longest head that is read.
const MAX_BYTES: u64 = 4096;

/// The stored heads of a state directory.
pub struct EndedHeads {
    folder: PathBuf,
    /// How many are kept.
    max: usize,
}

impl EndedHeads {
    pub fn in_directory(state_dir: &Path) -> Self {
        Self {
            folder: state_dir.join(FOLDER),
            max: MAX_HEADS,
        }
    }

    /// Stores a head, and removes the oldest ones. It is on the disk when this returns.
    pub fn store(&self, head: &SignedHead) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        let file = self.folder.join(head.claimed().size.to_string());
        if !file.exists() {
            let new = self.folder.join("new");
            fs::write(&new, head.note())?;
            fs::File::open(&new)?.sync_all()?;
            fs::rename(&new, &file)?;
            // The new name, too: without it a power failure loses the file.
            fs::File::open(&self.folder)?.sync_all()?;
        }
        let sizes = self.sizes()?;
        for size in sizes.iter().rev().skip(self.max) {
            fs::remove_file(self.folder.join(size.to_string()))?;
        }
        Ok(())
    }

    /// The head of the epoch that entered what is at this index, if that epoch has ended.
    pub fn covering(&self, index: u64) -> Option<SignedHead> {
        let size = self.sizes().ok()?.into_iter().find(|size| *size > index)?;
        let file = self.folder.join(size.to_string());
        let fits = fs::metadata(&file).ok()?.len() <= MAX_BYTES;
        let note = fs::read(&file).ok().filter(|_| fits)?;
        SignedHead::parse(&note).ok()
    }

    /// The sizes of the stored heads, in order.
    fn sizes(&self) -> io::Result<Vec<u64>> {
        let mut sizes = Vec::new();
        let files = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(sizes),
            files => files?,
        };
        for file in files {
            let name = file?.file_name();
            sizes.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        sizes.sort_unstable();
        Ok(sizes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use attest_core::SigningKey;
    use attest_core::log::{Checkpoint, Origin, tree};

    fn head(size: u64) -> SignedHead {
        let key = SigningKey::from_seed("receipt-1", &[1; 32]).expect("a key");
        let checkpoint = Checkpoint {
            origin: Origin::from_bytes([2; 16]),
            size,
            root: tree::leaf(&size.to_be_bytes()),
        };
        checkpoint.sign(&key)
    }

    #[test]
    fn finds_the_first_head_that_includes_an_entry() {
        let directory = std::env::temp_dir().join(format!("ended-heads-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir(&directory).expect("a directory");
        let heads = EndedHeads {
            max: 5,
            ..EndedHeads::in_directory(&directory)
        };
        assert!(heads.covering(0).is_none(), "there is none yet");
        for size in [9, 4, 100] {
            heads.store(&head(size)).expect("stored");
        }
        let found = |index| heads.covering(index).map(|head| head.claimed().size);
        assert_eq!(found(3), Some(4));
        assert_eq!(found(4), Some(9), "the head of 4 entries ends before it");
        assert_eq!(found(99), Some(100));
        assert_eq!(found(100), None, "it belongs to no ended epoch");
        for size in 200..205 {
            heads.store(&head(size)).expect("stored");
        }
        assert_eq!(heads.sizes().expect("listed").len(), 5);
        assert_eq!(found(3), Some(200), "the oldest were removed");
        fs::remove_dir_all(&directory).expect("removed");
    }
}
