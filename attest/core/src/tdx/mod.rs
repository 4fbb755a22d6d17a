//! Intel TDX: is this quote genuine, and what does it say?
//!
//! Quotes of version 4 and 5 with TD reports of TDX 1.0 and 1.5, signed with ECDSA P-256 by Intel's
//! quoting enclave, certified by a PCK chain inside the quote. SGX quotes are recognised and
//! refused as unsupported.
//!
//! The way of a quote: `quote` parses it; `collateral` reads Intel's texts, `dates` asks whether
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
mod error;
mod facts;
mod json;
mod levels;
mod pck_extension;
mod platform;
mod qe_identity;
mod qe_report;
mod quote;
mod signature;
mod status;
mod tcb_info;
mod tdx_module;
mod verification;

use crate::cache::Cache;
use crate::collateral::TdxCollateral;
use crate::roots::{RootKind, Roots};
use crate::time::UnixTime;
use crate::x509::StrictCertificate as Certificate;

pub use body::{Td15, TdBody};
pub use chain::{CertificateError, ChainError, Role};
pub use collateral::CollateralPartError;
pub use crl::{CrlError, List};
pub use error::OtherPlatform;
pub(crate) use error::{Failure, Step, TdxError};
pub(crate) use facts::to_json as facts_to_json;
pub use facts::{CollateralFacts, TcbFacts, TdxFacts, Trailing};
pub use json::SignedTextError;
pub use levels::{LevelError, TcbLevelFacts, TcbPart};
pub use pck_extension::PckExtensionError;
pub use platform::PlatformFacts;
pub use qe_identity::QeIdentityError;
pub use qe_report::QeReport;
pub use quote::{INTEL_QE_VENDOR, QuoteFormatError};
pub use status::TcbStatus;
pub use tdx_module::TdxModuleError;

use chain::{Certificates, UnverifiedChain};
use collateral::{AuthenticCollateral, FoundCollateral};
use platform::AuthenticPlatform;
use quote::{ParsedQuote, TdQuote};

/// What a quote is verified by.
pub(crate) struct Inputs<'a> {
    pub(crate) roots: &'a Roots,
    pub(crate) collateral: Option<&'a TdxCollateral>,
    pub(crate) now: UnixTime,
}

/// Collateral and platforms that earlier verifications found authentic.
#[derive(Clone, Debug, Default)]
pub(crate) struct TdxCache {
    collateral: Cache<AuthenticCollateral>,
    platforms: Cache<AuthenticPlatform>,
}

impl TdxCache {
    pub(crate) fn len(&self) -> usize {
        self.collateral.len() + self.platforms.len()
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.collateral.merge(other.collateral);
        self.platforms.merge(other.platforms);
    }
}

/// How far the verification of a quote came.
#[derive(Debug)]
pub(crate) struct Verification {
    /// What the bytes say, and as far as verification came, what Intel says of the platform.
    /// Nothing if the quote could not be read.
    pub(crate) facts: Option<TdxFacts>,
    /// The steps that hold.
    pub(crate) reached: Vec<Step>,
    pub(crate) result: Result<Verified, Failure>,
}

/// A genuine quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    /// The last second at which everything it was verified by is valid.
    pub(crate) valid_until: UnixTime,
}

impl Verification {
    /// Whether hardware's signature over the TD's description holds.
    pub(crate) fn quote_is_signed(&self) -> bool {
        self.reached.contains(&Step::QuoteSignature)
    }
}

/// Parses a quote without verifying it: what the bytes say, which hardware may never have said.
/// Nothing comes back for an SGX quote.
///
/// ```
/// use attest_core::tdx::{QuoteFormatError, decode};
/// assert_eq!(decode(b"\x04"), Err(QuoteFormatError::TooShort { field: "header" }));
/// ```
pub fn decode(quote: &[u8]) -> Result<Option<TdxFacts>, QuoteFormatError> {
    Ok(match quote::parse(quote)? {
        ParsedQuote::Tdx(quote) => Some(TdxFacts {
            platform: unverified_platform(&quote),
            ..facts_of(&quote)
        }),
        ParsedQuote::Sgx => None,
    })
}

