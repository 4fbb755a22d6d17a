//! From collateral and the platform's certificate to the quote's signature, and what Intel says of the
//! platform: the steps that need both.

use std::sync::Arc;

use super::TdxCache;
use super::chain::{Certificates, ChainError, Role, TrustedRoot, UnverifiedChain};
use super::collateral::{AuthenticCollateral, FoundCollateral};
use super::crl::CrlError;
use super::error::{Failure, OtherPlatform, Step, TdxError};
use super::facts::TcbFacts;
use super::json::Assessment;
use super::levels;
use super::platform::{AuthenticPlatform, PlatformFacts};
use super::quote::TdQuote;
use super::signature;
use super::tcb_info::TcbInfo;
use super::tdx_module;
use crate::cache::CacheKey;
use crate::time::UnixTime;

/// What a genuine quote proves.
#[derive(Debug)]
pub(super) struct Genuine {
    pub(super) platform: PlatformFacts,
    pub(super) tcb: TcbFacts,
    /// The last second at which the platform's certificates are valid.
    pub(super) valid_until: UnixTime,
}

/// Verifies a quote by collateral that is valid at `now`, up to a root.
pub(super) fn run<'c>(
    quote: &TdQuote<'_>,
    root: Option<&'c [u8]>,
    collateral: FoundCollateral<'c>,
    certificates: Certificates<'c>,
    now: UnixTime,
    cache: &mut TdxCache,
    reached: &mut Vec<Step>,
) -> Result<Genuine, Failure> {
    let at_chain = |error| Failure::new(Step::PckChain, error);
    let root = root.ok_or(TdxError::NoRoot).map_err(at_chain)?;
    let mut root = TrustedRoot::new(root, certificates);
    let collateral = collateral.authentic(&mut root, cache, reached)?;
    let platform = platform(quote.pck_chain, root, cache).map_err(TdxError::CertificateChain);
    let platform = platform.map_err(at_chain)?;
    let valid_until = platform.at(now).map_err(TdxError::CertificateChain);
    let valid_until = valid_until.map_err(at_chain)?;
    reached.push(Step::PckChain);
    let none_revoked = not_revoked(&platform, &collateral);
    none_revoked.map_err(|error| Failure::new(Step::RevocationLists, error))?;
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
    pck_chain: &[u8],
    root: TrustedRoot<'_>,
    cache: &mut TdxCache,
) -> Result<Arc<AuthenticPlatform>, ChainError> {
    let inputs = CacheKey::from_parts(&[b"tdx platform", root.der(), pck_chain]);
    if let Some(platform) = cache.platforms.get(&inputs) {
        return Ok(Arc::clone(platform));
    }
    let chain = UnverifiedChain::parse(pck_chain)?;
    let mut root = root;
    let platform = Arc::new(AuthenticPlatform::authenticate(&chain, &mut root)?);
    cache.platforms.put(inputs, Arc::clone(&platform));
    Ok(platform)
}

/// Every certificate of every chain, against the list of its issuer.
fn not_revoked(
    platform: &AuthenticPlatform,
    collateral: &AuthenticCollateral,
) -> Result<(), TdxError> {
    if !collateral.pck_crl.is_of(&platform.authority) {
        return Err(TdxError::RevocationList(CrlError::OtherAuthority));
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
        Some(role) => Err(TdxError::CertificateRevoked(role)),
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
        return Err(Failure::new(Step::QeReportSignature, TdxError::Signature));
    }
    reached.push(Step::QeReportSignature);
    if !enclave.vouches_for(quote.attestation_key, quote.qe_auth_data) {
        return Err(Failure::new(Step::AttestationKey, TdxError::AttestationKey));
    }
    reached.push(Step::AttestationKey);
    let level = collateral.qe_identity.level_of(enclave);
    let level =
        level.map_err(|error| Failure::new(Step::QeIdentity, TdxError::QeIdentity(error)))?;
    reached.push(Step::QeIdentity);
    let key = signature::key_from_coordinates(quote.attestation_key);
    if !signature::holds(&key, quote.signed, quote.signature) {
        return Err(Failure::new(Step::QuoteSignature, TdxError::Signature));
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
    let at_level = |error| Failure::new(Step::TcbLevel, error);
    about(info, platform)
        .map_err(TdxError::OtherPlatform)
        .map_err(at_level)?;
    let tcb = levels::match_levels(info, platform, &quote.body, qe_level);
    let tcb = tcb.map_err(TdxError::NoTcbLevel).map_err(at_level)?;
    reached.push(Step::TcbLevel);
    let module = tdx_module::check(info, &quote.body).map_err(TdxError::TdxModule);
    module.map_err(|error| Failure::new(Step::ModuleIdentity, error))?;
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
