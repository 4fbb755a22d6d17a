//! `sbom.spdx.json`: packages and crates of an image, SPDX 2.3.
//!
//! Crates are those that cargo links into the image's programs, as `Cargo.lock` has them; not what only builds or tests.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::debian::archive::{hex, sha256_of};
use crate::debian::lock::Locked;
use crate::definition::Definition;
use crate::image::Image;

/// The document as JSON text.
pub fn text(definition: &Definition, image: &Image, workspace: &Path) -> Result<String> {
    let digest = sha256_of(&image.uki)?;
    let mut packages = vec![json!({
        "SPDXID": "SPDXRef-image",
        "name": format!("sealgate-{}", definition.name),
        "versionInfo": env!("CARGO_PKG_VERSION"),
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "checksums": [{ "algorithm": "SHA256", "checksumValue": digest }],
    })];
    let mut relations = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-image")];
    let mut add = |package: Value| {
        let id = package["SPDXID"].as_str().unwrap_or_default().to_owned();
        relations.push(relation("SPDXRef-image", "CONTAINS", &id));
        packages.push(package);
    };
    image.packages.iter().map(debian).for_each(&mut add);
    let mut crates = BTreeMap::new();
    let of_image = definition
        .lists
        .program
        .iter()
        .map(|program| program.of.as_str());
    for of in of_image.chain(["enclave-init"]) {
        crates.extend(linked_crates(workspace, of)?);
    }
    crates
        .iter()
        .map(|((name, version), checksum)| rust(name, version, checksum.as_deref()))
        .for_each(&mut add);
    let document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("sealgate-{}", definition.name),
        "documentNamespace": format!("urn:sealgate:image:{}:{digest}", definition.name),
        // No time of building: the same image has the same document.
        "creationInfo": { "created": "1970-01-01T00:00:00Z", "creators": ["Tool: sealgate-image"] },
        "packages": packages,
        "relationships": relations,
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&document)?))
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

fn debian(package: &Locked) -> Value {
    json!({
        "SPDXID": id("deb", &package.name, &package.version),
        "name": package.name,
        "versionInfo": package.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "checksums": [{ "algorithm": "SHA256", "checksumValue": package.sha256 }],
        "externalRefs": [purl(&format!(
            "pkg:deb/debian/{}@{}?arch={}",
            escaped(&package.name), escaped(&package.version), package.architecture
        ))],
    })
}

fn rust(name: &str, version: &str, checksum: Option<&str>) -> Value {
    let mut package = json!({
        "SPDXID": id("cargo", name, version),
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "externalRefs": [purl(&format!("pkg:cargo/{name}@{}", escaped(version)))],
    });
    if let Some(checksum) = checksum {
        package["checksums"] = json!([{ "algorithm": "SHA256", "checksumValue": checksum }]);
    }
    package
}

fn purl(locator: &str) -> Value {
    json!({
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": locator,
    })
}

/// SPDX allows letters, digits, `.` and `-`.
fn id(kind: &str, name: &str, version: &str) -> String {
    let plain = |text: &str| -> String {
        text.chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '-'
                }
            })
            .collect()
    };
    format!("SPDXRef-{kind}-{}-{}", plain(name), plain(version))
}

/// Percent-encoding of what a package URL reserves.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{}", hex(&[other]).to_uppercase()),
        })
        .collect()
}

type Crates = BTreeMap<(String, String), Option<String>>;

/// Name and version of every crate that is linked into a crate's programs, with the checksum of the lock.
fn linked_crates(workspace: &Path, of: &str) -> Result<Crates> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "tree", "--locked", "--prefix", "none", "--edges", "normal", "--format", "{p}",
        ])
        .args(["--target", "x86_64-unknown-linux-gnu", "-p", of])
        .current_dir(workspace)
        .output()
        .context("cargo tree")?;
    ensure!(
        output.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let sums = checksums(&std::fs::read_to_string(workspace.join("Cargo.lock"))?)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let crates = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        let key = (name.to_owned(), version.to_owned());
        let sum = sums.get(&key).cloned();
        Some((key, sum))
    });
    Ok(crates.collect())
}

fn checksums(lock: &str) -> Result<BTreeMap<(String, String), String>> {
    let lock: toml::Table = toml::from_str(lock).context("Cargo.lock")?;
    let packages = lock.get("package").and_then(|list| list.as_array());
    let text = |table: &toml::Value, key: &str| {
        table
            .get(key)
            .and_then(|value| value.as_str())
            .map(str::to_owned)
    };
    let sums = packages.into_iter().flatten().filter_map(|package| {
        let key = (text(package, "name")?, text(package, "version")?);
        Some((key, text(package, "checksum")?))
    });
    Ok(sums.collect())
}
