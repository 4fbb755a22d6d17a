//! Where downloads are kept, and where packages come from.

use std::path::{Path, PathBuf};

use enclave_image::debian::archive::Archive;

/// The variable that names another cache folder.
const CACHE: &str = "SEALGATE_ENGINE_CACHE";
/// The variable that names another mirror of Debian, as for images.
const MIRROR: &str = "SEALGATE_IMAGE_MIRROR";

#[derive(Clone, Debug)]
pub struct Place {
    pub cache: PathBuf,
    /// Base URL of a mirror of Debian; apt's without it.
    pub mirror: Option<String>,
}

impl Place {
    /// `target/engine` in the repository, and apt's mirror, unless the environment names others.
    pub fn from_environment() -> Self {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
        let kept = repository.unwrap_or(Path::new(".")).join("target/engine");
        let cache = std::env::var_os(CACHE).map_or(kept, PathBuf::from);
        Self {
            cache: std::path::absolute(&cache).unwrap_or(cache),
            mirror: std::env::var(MIRROR).ok(),
        }
    }

    pub(crate) fn archive(&self) -> Archive {
        Archive {
            folder: None,
            cache: self.cache.join("packages"),
            mirror: self.mirror.clone(),
        }
    }
}
