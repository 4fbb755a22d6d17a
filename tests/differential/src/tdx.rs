//! What `tdx-quote` says of a quote.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tdx_quote::{Quote, QuoteParseError};

use attest_core::tdx::TdBody;

/// Its answer, without any collateral: it knows none.
#[derive(Debug)]
pub enum Theirs {
    /// Parsed, signed by its attestation key, which its QE report vouches for.
    Signed(Box<Quote>),
    Refused(QuoteParseError),
    /// It has no length checks before the signature.
    Panicked,
}

pub fn judge(quote: &[u8]) -> Theirs {
    match catch_unwind(AssertUnwindSafe(|| Quote::from_bytes(quote))) {
        Ok(Ok(quote)) => Theirs::Signed(Box::new(quote)),
        Ok(Err(error)) => Theirs::Refused(error),
        Err(_) => Theirs::Panicked,
    }
}

/// The fields of the body that are not read alike.
pub fn differences(ours: &TdBody, theirs: &Quote) -> Vec<&'static str> {
    let body = &theirs.body;
    let fields: [(&str, &[u8], &[u8]); 16] = [
        ("tee_tcb_svn", &ours.tee_tcb_svn, &body.tee_tcb_svn),
        ("mrseam", &ours.mrseam, &body.mrseam),
        ("mrsignerseam", &ours.mrsignerseam, &body.mrsignerseam),
        (
            "seam_attributes",
            &ours.seam_attributes,
            &body.seamattributes,
        ),
        ("td_attributes", &ours.td_attributes, &body.tdattributes),
        ("xfam", &ours.xfam, &body.xfam),
        ("mrtd", &ours.mrtd, &body.mrtd),
        ("mrconfigid", &ours.mrconfigid, &body.mrconfigid),
        ("mrowner", &ours.mrowner, &body.mrowner),
        ("mrownerconfig", &ours.mrownerconfig, &body.mrownerconfig),
        ("rtmr0", &ours.rtmr[0], &body.rtmr0),
        ("rtmr1", &ours.rtmr[1], &body.rtmr1),
        ("rtmr2", &ours.rtmr[2], &body.rtmr2),
        ("rtmr3", &ours.rtmr[3], &body.rtmr3),
        ("report_data", &ours.report_data, &body.reportdata),
        (
            "mrservicetd",
            ours.td15.as_ref().map_or(&[], |it| &it.mrservicetd),
            body.mrservicetd.as_ref().map_or(&[], |it| it),
        ),
    ];
    let differ = fields.iter().filter(|(_, ours, theirs)| ours != theirs);
    differ.map(|(name, ..)| *name).collect()
}
