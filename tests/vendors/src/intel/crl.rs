//! Certificate revocation lists in DER, as Intel's provisioning service serves them.

use super::certificates::{Issued, authority_key_id, ecdsa_with_sha256, extension, name, signed};
use super::knobs::ListForm;
use crate::der::{context, enumerated, integer, sequence, time};

/// A CRL of `issuer` over the given dates that revokes `serials`. RFC 5280 §5.1
pub fn crl(
    issuer: &Issued,
    issuer_name: &str,
    dates: (u64, u64),
    serials: &[[u8; 20]],
    form: ListForm,
) -> Vec<u8> {
    let (this_update, next_update) = dates;
    let mut parts = vec![
        integer(&[1]),
        ecdsa_with_sha256(),
        name(issuer_name),
        time(this_update),
        time(next_update),
    ];
    if !serials.is_empty() {
        let entries: Vec<_> = serials
            .iter()
            .map(|serial| revoked(serial, this_update))
            .collect();
        parts.push(sequence(&entries));
    }
    let mut extensions = vec![authority_key_id(&issuer.key_id())];
    if form != ListForm::WithoutNumber {
        extensions.insert(0, extension(&[2, 5, 29, 20], false, integer(&[1])));
    }
    if form == ListForm::WithCriticalExtension {
        // An issuing distribution point: the list would not be a complete one.
        extensions.push(extension(&[2, 5, 29, 28], true, sequence(&[])));
    }
    parts.push(context(0, &sequence(&extensions)));
    signed(&sequence(&parts), &issuer.key)
}

fn revoked(serial: &[u8; 20], at: u64) -> Vec<u8> {
    const KEY_COMPROMISE: u8 = 1;
    let reason = extension(&[2, 5, 29, 21], false, enumerated(KEY_COMPROMISE));
    sequence(&[integer(serial), time(at), sequence(&[reason])])
}
