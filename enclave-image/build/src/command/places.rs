//! Paths: the repository, packages, build outputs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use enclave_image::debian::archive::Archive;
use enclave_image::debian::lock::Lock;

#[derive(Clone, Debug, Args)]
pub struct Places {
    /// The repository
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub workspace: PathBuf,
    /// A folder with packages that the mirror may not have any more
    #[arg(long, value_name = "DIR")]
    pub archive: Option<PathBuf>,
    /// Base URL of a mirror of Debian, if not the one that apt uses
    #[arg(long, value_name = "URL")]
    pub mirror: Option<String>,
    /// Where downloads, tools and images go [default: target/image in the repository]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

impl Places {
    pub fn images(&self) -> PathBuf {
        self.workspace.join("enclave-image/images")
    }

    pub fn launch_profiles(&self) -> PathBuf {
        self.workspace.join("enclave-image/profiles")
    }

    pub fn lock_file(&self) -> PathBuf {
        self.workspace.join("enclave-image/packages.lock")
    }

    pub fn wanted_file(&self) -> PathBuf {
        self.workspace.join("enclave-image/packages.toml")
    }

    pub fn output(&self) -> PathBuf {
        let default = || self.workspace.join("target/image");
        self.output.clone().unwrap_or_else(default)
    }

    pub fn lock(&self) -> Result<Lock> {
        read_lock(&self.lock_file())
    }

    pub fn archive(&self) -> Archive {
        let mirror = self.mirror.clone();
        Archive {
            folder: self.archive.clone(),
            cache: self.output().join("archive"),
            mirror: mirror.or_else(|| std::env::var("SEALGATE_IMAGE_MIRROR").ok()),
        }
    }
}

fn read_lock(file: &Path) -> Result<Lock> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Lock::parse(&text).with_context(|| file.display().to_string())
}
