//! Our programs: built so that they contain neither paths nor times of the build, or taken from a folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::definition::Definition;
use crate::say;

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Where programs come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Built by cargo from this workspace.
    Built {
        workspace: PathBuf,
        target: PathBuf,
        /// Of cargo: `release`, or `demo` where it has to be quick.
        profile: String,
    },
    /// Files in a folder, by name.
    Given(PathBuf),
}

/// PID 1 and a definition's programs, by name.
pub fn provide(source: &Source, definition: &Definition) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut wanted: Vec<(&str, &str)> = vec![("enclave-init", "init")];
    let of_image = definition.lists.program.iter();
    wanted.extend(of_image.map(|program| (program.of.as_str(), program.name.as_str())));
    let mut programs = BTreeMap::new();
    for (of, name) in wanted {
        let file = match source {
            Source::Given(folder) => folder.join(name),
            Source::Built { .. } => build(source, of, name)?,
        };
        let bytes = fs::read(&file).with_context(|| format!("the program {}", file.display()))?;
        ensure!(
            bytes.starts_with(b"\x7fELF"),
            "{} is no program",
            file.display()
        );
        programs.insert(name.to_owned(), bytes);
    }
    Ok(programs)
}

/// A program of the host's: `sealgate-verify`, which predicts.
pub fn verifier(source: &Source) -> Result<PathBuf> {
    match source {
        Source::Given(folder) => {
            let file = folder.join("sealgate-verify");
            ensure!(
                file.exists(),
                "{} is needed for predictions",
                file.display()
            );
            Ok(file)
        }
        Source::Built { .. } => build(source, "sealgate-verify", "sealgate-verify"),
    }
}

fn build(source: &Source, of: &str, name: &str) -> Result<PathBuf> {
    let Source::Built {
        workspace,
        target,
        profile,
    } = source
    else {
        anyhow::bail!("{name} is given, not built");
    };
    say::step(&format!("Building {name} ({profile})"));
    let is_static = name == "init";
    let folder = target.join(if is_static { "static" } else { "dynamic" });
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--profile",
            profile,
            "--locked",
            "--target",
            TARGET,
            "-p",
            of,
            "--bin",
            name,
        ])
        .arg("--target-dir")
        .arg(&folder)
        .current_dir(workspace)
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            flags(workspace, &folder, is_static)?,
        )
        .env("CFLAGS", prefix_map_of_c(workspace, &folder)?)
        .env("SOURCE_DATE_EPOCH", "0")
        .env("CARGO_INCREMENTAL", "0")
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .env_remove("RUSTFLAGS")
        .status()
        .context("cargo")?;
    ensure!(status.success(), "{name} could not be built");
    Ok(folder.join(TARGET).join(profile).join(name))
}

/// Paths of this machine become names.
fn places(workspace: &Path, target: &Path) -> Result<Vec<(String, &'static str)>> {
    let workspace = fs::canonicalize(workspace)?;
    fs::create_dir_all(target)?;
    let target = fs::canonicalize(target)?;
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))
        .context("there is no home for cargo")?;
    let sysroot = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .context("rustc")?;
    let sysroot = String::from_utf8_lossy(&sysroot.stdout).trim().to_owned();
    Ok(vec![
        (workspace.display().to_string(), "/sealgate"),
        (home.display().to_string(), "/cargo"),
        (sysroot, "/rust"),
        // Last, since it may be inside the workspace, and the last matching prefix wins.
        (target.display().to_string(), "/target"),
    ])
}

fn flags(workspace: &Path, target: &Path, is_static: bool) -> Result<String> {
    let mut flags: Vec<String> = places(workspace, target)?
        .into_iter()
        .map(|(from, to)| format!("--remap-path-prefix={from}={to}"))
        .collect();
    // No identifier that the linker makes of its inputs' paths.
    flags.push("-Clink-arg=-Wl,--build-id=none".into());
    // Names of symbols that optimizing across crates moved end with a digest of the place they were compiled in.
    flags.push("-Cstrip=symbols".into());
    if is_static {
        flags.push("-Ctarget-feature=+crt-static".into());
        flags.push("-Crelocation-model=static".into());
    }
    Ok(flags.join("\x1f"))
}

/// The same for what is written in C (SQLite, parts of ring).
fn prefix_map_of_c(workspace: &Path, target: &Path) -> Result<String> {
    let maps = places(workspace, target)?;
    let maps = maps
        .into_iter()
        .map(|(from, to)| format!("-ffile-prefix-map={from}={to}"));
    Ok(maps.collect::<Vec<_>>().join(" "))
}

/// The first lines of what builds: two machines that differ here may differ in what they build.
pub fn toolchain() -> BTreeMap<String, String> {
    let tools = [("rustc", "-vV"), ("cc", "--version"), ("ld", "--version")];
    tools
        .into_iter()
        .map(|(tool, argument)| {
            let output = Command::new(tool).arg(argument).output();
            let text = output
                .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
                .unwrap_or_default();
            let line = text.lines().next().unwrap_or("not found").to_owned();
            (tool.to_owned(), line)
        })
        .collect()
}
