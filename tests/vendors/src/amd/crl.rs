//! Revocation lists. AMD gives every endorsement key the serial number zero, so that a list can
//! only name signing keys.

use super::authority::{
    Authority, Key, algorithm, ask_serial, authority_key_id, extension, name, signed,
};
use super::knobs::{CrlSigner, Dates, EndorsementKey, Knobs, Revoked};
use crate::der::{context, enumerated, integer, sequence, time};

const DAY: u64 = 86_400;

// RFC 5280 §5.1
pub fn crl(knobs: &Knobs, now: u64) -> Vec<u8> {
    let authority = Authority::of(knobs, now);
    let (issuer, key) = match (knobs.crl.signer, knobs.key) {
        (CrlSigner::Ark, _) => (authority.ark_name(), Key::Ark),
        (CrlSigner::Impostor, _) => (authority.ark_name(), Key::Impostor),
        (CrlSigner::Ask, EndorsementKey::Vcek) => (authority.ask_name(), Key::Ask),
        (CrlSigner::Ask, EndorsementKey::Vlek) => (authority.ask_name(), Key::Asvk),
    };
    let (this_update, next_update) = match knobs.crl.dates {
        Dates::Current => (now - DAY, now + 29 * DAY),
        Dates::Expired => (now - 31 * DAY, now - DAY),
        Dates::NotYetValid => (now + DAY, now + 31 * DAY),
    };
    let mut parts = vec![
        integer(&[1]),
        algorithm(true),
        name(&issuer),
        time(this_update),
        time(next_update),
    ];
    match knobs.crl.revoked {
        Revoked::Nothing => {}
        Revoked::AnotherSerial => parts.push(sequence(&[revoked(&[9, 9, 9], this_update)])),
        Revoked::Ask => parts.push(sequence(&[
            revoked(&[9, 9, 9], this_update),
            revoked(ask_serial(knobs.key), this_update),
        ])),
    }
    let number = extension(&[2, 5, 29, 20], false, &integer(&[1]));
    parts.push(context(0, &sequence(&[authority_key_id(key), number])));
    signed(&sequence(&parts), &algorithm(true), key)
}

fn revoked(serial: &[u8], at: u64) -> Vec<u8> {
    const KEY_COMPROMISE: u8 = 1;
    let reason = extension(&[2, 5, 29, 21], false, &enumerated(KEY_COMPROMISE));
    sequence(&[integer(serial), time(at), sequence(&[reason])])
}
