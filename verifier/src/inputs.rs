//! Gathers what a judgement needs: files, roots, policy, collateral, the time and a nonce.
//! Everything is bounded; what does not parse is a malformed input, never a rejection.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use attest_core::{AttestationPolicy, Collateral, Nonce, RootKind, Roots, TdxCollateral, UnixTime};
use ring::rand::SecureRandom;

use crate::cli::JudgeArgs;
use crate::failure::Failure;
use crate::judged::PolicyOrigin;

/// Largest piece of evidence that is read.
pub const MAX_EVIDENCE: usize = 16 << 20;
/// Largest request or response body that is read for hashing.
pub const MAX_BODY: usize = 256 << 20;

pub const NO_POLICY: &str = include_str!("no-policy.toml");

/// A whole file, or standard input for `-`.
pub fn read(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    if path == Path::new("-") {
        return bounded(std::io::stdin().lock(), path, limit);
    }
    let file = File::open(path).map_err(|e| unreadable(path, &e))?;
    bounded(file, path, limit)
}

fn bounded(source: impl Read, path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let wanted = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    source
        .take(wanted)
        .read_to_end(&mut bytes)
        .map_err(|e| unreadable(path, &e))?;
    if bytes.len() > limit {
        return Err(Failure::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(bytes)
}

fn unreadable(path: &Path, cause: &std::io::Error) -> Failure {
    Failure::Unreadable {
        path: path.to_owned(),
        cause: cause.kind().to_string(),
    }
}

pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|e| Failure::Unwritable {
        path: path.to_owned(),
        cause: e.kind().to_string(),
    })
}

/// Everything but the evidence itself.
pub struct Judge {
    pub roots: Roots,
    pub policy: AttestationPolicy,
    pub policy_origin: PolicyOrigin,
    pub collateral: Option<Collateral>,
    pub now: UnixTime,
}

impl Judge {
    pub fn from_args(args: &JudgeArgs) -> Result<Self, Failure> {
        Ok(Self {
            roots: roots(args.roots.as_deref())?,
            policy: policy(args.policy.as_deref())?,
            policy_origin: match args.policy {
                Some(_) => PolicyOrigin::Given,
                None => PolicyOrigin::Absent,
            },
            collateral: args.collateral.as_deref().map(collateral).transpose()?,
            now: time(args.at.as_deref())?,
        })
    }
}

impl Judge {
    /// What was fetched, if anything was.
    pub fn supply(&mut self, fetched: Option<Collateral>) {
        self.collateral = fetched.or(self.collateral.take());
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
            .with(kind, &read(&file, 1 << 20)?)
            .map_err(|e| Failure::malformed(file.display().to_string(), e))?;
    }
    if roots.is_empty() {
        return Err(Failure::malformed(
            dir.display().to_string(),
            "no root certificate is in this directory",
        ));
    }
    Ok(roots)
}

fn policy(file: Option<&Path>) -> Result<AttestationPolicy, Failure> {
    let Some(path) = file else {
        return AttestationPolicy::parse(NO_POLICY)
            .map_err(|e| Failure::Internal(format!("the built-in policy does not parse: {e}")));
    };
    let name = path.display().to_string();
    let text = String::from_utf8(read(path, 1 << 20)?)
        .map_err(|_| Failure::malformed(name.clone(), "not UTF-8"))?;
    AttestationPolicy::parse(&text).map_err(|e| Failure::malformed(name, e))
}

/// Our own form `{"tdx": {…}}`, or the nine fields of `sgx_ql_qve_collateral_t` by themselves.
pub fn collateral(path: &Path) -> Result<Collateral, Failure> {
    let bytes = read(path, MAX_EVIDENCE)?;
    let bare = TdxCollateral::parse(&bytes).map(Collateral::from);
    bare.or_else(|_| Collateral::parse(&bytes))
        .map_err(|e| Failure::malformed(path.display().to_string(), e))
}

/// The stated time, or now.
pub fn time(at: Option<&str>) -> Result<UnixTime, Failure> {
    match at {
        Some(text) => UnixTime::parse_rfc3339(text).map_err(|e| {
            Failure::Usage(format!("--at {text}: {e} (example: 2026-01-02T03:04:05Z)"))
        }),
        None => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map(|d| UnixTime::from_secs(d.as_secs()))
            .map_err(|_| Failure::Internal("the clock stands before 1970".to_owned())),
    }
}

/// 64 hex digits, or `@FILE` with them.
pub fn nonce(text: &str) -> Result<Nonce, Failure> {
    let read = match text.strip_prefix('@') {
        Some(file) => String::from_utf8_lossy(&read(Path::new(file), 1 << 10)?).into_owned(),
        None => text.to_owned(),
    };
    Nonce::parse(read.trim_end()).map_err(|e| Failure::Usage(format!("--nonce: {e}")))
}

pub fn fresh_nonce() -> Result<Nonce, Failure> {
    let mut bytes = [0u8; 32];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Failure::Internal("no randomness".to_owned()))?;
    Ok(Nonce::from_bytes(bytes))
}
