//! The steps by which a quote is found genuine, in their order, and what came of them.

use std::sync::Arc;

use super::chain::{ChainError, Role, TrustedRoot, UnverifiedChain};
use super::collateral::{AuthenticCollateral, Found};
use super::crl::CrlError;
use super::facts::TcbFacts;
use super::json::Assessment;
use super::levels;
use super::platform::{AuthenticPlatform, PlatformFacts};
use super::quote::TdQuote;
use super::signature;
use super::tcb_info::TcbInfo;
use super::tdx_module;
use crate::encoding::to_hex;
use crate::evidence::{Endorsements, Exactly};
use crate::roots::RootKind;
use crate::time::UnixTime;
use crate::verdict::{Cause, CheckId, Checks, Why};

/// One step. Each needs those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    TcbInfoSignature,
    QeIdentitySignature,
    PckChain,
    RevocationLists,
    QeReportSignature,
    AttestationKey,
    QeIdentity,
    QuoteSignature,
    TcbLevel,
    ModuleIdentity,
}

impl Step {
    /// In the order in which a verdict lists their checks.
    const ALL: [Self; 10] = [
        Self::RevocationLists,
        Self::TcbInfoSignature,
        Self::QeIdentitySignature,
        Self::PckChain,
        Self::QeReportSignature,
        Self::AttestationKey,
        Self::QeIdentity,
        Self::QuoteSignature,
        Self::TcbLevel,
        Self::ModuleIdentity,
    ];

    pub(super) const fn check(self) -> CheckId {
        match self {
            Self::TcbInfoSignature => CheckId::TdxTcbInfoSignature,
            Self::QeIdentitySignature => CheckId::TdxQeIdentitySignature,
            Self::PckChain => CheckId::TdxPckChain,
            Self::RevocationLists => CheckId::TdxCrl,
            Self::QeReportSignature => CheckId::TdxQeReportSignature,
            Self::AttestationKey => CheckId::TdxQeAttestationKey,
            Self::QeIdentity => CheckId::TdxQeIdentity,
            Self::QuoteSignature => CheckId::TdxQuoteSignature,
            Self::TcbLevel => CheckId::TdxTcbLevel,
            Self::ModuleIdentity => CheckId::TdxModuleIdentity,
        }
    }
}

/// A step that did not hold, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) step: Step,
    pub(super) cause: Cause,
}

impl Failure {
    pub(super) const fn new(step: Step, cause: Cause) -> Self {
        Self { step, cause }
    }
}

/// Which hardware the collateral is about, where the quote is of another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OtherPlatform {
    /// Of another kind of TEE.
    #[error("TCB info is for {0}")]
    Tee(String),
    /// Of another family of platforms.
    #[error(
        "TCB info is for FMSPC {}, the platform's is {}",
        to_hex(about),
        to_hex(certified)
    )]
    Fmspc {
        /// In TCB info.
        about: [u8; 6],
        /// In the PCK certificate.
        certified: [u8; 6],
    },
    /// Of another provisioning certification enclave.
    #[error(
        "TCB info is for PCE id {}, the platform's is {}",
        to_hex(about),
        to_hex(certified)
    )]
    PceId {
        /// In TCB info.
        about: [u8; 2],
        /// In the PCK certificate.
        certified: [u8; 2],
    },
}

/// How far verification came.
#[derive(Debug)]
pub(super) struct Verification {
    /// The steps that hold.
    pub(super) reached: Vec<Step>,
    pub(super) result: Result<Genuine, Failure>,
}

/// What a genuine quote proves.
#[derive(Debug)]
pub(super) struct Genuine {
    pub(super) platform: PlatformFacts,
    pub(super) tcb: TcbFacts,
    /// The last second at which the platform's certificates are valid.
    pub(super) valid_until: UnixTime,
}

impl Verification {
    /// Verifies a quote by collateral that is valid at `now`, up to a root.
    pub(super) fn of(
        quote: &TdQuote<'_>,
        root: Option<&[u8]>,
        collateral: Found<'_>,
        now: UnixTime,
        known: &mut Endorsements,
    ) -> Self {
        let mut reached = Vec::new();
        let result = run(quote, root, collateral, now, known, &mut reached);
        Self { reached, result }
    }

    /// Whether hardware's signature over the TD's description holds.
    pub(super) fn quote_is_signed(&self) -> bool {
        self.reached.contains(&Step::QuoteSignature)
    }

    /// Enters every step as a check.
    pub(super) fn record(&self, checks: &mut Checks) {
        let failure = self.result.as_ref().err();
        for step in Step::ALL {
            match failure {
                Some(failure) if failure.step == step => {
                    checks.fail(step.check(), failure.cause.clone());
                }
                Some(failure) if !self.reached.contains(&step) => {
                    let at = failure.step.check();
                    checks.missed(step.check(), Why::Stopped { at });
                }
                _ => checks.pass(step.check()),
            }
        }
    }
}

/// Enters that no step was made.
pub(super) fn record_nothing(checks: &mut Checks, why: &Why) {
    for step in Step::ALL {
        checks.missed(step.check(), why.clone());
    }
}

