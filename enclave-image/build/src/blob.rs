//! The configuration blob that a host hands to an image (`CONTRACT.md`, "Configuration").

use std::collections::BTreeMap;

use ring::digest::{Context, SHA256, SHA384, digest};

const MAGIC: &[u8; 8] = b"SGCONF01";
const MOST_BYTES: usize = 4 << 20;
const MOST_FILES: usize = 64;
const SECTOR: usize = 512;

/// Why files make no blob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    #[error(
        "{0:?} is no name for a file of the configuration: 1 to 64 of a-z 0-9 . _ -, the first a letter or digit"
    )]
    Name(String),
    #[error("{0} files, and there may be 1 to 64")]
    Count(usize),
    #[error("there is no sealgate.toml among them")]
    NoConfiguration,
    #[error("{0} bytes, and there may be 4 MiB")]
    Length(usize),
}

/// A blob, and what it is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    bytes: Vec<u8>,
}

impl Blob {
    pub fn of(files: &BTreeMap<String, Vec<u8>>) -> Result<Self, BlobError> {
        if !(1..=MOST_FILES).contains(&files.len()) {
            return Err(BlobError::Count(files.len()));
        }
        if !files.contains_key("sealgate.toml") {
            return Err(BlobError::NoConfiguration);
        }
        let mut body = Vec::new();
        for (name, contents) in files {
            let len = u8::try_from(name.len()).ok();
            let len = len.filter(|_| is_name(name));
            body.push(len.ok_or_else(|| BlobError::Name(name.clone()))?);
            body.extend_from_slice(name.as_bytes());
            let len = u32::try_from(contents.len());
            let len = len.map_err(|_| BlobError::Length(contents.len()))?;
            body.extend_from_slice(&len.to_le_bytes());
            body.extend_from_slice(contents);
        }
        let len = MAGIC.len() + 8 + body.len();
        if len > MOST_BYTES {
            return Err(BlobError::Length(len));
        }
        // Both fit: they were compared with less.
        let (len, count) = (len as u32, files.len() as u32);
        let bytes = [
            MAGIC.as_slice(),
            &len.to_le_bytes(),
            &count.to_le_bytes(),
            &body,
        ];
        Ok(Self {
            bytes: bytes.concat(),
        })
    }

    /// What the digests are of.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// As a disk: filled up to whole sectors.
    pub fn disk(&self) -> Vec<u8> {
        let mut disk = self.bytes.clone();
        disk.resize(disk.len().next_multiple_of(SECTOR), 0);
        disk
    }

    pub fn sha256(&self) -> Vec<u8> {
        digest(&SHA256, &self.bytes).as_ref().to_vec()
    }

    /// What RTMR3 holds once PID 1 has extended it with the blob, and nothing else has.
    pub fn rtmr3(&self) -> Vec<u8> {
        let mut context = Context::new(&SHA384);
        context.update(&[0; 48]);
        context.update(digest(&SHA384, &self.bytes).as_ref());
        context.finish().as_ref().to_vec()
    }
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: u8| plain(byte) || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&name.len())
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(inner)
}
