//! The writer against a separate reader, and an image that `fsck.erofs` 1.5 has read and extracted.

use std::collections::BTreeMap;

use ring::digest::{SHA256, digest};

use enclave_image::debian::archive::hex;
use enclave_image::disk::erofs::{ErofsError, write};
use enclave_image::disk::tree::{Contents, Kind, Node, Origin, Tree};

fn image(tree: &Tree) -> Vec<u8> {
    let mut out = Vec::new();
    write(tree, &mut out).expect("it can be written");
    out
}

fn small() -> Tree {
    let mut tree = Tree::default();
    tree.add_directory("/empty").expect("a place for it");
    let add = |tree: &mut Tree, path: &str, mode, bytes: Vec<u8>| {
        tree.add_file(path, mode, bytes, Origin::Definition)
            .expect("a place for it");
    };
    add(&mut tree, "/usr/bin/program", 0o755, vec![7; 10_000]);
    add(&mut tree, "/etc/nothing", 0o600, Vec::new());
    add(&mut tree, "/etc/block", 0o644, vec![1; 4096]);
    let link = Node {
        kind: Kind::Link("usr/bin".into()),
        mode: 0o777,
        origin: Origin::Definition,
    };
    tree.add("/bin", link).expect("a place for it");
    tree
}

/// Everything that a file system says of its entries: mode with type, links, contents.
type Read = BTreeMap<String, (u16, u32, Vec<u8>)>;

fn number(bytes: &[u8], at: usize, len: usize) -> usize {
    let mut value = [0; 8];
    value[..len].copy_from_slice(&bytes[at..at + len]);
    usize::try_from(u64::from_le_bytes(value)).expect("small")
}

/// Reads an image by walking it from the root.
fn read(image: &[u8]) -> Read {
    assert_eq!(number(image, 1024, 4), 0xE0F5_E1E2);
    assert_eq!(image[1036], 12, "blocks of 4096 bytes");
    assert_eq!(number(image, 1060, 4) * 4096, image.len());
    let mut found = Read::new();
    walk(image, number(image, 1038, 2), "/", &mut found);
    assert_eq!(number(image, 1040, 8), found.len());
    found
}

fn walk(image: &[u8], inode: usize, path: &str, found: &mut Read) {
    let at = inode * 32;
    assert_eq!(number(image, at, 2), 1, "extended, not inline");
    let mode = number(image, at + 4, 2) as u16;
    let len = number(image, at + 8, 8);
    let start = number(image, at + 16, 4) * 4096;
    assert_eq!(number(image, at + 24, 8), 0, "owned by root");
    assert_eq!(number(image, at + 32, 8), 0, "no time");
    let contents = &image[start..start + len];
    let links = number(image, at + 44, 4) as u32;
    let directory = mode >> 12 == 4;
    let kept = if directory {
        Vec::new()
    } else {
        contents.to_vec()
    };
    found.insert(path.to_owned(), (mode, links, kept));
    if !directory {
        return;
    }
    let mut names = Vec::new();
    for block in contents.chunks(4096) {
        let count = number(block, 8, 2) / 12;
        for index in 0..count {
            let name_at = number(block, index * 12 + 8, 2);
            let end = match index + 1 < count {
                true => number(block, index * 12 + 20, 2),
                false => block.iter().rposition(|b| *b != 0).expect("a name") + 1,
            };
            let name = String::from_utf8(block[name_at..end].to_vec()).expect("ASCII");
            names.push(name.clone());
            if name == "." || name == ".." {
                continue;
            }
            let child = match path {
                "/" => format!("/{name}"),
                _ => format!("{path}/{name}"),
            };
            walk(image, number(block, index * 12, 8), &child, found);
        }
    }
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(names, sorted, "the kernel searches names by halves");
}

#[test]
fn every_file_of_an_erofs_image_is_read_back() {
    let read = read(&image(&small()));
    let expected: [(&str, u16, u32, Vec<u8>); 9] = [
        ("/", 0o40755, 5, vec![]),
        ("/bin", 0o120_777, 1, b"usr/bin".to_vec()),
        ("/empty", 0o40755, 2, vec![]),
        ("/etc", 0o40755, 2, vec![]),
        ("/etc/block", 0o100_644, 1, vec![1; 4096]),
        ("/etc/nothing", 0o100_600, 1, vec![]),
        ("/usr", 0o40755, 3, vec![]),
        ("/usr/bin", 0o40755, 2, vec![]),
        ("/usr/bin/program", 0o100_755, 1, vec![7; 10_000]),
    ];
    assert_eq!(read.len(), expected.len());
    for (path, mode, links, contents) in expected {
        assert_eq!(read[path], (mode, links, contents), "{path}");
    }
}

#[test]
fn a_directory_of_many_blocks_is_read_back() {
    let mut tree = Tree::default();
    for index in 0..1000 {
        let path = format!("/many/with-a-name-that-is-not-short-{index:04}");
        tree.add_file(&path, 0o644, vec![index as u8], Origin::Definition)
            .expect("a place for it");
    }
    let read = read(&image(&tree));
    assert_eq!(read.len(), 1002);
    assert_eq!(
        read["/many/with-a-name-that-is-not-short-0777"].2,
        [777_u16 as u8]
    );
}

/// The image of [`small`]; `fsck.erofs --extract` gave back its entries.
const SMALL: &str = "640500230d0fc994edc13e840c96dbc1dedac041680528393e85326200186eab";

#[test]
fn an_erofs_image_has_the_digest_of_one_that_the_kernel_tools_read() {
    assert_eq!(hex(digest(&SHA256, &image(&small())).as_ref()), SMALL);
}

#[test]
fn devices_are_refused() {
    let mut tree = Tree::default();
    let device = Node {
        kind: Kind::CharacterDevice { major: 5, minor: 1 },
        mode: 0o600,
        origin: Origin::Definition,
    };
    tree.add("/dev/console", device).expect("a place for it");
    let refused = write(&tree, &mut Vec::new());
    assert!(matches!(refused, Err(ErofsError::Device(path)) if path == "/dev/console"));
}

#[test]
fn a_file_that_changed_its_length_is_refused() {
    let file = std::env::temp_dir().join(format!("sealgate-erofs-{}", std::process::id()));
    std::fs::write(&file, b"four").expect("a temporary file");
    for len in [3, 5] {
        let contents = Contents::OnDisk {
            path: file.clone(),
            len,
        };
        let node = Node {
            kind: Kind::File(contents),
            mode: 0o644,
            origin: Origin::Definition,
        };
        let mut tree = Tree::default();
        tree.add("/file", node).expect("a place for it");
        let refused = write(&tree, &mut Vec::new());
        assert!(matches!(refused, Err(ErofsError::Changed { .. })), "{len}");
    }
    std::fs::remove_file(&file).expect("it is there");
}
