//! Two builds of one image, under circumstances that should not matter, compared file by file.
//!
//! The second runs in another directory, as another user where this one may become one, with another umask, time
//! zone, locale and home. With programs built from source, the second builds them from a copy of the sources in
//! another place, with another home for cargo.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::debian::archive::sha256_of;
use crate::say;

/// An unprivileged user that every Debian system has.
const OTHER_USER: u32 = 65534;

/// How one build differs from the other.
#[derive(Clone, Debug)]
pub struct Circumstances {
    pub name: &'static str,
    /// The sources.
    pub workspace: PathBuf,
    /// Where it builds; has to be there and be writable for the user.
    pub output: PathBuf,
    pub umask: &'static str,
    pub zone: &'static str,
    pub locale: &'static str,
    /// Another user than this one.
    pub user: Option<u32>,
    /// Another toolchain's place and another home for cargo.
    pub elsewhere: Option<Elsewhere>,
}

/// The same toolchain and crates under other paths.
#[derive(Clone, Debug)]
pub struct Elsewhere {
    pub toolchain: PathBuf,
    pub cargo_home: PathBuf,
}

/// Builds under the circumstances with this very program.
pub fn build(how: &Circumstances, arguments: &[String]) -> Result<()> {
    say::step(&format!(
        "Build {}: in {}, umask {}, zone {}, user {}",
        how.name,
        how.output.display(),
        how.umask,
        how.zone,
        how.user.map_or("this".to_owned(), |user| user.to_string()),
    ));
    let program = std::env::current_exe().context("where is this program?")?;
    let mut command = Command::new("sh");
    // The umask is the shell's to set: there is no other way to start a process with another.
    command
        .arg("-c")
        .arg(format!("umask {} && exec \"$0\" \"$@\"", how.umask))
        .arg(program)
        .arg("build")
        .arg("--workspace")
        .arg(&how.workspace)
        .arg("--output")
        .arg(&how.output)
        .args(arguments)
        .current_dir(&how.output)
        .env("TZ", how.zone)
        .env("LC_ALL", how.locale)
        .env("HOME", &how.output);
    match &how.elsewhere {
        Some(elsewhere) => {
            let programs = elsewhere.toolchain.join("bin");
            let path = std::env::var("PATH").unwrap_or_default();
            command
                .env("CARGO_HOME", &elsewhere.cargo_home)
                .env("CARGO_NET_OFFLINE", "true")
                .env("CARGO", programs.join("cargo"))
                .env("PATH", format!("{}:{path}", programs.display()));
        }
        None => {
            command.env("CARGO_HOME", cargo_home()?);
            if let Some(home) = rustup_home() {
                command.env("RUSTUP_HOME", home);
            }
        }
    }
    if let Some(user) = how.user {
        command.uid(user).gid(user);
    }
    let status = command.status().context("sh")?;
    ensure!(status.success(), "build {} failed", how.name);
    Ok(())
}

/// Where cargo keeps what it downloads.
pub fn cargo_home() -> Result<PathBuf> {
    let named = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let usual = || std::env::home_dir().map(|home| home.join(".cargo"));
    named.or_else(usual).context("there is no home for cargo")
}

/// Where the compiler and its libraries are.
pub fn toolchain() -> Result<PathBuf> {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .context("rustc")?;
    let path = String::from_utf8(output.stdout).context("the toolchain's path is not UTF-8")?;
    Ok(PathBuf::from(path.trim()))
}

/// Another path to the same files: directories of the user's own, files by hard links where that is possible. A few
/// crates hold files that only their owner may read; those are copied, and the copies are the user's.
pub fn link_tree(from: &Path, to: &Path, user: Option<u32>) -> Result<()> {
    give(to, user)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            link_tree(&from, &to, user)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&from)?, &to)?;
        } else if !is_for_everybody(&entry.metadata()?) || fs::hard_link(&from, &to).is_err() {
            fs::copy(&from, &to).with_context(|| from.display().to_string())?;
            std::os::unix::fs::chown(&to, user, user).with_context(|| to.display().to_string())?;
        }
    }
    Ok(())
}

fn is_for_everybody(file: &fs::Metadata) -> bool {
    file.permissions().mode() & 0o004 != 0
}

fn rustup_home() -> Option<PathBuf> {
    let named = std::env::var_os("RUSTUP_HOME").map(PathBuf::from);
    named.or_else(|| std::env::home_dir().map(|home| home.join(".rustup")))
}

/// Another user, if this one may become one.
pub fn other_user() -> Option<u32> {
    rustix::process::getuid().is_root().then_some(OTHER_USER)
}

/// Gives a folder to a user.
pub fn give(folder: &Path, user: Option<u32>) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    std::os::unix::fs::chown(folder, user, user).with_context(|| folder.display().to_string())
}

/// What of two images is not the same; both folders hold what `image build` made.
pub fn differences(a: &Path, b: &Path) -> Result<Vec<String>> {
    let (a, b) = (digests(a)?, digests(b)?);
    let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
    names.sort();
    names.dedup();
    let differ = names
        .into_iter()
        .filter_map(|name| match (a.get(name), b.get(name)) {
            (Some(one), Some(other)) if one == other => None,
            (Some(_), Some(_)) => Some(format!("{name}: other bytes")),
            _ => Some(format!("{name}: in one of them alone")),
        });
    Ok(differ.collect())
}

/// Every file below a folder, by its path there.
fn digests(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut digests = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(one) = folders.pop() {
        for entry in fs::read_dir(&one).with_context(|| one.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder)?.display().to_string();
            digests.insert(name, sha256_of(&path)?);
        }
    }
    Ok(digests)
}

/// How many files two images have in common, and how many bytes they are.
pub fn extent(folder: &Path) -> Result<(usize, u64)> {
    let names = digests(folder)?;
    let sizes = names
        .keys()
        .map(|name| fs::metadata(folder.join(name)).map(|m| m.len()));
    let total = sizes.sum::<std::io::Result<u64>>()?;
    Ok((names.len(), total))
}
