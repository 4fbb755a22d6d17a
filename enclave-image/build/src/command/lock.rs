//! `image lock`: resolves `packages.toml` against Debian's indexes and writes the lock.

use std::fs;

use anyhow::{Context, Result};
use clap::Args;

use super::places::Places;
use enclave_image::debian::refresh::{Wanted, refresh};

#[derive(Debug, Args)]
pub struct LockArgs {
    #[command(flatten)]
    places: Places,
    /// Do not check Debian's signatures; the lock says so
    #[arg(long)]
    unsigned: bool,
}

const PREAMBLE: &str = "Written by `image lock` from packages.toml: what images and tools are made of.\n\
group name version architecture suite sha256 path";

pub fn run(arguments: &LockArgs) -> Result<()> {
    let places = &arguments.places;
    let file = places.wanted_file();
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let wanted: Wanted = toml::from_str(&text).with_context(|| file.display().to_string())?;
    let lock = refresh(&wanted, &places.archive(), arguments.unsigned)?;
    let preamble = if arguments.unsigned {
        format!("{PREAMBLE}\nDebian's signatures were NOT checked when this was written.")
    } else {
        PREAMBLE.to_owned()
    };
    let file = places.lock_file();
    fs::write(&file, lock.text(&preamble)).with_context(|| file.display().to_string())?;
    println!(
        "{} packages locked in {}",
        lock.packages.len(),
        file.display()
    );
    Ok(())
}
