//! `image lock`: which packages are wanted, looked up in Debian's signed indexes.
//!
//! `InRelease` of each suite is verified with Debian's own keys by `gpgv`, the index by the digest in there, and a
//! package by the digest in the index. What is written into the lock is therefore what Debian signed on that day.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::archive::{Archive, download, sha256_of};
use super::deb::unxz;
use super::index::{self, Listed, Relation};
use super::lock::{Lock, Locked};
use crate::say;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// `packages.toml`: by group.
pub type Wanted = BTreeMap<String, WantedGroup>;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedGroup {
    /// Looked in, in this order; a later one where the earlier has none that will do.
    pub suites: Vec<String>,
    /// Names, or `name/suite`; `{abi}` stands for the kernel's name.
    pub packages: Vec<String>,
    /// The package that depends on the current kernel.
    pub abi_from: Option<String>,
    /// Whether what they depend on is wanted too.
    #[serde(default)]
    pub dependencies: bool,
    /// Not followed: what a tool can do without.
    #[serde(default)]
    pub without: Vec<String>,
}

/// Looks up what is wanted.
pub fn refresh(wanted: &Wanted, archive: &Archive, unsigned: bool) -> Result<Lock> {
    let names: BTreeSet<&String> = wanted.values().flat_map(|group| &group.suites).collect();
    let mut suites = BTreeMap::new();
    for suite in names {
        suites.insert(suite.clone(), read_suite(archive, suite, unsigned)?);
    }
    let mut lock = Lock::default();
    for (name, group) in wanted {
        let mut resolver = Resolver {
            group,
            suites: &suites,
            chosen: BTreeMap::new(),
        };
        resolver
            .run()
            .with_context(|| format!("the group {name}"))?;
        say::note(&format!("{name}: {} packages", resolver.chosen.len()));
        lock.packages
            .extend(resolver.chosen.into_values().map(|package| Locked {
                group: name.clone(),
                name: package.name.clone(),
                version: package.version.clone(),
                architecture: package.architecture.clone(),
                suite: package.suite.clone(),
                sha256: package.sha256.clone(),
                path: package.path.clone(),
            }));
    }
    lock.packages.sort();
    Ok(lock)
}

fn read_suite(archive: &Archive, suite: &str, unsigned: bool) -> Result<Vec<Listed>> {
    say::step(&format!("Reading the index of {suite}"));
    let base = format!("{}/dists/{suite}", archive.mirror()?);
    let folder = archive.cache.join("indexes");
    fs::create_dir_all(&folder)?;
    let release = folder.join(format!("{suite}.InRelease"));
    let _ = fs::remove_file(&release);
    download(&[(format!("{base}/InRelease"), release.clone())])?;
    ensure!(
        release.exists(),
        "the release file of {suite} cannot be downloaded"
    );
    let text = if unsigned {
        say::note(&format!("The signature of {suite} is NOT checked."));
        fs::read_to_string(&release).with_context(|| format!("the suite {suite}"))?
    } else {
        signed_text(&release)?
    };
    const INDEX: &str = "main/binary-amd64/Packages.xz";
    let wanted = digest_in(&text, INDEX)
        .with_context(|| format!("the release file of {suite} names no {INDEX}"))?;
    let file = folder.join(format!("{suite}.Packages.xz"));
    if !sha256_of(&file).is_ok_and(|hex| hex == wanted) {
        let _ = fs::remove_file(&file);
        download(&[(format!("{base}/{INDEX}"), file.clone())])?;
    }
    ensure!(
        sha256_of(&file)? == wanted,
        "the index of {suite} is not the one that its release file names"
    );
    let text = String::from_utf8(unxz(&fs::read(&file)?)?).context("the index is not UTF-8")?;
    Ok(index::parse(&text, suite))
}

