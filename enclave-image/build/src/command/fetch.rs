//! `image fetch`: downloads the packages of the lock.

use anyhow::{Result, ensure};
use clap::Args;

use super::places::Places;
use enclave_image::debian::lock::Locked;
use enclave_image::say;

#[derive(Debug, Args)]
pub struct FetchArgs {
    #[command(flatten)]
    places: Places,
    /// Only packages of this group of the lock; may be repeated
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,
}

pub fn run(arguments: &FetchArgs) -> Result<()> {
    let lock = arguments.places.lock()?;
    for group in &arguments.group {
        ensure!(
            lock.group(group).next().is_some(),
            "the lock has no group {group:?}"
        );
    }
    let wanted =
        |package: &&Locked| arguments.group.is_empty() || arguments.group.contains(&package.group);
    let packages: Vec<&Locked> = lock.packages.iter().filter(wanted).collect();
    arguments.places.archive().provide(&packages)?;
    say::step(&format!(
        "{} packages are there, with the bytes of the lock",
        packages.len()
    ));
    Ok(())
}
