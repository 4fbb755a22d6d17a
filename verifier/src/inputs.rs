//! Reads the files, times and nonces that arguments name, each with a limit, and writes the files that options name.

use std::io::Read;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ring::rand::SecureRandom;

use crate::failure::Failure;
use crate::files;
use attest_core::{Nonce, UnixTime, parse_hex_vec};

/// Largest piece of evidence that is read.
pub const MAX_EVIDENCE: usize = 16 << 20;
/// Largest request or response body that is read for hashing.
pub const MAX_BODY: usize = 256 << 20;

/// A whole file, or standard input for `-`.
pub fn read(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    if path == Path::new("-") {
        return bounded(std::io::stdin().lock(), path, limit);
    }
    bounded(files::open(path)?, path, limit)
}

/// A whole file inside an untrusted directory; `None` if it does not exist.
pub fn read_inside(directory: &Path, name: &str, limit: usize) -> Result<Option<Vec<u8>>, Failure> {
    let file = files::open_inside(directory, name)?;
    file.map(|file| bounded(file, &directory.join(name), limit))
        .transpose()
}

fn bounded(source: impl Read, path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    // One byte more than the limit, to tell a file of exactly that length from a longer one.
    let up_to = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    source
        .take(up_to)
        .read_to_end(&mut bytes)
        .map_err(|e| files::unreadable(path, &e))?;
    if bytes.len() > limit {
        return Err(Failure::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(bytes)
}

/// Writes under a temporary name and renames, so that the file is complete or absent.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let beside = Path::new(&name);
    write(beside, bytes)?;
    std::fs::rename(beside, path).map_err(|e| {
        let _ = std::fs::remove_file(beside);
        Failure::Unwritable {
            path: path.to_owned(),
            cause: files::describe_io_error(e.kind()),
        }
    })
}

/// The value of a flag: the text itself, or the content of FILE for `@FILE`.
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
        cause: files::describe_io_error(e.kind()),
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
            .map_err(|_| Failure::Internal("the clock is set before 1970".to_owned())),
    }
}

/// 64 hex digits, or `@FILE` with them.
pub fn nonce(text: &str) -> Result<Nonce, Failure> {
    Nonce::parse(text_or_file(text)?.trim_end())
        .map_err(|e| Failure::Usage(format!("--nonce: {e}")))
}

/// The nonce in the file beside a saved report: `FILE.nonce` from `endpoint --save-report`,
/// `NAME.nonce` beside `NAME.report.json` from `proxy --keep-receipts`. `None` if there is neither.
pub fn nonce_beside(report: &Path) -> Result<Option<Nonce>, Failure> {
    let text = report.as_os_str().to_string_lossy();
    let kept = text.strip_suffix(".report.json");
    let names = [
        Some(format!("{text}.nonce")),
        kept.map(|it| format!("{it}.nonce")),
    ];
    for path in names.into_iter().flatten().map(std::path::PathBuf::from) {
        if path.symlink_metadata().is_err() {
            continue;
        }
        let name = path.display().to_string();
        let text = String::from_utf8(read(&path, 1 << 10)?);
        let text = text.map_err(|_| Failure::malformed(name.clone(), "not UTF-8"))?;
        let nonce = Nonce::parse(text.trim()).map_err(|e| Failure::malformed(name, e))?;
        return Ok(Some(nonce));
    }
    Ok(None)
}

pub fn fresh_nonce() -> Result<Nonce, Failure> {
    let mut bytes = [0u8; 32];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Failure::Internal("no randomness".to_owned()))?;
    Ok(Nonce::from_bytes(bytes))
}

/// The bytes of evidence that may be given in hexadecimal.
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
    fn decodes_hexadecimal_evidence() {
        assert_eq!(raw(b"0x0400\n".to_vec()), [4, 0]);
        assert_eq!(raw(vec![4, 0, 2, 0xff]), [4, 0, 2, 0xff]);
        assert_eq!(raw(b"no hex".to_vec()), b"no hex");
    }
}
