//! The programs accept the files in `examples/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use testkit::process::sibling;
use testkit::scratch::ScratchDir;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

/// The TOML files of the folder, policies apart from configurations.
fn files() -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(examples())? {
        let path = entry?.path();
        let is_toml = path
            .extension()
            .is_some_and(|extension| extension == "toml");
        if is_toml && !path.ends_with("prices.toml") {
            all.push(path);
        }
    }
    let is_policy = |path: &PathBuf| path.to_string_lossy().ends_with("-policy.toml");
    Ok(all.into_iter().partition(is_policy))
}

/// Any free port instead of the one that an example listens on, which may be taken on this machine.
fn with_free_ports(text: &str) -> String {
    let lines = text.lines().map(|line| {
        if !line.starts_with("listen = ") {
            return line.to_owned();
        }
        let (before, _) = line.rsplit_once(':').unwrap_or((line, ""));
        format!("{before}:0\"")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A copy of the folder, where a check may look at a state directory without leaving anything behind.
fn copied(scratch: &ScratchDir) -> Result<PathBuf> {
    let folder = scratch.path().join("examples");
    std::fs::create_dir(&folder)?;
    let (policies, configurations) = files()?;
    for file in policies.iter().chain(&configurations) {
        let text = with_free_ports(&std::fs::read_to_string(file)?);
        std::fs::write(folder.join(file.file_name().context("a file name")?), text)?;
    }
    Ok(folder)
}

#[test]
fn every_example_configuration_is_accepted() -> Result<()> {
    let scratch = ScratchDir::new("examples")?;
    let folder = copied(&scratch)?;
    let (_, configurations) = files()?;
    ensure!(configurations.len() >= 3, "{configurations:?}");
    for file in configurations {
        let name = file.file_name().context("a file name")?;
        let output = Command::new(sibling("sealgate")?)
            .arg("check")
            .arg(folder.join(name))
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {said}", file.display());
    }
    Ok(())
}

#[test]
fn the_example_with_every_key_is_accepted_by_check() -> Result<()> {
    let scratch = ScratchDir::new("example-with-every-key")?;
    let folder = copied(&scratch)?;
    let text = std::fs::read_to_string(examples().join("../sealgate.example.toml"))?;
    let file = scratch.path().join("sealgate.example.toml");
    std::fs::write(&file, with_free_ports(&text))?;
    ensure!(
        folder == scratch.path().join("examples"),
        "the policy lies beside the file"
    );
    let output = Command::new(sibling("sealgate")?)
        .arg("check")
        .arg(&file)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    Ok(())
}

#[test]
fn every_example_policy_is_accepted() -> Result<()> {
    let (policies, _) = files()?;
    ensure!(!policies.is_empty());
    for file in policies {
        let output = Command::new(sibling("sealgate-verify")?)
            .args(["policy", "check"])
            .arg(&file)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {said}", file.display());
    }
    Ok(())
}

#[test]
fn an_example_with_a_misspelt_key_is_refused() -> Result<()> {
    let scratch = ScratchDir::new("examples-misspelt")?;
    let folder = copied(&scratch)?;
    let file = folder.join("plain.toml");
    let text = std::fs::read_to_string(&file)?.replace("listen", "listne");
    std::fs::write(&file, text)?;
    let output = Command::new(sibling("sealgate")?)
        .arg("check")
        .arg(&file)
        .output()?;
    ensure!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(said.contains("listne"), "{said}");
    Ok(())
}
