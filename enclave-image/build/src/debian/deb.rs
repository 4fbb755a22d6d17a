//! What is in a package: taken apart by `dpkg-deb`, which every Debian machine has.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::tar::{self, Member, MemberKind};

/// A package's files by absolute path.
#[derive(Debug)]
pub struct Deb {
    pub name: String,
    members: BTreeMap<String, Member>,
}

impl Deb {
    pub fn open(name: &str, file: &Path) -> Result<Self> {
        let output = Command::new("dpkg-deb")
            .arg("--fsys-tarfile")
            .arg(file)
            .output()
            .context("dpkg-deb is needed to open packages (Debian's package dpkg)")?;
        ensure!(
            output.status.success(),
            "dpkg-deb cannot open {}: {}",
            file.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let members = tar::read(&output.stdout)
            .with_context(|| format!("the archive in {}", file.display()))?;
        Ok(Self {
            name: name.to_owned(),
            members,
        })
    }

    pub fn members(&self) -> impl Iterator<Item = (&str, &Member)> {
        self.members
            .iter()
            .map(|(path, member)| (path.as_str(), member))
    }

    pub fn member(&self, path: &str) -> Result<&Member> {
        let member = self.members.get(path);
        member.with_context(|| format!("the package {} has no {path}", self.name))
    }

    /// A file's bytes.
    pub fn file(&self, path: &str) -> Result<&[u8]> {
        match &self.member(path)?.kind {
            MemberKind::File(bytes) => Ok(bytes),
            MemberKind::HardLink(other) => self.file(other),
            MemberKind::Link(_) | MemberKind::Directory => {
                anyhow::bail!("{path} of the package {} is no file", self.name)
            }
        }
    }
}

/// Unpacks a package onto the disk, for tools that run from there.
pub fn unpack(file: &Path, directory: &Path) -> Result<()> {
    let status = Command::new("dpkg-deb")
        .arg("-x")
        .arg(file)
        .arg(directory)
        .status()
        .context("dpkg-deb is needed to open packages (Debian's package dpkg)")?;
    ensure!(
        status.success(),
        "dpkg-deb cannot unpack {}",
        file.display()
    );
    Ok(())
}

/// Decompresses what `xz` made.
pub fn unxz(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new("xz")
        .args(["--decompress", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("xz is needed to decompress modules and indexes (Debian's package xz-utils)")?;
    let mut stdin = child.stdin.take().context("xz takes no input")?;
    let output = std::thread::scope(|scope| {
        let writer = scope.spawn(move || stdin.write_all(bytes));
        let output = child.wait_with_output();
        writer.join().map_or_else(
            |_| Err(std::io::Error::other("the writer panicked")),
            |written| written.and(output),
        )
    })
    .context("xz")?;
    ensure!(output.status.success(), "xz cannot decompress its input");
    Ok(output.stdout)
}
