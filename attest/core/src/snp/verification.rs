//! Is this SNP report genuine, and what does it say? The steps of the module's other files in order:
//! read the report, find its certificates, lead them to AMD's root, then compare the report with them.

use std::sync::Arc;

use super::{
    AuthenticVek, CertTable, CertTableError, ChainError, EndorsementError, HclError, HclReport,
    Product, ReportSignatureError, RevocationError, SnpFacts, SnpFormatError, SnpReport, VekClaims,
    VekError, VekKind, VerifiedVek, authenticate_chain, check_hardware_id, check_key_kind,
    check_product, check_revocation, check_tcb, revocation_list_issued, verify_signature,
};
use crate::cache::{Cache, CacheKey};
use crate::collateral::SnpCollateral;
use crate::roots::{RootKind, Roots};
use crate::time::UnixTime;

/// What a report is verified by.
pub(crate) struct Inputs<'a> {
    pub(crate) roots: &'a Roots,
    /// The certificate table that came with the report.
    pub(crate) table: &'a [u8],
    /// Certificates from elsewhere, where the table has none.
    pub(crate) collateral: Option<&'a SnpCollateral>,
    pub(crate) now: UnixTime,
}

/// How far the verification of a report came.
#[derive(Debug)]
pub(crate) struct Verification {
    /// What the bytes say, and as far as verification came, what AMD certified. Nothing if the
    /// report could not be read.
    pub(crate) facts: Option<SnpFacts>,
    /// Whether a revocation list was found.
    pub(crate) had_revocation_list: bool,
    pub(crate) result: Result<Comparisons, SnpError>,
}

/// Why the certificates of a report do not lead to the root, so that nothing can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SnpError {
    Format(SnpFormatError),
    Hcl(HclError),
    Certificates(CertTableError),
    NoCertificates,
    EndorsementKey(VekError),
    NoRoot(RootKind),
    Chain(ChainError),
}

/// The report against certificates that lead to the root. Each result is independent of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Comparisons {
    /// Until when the revocation list is valid, if there is one.
    pub(crate) revocation: Option<Result<UnixTime, RevocationError>>,
    pub(crate) product: Result<(), EndorsementError>,
    pub(crate) key_kind: Result<(), EndorsementError>,
    pub(crate) hardware_id: Result<(), EndorsementError>,
    pub(crate) tcb: Result<(), EndorsementError>,
    pub(crate) signature: Result<(), ReportSignatureError>,
    /// The last second at which certificates and revocation list are valid.
    pub(crate) valid_until: UnixTime,
}

impl Comparisons {
    /// Whether all of them hold.
    pub(crate) fn all_hold(&self) -> bool {
        let endorsed = [self.product, self.key_kind, self.hardware_id, self.tcb];
        endorsed.iter().all(Result::is_ok)
            && self.signature.is_ok()
            && !matches!(self.revocation, Some(Err(_)))
    }
}

/// Verifies a report: that it is genuine, not that it is wanted.
pub(crate) fn verify(
    bytes: &[u8],
    inputs: &Inputs<'_>,
    cache: &mut Cache<AuthenticVek>,
) -> Verification {
    let mut facts = None;
    let mut had_revocation_list = false;
    let result = steps(bytes, inputs, cache, &mut facts, &mut had_revocation_list);
    Verification {
        facts,
        had_revocation_list,
        result,
    }
}

fn steps(
    bytes: &[u8],
    inputs: &Inputs<'_>,
    cache: &mut Cache<AuthenticVek>,
    facts: &mut Option<SnpFacts>,
    had_revocation_list: &mut bool,
) -> Result<Comparisons, SnpError> {
    let facts = facts.insert(read(bytes)?);
    let certificates = certificates(&facts.report, inputs)?;
    *had_revocation_list = certificates.crl.is_some();
    let claims = VekClaims::parse(&certificates.vek).map_err(SnpError::EndorsementKey)?;
    let product = facts.vek.insert(claims).product;
    let root = product.root_kind();
    let ark = inputs.roots.der(root).ok_or(SnpError::NoRoot(root))?;
    let vek = authentic(&certificates, ark, product, cache)
        .and_then(|vek| vek.at(inputs.now))
        .map_err(SnpError::Chain)?;
    Ok(compare(facts, &certificates, &vek, ark, inputs.now))
}

/// A bare report, or one in Azure's wrapping.
fn read(bytes: &[u8]) -> Result<SnpFacts, SnpError> {
    let (report, hcl_claims) = if bytes.starts_with(b"HCLA") {
        let wrapped = HclReport::parse(bytes).map_err(SnpError::Hcl)?;
        (wrapped.report, Some(wrapped.claims))
    } else {
        (SnpReport::parse(bytes).map_err(SnpError::Format)?, None)
    };
    Ok(SnpFacts {
        report,
        hcl_claims,
        vek: None,
        tcb: None,
        crl_issued: None,
        valid_until: None,
    })
}

/// The certificates of a report, DER.
struct Certificates {
    vek: Vec<u8>,
    ask: Vec<u8>,
    crl: Option<Vec<u8>>,
}

/// A certificate in the table is preferred to one in the collateral. Both are checked alike.
fn certificates(report: &SnpReport, inputs: &Inputs<'_>) -> Result<Certificates, SnpError> {
    let table = CertTable::parse(inputs.table).map_err(SnpError::Certificates)?;
    let other = inputs.collateral;
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
        (Some(vek), Some(ask)) => Ok(Certificates { vek, ask, crl }),
        _ => Err(SnpError::NoCertificates),
    }
}

/// The endorsement key, by the signatures of its chain: checked now, unless they were before.
fn authentic(
    certificates: &Certificates,
    ark: &[u8],
    product: Product,
    cache: &mut Cache<AuthenticVek>,
) -> Result<Arc<AuthenticVek>, ChainError> {
    let (ask, vek) = (&certificates.ask, &certificates.vek);
    let inputs = CacheKey::from_parts(&[product.as_str().as_bytes(), ark, ask, vek]);
    if let Some(vek) = cache.get(&inputs) {
        return Ok(Arc::clone(vek));
    }
    let vek = Arc::new(authenticate_chain(vek, ask, ark, product)?);
    cache.put(inputs, Arc::clone(&vek));
    Ok(vek)
}

/// What the report says of chip and firmware against what AMD certified, and its signature.
fn compare(
    facts: &mut SnpFacts,
    certificates: &Certificates,
    vek: &VerifiedVek,
    ark: &[u8],
    now: UnixTime,
) -> Comparisons {
    let mut valid_until = vek.valid_until();
    let revocation = certificates.crl.as_ref().map(|crl| {
        let until = check_revocation(crl, &certificates.ask, ark, now)?;
        valid_until = valid_until.min(until);
        facts.crl_issued = revocation_list_issued(crl);
        Ok(until)
    });
    let report = &facts.report;
    let tcb = check_tcb(report, vek);
    facts.tcb = tcb.ok();
    facts.valid_until = Some(valid_until);
    Comparisons {
        revocation,
        product: check_product(report, vek),
        key_kind: check_key_kind(report, vek),
        hardware_id: check_hardware_id(report, vek),
        tcb: tcb.map(|_| ()),
        signature: verify_signature(report, vek),
        valid_until,
    }
}
