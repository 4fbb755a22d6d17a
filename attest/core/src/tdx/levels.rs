//! Which of Intel's TCB levels a platform was matched to, level by level: the verification library
//! says only what comes of them together, and grace periods count from each level's date.
//!
//! Asked only after the library verified collateral and quote, so that the texts are Intel's.
//! Matching is Intel's algorithm (PCS v4, "Get TDX TCB Info"): the highest level of which the
//! platform falls short in nothing, the module's and the quoting enclave's by their own numbers.

use dcap_qvl::{QeIdentity, TcbInfo};

use super::body::TdBody;
use super::platform::PlatformFacts;
use super::status::TcbStatus;
use crate::collateral::TdxCollateral;
use crate::time::UnixTime;

/// What a level is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcbPart {
    /// CPU, PCE and TDX components as the TD was launched.
    Platform,
    /// The TDX module that the TD was launched under.
    Module,
    /// The same two as they are now, after an update that preserved the TD (TDX 1.5).
    CurrentPlatform,
    /// The TDX module as it is now.
    CurrentModule,
    /// The quoting enclave.
    QuotingEnclave,
}

impl TcbPart {
    /// A stable word for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Module => "module",
            Self::CurrentPlatform => "current_platform",
            Self::CurrentModule => "current_module",
            Self::QuotingEnclave => "quoting_enclave",
        }
    }
}

/// One level of Intel's that was matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcbLevelFacts {
    /// What it is about.
    pub part: TcbPart,
    /// Intel's word for it.
    pub status: TcbStatus,
    /// `tcbDate`: what Intel has published since then, the level does not cure.
    pub date: UnixTime,
    /// The advisories Intel lists at it.
    pub advisories: Vec<String>,
}

/// Every level that was matched; none if one of them cannot be told.
pub(super) fn matched(
    collateral: &TdxCollateral,
    platform: &PlatformFacts,
    body: &TdBody,
    qe_isvsvn: u16,
) -> Vec<TcbLevelFacts> {
    read(collateral, platform, body, qe_isvsvn).unwrap_or_default()
}

fn read(
    collateral: &TdxCollateral,
    platform: &PlatformFacts,
    body: &TdBody,
    qe_isvsvn: u16,
) -> Option<Vec<TcbLevelFacts>> {
    let mut info: TcbInfo = serde_json::from_str(&collateral.tcb_info).ok()?;
    info.tcb_levels.sort_by(|a, b| {
        let key = |level: &dcap_qvl::TcbLevel| {
            let tcb = &level.tcb;
            (
                tcb.sgx_components.clone(),
                tcb.pce_svn,
                tcb.tdx_components.clone(),
            )
        };
        key(b).cmp(&key(a))
    });
    let mut levels = Vec::new();
    levels.extend(of_svns(
        &info,
        platform,
        &body.tee_tcb_svn,
        TcbPart::Platform,
        TcbPart::Module,
    )?);
    if let Some(td15) = &body.td15 {
        levels.extend(of_svns(
            &info,
            platform,
            &td15.tee_tcb_svn2,
            TcbPart::CurrentPlatform,
            TcbPart::CurrentModule,
        )?);
    }
    let identity: QeIdentity = serde_json::from_str(&collateral.qe_identity).ok()?;
    let of_qe = identity
        .tcb_levels
        .iter()
        .find(|level| qe_isvsvn >= level.tcb.isvsvn)?;
    levels.push(facts(
        TcbPart::QuotingEnclave,
        of_qe.tcb_status,
        &of_qe.tcb_date,
        &of_qe.advisory_ids,
    )?);
    Some(levels)
}

fn of_svns(
    info: &TcbInfo,
    platform: &PlatformFacts,
    svns: &[u8; 16],
    of_platform: TcbPart,
    of_module: TcbPart,
) -> Option<Vec<TcbLevelFacts>> {
    let level = info.tcb_levels.iter().find(|level| {
        level
            .shortfalls(&platform.cpusvn, platform.pcesvn, Some(svns))
            .is_ok_and(|short| short.is_empty())
    })?;
    let mut levels = vec![facts(
        of_platform,
        level.tcb_status,
        &level.tcb_date,
        &level.advisory_ids,
    )?];
    if let Some(identity) = info.tdx_module_identity(svns).ok()? {
        let mut of_identity = identity.tcb_levels.iter();
        let level = of_identity.find(|level| level.shortfall(svns).is_none())?;
        levels.push(facts(
            of_module,
            level.tcb_status,
            &level.tcb_date,
            &level.advisory_ids,
        )?);
    }
    Some(levels)
}

fn facts(
    part: TcbPart,
    status: dcap_qvl::TcbStatus,
    date: &str,
    advisories: &[String],
) -> Option<TcbLevelFacts> {
    Some(TcbLevelFacts {
        part,
        status: TcbStatus::parse(&status.to_string())?,
        date: UnixTime::parse_rfc3339(date).ok()?,
        advisories: advisories.to_vec(),
    })
}
