//! Is this SNP report genuine, and what does it say? Every step of the module's other files, each
//! entered as a check under its own name.

use std::sync::Arc;

use super::{
    AuthenticVek, CertTable, ChainError, HclReport, Product, SnpFacts, SnpReport, Tcb, VekClaims,
    VekKind, VerifiedVek, authenticate_chain, check_hardware_id, check_key_kind, check_product,
    check_revocation, check_tcb, revocation_list_issued, verify_signature,
};
use crate::collateral::SnpCollateral;
use crate::evidence::{Endorsements, Exactly, Standing};
use crate::roots::{RootKind, Roots};
use crate::time::UnixTime;
use crate::verdict::{Cause, CheckId, Checks, SnpCause, Why};

/// What a report is verified by, besides the root.
pub(crate) struct Collected<'a> {
    /// The certificate table that came with the report.
    pub(crate) table: &'a [u8],
    /// Certificates from elsewhere, where the table has none.
    pub(crate) collateral: Option<&'a SnpCollateral>,
    pub(crate) now: UnixTime,
}

/// What came of looking at a report.
pub(crate) struct Examination {
    /// Nothing if the report could not be taken apart.
    pub(crate) facts: Option<SnpFacts>,
    pub(crate) standing: Standing,
    /// Whether there was a revocation list, which then was judged.
    pub(crate) had_revocation_list: bool,
}

/// The checks after the certificates were found.
const AFTER_CERTIFICATES: [CheckId; 6] = [
    CheckId::SnpChain,
    CheckId::SnpProduct,
    CheckId::SnpVekKind,
    CheckId::SnpVekHwid,
    CheckId::SnpVekTcb,
    CheckId::SnpReportSignature,
];

pub(crate) fn examine(
    bytes: &[u8],
    roots: &Roots,
    collected: &Collected<'_>,
    known: &mut Endorsements,
    checks: &mut Checks,
) -> Examination {
    let Some(mut facts) = read(bytes, checks) else {
        let why = Why::Stopped {
            at: checks.first_failure().unwrap_or(CheckId::SnpReportFormat),
        };
        checks.missed(CheckId::SnpCertificates, why.clone());
        return Examination {
            facts: None,
            standing: stopped(why, &AFTER_CERTIFICATES, checks),
            had_revocation_list: false,
        };
    };
    let (standing, had_revocation_list) = match certificates(&facts.report, collected, checks) {
        Ok(found) => {
            let had_list = found.crl.is_some();
            (
                verify(&mut facts, &found, roots, collected.now, known, checks),
                had_list,
            )
        }
        Err(why) => (stopped(why, &AFTER_CERTIFICATES, checks), false),
    };
    Examination {
        facts: Some(facts),
        standing,
        had_revocation_list,
    }
}

fn stopped(why: Why, missed: &[CheckId], checks: &mut Checks) -> Standing {
    for check in missed.iter().copied() {
        checks.missed(check, why.clone());
    }
    Standing::Unproven(why)
}

/// A bare report, or one in Azure's wrapping.
fn read(bytes: &[u8], checks: &mut Checks) -> Option<SnpFacts> {
    let (report, hcl_claims) = if bytes.starts_with(b"HCLA") {
        match HclReport::parse(bytes) {
            Ok(wrapped) => {
                checks.pass(CheckId::SnpReportFormat);
                checks.pass(CheckId::SnpHclClaims);
                (wrapped.report, Some(wrapped.claims))
            }
            Err(error @ super::HclError::Claims) => {
                checks.pass(CheckId::SnpReportFormat);
                checks.fail(CheckId::SnpHclClaims, SnpCause::Hcl(error).into());
                return None;
            }
            Err(error) => {
                checks.fail(CheckId::SnpReportFormat, SnpCause::Hcl(error).into());
                return None;
            }
        }
    } else {
        match SnpReport::parse(bytes) {
            Ok(report) => {
                checks.pass(CheckId::SnpReportFormat);
                checks.not_asked(CheckId::SnpHclClaims, Why::Absent);
                (report, None)
            }
            Err(error) => {
                checks.fail(CheckId::SnpReportFormat, SnpCause::Format(error).into());
                return None;
            }
        }
    };
    Some(SnpFacts {
        report,
        hcl_claims,
        vek: None,
        tcb: None,
        crl_issued: None,
        valid_until: None,
    })
}

/// The certificates to judge by, DER.
struct Found {
    vek: Vec<u8>,
    ask: Vec<u8>,
    crl: Option<Vec<u8>>,
}

