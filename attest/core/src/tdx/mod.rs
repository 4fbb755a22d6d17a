//! Intel TDX: is this quote genuine, and what does it say?
//!
//! Quotes of version 4 and 5 with TD reports of TDX 1.0 and 1.5, signed with ECDSA P-256 by Intel's
//! quoting enclave, certified by a PCK chain inside the quote. SGX quotes are recognised and
//! refused as unsupported.
//!
//! The way of a quote: `quote` takes it apart; `collateral` reads Intel's texts, `dates` asks whether
//! they are valid at the stated time, and their signatures are checked up to the stated root (`chain`,
//! `crl`, `tcb_info`, `qe_identity`); `verification` goes from the platform's certificate
//! (`platform`, `pck_extension`) to the quote's signature (`qe_report`, `signature`) and asks what Intel
//! says of the platform (`levels`, `tdx_module`). What the policy wants of a genuine quote is asked
//! elsewhere.

mod body;
mod chain;
mod collateral;
mod crl;
mod dates;
mod facts;
mod json;
mod levels;
mod pck_extension;
mod platform;
mod qe_identity;
mod qe_report;
mod quote;
mod reader;
mod signature;
mod status;
mod tcb_info;
mod tdx_module;
mod verification;

use crate::collateral::TdxCollateral;
use crate::evidence::{Endorsements, Standing};
use crate::roots::{RootKind, Roots};
use crate::time::UnixTime;
use crate::verdict::{Cause, CheckId, Checks, Why};
use crate::x509::Certificate;

pub use body::{Td15, TdBody};
pub use chain::{CertificateError, ChainError, Role};
pub(crate) use collateral::AuthenticCollateral;
pub use collateral::CollateralPartError;
pub use crl::{CrlError, List};
pub(crate) use facts::to_json as facts_to_json;
pub use facts::{CollateralFacts, TcbFacts, TdxFacts, Trailing};
pub use json::SignedTextError;
pub use levels::{LevelError, TcbLevelFacts, TcbPart};
pub use pck_extension::PckExtensionError;
pub(crate) use platform::AuthenticPlatform;
pub use platform::PlatformFacts;
pub use qe_identity::QeIdentityError;
pub use qe_report::QeReport;
pub use quote::{INTEL_QE_VENDOR, MAX_QUOTE_LEN, QuoteFormatError};
pub use status::TcbStatus;
pub use tdx_module::TdxModuleError;
pub use verification::OtherPlatform;

use chain::UnverifiedChain;
use collateral::Found;
use quote::{ParsedQuote, TdQuote};
use verification::Verification;

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
    known: &mut Endorsements,
    checks: &mut Checks,
) -> Examination {
    let quote = match quote::parse(bytes) {
        Ok(ParsedQuote::Tdx(quote)) => {
            checks.pass(CheckId::TdxQuoteFormat);
            checks.pass(CheckId::TdxTeeType);
            quote
        }
        Ok(ParsedQuote::Sgx) => {
            checks.pass(CheckId::TdxQuoteFormat);
            checks.fail(
                CheckId::TdxTeeType,
                Cause::UnsupportedEvidence("SGX enclave"),
            );
            return unreadable(CheckId::TdxTeeType, checks);
        }
        Err(error) => {
            checks.fail(CheckId::TdxQuoteFormat, Cause::QuoteMalformed(error));
            checks.missed(
                CheckId::TdxTeeType,
                Why::Stopped {
                    at: CheckId::TdxQuoteFormat,
                },
            );
            return unreadable(CheckId::TdxQuoteFormat, checks);
        }
    };
    let mut facts = facts_of(&quote);
    if quote.qe_vendor != INTEL_QE_VENDOR {
        checks.fail(CheckId::TdxQeVendor, Cause::QeVendor);
        return Examination {
            facts: Some(facts),
            ..unverified(CheckId::TdxQeVendor, checks)
        };
    }
    checks.pass(CheckId::TdxQeVendor);
    let standing = match verify(&quote, roots, collected, known, &mut facts, checks) {
        Ok(standing) => standing,
        Err(why) => {
            verification::record_nothing(checks, &why);
            Standing::Unproven(why)
        }
    };
    Examination {
        facts: Some(facts),
        standing,
    }
}

fn unreadable(at: CheckId, checks: &mut Checks) -> Examination {
    checks.missed(CheckId::TdxQeVendor, Why::Stopped { at });
    unverified(at, checks)
}

fn unverified(at: CheckId, checks: &mut Checks) -> Examination {
    let why = Why::Stopped { at };
    checks.missed(CheckId::TdxCollateralFormat, why.clone());
    checks.missed(CheckId::TdxCollateralDates, why.clone());
    verification::record_nothing(checks, &why);
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

/// Collateral first, then the quote. An error says why no step was made.
fn verify(
    quote: &TdQuote<'_>,
    roots: &Roots,
    collected: &Collected<'_>,
    known: &mut Endorsements,
    facts: &mut TdxFacts,
    checks: &mut Checks,
) -> Result<Standing, Why> {
    let Some(text) = collected.collateral else {
        checks.missed(CheckId::TdxCollateralFormat, Why::NoCollateral);
        checks.missed(CheckId::TdxCollateralDates, Why::NoCollateral);
        return Err(Why::NoCollateral);
    };
    let root = roots.der(RootKind::Intel);
    let collateral = match Found::find(text, root, known) {
        Ok(collateral) => collateral,
        Err(error) => {
            let at = CheckId::TdxCollateralFormat;
            checks.fail(at, Cause::CollateralMalformed(error));
            checks.missed(CheckId::TdxCollateralDates, Why::Stopped { at });
            return Err(Why::Stopped { at });
        }
    };
    checks.pass(CheckId::TdxCollateralFormat);
    let about = facts.collateral.insert(collateral.dated().facts.clone());
    let valid_until = about.not_after;
    if let Err(cause) = collateral.dated().at(collected.now) {
        let at = CheckId::TdxCollateralDates;
        checks.fail(at, cause);
        return Err(Why::Stopped { at });
    }
    checks.pass(CheckId::TdxCollateralDates);
    let verification = Verification::of(quote, root, collateral, collected.now, known);
    verification.record(checks);
    Ok(standing(verification, valid_until, facts, checks))
}

/// How much of a quote's facts may be relied on, with what Intel says of the platform among them.
fn standing(
    verification: Verification,
    collateral_until: UnixTime,
    facts: &mut TdxFacts,
    checks: &mut Checks,
) -> Standing {
    let signed = verification.quote_is_signed();
    let genuine = match verification.result {
        Ok(genuine) => genuine,
        Err(failure) => {
            let at = failure.step.check();
            return match signed {
                true => Standing::SignedOnly(Why::Stopped { at }),
                false => Standing::Unproven(Why::Stopped { at }),
            };
        }
    };
    let status = genuine.tcb.status;
    facts.platform = Some(genuine.platform);
    facts.tcb = Some(genuine.tcb);
    if status == TcbStatus::Revoked {
        // The platform's keys are compromised: it is not genuine, whatever a policy accepts.
        let at = CheckId::TdxTcbStatus;
        checks.fail(at, Cause::TcbStatus(status));
        return Standing::SignedOnly(Why::Stopped { at });
    }
    Standing::Genuine {
        valid_until: collateral_until.min(genuine.valid_until),
    }
}

/// What the first certificate of a chain says of a platform, verified or not.
fn unverified_platform(chain: &UnverifiedChain<3>) -> Option<PlatformFacts> {
    let [leaf, ..] = &chain.0;
    PlatformFacts::of(&Certificate::parse(leaf).ok()?).ok()
}
