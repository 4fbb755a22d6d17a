//! The file system that PID 1 makes, byte by byte where the format says which, and read by e2fsprogs, which knows
//! nothing of ours.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use enclave_init::ext2::{self, BLOCK, Layout};
use enclave_init::mounts::Owner;

const MIB: u64 = 1 << 20;
const OWNER: Owner = Owner {
    user: 990,
    group: 70_001,
};
/// One group, a whole number of groups, a last group that is small, one that is dropped, an odd number of bytes, and
/// more descriptors than a block holds.
const SIZES: [u64; 6] = [
    64 * MIB,
    256 * MIB,
    129 * MIB,
    384 * MIB + 65_536,
    999 * MIB + 512,
    20 * 1024 * MIB,
];

/// A sparse file that was noise where the file system is written, as a disk under a new key is.
struct Disk(PathBuf);

impl Disk {
    fn made(name: &str, bytes: u64) -> Self {
        let path = std::env::temp_dir().join(format!("enclave-init-{name}-{}", std::process::id()));
        let mut file = File::create(&path).expect("a file can be made");
        let noise: Vec<u8> = (0..4 * MIB).map(|at| ((at * 167) >> 3) as u8 | 1).collect();
        file.write_all(&noise).expect("it can be written");
        file.set_len(bytes).expect("it can be as long");
        let layout = Layout::of(bytes).expect("within the bounds");
        ext2::write(layout, OWNER, &mut file).expect("it can be written");
        Self(path)
    }

    fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let mut file = File::open(&self.0).expect("it is there");
        file.seek(SeekFrom::Start(at)).expect("it is as long");
        let mut bytes = vec![0; len];
        file.read_exact(&mut bytes).expect("it is as long");
        bytes
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn number(bytes: &[u8], at: usize, len: usize) -> u64 {
    let mut value = [0; 8];
    value[..len].copy_from_slice(&bytes[at..at + len]);
    u64::from_le_bytes(value)
}

/// A program of e2fsprogs, or `None`, said aloud, where it is not installed.
fn reader(name: &str) -> Option<PathBuf> {
    let found = ["/usr/sbin", "/sbin", "/usr/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists());
    if found.is_none() {
        println!("skipped: e2fsprogs is not installed, there is no {name}");
    }
    found
}

fn output(program: &Path, arguments: &[&str], disk: &Disk) -> (Option<i32>, String) {
    let run = Command::new(program).args(arguments).arg(&disk.0).output();
    let run = run.expect("it can be run");
    let text = [run.stdout, run.stderr].concat();
    (
        run.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn the_superblock_and_the_root_directory_are_where_the_format_has_them() {
    let disk = Disk::made("bytes", 256 * MIB);
    let first = disk.bytes(0, BLOCK);
    assert!(
        first[..1024]
            .iter()
            .chain(&first[2048..])
            .all(|byte| *byte == 0)
    );
    let superblock = &first[1024..2048];
    assert_eq!(number(superblock, 56, 2), 0xef53);
    assert_eq!(number(superblock, 0, 4), 2 * 2048);
    assert_eq!(number(superblock, 4, 4), 65_536);
    assert_eq!(1024 << number(superblock, 24, 4), BLOCK);
    let used = (1 + 1 + 130 + 1) + 130;
    assert_eq!(number(superblock, 12, 4), 65_536 - used);

    let descriptors = disk.bytes(BLOCK as u64, BLOCK);
    let table = number(&descriptors, 8, 4);
    let inode = disk.bytes(table * BLOCK as u64 + 256, 256);
    assert_eq!(number(&inode, 0, 2), 0o040_700);
    let user = number(&inode, 2, 2) | number(&inode, 120, 2) << 16;
    let group = number(&inode, 24, 2) | number(&inode, 122, 2) << 16;
    assert_eq!((user, group), (990, 70_001));
    let directory = disk.bytes(number(&inode, 40, 4) * BLOCK as u64, BLOCK);
    assert_eq!(&directory[..10], b"\x02\0\0\0\x0c\0\x01\x02.\0");
    assert_eq!(&directory[12..22], b"\x02\0\0\0\xf4\x0f\x02\x02..");
}

#[test]
fn the_same_size_and_owner_give_the_same_bytes() {
    let (one, other) = (Disk::made("one", 64 * MIB), Disk::made("other", 64 * MIB));
    assert_eq!(one.bytes(0, BLOCK * 200), other.bytes(0, BLOCK * 200));
}

#[test]
fn e2fsck_finds_nothing_wrong_at_any_size_and_something_in_a_changed_one() {
    let Some(e2fsck) = reader("e2fsck") else {
        return;
    };
    for bytes in SIZES {
        let disk = Disk::made("fsck", bytes);
        let (code, text) = output(&e2fsck, &["-f", "-n"], &disk);
        assert_eq!(code, Some(0), "{bytes} bytes:\n{text}");
    }
    let disk = Disk::made("fsck-changed", 64 * MIB);
    let mut file = File::options()
        .write(true)
        .open(&disk.0)
        .expect("it is there");
    // The bitmap of blocks, behind the superblock and one block of descriptors.
    let bitmap = SeekFrom::Start(2 * BLOCK as u64);
    file.seek(bitmap).expect("it is as long");
    file.write_all(&[0xfe]).expect("it can be written");
    let (code, text) = output(&e2fsck, &["-f", "-n"], &disk);
    assert_eq!(code, Some(4), "{text}");
}

#[test]
fn dumpe2fs_and_debugfs_read_what_was_meant() {
    let (Some(dumpe2fs), Some(debugfs)) = (reader("dumpe2fs"), reader("debugfs")) else {
        return;
    };
    let disk = Disk::made("dump", 256 * MIB);
    let (_, text) = output(&dumpe2fs, &["-h"], &disk);
    for (key, value) in [
        ("Filesystem features:", "sparse_super2 filetype large_file"),
        ("Filesystem state:", "clean"),
        ("Errors behavior:", "Panic"),
        ("Block count:", "65536"),
        ("Inode count:", "4096"),
        ("Free inodes:", "4086"),
        ("Reserved block count:", "0"),
        ("Inode size:", "256"),
    ] {
        let line = text.lines().find(|line| line.starts_with(key));
        let line = line.unwrap_or_else(|| panic!("no {key} in:\n{text}"));
        assert_eq!(line[key.len()..].trim(), value, "{key}");
    }
    let (_, text) = output(&debugfs, &["-R", "stat <2>"], &disk);
    for word in ["Type: directory", "Mode:  0700", "990", "70001", "Links: 2"] {
        assert!(text.contains(word), "no {word:?} in:\n{text}");
    }
    let (_, text) = output(&debugfs, &["-R", "ls -p /"], &disk);
    let names = text.lines().filter(|line| line.starts_with('/'));
    assert_eq!(names.count(), 2, "{text}");
}