/// What the table has goes before what was collected. It is all checked alike.
fn certificates(
    report: &SnpReport,
    collected: &Collected<'_>,
    checks: &mut Checks,
) -> Result<Found, Why> {
    let table = CertTable::parse(collected.table).map_err(|error| {
        checks.fail(
            CheckId::SnpCertificates,
            SnpCause::Certificates(error).into(),
        );
        Why::Stopped {
            at: CheckId::SnpCertificates,
        }
    })?;
    let other = collected.collateral;
    let vek = match report.signing_key {
        VekKind::Vcek => table.vcek,
        VekKind::Vlek => table.vlek,
    };
    let vek = vek.or_else(|| other.map(|other| other.vek.clone()));
    let ask = table.ask.or_else(|| other.map(|other| other.ask.clone()));
    let crl = table
        .crl
        .or_else(|| other.and_then(|other| other.crl.clone()));
    match (vek, ask) {
        (Some(vek), Some(ask)) => {
            checks.pass(CheckId::SnpCertificates);
            Ok(Found { vek, ask, crl })
        }
        _ => {
            checks.missed(CheckId::SnpCertificates, Why::NoCollateral);
            Err(Why::NoCollateral)
        }
    }
}

fn verify(
    facts: &mut SnpFacts,
    found: &Found,
    roots: &Roots,
    now: UnixTime,
    known: &mut Endorsements,
    checks: &mut Checks,
) -> Standing {
    let at_chain = |cause: Cause, checks: &mut Checks| {
        checks.fail(CheckId::SnpChain, cause);
        let [_, after @ ..] = AFTER_CERTIFICATES;
        stopped(
            Why::Stopped {
                at: CheckId::SnpChain,
            },
            &after,
            checks,
        )
    };
    let product = match VekClaims::parse(&found.vek) {
        Ok(claims) => facts.vek.insert(claims).product,
        Err(error) => return at_chain(SnpCause::EndorsementKey(error).into(), checks),
    };
    let Some(ark) = roots.ark(product) else {
        return at_chain(Cause::NoRoot(RootKind::of_product(product)), checks);
    };
    let authentic = authentic(found, ark, product, known);
    let vek = match authentic.and_then(|vek| vek.at(now)) {
        Ok(vek) => vek,
        Err(error) => return at_chain(SnpCause::Chain(error).into(), checks),
    };
    checks.pass(CheckId::SnpChain);
    let mut valid_until = vek.valid_until();
    if let Some(crl) = &found.crl {
        match check_revocation(crl, &found.ask, ark, now) {
            Ok(until) => {
                checks.pass(CheckId::SnpCrl);
                valid_until = valid_until.min(until);
                facts.crl_issued = revocation_list_issued(crl);
            }
            Err(error) => checks.fail(CheckId::SnpCrl, SnpCause::Revocation(error).into()),
        }
    }
    facts.tcb = endorsed(&facts.report, &vek, checks);
    facts.valid_until = Some(valid_until);
    let signed = verify_signature(&facts.report, &vek);
    checks.judge(
        CheckId::SnpReportSignature,
        signed.map_err(|error| SnpCause::Signature(error).into()),
    );
    match (signed, checks.first_failure()) {
        (Ok(()), None) => Standing::Genuine { valid_until },
        (Ok(()), Some(at)) => Standing::SignedOnly(Why::Stopped { at }),
        (Err(_), _) => Standing::Unproven(Why::Stopped {
            at: CheckId::SnpReportSignature,
        }),
    }
}

/// The endorsement key, by the signatures of its chain: checked now, unless they were before.
fn authentic(
    found: &Found,
    ark: &[u8],
    product: Product,
    known: &mut Endorsements,
) -> Result<Arc<AuthenticVek>, ChainError> {
    let exactly = Exactly::of(&[product.as_str().as_bytes(), ark, &found.ask, &found.vek]);
    if let Some(vek) = known.veks.get(&exactly) {
        return Ok(Arc::clone(vek));
    }
    let vek = Arc::new(authenticate_chain(&found.vek, &found.ask, ark, product)?);
    known.veks.put(exactly, Arc::clone(&vek));
    Ok(vek)
}

/// What the report says of chip and firmware against what AMD certified.
fn endorsed(report: &SnpReport, vek: &VerifiedVek, checks: &mut Checks) -> Option<Tcb> {
    let told = |result: Result<(), _>| result.map_err(|error| SnpCause::Endorsement(error).into());
    checks.judge(CheckId::SnpProduct, told(check_product(report, vek)));
    checks.judge(CheckId::SnpVekKind, told(check_key_kind(report, vek)));
    checks.judge(CheckId::SnpVekHwid, told(check_hardware_id(report, vek)));
    let tcb = check_tcb(report, vek);
    checks.judge(CheckId::SnpVekTcb, told(tcb.map(|_| ())));
    tcb.ok()
}
