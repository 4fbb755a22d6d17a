//! Cache files, trusted as little as the network: a file is bounded, must have the digest that its header
//! states, the key that was looked up, and a time that has not expired, and must parse. Otherwise it counts as absent.
//!
//! A file is one line of JSON that describes it, then the collateral. It is written under a temporary name
//! and renamed, so readers see one whole file or the other, even with several writers.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use attest_core::{Collateral, MAX_COLLATERAL_LEN, Sha256Digest, UnixTime};

const MAX_HEADER: usize = 1 << 10;
/// With more files than this, the oldest are removed.
const MAX_FILES: usize = 128;
const SUFFIX: &str = ".collateral";

/// Makes temporary names unique among the threads of this process; the process id does so among processes.
static TEMPORARY: AtomicU64 = AtomicU64::new(0);

/// Which request a file answers.
#[derive(Clone, Debug)]
pub(super) struct Key(String);

impl Key {
    pub(super) fn new(kind: &str, request: &[u8]) -> Self {
        Self(format!("{kind}-{}", Sha256Digest::hash(request).to_hex()))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    key: String,
    fetched_at: u64,
    good_until: u64,
    sha256: String,
}

#[derive(Clone, Debug)]
pub(super) struct Disk {
    dir: PathBuf,
}

impl Disk {
    pub(super) fn open(dir: PathBuf) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        Ok(Self { dir })
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.dir.join(format!("{}{SUFFIX}", key.0))
    }

    /// The collateral and when it was fetched.
    pub(super) fn read(&self, key: &Key, now: UnixTime) -> Option<(Collateral, UnixTime)> {
        let limit = MAX_HEADER + MAX_COLLATERAL_LEN;
        let mut bytes = Vec::new();
        fs::File::open(self.path(key))
            .ok()?
            .take(u64::try_from(limit).ok()? + 1)
            .read_to_end(&mut bytes)
            .ok()?;
        let end = bytes.iter().take(MAX_HEADER).position(|it| *it == b'\n')?;
        let (header, body) = (bytes.get(..end)?, bytes.get(end + 1..)?);
        let header: Header = serde_json::from_slice(header).ok()?;
        let in_time = header.fetched_at <= now.secs() && now.secs() < header.good_until;
        // The digest detects damage, not forgery: what is read is verified like an answer of the network.
        let intact = header.key == key.0 && header.sha256 == Sha256Digest::hash(body).to_hex();
        match in_time && intact {
            true => Some((
                Collateral::parse(body).ok()?,
                UnixTime::from_secs(header.fetched_at),
            )),
            false => None,
        }
    }

    pub(super) fn write(
        &self,
        key: &Key,
        collateral: &Collateral,
        now: UnixTime,
        good_until: UnixTime,
    ) -> io::Result<()> {
        let body = collateral.to_value().to_string();
        if body.len() > MAX_COLLATERAL_LEN {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let header = serde_json::to_string(&Header {
            key: key.0.clone(),
            fetched_at: now.secs(),
            good_until: good_until.secs(),
            sha256: Sha256Digest::hash(body.as_bytes()).to_hex(),
        })?;
        // Relaxed: only the uniqueness of the number matters, not its order with other memory.
        let number = TEMPORARY.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}.{}.{number}.new", key.0, std::process::id());
        let temporary = self.dir.join(name);
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            // Synced before the rename: after a power failure there is the old file or the whole new one.
            .and_then(|mut file| {
                file.write_all(format!("{header}\n{body}").as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&temporary, self.path(key)));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written.and_then(|()| self.drop_oldest())
    }

    fn drop_oldest(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let is_ours = entry.file_name().to_string_lossy().ends_with(SUFFIX);
            if let (true, Ok(Ok(age))) = (is_ours, entry.metadata().map(|data| data.modified())) {
                files.push((age, entry.path()));
            }
        }
        files.sort();
        for (_, path) in files.iter().rev().skip(MAX_FILES) {
            let _ = fs::remove_file(path);
        }
        Ok(())
    }
}
