//! Intel TDX: is this quote genuine, and what does it say?
//!
//! Quotes of version 4 and 5 with TD reports of TDX 1.0 and 1.5, signed with ECDSA P-256 by Intel's
//! quoting enclave, certified by a PCK chain inside the quote. SGX quotes are recognised and
//! refused as unsupported. Signatures, chains, revocation and TCB matching are dcap-qvl's work
//! (Intel's quote verification library, re-implemented in Rust), at the stated time, under the
//! stated root; formats, dates and everything about the TD itself are looked at here. What the
//! policy wants of a genuine quote is asked elsewhere.

mod body;
mod chain;
mod chains;
mod dates;
mod facts;
mod levels;
mod library;
mod pck_extension;
mod platform;
mod qe_report;
mod quote;
mod reader;
mod refusal;
mod status;

use crate::collateral::TdxCollateral;
use crate::encoding::to_hex;
use crate::evidence::Standing;
use crate::roots::{RootKind, Roots};
use crate::time::UnixTime;
use crate::verdict::{Cause, Checks, Why, id};
use crate::x509::Certificate;

pub use body::{Td15, TdBody};
pub use chain::{CertificateError, ChainError, Role};
pub(crate) use facts::to_json as facts_to_json;
pub use facts::{CollateralFacts, TcbFacts, TdxFacts, Trailing};
pub use levels::{TcbLevelFacts, TcbPart};
pub use pck_extension::PckExtensionError;
pub use platform::PlatformFacts;
pub use qe_report::QeReport;
pub use quote::{INTEL_QE_VENDOR, MAX_QUOTE_LEN, QuoteFormatError};
pub use status::TcbStatus;

use chain::{Chain, UnverifiedChain};
use quote::{ParsedQuote, TdQuote};
use refusal::Refusal;

/// What a quote is verified by, besides the root.
pub(crate) struct Collected<'a> {
    pub(crate) collateral: Option<&'a TdxCollateral>,
    pub(crate) now: UnixTime,
}

/// What came of looking at a quote.
pub(crate) struct Examination {
    /// Nothing if the quote could not be taken apart.
    pub(crate) facts: Option<TdxFacts>,
    pub(crate) standing: Standing,
}

/// Takes a quote apart without judging it: what the bytes say, which hardware may never have said.
/// Nothing comes back for an SGX quote.
///
/// ```
/// use attest_core::tdx::{QuoteFormatError, decode};
/// assert_eq!(decode(b"\x04"), Err(QuoteFormatError::TooShort { field: "header" }));
/// ```
pub fn decode(quote: &[u8]) -> Result<Option<TdxFacts>, QuoteFormatError> {
    Ok(match quote::parse(quote)? {
        ParsedQuote::Tdx(quote) => Some(facts_of(&quote)),
        ParsedQuote::Sgx => None,
    })
}

pub(crate) fn examine(
    bytes: &[u8],
    roots: &Roots,
    collected: &Collected<'_>,
    checks: &mut Checks,
) -> Examination {
    let quote = match quote::parse(bytes) {
        Ok(ParsedQuote::Tdx(quote)) => {
            checks.pass(id::TDX_QUOTE_FORMAT);
            checks.pass(id::TDX_TEE_TYPE);
            quote
        }
        Ok(ParsedQuote::Sgx) => {
            checks.pass(id::TDX_QUOTE_FORMAT);
            checks.fail(id::TDX_TEE_TYPE, Cause::UnsupportedEvidence("SGX enclave"));
            return unreadable(id::TDX_TEE_TYPE, checks);
        }
        Err(error) => {
            checks.fail(id::TDX_QUOTE_FORMAT, Cause::QuoteMalformed(error));
            checks.missed(
                id::TDX_TEE_TYPE,
                Why::Stopped {
                    at: id::TDX_QUOTE_FORMAT,
                },
            );
            return unreadable(id::TDX_QUOTE_FORMAT, checks);
        }
    };
    let mut facts = facts_of(&quote);
    if quote.qe_vendor != INTEL_QE_VENDOR {
        checks.fail(id::TDX_QE_VENDOR, Cause::QeVendor);
        return Examination {
            facts: Some(facts),
            ..unverified(id::TDX_QE_VENDOR, checks)
        };
    }
    checks.pass(id::TDX_QE_VENDOR);
    let standing = match verify(bytes, &quote, roots, collected, &mut facts, checks) {
        Ok(standing) => standing,
        Err(why) => {
            refusal::record_none_evaluated(checks, &why);
            Standing::Unproven(why)
        }
    };
    Examination {
        facts: Some(facts),
        standing,
    }
}

fn unreadable(at: &'static str, checks: &mut Checks) -> Examination {
    checks.missed(id::TDX_QE_VENDOR, Why::Stopped { at });
    unverified(at, checks)
}

fn unverified(at: &'static str, checks: &mut Checks) -> Examination {
    let why = Why::Stopped { at };
    checks.missed(id::TDX_COLLATERAL_FORMAT, why.clone());
    checks.missed(id::TDX_COLLATERAL_DATES, why.clone());
    refusal::record_none_evaluated(checks, &why);
    Examination {
        facts: None,
        standing: Standing::Unproven(why),
    }
}

