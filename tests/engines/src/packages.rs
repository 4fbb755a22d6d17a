//! llama.cpp's server from Debian's packages: the versions of `enclave-image/packages.lock`, or the current ones.
//!
//! Debian keeps no old versions in its pools. Where a locked one has been replaced, the current versions are read from
//! the index of the suite, whose release file carries Debian's signature, and are remembered in the cache folder.

use std::collections::BTreeMap;
use std::fs;

use enclave_image::debian::archive::{Archive, download, sha256_of};
use enclave_image::debian::lock::{Lock, Locked};
use enclave_image::debian::refresh::{WantedGroup, refresh};
use enclave_image::debian::unpacked;

use crate::llama::Llama;
use crate::progress::{Report, megabytes};
use crate::{Place, Unavailable};

#[cfg(test)]
mod tests;

const LOCK: &str = include_str!("../../../enclave-image/packages.lock");
/// The lock's group with the engine; of it, certificates are of no use here.
const GROUP: &str = "inference";
const NOT_NEEDED: &str = "ca-certificates";
/// The size of the locked packages, for the announcement.
const SIZE: u64 = 12_504_344;
/// The current versions that were used in place of locked ones.
const CURRENT: &str = "current.lock";

/// The packages of the repository's lock that the engine needs.
pub fn locked() -> Result<Lock, Unavailable> {
    let lock = Lock::parse(LOCK).map_err(|error| Unavailable::io("packages.lock", error))?;
    let needed = |package: &Locked| package.group == GROUP && package.name != NOT_NEEDED;
    Ok(Lock {
        packages: lock.packages.into_iter().filter(needed).collect(),
    })
}

/// What is already unpacked: the locked versions, or else those that were used in their place.
pub fn unpacked(place: &Place, lock: &Lock) -> Option<Llama> {
    let is_there = |lock: &Lock| {
        let packages: Vec<&Locked> = lock.packages.iter().collect();
        let root = unpacked::folder_for(&packages, &place.cache);
        root.exists().then_some(Llama { root })
    };
    is_there(lock).or_else(|| {
        let text = fs::read_to_string(place.cache.join(CURRENT)).ok()?;
        is_there(&Lock::parse(&text).ok()?)
    })
}

/// Downloads and unpacks what is missing.
pub fn provide(place: &Place, lock: &Lock, report: Report) -> Result<Llama, Unavailable> {
    if let Some(llama) = unpacked(place, lock) {
        return Ok(llama);
    }
    check_machine()?;
    let archive = place.archive();
    fs::create_dir_all(&archive.cache)
        .map_err(|error| Unavailable::io(archive.cache.display(), error))?;
    report(&format!(
        "downloading llama.cpp's server, {} packages of Debian, {}, once, into {}",
        lock.packages.len(),
        megabytes(SIZE),
        archive.cache.display()
    ));
    let root = match fetch(&archive, lock, report) {
        Ok(()) => unpack(&archive, lock, place)?,
        Err(Unavailable::Download(package)) => {
            report(&format!(
                "{package} cannot be downloaded: reading the current versions from Debian's signed index, 10 MB"
            ));
            let unusable = |current: String| Unavailable::NoVersion {
                locked: package.clone(),
                current,
            };
            let current = current_versions(&archive, lock).map_err(unusable)?;
            fetch(&archive, &current, report).map_err(|error| unusable(error.to_string()))?;
            let text =
                current.text("Used in place of locked versions that the mirror does not have");
            let file = place.cache.join(CURRENT);
            fs::write(&file, text).map_err(|error| Unavailable::io(file.display(), error))?;
            unpack(&archive, &current, place)?
        }
        Err(other) => return Err(other),
    };
    Ok(root)
}

fn check_machine() -> Result<(), Unavailable> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(Unavailable::Platform);
    }
    for tool in ["apt-get", "dpkg-deb"] {
        let found = std::process::Command::new(tool).arg("--version").output();
        if found.is_err() {
            return Err(Unavailable::Tool(tool));
        }
    }
    Ok(())
}

/// Downloads the packages that are not in the archive's cache, one after the other, and stops at the first that fails.
fn fetch(archive: &Archive, lock: &Lock, report: Report) -> Result<(), Unavailable> {
    for (index, package) in lock.packages.iter().enumerate() {
        if archive.find(package).is_some() {
            continue;
        }
        let missing = || Unavailable::Download(format!("{} {}", package.name, package.version));
        let mirror = archive
            .mirror()
            .map_err(|error| Unavailable::io("Debian's packages", error))?;
        let file = archive.cache.join(package.file_name());
        // A part of an interrupted download, or other bytes.
        let _ = fs::remove_file(&file);
        let url = format!("{mirror}/{}", package.path);
        download(&[(url, file.clone())]).map_err(|_| Unavailable::Tool("apt"))?;
        let Ok(found) = sha256_of(&file) else {
            return Err(missing());
        };
        if found != package.sha256 {
            let _ = fs::remove_file(&file);
            return Err(Unavailable::WrongBytes {
                file: package.file_name().to_owned(),
                found,
                wanted: package.sha256.clone(),
            });
        }
        let size = fs::metadata(&file).map_or(0, |metadata| metadata.len());
        report(&format!(
            "  {} of {}: {}, {}",
            index + 1,
            lock.packages.len(),
            package.file_name(),
            megabytes(size)
        ));
    }
    Ok(())
}

/// The same packages in the versions that the signed index of their suite has now.
fn current_versions(archive: &Archive, lock: &Lock) -> Result<Lock, String> {
    let mut wanted: BTreeMap<String, WantedGroup> = BTreeMap::new();
    for package in &lock.packages {
        let group = wanted
            .entry(package.group.clone())
            .or_insert_with(|| WantedGroup {
                suites: vec![package.suite.clone()],
                packages: Vec::new(),
                abi_from: None,
                dependencies: false,
                without: Vec::new(),
            });
        group.packages.push(package.name.clone());
    }
    refresh(&wanted, archive, false).map_err(|error| format!("{error:#}"))
}

fn unpack(archive: &Archive, lock: &Lock, place: &Place) -> Result<Llama, Unavailable> {
    let packages: Vec<&Locked> = lock.packages.iter().collect();
    let root = unpacked::unpack(&packages, archive, &place.cache)
        .map_err(|error| Unavailable::Io(format!("{error:#}")))?;
    Ok(Llama { root })
}
