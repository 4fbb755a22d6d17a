//! Files, the time and nonces. Everything is bounded.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use attest_core::{Nonce, UnixTime, parse_hex_vec};
use ring::rand::SecureRandom;

use crate::failure::Failure;

/// Largest piece of evidence that is read.
pub const MAX_EVIDENCE: usize = 16 << 20;
/// Largest request or response body that is read for hashing.
pub const MAX_BODY: usize = 256 << 20;

/// A whole file, or standard input for `-`.
pub fn read(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    if path == Path::new("-") {
        return bounded(std::io::stdin().lock(), path, limit);
    }
    let file = File::open(path).map_err(|e| unreadable(path, &e))?;
    bounded(file, path, limit)
}

fn bounded(source: impl Read, path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let wanted = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    source
        .take(wanted)
        .read_to_end(&mut bytes)
        .map_err(|e| unreadable(path, &e))?;
    if bytes.len() > limit {
        return Err(Failure::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(bytes)
}

fn unreadable(path: &Path, cause: &std::io::Error) -> Failure {
    Failure::Unreadable {
        path: path.to_owned(),
        cause: cause.kind().to_string(),
    }
}

/// Written beside its place and renamed, so that there is never half a file.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let beside = Path::new(&name);
    write(beside, bytes)?;
    std::fs::rename(beside, path).map_err(|e| {
        let _ = std::fs::remove_file(beside);
        Failure::Unwritable {
            path: path.to_owned(),
            cause: e.kind().to_string(),
        }
    })
}

/// A value of a flag: the text itself, or what is in FILE for `@FILE`.
pub fn text_or_file(text: &str) -> Result<String, Failure> {
    match text.strip_prefix('@') {
        Some(file) => {
            let bytes = read(Path::new(file), 1 << 20)?;
            String::from_utf8(bytes).map_err(|_| Failure::malformed(file, "not UTF-8"))
        }
        None => Ok(text.to_owned()),
    }
}

pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|e| Failure::Unwritable {
        path: path.to_owned(),
        cause: e.kind().to_string(),
    })
}

/// The stated time, or now.
pub fn time(at: Option<&str>) -> Result<UnixTime, Failure> {
    match at {
        Some(text) => UnixTime::parse_rfc3339(text).map_err(|e| {
            Failure::Usage(format!("--at {text}: {e} (example: 2026-01-02T03:04:05Z)"))
        }),
        None => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map(|d| UnixTime::from_secs(d.as_secs()))
            .map_err(|_| Failure::Internal("the clock stands before 1970".to_owned())),
    }
}

/// 64 hex digits, or `@FILE` with them.
pub fn nonce(text: &str) -> Result<Nonce, Failure> {
    Nonce::parse(text_or_file(text)?.trim_end())
        .map_err(|e| Failure::Usage(format!("--nonce: {e}")))
}

pub fn fresh_nonce() -> Result<Nonce, Failure> {
    let mut bytes = [0u8; 32];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Failure::Internal("no randomness".to_owned()))?;
    Ok(Nonce::from_bytes(bytes))
}

/// The bytes of evidence that may have been written down in hexadecimal.
pub fn raw(read: Vec<u8>) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(&read) else {
        return read;
    };
    let text = text.trim();
    let text = text.strip_prefix("0x").unwrap_or(text).to_ascii_lowercase();
    parse_hex_vec(&text, MAX_EVIDENCE).unwrap_or(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_as_the_bytes_it_stands_for() {
        assert_eq!(raw(b"0x0400\n".to_vec()), [4, 0]);
        assert_eq!(raw(vec![4, 0, 2, 0xff]), [4, 0, 2, 0xff]);
        assert_eq!(raw(b"no hex".to_vec()), b"no hex");
    }
}
