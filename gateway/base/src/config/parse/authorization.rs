//! Parses `[authorization]`, and reads the file of the policy.

use std::path::Path;

use attest_core::Sha256Digest;

use super::{MAX_FILE, read_text, resolve};
use crate::config::read::Section;
use crate::config::{Authorization, NamedAuthorizationPolicy};

pub(super) fn read(mut section: Section<'_>, base: &Path) -> Authorization {
    let policy = section.parsed("policy", |text| {
        let file = resolve(base, text);
        let text = read_text(&file, MAX_FILE)?;
        let digest = Sha256Digest::hash(text.as_bytes());
        Ok::<_, String>(NamedAuthorizationPolicy { file, text, digest })
    });
    section.finish();
    Authorization {
        policy: policy.map(|at| at.value),
    }
}
