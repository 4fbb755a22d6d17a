//! `image repro`: builds images twice under different circumstances and compares every byte.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use super::places::Places;
use enclave_image::repro::{
    self, Circumstances, Elsewhere, build, differences, extent, give, link_tree, other_user,
};
use enclave_image::say;

#[derive(Debug, Args)]
pub struct ReproArgs {
    #[command(flatten)]
    places: Places,
    /// Which images
    #[arg(long, value_name = "NAME", required = true)]
    profile: Vec<String>,
    /// Take programs from a folder, so that only the making of images is compared, and say so
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
    /// The model of an image that has one
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// How programs are built: release, or demo for a quick look
    #[arg(long, value_name = "NAME", default_value = "release")]
    cargo_profile: String,
}

pub fn run(arguments: &ReproArgs) -> Result<()> {
    let began = Instant::now();
    let places = &arguments.places;
    let base = places.output().join("repro");
    let _ = fs::remove_dir_all(&base);
    fs::create_dir_all(&base)?;
    let base = fs::canonicalize(&base)?;
    let workspace = fs::canonicalize(&places.workspace)?;
    let user = other_user();
    if user.is_none() {
        say::note("Not root: both builds run as this user.");
    }
    let (first, second) = (base.join("one"), other_place(&base, "two")?);
    give(&first, None)?;
    give(&second, user)?;
    let archive = places.archive().cache;
    fs::create_dir_all(&archive)?;
    let archive = fs::canonicalize(&archive)?;

    let sources = second.join("sources");
    copy_sources(&workspace, &sources, user)?;
    let toolchain = second.join("toolchain");
    link_tree(&repro::toolchain()?, &toolchain, user)?;
    let elsewhere = Elsewhere {
        cargo_home: link_registry(&second, user)?,
        toolchain,
    };
    let rest = rest(arguments, &archive)?;
    build(
        &Circumstances {
            name: "one",
            workspace,
            output: first.clone(),
            umask: "022",
            zone: "UTC",
            locale: "C",
            user: None,
            elsewhere: None,
        },
        &rest,
    )?;
    build(
        &Circumstances {
            name: "two",
            workspace: sources,
            output: second.clone(),
            umask: "077",
            zone: "Pacific/Kiritimati",
            locale: "C.UTF-8",
            user,
            elsewhere: Some(elsewhere),
        },
        &rest,
    )?;
    conclude(arguments, &first, &second, began)
}

fn conclude(arguments: &ReproArgs, first: &Path, second: &Path, began: Instant) -> Result<()> {
    let (mut files, mut bytes, mut differ) = (0, 0, Vec::new());
    for profile in &arguments.profile {
        let (one, other) = (first.join(profile), second.join(profile));
        let some = differences(&one, &other)?;
        differ.extend(some.into_iter().map(|what| format!("{profile}/{what}")));
        let (count, len) = extent(&one)?;
        (files, bytes) = (files + count, bytes + len);
    }
    let programs = match &arguments.binaries {
        Some(_) => "programs given, not built",
        None => "programs built twice",
    };
    for what in &differ {
        println!("differs: {what}");
    }
    println!(
        "image-repro: {} of {files} files differ, {}, {programs}, {:.0} s",
        differ.len(),
        say::size(bytes),
        began.elapsed().as_secs_f64()
    );
    if !differ.is_empty() {
        bail!("two builds of the same sources are not the same");
    }
    fs::remove_dir_all(second).with_context(|| second.display().to_string())
}

/// Arguments that both builds get. Packages come from the cache of this one: there is one mirror anyway.
fn rest(arguments: &ReproArgs, archive: &Path) -> Result<Vec<String>> {
    let mut rest = vec!["--archive".into(), archive.display().to_string()];
    rest.extend(["--cargo-profile".into(), arguments.cargo_profile.clone()]);
    for profile in &arguments.profile {
        rest.extend(["--profile".into(), profile.clone()]);
    }
    if arguments.binaries.is_none() {
        // Predictions follow from the image; the tool that makes them is not built twice for it.
        rest.push("--no-prediction".into());
    }
    for (flag, path) in [
        ("--binaries", &arguments.binaries),
        ("--model", &arguments.model),
    ] {
        if let Some(path) = path {
            let path = fs::canonicalize(path).with_context(|| path.display().to_string())?;
            rest.extend([flag.into(), path.display().to_string()]);
        }
    }
    if let Some(mirror) = &arguments.places.mirror {
        rest.extend(["--mirror".into(), mirror.clone()]);
    }
    Ok(rest)
}

/// A folder whose path is longer, and in the system's place for temporary things: paths of another length show in
/// programs that hold paths.
fn other_place(base: &Path, name: &str) -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!(
        "sealgate-image-in-another-place-{}-{name}",
        std::process::id()
    ));
    ensure!(
        !folder.starts_with(base),
        "both builds would be in one place"
    );
    Ok(folder)
}

/// The sources as git has them and as they are, without what is built.
fn copy_sources(workspace: &Path, to: &Path, user: Option<u32>) -> Result<()> {
    say::step(&format!("Copying the sources to {}", to.display()));
    let output = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "-z",
        ])
        .current_dir(workspace)
        .output()
        .context("git")?;
    ensure!(output.status.success(), "git ls-files failed");
    let text = String::from_utf8(output.stdout).context("a file's name is not UTF-8")?;
    for name in text.split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (workspace.join(name), to.join(name));
        if !from.is_file() {
            continue;
        }
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(&from, &to).with_context(|| name.to_owned())?;
    }
    give_all(to, user)
}

/// What cargo has downloaded, so that the other home needs no network.
fn link_registry(to: &Path, user: Option<u32>) -> Result<PathBuf> {
    let (from, home) = (repro::cargo_home()?, to.join("home-of-cargo"));
    give(&home, user)?;
    for name in ["registry", "git"] {
        if from.join(name).exists() {
            link_tree(&from.join(name), &home.join(name), user)?;
        }
    }
    let config = from.join("config.toml");
    if config.exists() {
        fs::copy(&config, home.join("config.toml"))?;
    }
    Ok(home)
}

fn give_all(folder: &Path, user: Option<u32>) -> Result<()> {
    give(folder, user)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            give_all(&path, user)?;
        } else {
            std::os::unix::fs::chown(&path, user, user)?;
        }
    }
    Ok(())
}
