//! The call into dcap-qvl, which verifies signatures, chains, revocation and TCB.
//!
//! It is given the time and the root, allowed to accept debug and service TDs (both are questions
//! of policy, asked elsewhere), and never told to fetch anything. Its refusals are words; they
//! become named checks in [`super::refusal`].

use std::panic::{AssertUnwindSafe, catch_unwind};

use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::verify::{QuoteVerifier, VerifiedReport};

use super::chain::UnverifiedChain;
use super::facts::TcbFacts;
use super::refusal::{self, Refusal};
use super::status::TcbStatus;
use crate::collateral::TdxCollateral;
use crate::time::UnixTime;
use crate::verdict::{Cause, id};

/// What the library is asked about.
pub(super) struct Question<'a> {
    pub(super) quote: &'a [u8],
    /// As read from the quote; the library is given no other.
    pub(super) pck_chain: &'a UnverifiedChain<3>,
    /// Intel's, or the one that stands in its place, DER.
    pub(super) root: &'a [u8],
    pub(super) collateral: &'a TdxCollateral,
    pub(super) now: UnixTime,
}

pub(super) fn verify(question: &Question<'_>) -> Result<TcbFacts, Refusal> {
    // The library forbids itself to panic; should it break that rule on hostile bytes, the
    // evidence is refused and nothing else happens. No state outlives the call.
    catch_unwind(AssertUnwindSafe(|| call(question)))
        .unwrap_or_else(|_| Err(Refusal::unnamed(Cause::LibraryPanic)))
}

fn call(question: &Question<'_>) -> Result<TcbFacts, Refusal> {
    let verified = QuoteVerifier::new(question.root.to_vec())
        .allow_debug(true)
        .allow_service_td(true)
        .verify(question.quote, &parts(question), question.now.secs())
        .map_err(|error| refusal::classify(&format!("{error:#}"), question))?;
    facts(&verified)
}

fn parts(question: &Question<'_>) -> QuoteCollateralV3 {
    let collateral = question.collateral;
    QuoteCollateralV3 {
        pck_crl_issuer_chain: collateral.pck_crl_issuer_chain.clone(),
        root_ca_crl: collateral.root_ca_crl.clone(),
        pck_crl: collateral.pck_crl.clone(),
        tcb_info_issuer_chain: collateral.tcb_info_issuer_chain.clone(),
        tcb_info: collateral.tcb_info.clone(),
        tcb_info_signature: collateral.tcb_info_signature.to_vec(),
        qe_identity_issuer_chain: collateral.qe_identity_issuer_chain.clone(),
        qe_identity: collateral.qe_identity.clone(),
        qe_identity_signature: collateral.qe_identity_signature.to_vec(),
        // The chain inside the quote, written again from what was read of it: the library, which
        // reads PEM in its own way, does not get to find other certificates in it.
        pck_certificate_chain: Some(question.pck_chain.to_pem()),
    }
}

fn facts(verified: &VerifiedReport) -> Result<TcbFacts, Refusal> {
    Ok(TcbFacts {
        status: status(&verified.status)?,
        platform_status: status(&verified.platform_status.status.to_string())?,
        qe_status: status(&verified.qe_status.status.to_string())?,
        advisories: verified.advisory_ids.clone(),
        levels: Vec::new(),
    })
}

/// A status this version has no word for must not pass as one it has.
fn status(text: &str) -> Result<TcbStatus, Refusal> {
    TcbStatus::parse(text).ok_or_else(|| {
        Refusal::at(
            super::refusal::Stage::Revoked,
            id::TDX_TCB_STATUS,
            Cause::Unclassified(text.into()),
        )
    })
}
