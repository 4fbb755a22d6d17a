//! Which of Intel's TCB levels a platform is at, and what comes of its parts together.
//!
//! Intel's algorithm (PCS v4, "Get TDX TCB Info"; Intel's verification library 4.1.2.4.17): the
//! strongest level of which the platform falls short in nothing, the module's and the quoting
//! enclave's by their own numbers. The worst of them decides.

use super::body::TdBody;
use super::facts::TcbFacts;
use super::json::Assessment;
use super::platform::PlatformFacts;
use super::status::TcbStatus;
use super::tcb_info::{TcbInfo, TcbLevel};
use super::tdx_module;
use crate::encoding::to_hex;
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

/// Why a platform is at none of Intel's levels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LevelError {
    /// Below every level.
    #[error(
        "components {}, PCE SVN {pcesvn} and TEE TCB SVN {} are below every level",
        to_hex(components),
        to_hex(tee_tcb_svn)
    )]
    BelowEveryLevel {
        /// Of the CPU, as certified.
        components: [u8; 16],
        /// Of the provisioning certification enclave, as certified.
        pcesvn: u16,
        /// Of TDX, in the quote.
        tee_tcb_svn: [u8; 16],
    },
    /// A TDX module of a major version that Intel does not describe.
    #[error("TDX modules of version {version} are not described")]
    UnknownModule {
        /// Which.
        version: u8,
    },
    /// A TDX module below every level of its major version.
    #[error("the TDX module's version {isvsvn} is below every level")]
    ModuleTooOld {
        /// Its security version.
        isvsvn: u8,
    },
}

/// Matches platform, TDX module and quoting enclave.
pub(super) fn match_levels(
    info: &TcbInfo,
    platform: &PlatformFacts,
    body: &TdBody,
    quoting_enclave: &Assessment,
) -> Result<TcbFacts, LevelError> {
    let launch = Matched::at(info, platform, &body.tee_tcb_svn)?;
    let mut levels = launch.facts(TcbPart::Platform, TcbPart::Module);
    let platform_status = launch.status();
    let mut status = platform_status.with_part(quoting_enclave.status);
    if let Some(td15) = &body.td15 {
        // What the TD runs under now has to be at a level, too, and may not be revoked.
        let current = Matched::at(info, platform, &td15.tee_tcb_svn2)?;
        levels.extend(current.facts(TcbPart::CurrentPlatform, TcbPart::CurrentModule));
        let now = current.status().with_part(quoting_enclave.status);
        if now == TcbStatus::Revoked {
            status = TcbStatus::Revoked;
        } else if relaunch_cures(info, platform, &launch, &td15.tee_tcb_svn2, now) {
            status = status.relaunch_advised(now);
        }
    }
    levels.push(facts(TcbPart::QuotingEnclave, quoting_enclave));
    let mut advisories: Vec<String> = Vec::new();
    let module = launch.module.map(|module| &module.advisories);
    let of_all = [
        Some(&launch.platform.assessment.advisories),
        module,
        Some(&quoting_enclave.advisories),
    ];
    for advisory in of_all.into_iter().flatten().flatten() {
        if !advisories.contains(advisory) {
            advisories.push(advisory.clone());
        }
    }
    Ok(TcbFacts {
        status,
        platform_status,
        qe_status: quoting_enclave.status,
        advisories,
        levels,
    })
}

/// The levels at which a platform is with some security versions of TDX.
struct Matched<'i> {
    platform: &'i TcbLevel,
    module: Option<&'i Assessment>,
}

impl<'i> Matched<'i> {
    fn at(
        info: &'i TcbInfo,
        platform: &PlatformFacts,
        tee_tcb_svn: &[u8; 16],
    ) -> Result<Self, LevelError> {
        let mut levels = info.levels.iter();
        let level =
            levels.find(|level| sgx_is_met(level, platform) && tdx_is_met(level, tee_tcb_svn));
        Ok(Self {
            platform: level.ok_or(LevelError::BelowEveryLevel {
                components: platform.components,
                pcesvn: platform.pcesvn,
                tee_tcb_svn: *tee_tcb_svn,
            })?,
            module: tdx_module::level(info, tee_tcb_svn)?,
        })
    }

    fn status(&self) -> TcbStatus {
        let platform = self.platform.assessment.status;
        let module = self.module.map(|module| module.status);
        module.map_or(platform, |module| platform.with_part(module))
    }

    fn facts(&self, platform: TcbPart, module: TcbPart) -> Vec<TcbLevelFacts> {
        let own = self.module.map(|assessment| facts(module, assessment));
        let mut all = vec![facts(platform, &self.platform.assessment)];
        all.extend(own);
        all
    }
}

fn facts(part: TcbPart, assessment: &Assessment) -> TcbLevelFacts {
    TcbLevelFacts {
        part,
        status: assessment.status,
        date: assessment.date,
        advisories: assessment.advisories.clone(),
    }
}

fn sgx_is_met(level: &TcbLevel, platform: &PlatformFacts) -> bool {
    let mut components = platform.components.iter().zip(&level.sgx);
    components.all(|(got, needed)| got >= needed) && platform.pcesvn >= level.pcesvn
}

/// The first two components are the module's, which has separate levels unless its version is 0.
fn tdx_is_met(level: &TcbLevel, tee_tcb_svn: &[u8; 16]) -> bool {
    let [_, module_version, ..] = *tee_tcb_svn;
    let of_module = if module_version > 0 { 2 } else { 0 };
    let mut components = tee_tcb_svn.iter().zip(&level.tdx).skip(of_module);
    components.all(|(got, needed)| got >= needed)
}

/// Whether launching the TD again would cure what is out of date (4.1.2.4.17.4.3): the module it was
/// launched under is, nothing below the TDX module is, and what runs now is the newest there is.
fn relaunch_cures(
    info: &TcbInfo,
    platform: &PlatformFacts,
    launch: &Matched<'_>,
    current: &[u8; 16],
    now: TcbStatus,
) -> bool {
    let module_is_old = launch
        .module
        .is_some_and(|module| module.status == TcbStatus::OutOfDate);
    let mut levels = info.levels.iter();
    let below = levels.find(|level| sgx_is_met(level, platform));
    let below_is_current = below.is_some_and(|level| !level.assessment.status.is_out_of_date());
    let Some(newest) = info.levels.first() else {
        return false;
    };
    let [module_svn, version, microcode, ..] = *current;
    let [newest_module, _, newest_microcode, ..] = newest.tdx;
    let newest_module = match version {
        0 => Some(newest_module),
        _ => tdx_module::identity(info, current)
            .ok()
            .flatten()
            .and_then(|identity| identity.levels.first())
            .map(|(svn, _)| *svn),
    };
    let is_newest =
        newest_module.is_some_and(|newest| module_svn >= newest) && microcode >= newest_microcode;
    module_is_old && below_is_current && is_newest && !now.is_out_of_date()
}
