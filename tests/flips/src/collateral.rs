//! Intel's collateral: signed texts, their signatures, revocation lists and issuer chains.
//!
//! The chain that comes with the PCK revocation list is left out: nothing reads it. The list is
//! verified under the authority in the quote's own chain, and every bit of the list is flipped.

use attest_core::{Collateral, TdxCollateral};

use crate::tdx::{Ground, software};
use crate::{Subject, pem};

/// Puts changed bytes into collateral; nothing if it cannot hold them, which is a refusal.
type Put = fn(&mut TdxCollateral, &[u8]) -> Option<()>;

fn text(to: &mut String, bytes: &[u8]) -> Option<()> {
    *to = String::from_utf8(bytes.to_vec()).ok()?;
    Some(())
}

fn signature(to: &mut [u8; 64], bytes: &[u8]) -> Option<()> {
    *to = bytes.try_into().ok()?;
    Some(())
}

pub fn subjects() -> Vec<Subject> {
    of("TDX collateral, software", "", &software())
}

/// The parts of the collateral by which a quote is judged.
pub fn of(kind: &'static str, name: &str, judged: &(Vec<u8>, Ground)) -> Vec<Subject> {
    let Some(it) = judged.1.collateral.tdx.clone() else {
        return Vec::new();
    };
    let part = |of: &str, bytes: Vec<u8>, put: Put| {
        let (quote, ground) = judged.clone();
        let part = format!("{name}{of}");
        Subject::new(kind, part, bytes, move |bytes| {
            let mut changed = ground.collateral.tdx.clone().expect("TDX collateral");
            put(&mut changed, bytes).is_some()
                && ground.accepts_with(&quote, &Collateral::from(changed))
        })
    };
    let mut all = vec![
        part("TCB info", it.tcb_info.clone().into(), |to, bytes| {
            text(&mut to.tcb_info, bytes)
        }),
        part("QE identity", it.qe_identity.clone().into(), |to, bytes| {
            text(&mut to.qe_identity, bytes)
        }),
        part(
            "TCB info signature",
            it.tcb_info_signature.to_vec(),
            |to, bytes| signature(&mut to.tcb_info_signature, bytes),
        ),
        part(
            "QE identity signature",
            it.qe_identity_signature.to_vec(),
            |to, bytes| signature(&mut to.qe_identity_signature, bytes),
        ),
        part("root CRL", it.root_ca_crl.clone(), |to, bytes| {
            to.root_ca_crl = bytes.to_vec();
            Some(())
        }),
        part("PCK CRL", it.pck_crl.clone(), |to, bytes| {
            to.pck_crl = bytes.to_vec();
            Some(())
        }),
    ];
    type Chain = fn(&mut TdxCollateral) -> &mut String;
    let chains: [(&str, Chain); 2] = [
        ("TCB info signer", |to| &mut to.tcb_info_issuer_chain),
        ("QE identity signer", |to| &mut to.qe_identity_issuer_chain),
    ];
    for (of, chain) in chains {
        let Some(leaf) = pem::certificates(chain(&mut it.clone())).into_iter().next() else {
            continue;
        };
        let (quote, ground) = judged.clone();
        all.push(Subject::new(
            kind,
            format!("{name}{of}"),
            leaf,
            move |der| {
                let mut changed = ground.collateral.tdx.clone().expect("TDX collateral");
                let written = pem::with_certificate(chain(&mut changed), 0, der);
                *chain(&mut changed) = written;
                ground.accepts_with(&quote, &changed.into())
            },
        ));
    }
    all
}
