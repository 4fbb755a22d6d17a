use enclave_image::disk::cpio::{CpioError, pack};
use enclave_image::disk::tree::{Contents, Kind, Node, Origin, Tree, TreeError};

fn small() -> Tree {
    let mut tree = Tree::default();
    let device = Node {
        kind: Kind::CharacterDevice { major: 5, minor: 1 },
        mode: 0o600,
        origin: Origin::Definition,
    };
    tree.add("/dev/console", device).expect("a place for it");
    tree.add_file("/init", 0o755, b"abc".to_vec(), Origin::Definition)
        .expect("a place for it");
    tree
}

/// Written by hand after the kernel's `buffer-format.rst`.
const SMALL: &str = "\
070701000000010000\
41ed0000000000000000000000020000000000000000000000000000000000000000000000000000000400000000dev\0\0\0\
07070100000002000021800000000000000000000000010000000000000000000000000000000000000005000000010000000c00000000dev/console\0\0\0\
07070100000003000081ed0000000000000000000000010000000000000003000000000000000000000000000000000000000500000000init\0\0abc\0\
070701000000000000000000000000000000000000000100000000000000000000000000000000000000000000000000000\
00b00000000TRAILER!!!\0\0\0\0";

#[test]
fn a_small_tree_has_the_bytes_of_the_format() {
    let packed = pack(&small()).expect("it fits");
    assert_eq!(String::from_utf8_lossy(&packed), SMALL);
}

#[test]
fn a_cpio_archive_does_not_depend_on_the_order_of_adding_files() {
    let mut other = Tree::default();
    other
        .add_file("/init", 0o755, b"abc".to_vec(), Origin::Given("x".into()))
        .expect("a place for it");
    other.add_directory("/dev").expect("a place for it");
    let mut with_device = small();
    with_device
        .add_directory("/dev")
        .expect("it may be named again");
    assert_eq!(pack(&with_device), pack(&small()));
    assert_ne!(pack(&other), pack(&small()));
}

#[test]
fn a_cpio_archive_refuses_contents_that_are_not_in_memory() {
    let mut tree = Tree::default();
    let contents = Contents::OnDisk {
        path: "/nowhere".into(),
        len: 1,
    };
    let node = Node {
        kind: Kind::File(contents),
        mode: 0o644,
        origin: Origin::Definition,
    };
    tree.add("/file", node).expect("a place for it");
    assert_eq!(pack(&tree), Err(CpioError::OnDisk("/file".into())));
}

#[test]
fn a_tree_refuses_setuid_files_duplicates_and_invalid_paths() {
    let mut tree = small();
    let add = |tree: &mut Tree, path: &str, mode| {
        tree.add_file(path, mode, Vec::new(), Origin::Definition)
    };
    assert_eq!(
        add(&mut tree, "/su", 0o4755),
        Err(TreeError::Privileged("/su".into(), 0o4755))
    );
    assert_eq!(
        add(&mut tree, "/init", 0o755),
        Err(TreeError::Twice("/init".into()))
    );
    assert_eq!(
        add(&mut tree, "/init/x", 0o755),
        Err(TreeError::NoDirectory("/init/x".into()))
    );
    for path in ["", "init", "/", "/a//b", "/a/../b", "/a/", "/./a"] {
        assert_eq!(
            add(&mut tree, path, 0o644),
            Err(TreeError::Path(path.into()))
        );
    }
}
