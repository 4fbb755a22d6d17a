//! One spelling for every value.

use attest_core::{
    EncodingError as E, Nonce, SessionId, Sha256Digest, SpkiDigest, parse_base64, parse_hex,
    parse_hex_vec,
};

#[test]
fn hex_is_lower_case_and_of_the_exact_length() {
    assert_eq!(parse_hex::<2>("0aff"), Ok([0x0a, 0xff]));
    assert_eq!(parse_hex::<2>("0aFf"), Err(E::UpperCaseHex { offset: 2 }));
    assert_eq!(parse_hex::<2>("0ag0"), Err(E::NotHex { offset: 2 }));
    assert_eq!(parse_hex::<2>("0x0a"), Err(E::NotHex { offset: 1 }));
    assert_eq!(parse_hex::<2>(" 0aa"), Err(E::NotHex { offset: 0 }));
    assert_eq!(parse_hex::<2>("aaé"), Err(E::NotHex { offset: 2 }));
    for wrong in ["", "0a", "0af", "0aff0"] {
        let found = wrong.len();
        assert_eq!(
            parse_hex::<2>(wrong),
            Err(E::WrongLength { expected: 4, found })
        );
    }
}

#[test]
fn hex_of_free_length_has_a_limit() {
    assert_eq!(parse_hex_vec("", 0), Ok(vec![]));
    assert_eq!(parse_hex_vec("0aff", 2), Ok(vec![0x0a, 0xff]));
    assert_eq!(parse_hex_vec("0af", 2), Err(E::OddLength { found: 3 }));
    assert_eq!(
        parse_hex_vec("0aff", 1),
        Err(E::TooLong { max: 1, decoded: 2 })
    );
}

#[test]
fn base64_is_standard_and_canonical() {
    assert_eq!(parse_base64("", 0), Ok(vec![]));
    assert_eq!(parse_base64("+/8=", 2), Ok(vec![0xfb, 0xff]));
    assert_eq!(parse_base64("-/8=", 2), Err(E::Base64UrlSafe { offset: 0 }));
    assert_eq!(parse_base64("+_8=", 2), Err(E::Base64UrlSafe { offset: 1 }));
    assert_eq!(parse_base64("+/9=", 2), Err(E::Base64TrailingBits));
    assert_eq!(parse_base64("YR==", 1), Err(E::Base64TrailingBits));
    assert_eq!(
        parse_base64("YQ==\n", 9),
        Err(E::Base64WhiteSpace { offset: 4 })
    );
    assert_eq!(
        parse_base64(" YQ==", 9),
        Err(E::Base64WhiteSpace { offset: 0 })
    );
    assert_eq!(parse_base64("Y\0==", 9), Err(E::NotBase64 { offset: 1 }));
    assert_eq!(parse_base64("YQé=", 9), Err(E::NotBase64 { offset: 2 }));
    for wrong in [
        "YQ", "YQ=", "YQ===", "Y", "====", "=", "YQ==YQ==", "Y=Q=", "YWJj=",
    ] {
        assert_eq!(parse_base64(wrong, 9), Err(E::Base64Padding), "{wrong}");
    }
}

#[test]
fn base64_has_a_limit_on_what_it_decodes_to() {
    assert_eq!(parse_base64("YWJj", 3), Ok(b"abc".to_vec()));
    assert_eq!(
        parse_base64("YWJj", 2),
        Err(E::TooLong { max: 2, decoded: 3 })
    );
    assert_eq!(parse_base64("YWI=", 2), Ok(b"ab".to_vec()));
    assert_eq!(
        parse_base64("YWI=", 1),
        Err(E::TooLong { max: 1, decoded: 2 })
    );
}

#[test]
fn digests_carry_their_prefix_and_identifiers_carry_none() {
    let hex = "ab".repeat(32);
    let prefixed = format!("sha256:{hex}");
    assert_eq!(
        Sha256Digest::parse(&prefixed).map(|d| d.to_string()),
        Ok(prefixed.clone())
    );
    assert_eq!(Sha256Digest::parse(&hex), Err(E::MissingDigestPrefix));
    assert_eq!(
        Sha256Digest::parse(&format!("SHA256:{hex}")),
        Err(E::MissingDigestPrefix)
    );
    let wrong = E::WrongLength {
        expected: 64,
        found: 71,
    };
    assert_eq!(SpkiDigest::parse(&prefixed), Err(wrong.clone()));
    assert_eq!(SessionId::parse(&prefixed), Err(wrong.clone()));
    assert_eq!(Nonce::parse(&prefixed), Err(wrong));
    assert_eq!(
        Nonce::parse(&hex.to_uppercase()),
        Err(E::UpperCaseHex { offset: 0 })
    );
    assert_eq!(Nonce::parse(&hex).map(|n| n.to_string()), Ok(hex));
}
