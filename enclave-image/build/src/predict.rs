//! Predicts what launching the image will measure, with `sealgate-verify measure` on the image and the lock's firmware.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::debian::archive::Archive;
use crate::debian::deb::Deb;
use crate::debian::lock::{Lock, Locked};
use crate::say;

/// Writes `policy.toml` and `measurements.json` beside the image.
pub fn write(
    verifier: &Path,
    uki: &Path,
    profiles: &Path,
    lock: &Lock,
    archive: &Archive,
    out: &Path,
) -> Result<()> {
    say::step("Predicting what a launch will measure");
    let launches = launches(profiles, lock, archive, out)?;
    // Run in the output folder with relative names: the outputs name files, and must not depend on this machine's paths.
    let verifier = fs::canonicalize(verifier).with_context(|| verifier.display().to_string())?;
    let uki = uki.strip_prefix(out).context("the image lies elsewhere")?;
    let run = |more: &[&str]| -> Result<Vec<u8>> {
        let mut command = Command::new(&verifier);
        command
            .current_dir(out)
            .arg("measure")
            .arg("--uki")
            .arg(uki);
        for launch in &launches {
            command.arg("--profile").arg(launch.strip_prefix(out)?);
        }
        let output = command.args(more).output().context("sealgate-verify")?;
        ensure!(
            output.status.success(),
            "sealgate-verify measure: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(output.stdout)
    };
    run(&["--write-policy", "policy.toml"])?;
    fs::write(out.join("measurements.json"), run(&["--json"])?)?;
    Ok(())
}

/// Launch profiles beside the firmware that they name, taken out of its package.
fn launches(profiles: &Path, lock: &Lock, archive: &Archive, out: &Path) -> Result<Vec<PathBuf>> {
    let packages: Vec<&Locked> = lock.group("firmware").collect();
    archive.provide(&packages)?;
    let mut debs = Vec::new();
    for package in packages {
        debs.push(Deb::open(&package.name, &archive.file(package)?)?);
    }
    let folder = out.join("launch");
    fs::create_dir_all(&folder)?;
    let mut files: Vec<PathBuf> = fs::read_dir(profiles)
        .with_context(|| profiles.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.sort();
    let mut launches = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)?;
        let table: toml::Table =
            toml::from_str(&text).with_context(|| file.display().to_string())?;
        let firmware = table.get("firmware").and_then(|value| value.as_str());
        let firmware = firmware.with_context(|| format!("{}: no firmware", file.display()))?;
        let name = firmware.rsplit('/').next().unwrap_or(firmware);
        let bytes = debs
            .iter()
            .find_map(|deb| {
                let mut paths = deb.members().map(|(path, _)| path);
                let path = paths.find(|path| path.rsplit('/').next() == Some(name))?;
                deb.file(path).ok()
            })
            .with_context(|| format!("no package of the lock's group firmware has {name}"))?;
        fs::write(folder.join(name), bytes)?;
        let launch = folder.join(file.file_name().unwrap_or_default());
        let beside = text.replace(&format!("\"{firmware}\""), &format!("\"{name}\""));
        fs::write(&launch, beside)?;
        launches.push(launch);
    }
    Ok(launches)
}
