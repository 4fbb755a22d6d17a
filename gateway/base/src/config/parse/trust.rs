//! `[attestation.NAME]`: policies and roots for verifying upstreams.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use attest_channel::Trust;
use attest_core::{AttestationPolicy, Collateral, RootKind, Roots};

use super::{MAX_FILE, read_bytes, read_text, resolve};
use crate::config::NamedTrust;
use crate::config::read::Section;
use crate::request::Name;

/// The parsed sections by name; `None` for a section with a problem.
pub(super) type TrustByName = BTreeMap<Name, Option<Arc<NamedTrust>>>;

pub(super) fn read(mut section: Section<'_>, base: &Path) -> TrustByName {
    let mut all = BTreeMap::new();
    for (at, inner) in section.named_sections() {
        let name = match Name::from_operator(&at.value) {
            Ok(name) => name,
            Err(reason) => {
                inner.problem(&at.span, "", format!("the name {reason}"));
                continue;
            }
        };
        let trust = one(inner, name.clone(), base).map(Arc::new);
        all.insert(name, trust);
    }
    section.finish();
    all
}

fn one(mut section: Section<'_>, name: Name, base: &Path) -> Option<NamedTrust> {
    let present = section.has("policy");
    let policy = section.parsed("policy", |text| {
        let file = resolve(base, text);
        let policy = AttestationPolicy::parse(&read_text(&file, MAX_FILE)?)
            .map_err(|e| format!("{}: {e}", file.display()))?;
        Ok::<_, String>((file, policy))
    });
    let policy = section.required("policy", policy, present);
    let roots = section.parsed("roots", |text| supplied_roots(resolve(base, text)));
    let roots_wrong = section.has("roots") && roots.is_none();
    let collateral = section.parsed("collateral", |text| {
        let file = resolve(base, text);
        Collateral::parse(&read_bytes(&file, MAX_FILE)?)
            .map_err(|e| format!("{}: {e}", file.display()))
    });
    section.finish();
    if roots_wrong {
        return None;
    }
    let (policy_file, policy) = policy?.value;
    let (roots_dir, roots) = match roots {
        Some(at) => (Some(at.value.0), at.value.1),
        None => (None, Roots::vendor()),
    };
    let trust = Trust {
        roots,
        policy,
        collateral: collateral.map(|at| at.value),
    };
    Some(NamedTrust {
        name,
        policy_file,
        roots_dir,
        trust: Arc::new(trust),
    })
}

/// Reads every root certificate that the directory has under the name of its kind; at least one.
fn supplied_roots(dir: PathBuf) -> Result<(PathBuf, Roots), String> {
    std::fs::metadata(&dir).map_err(|e| format!("cannot read {}: {e}", dir.display()))?;
    let mut roots = Roots::none();
    for kind in RootKind::ALL {
        let file = dir.join(kind.file_name());
        if !file.exists() {
            continue;
        }
        let pem = read_bytes(&file, MAX_FILE)?;
        roots = roots
            .with(kind, &pem)
            .map_err(|e| format!("{}: {e}", file.display()))?;
    }
    if roots.is_empty() {
        return Err(format!("{}: holds no root certificate", dir.display()));
    }
    Ok((dir, roots))
}
