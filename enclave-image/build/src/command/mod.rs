//! The subcommands of `image`.

mod boot;
mod build;
mod config;
mod fetch;
mod lock;
mod places;
mod repro;

use anyhow::Result;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build an image, its manifest, its bill of materials and the prediction of its measurements
    Build(build::BuildArgs),
    /// Build twice under different circumstances, and compare every byte
    Repro(repro::ReproArgs),
    /// Start an image under emulation and show its console
    Boot(boot::BootArgs),
    /// Make the disk with a configuration, and print its measurements
    Config(config::ConfigArgs),
    /// Fetch the packages of the lock and nothing else
    Fetch(fetch::FetchArgs),
    /// Look the packages up again in Debian's signed indexes and write the lock
    Lock(lock::LockArgs),
}

impl Command {
    pub fn run(self) -> Result<()> {
        match self {
            Self::Build(arguments) => build::run(&arguments),
            Self::Repro(arguments) => repro::run(&arguments),
            Self::Boot(arguments) => boot::run(&arguments),
            Self::Config(arguments) => config::run(&arguments),
            Self::Fetch(arguments) => fetch::run(&arguments),
            Self::Lock(arguments) => lock::run(&arguments),
        }
    }
}
