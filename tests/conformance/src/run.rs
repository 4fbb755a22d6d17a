//! Judging cases as they lie on disk.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::case::{Case, Evidence, Kind};
use crate::receipts;
use attest_core::nvidia::{DeviceKind, UnverifiedDevice};
use attest_core::{
    Appraiser, AttestationPolicy, Channel, Collateral, Freshness, Nonce, Obstacle, RootKind, Roots,
    SpkiDigest, UnixTime, Verdict, parse_base64, parse_hex,
};

const MAX: usize = 4 << 20;

pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

pub fn read_all(directory: &Path) -> Result<Vec<Case>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let text = std::fs::read(path)?;
            serde_json::from_slice(&text).with_context(|| path.display().to_string())
        })
        .collect()
}

pub(crate) fn bytes(text: &str) -> Result<Vec<u8>> {
    parse_base64(text, MAX).context("base64")
}

/// What differs from what the case expects; nothing if all is as it should be.
pub fn judge(directory: &Path, case: &Case) -> Result<Option<String>> {
    if case.kind == Kind::Receipt {
        return judge_receipt(case);
    }
    let verdict = verdict(directory, case)?;
    let decision = verdict.decision().as_str();
    let failing: Vec<_> = verdict.failures().map(|(id, _)| id.to_string()).collect();
    let is_missing = |id: &String| {
        let not_evaluated = |it| matches!(it, Obstacle::NotEvaluated(_));
        verdict
            .obstacles()
            .any(|(check, obstacle)| check.as_str() == id && not_evaluated(obstacle))
    };
    let expected = &case.expected;
    let as_expected = decision == expected.decision
        && failing == expected.failing
        && expected.missing.iter().all(is_missing);
    Ok((!as_expected).then(|| {
        format!(
            "{}: expected {} by {:?} (missing {:?}), got {decision} by {failing:?}",
            case.name, expected.decision, expected.failing, expected.missing
        )
    }))
}

fn judge_receipt(case: &Case) -> Result<Option<String>> {
    let (failing, missing) = receipts::findings(case)?;
    let expected = &case.expected;
    let is_accepted = failing.is_empty() && missing.is_empty();
    let as_expected = is_accepted == (expected.decision == "accepted")
        && failing == expected.failing
        && missing == expected.missing;
    Ok((!as_expected).then(|| {
        format!(
            "{}: expected {} by {:?} (missing {:?}), got {failing:?} (missing {missing:?})",
            case.name, expected.decision, expected.failing, expected.missing
        )
    }))
}

pub fn verdict(directory: &Path, case: &Case) -> Result<Verdict> {
    let read = |name: &String| {
        std::fs::read_to_string(directory.join("files").join(name)).with_context(|| name.clone())
    };
    let mut roots = Roots::none();
    for (name, file) in &case.roots {
        let kind = RootKind::ALL
            .into_iter()
            .find(|kind| kind.file_stem() == name)
            .with_context(|| format!("no kind of root is called {name}"))?;
        roots = roots.with(kind, &bytes(&read(file)?)?)?;
    }
    let policy = AttestationPolicy::parse(&read(&case.policy)?)?;
    let collateral = case
        .collateral
        .as_ref()
        .map(|name| anyhow::Ok(Collateral::parse(read(name)?.as_bytes())?))
        .transpose()?;
    let appraiser = Appraiser {
        roots: &roots,
        policy: &policy,
        collateral: collateral.as_ref(),
        now: UnixTime::parse_rfc3339(&case.at)?,
    };
    judged(&appraiser, case)
}

fn judged(appraiser: &Appraiser<'_>, case: &Case) -> Result<Verdict> {
    let one = || match case.evidence.as_slice() {
        [one] => Ok(one),
        _ => bail!("one piece of evidence is wanted"),
    };
    let certificates = |it: &Evidence| bytes(it.certificates.as_deref().unwrap_or_default());
    Ok(match case.kind {
        Kind::TdxQuote => appraiser.quote(&bytes(&one()?.base64)?),
        Kind::SnpReport => appraiser.snp_report(&bytes(&one()?.base64)?, &certificates(one()?)?),
        Kind::NvidiaDevices => {
            let device = |it: &Evidence| {
                Ok(UnverifiedDevice {
                    kind: match it.role.as_str() {
                        "nvidia_gpu" => DeviceKind::Gpu,
                        "nvidia_switch" => DeviceKind::Switch,
                        other => bail!("{other} is no device"),
                    },
                    evidence: bytes(&it.base64)?,
                    certificate_chain: certificates(it)?,
                })
            };
            let devices: Vec<_> = case.evidence.iter().map(device).collect::<Result<_>>()?;
            let nonce = case.nonce.as_deref().map(parse_hex::<32>).transpose()?;
            appraiser.devices(&devices, nonce.as_ref())
        }
        Kind::Receipt => bail!("a receipt has findings and no verdict"),
        Kind::Report => {
            let freshness = match &case.nonce {
                Some(nonce) => Freshness::Challenged(Nonce::parse(nonce)?),
                None => Freshness::Unchallenged,
            };
            let channel = match &case.channel_spki {
                Some(spki) => Channel::Tls {
                    spki: SpkiDigest::parse(spki)?,
                    host: "localhost",
                },
                None => Channel::NotObserved,
            };
            let report = bytes(&one()?.base64)?;
            appraiser.report(&report, freshness, channel).into_verdict()
        }
    })
}