/// Verifies a quote: that it is genuine, not that it is wanted.
pub(crate) fn verify(bytes: &[u8], inputs: &Inputs<'_>, cache: &mut TdxCache) -> Verification {
    let mut reached = Vec::new();
    let quote = match quote::parse(bytes) {
        Ok(ParsedQuote::Tdx(quote)) => quote,
        Ok(ParsedQuote::Sgx) => {
            let failure = Failure::new(Step::TeeType, TdxError::SgxQuote);
            return unread(vec![Step::QuoteFormat], failure);
        }
        Err(error) => {
            let failure = Failure::new(Step::QuoteFormat, TdxError::Quote(error));
            return unread(vec![], failure);
        }
    };
    reached.extend([Step::QuoteFormat, Step::TeeType]);
    let mut facts = facts_of(&quote);
    let result = steps(&quote, inputs, cache, &mut facts, &mut reached);
    // Where verification did not come to the platform, its certificate is not verified.
    facts.platform = facts.platform.or_else(|| unverified_platform(&quote));
    Verification {
        facts: Some(facts),
        reached,
        result,
    }
}

/// A quote of which there is nothing to say.
const fn unread(reached: Vec<Step>, failure: Failure) -> Verification {
    Verification {
        facts: None,
        reached,
        result: Err(failure),
    }
}

fn steps(
    quote: &TdQuote<'_>,
    inputs: &Inputs<'_>,
    cache: &mut TdxCache,
    facts: &mut TdxFacts,
    reached: &mut Vec<Step>,
) -> Result<Verified, Failure> {
    if quote.qe_vendor != INTEL_QE_VENDOR {
        return Err(Failure::new(Step::QeVendor, TdxError::QeVendor));
    }
    reached.push(Step::QeVendor);
    let root = inputs.roots.der(RootKind::Intel);
    let (mut chains, mut certificates) = (None, Certificates::default());
    let at_format = |error| Failure::new(Step::CollateralFormat, error);
    let text = inputs.collateral.ok_or(TdxError::NoCollateral);
    let text = text.map_err(at_format)?;
    let found = FoundCollateral::find(text, root, cache, &mut chains, &mut certificates);
    let collateral = found.map_err(TdxError::Collateral).map_err(at_format)?;
    reached.push(Step::CollateralFormat);
    facts.collateral = Some(collateral.dated().facts.clone());
    // Whether it is authentic is checked later, so that what has expired is reported as expired and
    // not as forged.
    let dates = collateral.dated().at(inputs.now);
    dates.map_err(|error| Failure::new(Step::CollateralDates, error))?;
    reached.push(Step::CollateralDates);
    let collateral_until = collateral.dated().facts.not_after;
    let genuine = verification::run(
        quote,
        root,
        collateral,
        certificates,
        inputs.now,
        cache,
        reached,
    )?;
    let status = genuine.tcb.status;
    facts.platform = Some(genuine.platform);
    facts.tcb = Some(genuine.tcb);
    if status == TcbStatus::Revoked {
        return Err(Failure::new(Step::NotRevoked, TdxError::PlatformRevoked));
    }
    Ok(Verified {
        valid_until: collateral_until.min(genuine.valid_until),
    })
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
        platform: None,
        collateral: None,
        tcb: None,
    }
}

/// What the first certificate of a quote's chain says of a platform, verified or not.
fn unverified_platform(quote: &TdQuote<'_>) -> Option<PlatformFacts> {
    let UnverifiedChain::<3>([leaf, ..]) = UnverifiedChain::parse(quote.pck_chain).ok()?;
    PlatformFacts::from_certificate(&Certificate::parse(&leaf).ok()?).ok()
}
