//! Reads the tar archive inside a Debian package: POSIX ustar with GNU's long names.

use std::collections::BTreeMap;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Permission bits, with setuid and the like.
    pub mode: u16,
    pub kind: MemberKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberKind {
    Directory,
    File(Vec<u8>),
    Link(String),
    /// Another name of a file in the same archive.
    HardLink(String),
}

/// Why it cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TarError {
    #[error("the archive is cut short at byte {0}")]
    Short(usize),
    #[error("the header at byte {0} is damaged")]
    Header(usize),
    #[error("{name:?} is of type {kind:?}, which no package here has")]
    Kind { name: String, kind: char },
    #[error("{0:?} leads out of the archive")]
    Path(String),
}

const BLOCK: usize = 512;

/// Entries by absolute path.
pub fn read(archive: &[u8]) -> Result<BTreeMap<String, Member>, TarError> {
    let mut members = BTreeMap::new();
    let (mut long_name, mut long_link) = (None, None);
    let mut at = 0;
    loop {
        let header = archive.get(at..at + BLOCK).ok_or(TarError::Short(at))?;
        if header.iter().all(|byte| *byte == 0) {
            return Ok(members);
        }
        check(header).ok_or(TarError::Header(at))?;
        let len = octal(&header[124..136]).ok_or(TarError::Header(at))?;
        let start = at + BLOCK;
        let contents = start
            .checked_add(len)
            .and_then(|end| archive.get(start..end))
            .ok_or(TarError::Short(at))?;
        at = (start + len).next_multiple_of(BLOCK);
        match header[156] {
            b'L' => long_name = Some(text(contents)),
            b'K' => long_link = Some(text(contents)),
            kind => {
                let name = long_name.take().unwrap_or_else(|| name(header));
                let link = long_link.take().unwrap_or_else(|| text(&header[157..257]));
                let mode = octal(&header[100..108]).unwrap_or(0) & 0o7777;
                let kind = match kind {
                    b'0' | 0 => MemberKind::File(contents.to_vec()),
                    b'1' => MemberKind::HardLink(absolute(&link)?),
                    b'2' => MemberKind::Link(link),
                    b'5' => MemberKind::Directory,
                    other => {
                        return Err(TarError::Kind {
                            name,
                            kind: char::from(other),
                        });
                    }
                };
                let mode = u16::try_from(mode).unwrap_or(0);
                members.insert(absolute(&name)?, Member { mode, kind });
            }
        }
    }
}

/// `./usr/bin/` → `/usr/bin`.
fn absolute(name: &str) -> Result<String, TarError> {
    let parts = name.split('/').filter(|part| !matches!(*part, "" | "."));
    if parts.clone().any(|part| part == "..") {
        return Err(TarError::Path(name.to_owned()));
    }
    Ok(parts.fold(String::new(), |path, part| path + "/" + part))
}

fn name(header: &[u8]) -> String {
    let last = text(&header[..100]);
    // GNU tar's own magic has other fields where ustar has the prefix.
    let prefix = if &header[257..263] == b"ustar\0" {
        text(&header[345..500])
    } else {
        String::new()
    };
    if prefix.is_empty() {
        last
    } else {
        format!("{prefix}/{last}")
    }
}

fn text(field: &[u8]) -> String {
    let len = field
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(field.len());
    String::from_utf8_lossy(&field[..len]).into_owned()
}

fn octal(field: &[u8]) -> Option<usize> {
    let text = text(field);
    let digits = text.trim_matches(' ');
    if digits.is_empty() {
        return Some(0);
    }
    usize::from_str_radix(digits, 8).ok()
}

/// The sum of a header's bytes, its own field taken for spaces.
fn check(header: &[u8]) -> Option<()> {
    let sum: usize = header
        .iter()
        .enumerate()
        .map(|(place, byte)| {
            if (148..156).contains(&place) {
                usize::from(b' ')
            } else {
                usize::from(*byte)
            }
        })
        .sum();
    (octal(&header[148..156])? == sum).then_some(())
}
