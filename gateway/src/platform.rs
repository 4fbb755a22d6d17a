//! What the machine beneath us can prove.
//!
//! [`HardwarePlatform`] is the only implementation in the shipped binaries: evidence comes from the guest's
//! configfs-tsm, collateral from Intel's PCS or a PCCS. It refuses to start where the hardware is missing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use attest_collect::{Attester, CollectError, ConfigfsTsm};
use attest_core::{Collateral, CpuEvidence, TeeType};
use attest_fetch::{CollateralSource, INTEL_PCS, IntelPcs};
use futures_util::future::BoxFuture;

use crate::config::{Tee, TeeKind};
use crate::{Clock, SystemClock};

/// Where hardware evidence and its collateral come from.
pub trait Platform: Send + Sync + 'static {
    /// What signs report data on this machine; none where there is no TEE.
    fn attester(&self) -> Option<Arc<dyn Attester>>;

    /// What a verifier needs to judge `evidence` offline, if it can be had.
    fn collateral<'a>(&'a self, evidence: &'a CpuEvidence) -> BoxFuture<'a, Option<Collateral>>;

    /// The time the service lives by.
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }
}

/// The machine itself.
pub struct HardwarePlatform {
    attester: Option<Arc<dyn Attester>>,
    pcs: Option<IntelPcs>,
}

/// Why the hardware that the configuration asks for is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    #[error(
        "this machine offers no {wanted} evidence: {reason}.\n\
         Looked for a guest report interface (Linux 6.7 or newer, configfs mounted) at {}.\n\
         To see Sealgate work on a machine without a TEE, run `make demo`.\n\
         To serve without evidence, set kind = \"none\" in [tee]: no report is published then, and no model may be confidential.",
        looked_for.display()
    )]
    NoTee {
        wanted: &'static str,
        looked_for: PathBuf,
        reason: CollectError,
    },
    #[error("[tee] kind asks for {wanted}, but the guest report interface at {} belongs to {found}", looked_for.display())]
    OtherTee {
        wanted: &'static str,
        found: &'static str,
        looked_for: PathBuf,
    },
    #[error("[tee] pcs_url cannot be used: {reason}")]
    CollateralService { reason: String },
}

impl HardwarePlatform {
    /// Finds the hardware that the configuration asks for.
    pub fn probe(tee: &Tee) -> Result<Self, PlatformError> {
        let wanted = match tee.kind {
            TeeKind::None => {
                return Ok(Self {
                    attester: None,
                    pcs: None,
                });
            }
            TeeKind::Tdx => TeeType::Tdx,
            TeeKind::Snp => TeeType::SevSnp,
        };
        let looked_for = tee
            .tsm_path
            .clone()
            .unwrap_or_else(|| Path::new(attest_collect::DEFAULT_BASE).to_owned());
        let attester = ConfigfsTsm::probe(&looked_for).map_err(|reason| PlatformError::NoTee {
            wanted: vendor_name(wanted),
            looked_for: looked_for.clone(),
            reason,
        })?;
        let found = attester.tee_type();
        if found != wanted {
            let (wanted, found) = (vendor_name(wanted), vendor_name(found));
            return Err(PlatformError::OtherTee {
                wanted,
                found,
                looked_for,
            });
        }
        let pcs = match wanted {
            TeeType::Tdx => Some(collateral_service(tee.pcs_url.as_deref())?),
            TeeType::SevSnp => None,
        };
        Ok(Self {
            attester: Some(Arc::new(attester)),
            pcs,
        })
    }
}

impl Platform for HardwarePlatform {
    fn attester(&self) -> Option<Arc<dyn Attester>> {
        self.attester.clone()
    }

    fn collateral<'a>(&'a self, evidence: &'a CpuEvidence) -> BoxFuture<'a, Option<Collateral>> {
        Box::pin(async move {
            match (evidence, &self.pcs) {
                (CpuEvidence::Tdx { quote }, Some(pcs)) => {
                    let tdx = pcs.tdx(quote).await.ok()?;
                    Some(Collateral::from(tdx))
                }
                _ => None,
            }
        })
    }
}

fn vendor_name(tee: TeeType) -> &'static str {
    match tee {
        TeeType::Tdx => "Intel TDX",
        TeeType::SevSnp => "AMD SEV-SNP",
    }
}

fn collateral_service(url: Option<&str>) -> Result<IntelPcs, PlatformError> {
    IntelPcs::new(url.unwrap_or(INTEL_PCS)).map_err(|e| PlatformError::CollateralService {
        reason: e.to_string(),
    })
}
