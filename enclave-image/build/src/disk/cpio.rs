//! An initial file system: the cpio format `newc` (Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`).
//!
//! Owner 0:0, time 0, inode numbers counted up, so that nothing of the building machine is in it.

use super::tree::{Contents, Kind, Node, Tree};

/// What cannot be packed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpioError {
    #[error("{0} is too long for the format")]
    TooLong(String),
    #[error("{0} is only on disk; an initial file system is packed from memory")]
    OnDisk(String),
}

struct Entry<'a> {
    name: &'a str,
    mode: u32,
    links: u32,
    device: (u32, u32),
    contents: &'a [u8],
}

/// Packs a tree. The root itself is not named: the kernel has one.
pub fn pack(tree: &Tree) -> Result<Vec<u8>, CpioError> {
    let mut out = Vec::new();
    let named = tree.iter().filter(|(path, _)| *path != "/");
    for (number, (path, node)) in (1..).zip(named) {
        write(&mut out, number, &entry(path, node)?)?;
    }
    let end = Entry {
        name: "TRAILER!!!",
        mode: 0,
        links: 1,
        device: (0, 0),
        contents: &[],
    };
    write(&mut out, 0, &end)?;
    Ok(out)
}

fn entry<'a>(path: &'a str, node: &'a Node) -> Result<Entry<'a>, CpioError> {
    let name = &path[1..];
    let mode = u32::from(node.mode);
    let (kind, links, device, contents): (u32, u32, (u32, u32), &[u8]) = match &node.kind {
        Kind::Directory => (0o040_000, 2, (0, 0), &[]),
        Kind::File(Contents::Bytes(bytes)) => (0o100_000, 1, (0, 0), bytes),
        Kind::File(Contents::OnDisk { .. }) => return Err(CpioError::OnDisk(path.to_owned())),
        Kind::Link(target) => (0o120_000, 1, (0, 0), target.as_bytes()),
        Kind::CharacterDevice { major, minor } => (0o020_000, 1, (*major, *minor), &[]),
    };
    Ok(Entry {
        name,
        mode: kind | mode,
        links,
        device,
        contents,
    })
}

fn write(out: &mut Vec<u8>, number: u32, entry: &Entry<'_>) -> Result<(), CpioError> {
    let too_long = || CpioError::TooLong(entry.name.to_owned());
    let len = u32::try_from(entry.contents.len()).map_err(|_| too_long())?;
    let name_len = u32::try_from(entry.name.len() + 1).map_err(|_| too_long())?;
    let fields = [
        number,
        entry.mode,
        0, // user
        0, // group
        entry.links,
        0, // time
        len,
        0, // device the file lies on
        0,
        entry.device.0,
        entry.device.1,
        name_len,
        0, // no checksum in this variant
    ];
    out.extend_from_slice(b"070701");
    for field in fields {
        out.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    out.extend_from_slice(entry.name.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(entry.contents);
    pad(out);
    Ok(())
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}
