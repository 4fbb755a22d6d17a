//! The subcommands.

mod build;
mod lock;
mod places;

use anyhow::Result;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build an image, its manifest, its bill of materials and the prediction of its measurements
    Build(build::BuildArgs),
    /// Look the packages up anew in Debian's signed indexes and write the lock
    Lock(lock::LockArgs),
}

impl Command {
    pub fn run(self) -> Result<()> {
        match self {
            Self::Build(arguments) => build::run(&arguments),
            Self::Lock(arguments) => lock::run(&arguments),
        }
    }
}
