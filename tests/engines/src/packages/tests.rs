//! Downloads of a small package from a folder that stands in for a mirror.

use std::path::PathBuf;
use std::process::Command;

use enclave_image::debian::archive::sha256_of;
use enclave_image::debian::lock::{Lock, Locked};
use testkit::scratch::ScratchDir;

use super::{locked, provide, unpacked};
use crate::{Place, Unavailable};

const FILE: &str = "pool/main/t/tiny/tiny_1_all.deb";
const CONTROL: &str = "Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: none <none@localhost>\nDescription: tiny\n";

struct Mirror {
    directory: ScratchDir,
    place: Place,
    lock: Lock,
}

impl Mirror {
    /// A mirror with one package, which the lock has; `None` where there are no Debian tools.
    fn new() -> Option<Self> {
        let directory = ScratchDir::new("mirror").expect("a directory");
        directory
            .write("package/DEBIAN/control", CONTROL)
            .expect("a file");
        directory
            .write("package/usr/bin/llama-server", "a program")
            .expect("a file");
        let package = directory.path().join("package");
        for folder in [&package, &package.join("DEBIAN")] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(folder, mode).expect("a mode");
        }
        let file = directory
            .write(&format!("mirror/{FILE}"), "")
            .expect("a file");
        let built = Command::new("dpkg-deb")
            .arg("--build")
            .args([&package, &file])
            .output();
        let has_apt = PathBuf::from("/usr/lib/apt/apt-helper").exists();
        let Some(built) = built.ok().filter(|_| has_apt) else {
            println!("skipped: downloads of packages: this machine has no apt and dpkg-deb");
            return None;
        };
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        let place = Place {
            cache: directory.path().join("cache"),
            mirror: Some(format!(
                "file://{}",
                directory.path().join("mirror").display()
            )),
        };
        let lock = Lock {
            packages: vec![Locked {
                group: "inference".into(),
                name: "tiny".into(),
                version: "1".into(),
                architecture: "all".into(),
                suite: "unstable".into(),
                sha256: sha256_of(&file).expect("the package"),
                path: FILE.into(),
            }],
        };
        Some(Self {
            directory,
            place,
            lock,
        })
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("mirror").join(FILE)
    }

    fn cached(&self) -> PathBuf {
        self.place.cache.join("packages/tiny_1_all.deb")
    }
}

#[test]
fn downloads_and_unpacks_once_what_has_the_locked_bytes() {
    let Some(mirror) = Mirror::new() else { return };
    let llama = provide(&mirror.place, &mirror.lock, &|_| ()).expect("unpacked");
    assert!(llama.root.join("usr/bin/llama-server").exists());

    std::fs::remove_file(mirror.file()).expect("the package");
    let again = provide(&mirror.place, &mirror.lock, &|line| panic!("{line}")).expect("cached");
    assert_eq!(again.root, llama.root);
}

#[test]
fn refuses_and_deletes_a_package_with_other_bytes() {
    let Some(mut mirror) = Mirror::new() else {
        return;
    };
    let found = std::mem::replace(&mut mirror.lock.packages[0].sha256, "0".repeat(64));
    let refused = provide(&mirror.place, &mirror.lock, &|_| ()).expect_err("other bytes");
    assert_eq!(
        refused,
        Unavailable::WrongBytes {
            file: "tiny_1_all.deb".into(),
            found,
            wanted: "0".repeat(64)
        }
    );
    assert!(
        mirror.cached().symlink_metadata().is_err(),
        "it was not deleted"
    );
    assert!(unpacked(&mirror.place, &mirror.lock).is_none());
}

#[test]
fn downloads_again_what_an_interrupted_download_left() {
    let Some(mirror) = Mirror::new() else { return };
    let whole = std::fs::read(mirror.file()).expect("the package");
    mirror
        .directory
        .write("cache/packages/tiny_1_all.deb", &whole[..whole.len() / 2])
        .expect("a part");
    let llama = provide(&mirror.place, &mirror.lock, &|_| ()).expect("unpacked");
    assert!(llama.root.join("usr/bin/llama-server").exists());
}

#[test]
fn names_a_package_of_which_neither_version_can_be_had() {
    let Some(mirror) = Mirror::new() else { return };
    std::fs::remove_file(mirror.file()).expect("the package");
    let refused = provide(&mirror.place, &mirror.lock, &|_| ()).expect_err("nothing there");
    assert!(
        matches!(&refused, Unavailable::NoVersion { locked, .. } if locked == "tiny 1"),
        "{refused}"
    );
}

/// The index and the package are there and fit each other; only Debian's signature is missing.
#[test]
fn refuses_current_versions_that_are_not_signed() {
    let Some(mirror) = Mirror::new() else { return };
    let sha256 = &mirror.lock.packages[0].sha256;
    let current = "pool/main/t/tiny/tiny_2_all.deb";
    std::fs::rename(
        mirror.file(),
        mirror.directory.path().join("mirror").join(current),
    )
    .expect("the package");
    let index = format!(
        "Package: tiny\nVersion: 2\nArchitecture: all\nFilename: {current}\nSHA256: {sha256}\n"
    );
    let index = mirror
        .directory
        .write("mirror/dists/unstable/main/binary-amd64/Packages", index)
        .expect("an index");
    let packed = Command::new("xz").arg(&index).status().expect("xz");
    assert!(packed.success());
    let packed = index.with_extension("xz");
    let digest = sha256_of(&packed).expect("the index");
    let release =
        format!("Suite: unstable\nSHA256:\n {digest} 100 main/binary-amd64/Packages.xz\n");
    mirror
        .directory
        .write("mirror/dists/unstable/InRelease", release)
        .expect("a release file");
    let refused = provide(&mirror.place, &mirror.lock, &|_| ()).expect_err("not signed");
    assert!(
        matches!(&refused, Unavailable::NoVersion { current, .. } if current.contains("signature")),
        "{refused}"
    );
    assert!(!mirror.place.cache.join("current.lock").exists());
}

#[test]
fn the_lock_of_this_repository_has_the_engine() {
    let lock = locked().expect("a lock");
    for name in ["llama.cpp-tools", "libllama0", "libggml0", "libc6"] {
        assert!(lock.find("inference", name).is_ok(), "{name}");
    }
    assert!(lock.find("inference", "ca-certificates").is_err());
}