/// What Debian's keys have signed of a file.
fn signed_text(release: &Path) -> Result<String> {
    let output = Command::new("gpgv")
        .args(["--quiet", "--keyring", KEYRING, "--output", "-"])
        .arg(release)
        .output();
    let output = output.context(
        "gpgv is needed to check Debian's signature (packages gpgv and debian-archive-keyring); \
         with --unsigned the lock is made without, and says so",
    )?;
    ensure!(
        output.status.success(),
        "the signature of {} is not good: {}",
        release.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8(output.stdout).context("the release file is not UTF-8")
}

/// The SHA-256 of a file, from a release file.
fn digest_in(release: &str, file: &str) -> Option<String> {
    let (_, list) = release.split_once("\nSHA256:\n")?;
    let lines = list.lines().take_while(|line| line.starts_with(' '));
    lines.into_iter().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.len() == 3 && fields[2] == file).then(|| fields[0].to_owned())
    })
}

struct Resolver<'a> {
    group: &'a WantedGroup,
    suites: &'a BTreeMap<String, Vec<Listed>>,
    chosen: BTreeMap<String, &'a Listed>,
}

impl<'a> Resolver<'a> {
    fn run(&mut self) -> Result<()> {
        let abi = match &self.group.abi_from {
            Some(name) => Some(self.abi(name)?),
            None => None,
        };
        let mut queue: Vec<Relation> = Vec::new();
        for wanted in &self.group.packages {
            let (name, suite) = wanted.split_once('/').unwrap_or((wanted, ""));
            let name = name.replace("{abi}", abi.as_deref().unwrap_or_default());
            let relation = Relation {
                name: name.clone(),
                version: None,
            };
            let found = self.find(&relation, suite);
            let found = found.with_context(|| format!("no suite has {wanted}"))?;
            self.chosen.insert(name, found);
            queue.extend(self.missing_of(found)?);
        }
        while let Some(relation) = queue.pop() {
            if self.chosen.contains_key(&relation.name) {
                continue;
            }
            let found = self
                .find(&relation, "")
                .with_context(|| relation.name.clone())?;
            self.chosen.insert(found.name.clone(), found);
            queue.extend(self.missing_of(found)?);
        }
        Ok(())
    }

    /// `linux-image-7.3.4+deb13-cloud-amd64` of the package that depends on it, without what it begins with.
    fn abi(&self, from: &str) -> Result<String> {
        let relation = Relation {
            name: from.to_owned(),
            version: None,
        };
        let package = self.find(&relation, "").with_context(|| from.to_owned())?;
        let mut needed = package.needs.iter().flatten();
        let abi = needed.find_map(|need| {
            let abi = need.name.strip_prefix("linux-image-")?;
            abi.starts_with(|first: char| first.is_ascii_digit())
                .then(|| abi.to_owned())
        });
        abi.with_context(|| format!("{from} depends on no kernel"))
    }

    /// The first suite in order that has it in a version that will do; by its name, or as what it provides.
    fn find(&self, relation: &Relation, suite: &str) -> Option<&'a Listed> {
        let suites = self
            .group
            .suites
            .iter()
            .filter(|name| suite.is_empty() || *name == suite);
        let packages: Vec<&'a Listed> = suites
            .filter_map(|name| self.suites.get(name))
            .flatten()
            .collect();
        let by_name = packages
            .iter()
            .find(|p| p.name == relation.name && relation.admits(&p.version));
        let provided = || {
            packages
                .iter()
                .find(|p| p.provides.contains(&relation.name))
        };
        by_name.or_else(provided).copied()
    }

    /// What a package needs that is not chosen yet.
    fn missing_of(&self, package: &'a Listed) -> Result<Vec<Relation>> {
        let mut missing = Vec::new();
        if !self.group.dependencies {
            return Ok(missing);
        }
        for need in &package.needs {
            if need.iter().any(|r| self.is_met(r) || self.is_without(r)) {
                continue;
            }
            let found = need
                .iter()
                .find(|relation| self.find(relation, "").is_some());
            match found {
                Some(relation) => missing.push(relation.clone()),
                None => bail!("{} needs {need:?}, which no suite has", package.name),
            }
        }
        Ok(missing)
    }

    fn is_met(&self, relation: &Relation) -> bool {
        self.chosen.contains_key(&relation.name)
            || self
                .chosen
                .values()
                .any(|p| p.provides.contains(&relation.name))
    }

    fn is_without(&self, relation: &Relation) -> bool {
        self.group.without.contains(&relation.name)
    }
}
