//! What evidence is verified and appraised with: roots, policy, collateral and the time, from files and flags.
//! A file that does not parse is malformed input, never a rejection.

use std::path::Path;

use attest_core::{
    Appraiser, AttestationPolicy, Collateral, RootKind, Roots, TdxCollateral, UnixTime,
};

use crate::args::TrustArgs;
use crate::failure::Failure;
use crate::inputs::{self, MAX_EVIDENCE};
use crate::qualified_verdict::PolicyOrigin;

pub const NO_POLICY: &str = include_str!("no-policy.toml");

/// All inputs of a verification except the evidence.
pub struct TrustInputs {
    pub roots: Roots,
    pub policy: AttestationPolicy,
    pub policy_origin: PolicyOrigin,
    pub collateral: Option<Collateral>,
    pub now: UnixTime,
}

impl TrustInputs {
    pub fn from_args(args: &TrustArgs) -> Result<Self, Failure> {
        Ok(Self {
            roots: roots(args.roots.as_deref())?,
            policy: policy(args.policy.as_deref())?,
            policy_origin: match args.policy {
                Some(_) => PolicyOrigin::Given,
                None => PolicyOrigin::Absent,
            },
            collateral: args.collateral.as_deref().map(stored).transpose()?,
            now: inputs::time(args.at.as_deref())?,
        })
    }

    /// The core's appraiser with these inputs.
    pub fn appraiser(&self) -> Appraiser<'_> {
        Appraiser {
            roots: &self.roots,
            policy: &self.policy,
            collateral: self.collateral.as_ref(),
            now: self.now,
        }
    }

    /// Adds fetched collateral; each fetched part replaces the given one.
    pub fn supply(&mut self, fetched: Collateral) {
        let given = self.collateral.take().unwrap_or_default();
        self.collateral = Some(fetched.or(given));
    }
}

fn roots(dir: Option<&Path>) -> Result<Roots, Failure> {
    let Some(dir) = dir else {
        return Ok(Roots::vendor());
    };
    let mut roots = Roots::none();
    for kind in RootKind::ALL {
        let file = dir.join(kind.file_name());
        if !file.exists() {
            continue;
        }
        roots = roots
            .with(kind, &inputs::read(&file, 1 << 20)?)
            .map_err(|e| Failure::malformed(file.display().to_string(), e))?;
    }
    if roots.is_empty() {
        return Err(Failure::malformed(
            dir.display().to_string(),
            "this directory contains no root certificate",
        ));
    }
    Ok(roots)
}

pub fn policy(file: Option<&Path>) -> Result<AttestationPolicy, Failure> {
    let Some(path) = file else {
        return AttestationPolicy::parse(NO_POLICY)
            .map_err(|e| Failure::Internal(format!("the built-in policy does not parse: {e}")));
    };
    let name = path.display().to_string();
    let text = String::from_utf8(inputs::read(path, 1 << 20)?)
        .map_err(|_| Failure::malformed(name.clone(), "not UTF-8"))?;
    AttestationPolicy::parse(&text).map_err(|e| Failure::malformed(name, e))
}

/// Our form `{"tdx": {…}}`, or only the nine fields of `sgx_ql_qve_collateral_t`.
pub fn stored(path: &Path) -> Result<Collateral, Failure> {
    let bytes = inputs::read(path, MAX_EVIDENCE)?;
    let bare = TdxCollateral::parse(&bytes).map(Collateral::from);
    bare.or_else(|_| Collateral::parse(&bytes))
        .map_err(|e| Failure::malformed(path.display().to_string(), e))
}