fn facts_of(quote: &TdQuote<'_>) -> TdxFacts {
    TdxFacts {
        version: quote.version,
        qe_vendor: quote.qe_vendor,
        header_user_data: quote.header_user_data,
        body: quote.body.clone(),
        quoting_enclave: quote.quoting_enclave.clone(),
        trailing: Trailing {
            count: quote.trailing.len(),
            all_zero: quote.trailing.iter().all(|byte| *byte == 0),
        },
        platform: quote.pck_chain.as_ref().ok().and_then(unverified_platform),
        collateral: None,
        tcb: None,
    }
}

/// Collateral first, then the library. An error says why the library was not asked at all.
fn verify(
    bytes: &[u8],
    quote: &TdQuote<'_>,
    roots: &Roots,
    collected: &Collected<'_>,
    facts: &mut TdxFacts,
    checks: &mut Checks,
) -> Result<Standing, Why> {
    let Some(collateral) = collected.collateral else {
        checks.missed(id::TDX_COLLATERAL_FORMAT, Why::NoCollateral);
        checks.missed(id::TDX_COLLATERAL_DATES, Why::NoCollateral);
        return Err(Why::NoCollateral);
    };
    let dated = match dates::read(collateral) {
        Ok(dated) => dated,
        Err(cause) => {
            let why = Why::Stopped {
                at: id::TDX_COLLATERAL_FORMAT,
            };
            checks.fail(id::TDX_COLLATERAL_FORMAT, cause);
            checks.missed(id::TDX_COLLATERAL_DATES, why.clone());
            return Err(why);
        }
    };
    checks.pass(id::TDX_COLLATERAL_FORMAT);
    let in_time = dated.at(collected.now);
    let too_early_or_late = in_time.is_err();
    checks.judge(id::TDX_COLLATERAL_DATES, in_time);
    let valid_until = dated.facts.not_after;
    facts.collateral = Some(dated.facts);
    if too_early_or_late {
        return Err(Why::Stopped {
            at: id::TDX_COLLATERAL_DATES,
        });
    }
    let Some(root) = roots.der(RootKind::Intel) else {
        let cause = Cause::NoRoot(RootKind::Intel);
        let refusal = Refusal::at(refusal::Stage::TcbInfo, id::TDX_PCK_CHAIN, cause);
        return Ok(refused(refusal, checks));
    };
    let (pck_chain, platform) = match platform_of(quote, root) {
        Ok(found) => found,
        Err(error) => {
            let cause = Cause::CertificateChain(error.to_string());
            let refusal = Refusal::at(refusal::Stage::TcbInfo, id::TDX_PCK_CHAIN, cause);
            return Ok(refused(refusal, checks));
        }
    };
    let valid_until = valid_until.min(platform.not_after);
    let question = library::Question {
        quote: bytes,
        pck_chain,
        root,
        collateral,
        now: collected.now,
    };
    let about = facts.collateral.as_ref().map(|it| it.pce_id.clone());
    let verified = library::verify(&question)
        .and_then(|tcb| for_this_pce(&platform, about.as_deref()).map(|()| tcb));
    Ok(match verified {
        Ok(tcb) => {
            refusal::record_all_passed(checks);
            let svn = facts.quoting_enclave.isvsvn;
            let levels = levels::matched(collateral, &platform, &facts.body, svn);
            facts.tcb = Some(TcbFacts { levels, ..tcb });
            facts.platform = Some(platform);
            Standing::Genuine { valid_until }
        }
        Err(refusal) => refused(refusal, checks),
    })
}

/// The chain in the quote, walked to the root, and what its leaf says of the platform.
fn platform_of<'q>(
    quote: &'q TdQuote<'_>,
    root: &[u8],
) -> Result<(&'q UnverifiedChain<3>, PlatformFacts), ChainError> {
    let unverified = quote.pck_chain.as_ref().map_err(Clone::clone)?;
    let chain = Chain::of_platform(unverified, root)?;
    let platform = PlatformFacts::of(chain.leaf()).map_err(|error| ChainError::Certificate {
        role: Role::Pck,
        error: CertificateError::PckExtension(error),
    })?;
    Ok((unverified, platform))
}

/// Intel's TCB info is about one FMSPC, which the library compares, and one PCE id.
fn for_this_pce(platform: &PlatformFacts, about: Option<&str>) -> Result<(), Refusal> {
    let certified = to_hex(&platform.pce_id);
    if about == Some(certified.as_str()) {
        return Ok(());
    }
    let about = about.unwrap_or("none");
    let cause = Cause::CollateralForOtherPlatform(format!(
        "TCB info is for PCE id {about}, the platform's is {certified}"
    ));
    let stage = refusal::Stage::TcbLevel;
    Err(Refusal::at(stage, id::TDX_TCB_LEVEL, cause))
}

/// What the first certificate of a chain says of a platform, verified or not.
fn unverified_platform(chain: &UnverifiedChain<3>) -> Option<PlatformFacts> {
    let [leaf, ..] = &chain.0;
    PlatformFacts::of(&Certificate::parse(leaf).ok()?).ok()
}

fn refused(refusal: Refusal, checks: &mut Checks) -> Standing {
    let why = Why::Stopped {
        at: refusal.check(),
    };
    let signed = refusal.quote_is_signed();
    refusal.record(checks);
    if signed {
        Standing::SignedOnly(why)
    } else {
        Standing::Unproven(why)
    }
}