fn run(
    quote: &TdQuote<'_>,
    root: Option<&[u8]>,
    collateral: Found<'_>,
    now: UnixTime,
    known: &mut Endorsements,
    reached: &mut Vec<Step>,
) -> Result<Genuine, Failure> {
    let at_chain = |cause| Failure::new(Step::PckChain, cause);
    let root = root
        .ok_or(Cause::NoRoot(RootKind::Intel))
        .map_err(at_chain)?;
    let root = TrustedRoot::parse(root).map_err(Cause::CertificateChain);
    let root = root.map_err(at_chain)?;
    let collateral = collateral.authentic(&root, known, reached)?;
    let platform = platform(quote, &root, known).map_err(Cause::CertificateChain);
    let platform = platform.map_err(at_chain)?;
    let valid_until = platform.at(now).map_err(Cause::CertificateChain);
    let valid_until = valid_until.map_err(at_chain)?;
    reached.push(Step::PckChain);
    let none_revoked = not_revoked(&platform, &collateral);
    none_revoked.map_err(|cause| Failure::new(Step::RevocationLists, cause))?;
    reached.push(Step::RevocationLists);
    let qe_level = signed_by_platform(quote, &platform, &collateral, reached)?;
    let tcb = appraised_by_intel(quote, &platform.facts, &collateral, qe_level, reached)?;
    Ok(Genuine {
        platform: platform.facts.clone(),
        tcb,
        valid_until,
    })
}

/// The platform, by the signatures of its chain: checked now, unless they were before.
fn platform(
    quote: &TdQuote<'_>,
    root: &TrustedRoot<'_>,
    known: &mut Endorsements,
) -> Result<Arc<AuthenticPlatform>, ChainError> {
    let chain: &UnverifiedChain<3> = quote.pck_chain.as_ref().map_err(Clone::clone)?;
    let [pck, authority, own_root] = &chain.0;
    let exactly = Exactly::of(&[b"tdx platform", root.der(), pck, authority, own_root]);
    if let Some(platform) = known.tdx_platforms.get(&exactly) {
        return Ok(Arc::clone(platform));
    }
    let platform = Arc::new(AuthenticPlatform::authenticate(chain, root)?);
    known.tdx_platforms.put(exactly, Arc::clone(&platform));
    Ok(platform)
}

/// Every certificate of every chain, against the list of its issuer.
fn not_revoked(
    platform: &AuthenticPlatform,
    collateral: &AuthenticCollateral,
) -> Result<(), Cause> {
    if !collateral.pck_crl.is_of(&platform.authority) {
        return Err(Cause::RevocationList(CrlError::OtherAuthority));
    }
    let of_collateral = collateral
        .serials
        .iter()
        .map(|(role, serial)| (*role, serial));
    let authority = [(Role::PckAuthority, &platform.authority_serial)];
    let by_root = collateral
        .root_crl
        .first_revoked(of_collateral.chain(authority));
    let by_authority = collateral
        .pck_crl
        .first_revoked([(Role::Pck, &platform.serial)]);
    match by_root.or(by_authority) {
        Some(role) => Err(Cause::CertificateRevoked(role)),
        None => Ok(()),
    }
}

/// From the platform's key to the quote's signature. Gives the quoting enclave's level.
fn signed_by_platform<'c>(
    quote: &TdQuote<'_>,
    platform: &AuthenticPlatform,
    collateral: &'c AuthenticCollateral,
    reached: &mut Vec<Step>,
) -> Result<&'c Assessment, Failure> {
    let enclave = &quote.quoting_enclave;
    if !signature::holds(&platform.key, quote.qe_report, quote.qe_report_signature) {
        return Err(Failure::new(Step::QeReportSignature, Cause::Signature));
    }
    reached.push(Step::QeReportSignature);
    if !enclave.vouches_for(quote.attestation_key, quote.qe_auth_data) {
        return Err(Failure::new(Step::AttestationKey, Cause::AttestationKey));
    }
    reached.push(Step::AttestationKey);
    let level = collateral.qe_identity.level_of(enclave);
    let level = level.map_err(|error| Failure::new(Step::QeIdentity, Cause::QeIdentity(error)))?;
    reached.push(Step::QeIdentity);
    let key = signature::key_from_coordinates(quote.attestation_key);
    if !signature::holds(&key, quote.signed, quote.signature) {
        return Err(Failure::new(Step::QuoteSignature, Cause::Signature));
    }
    reached.push(Step::QuoteSignature);
    Ok(level)
}

/// What Intel says of this platform and its TDX module.
fn appraised_by_intel(
    quote: &TdQuote<'_>,
    platform: &PlatformFacts,
    collateral: &AuthenticCollateral,
    qe_level: &Assessment,
    reached: &mut Vec<Step>,
) -> Result<TcbFacts, Failure> {
    let info = &collateral.tcb_info;
    let at_level = |cause| Failure::new(Step::TcbLevel, cause);
    about(info, platform)
        .map_err(Cause::CollateralForOtherPlatform)
        .map_err(at_level)?;
    let tcb = levels::match_levels(info, platform, &quote.body, qe_level);
    let tcb = tcb.map_err(Cause::NoTcbLevel).map_err(at_level)?;
    reached.push(Step::TcbLevel);
    let module = tdx_module::check(info, &quote.body).map_err(Cause::TdxModule);
    module.map_err(|cause| Failure::new(Step::ModuleIdentity, cause))?;
    reached.push(Step::ModuleIdentity);
    Ok(tcb)
}

fn about(info: &TcbInfo, platform: &PlatformFacts) -> Result<(), OtherPlatform> {
    if info.id != "TDX" {
        return Err(OtherPlatform::Tee(info.id.clone()));
    }
    if info.fmspc != platform.fmspc {
        return Err(OtherPlatform::Fmspc {
            about: info.fmspc,
            certified: platform.fmspc,
        });
    }
    if info.pce_id != platform.pce_id {
        return Err(OtherPlatform::PceId {
            about: info.pce_id,
            certified: platform.pce_id,
        });
    }
    Ok(())
}
