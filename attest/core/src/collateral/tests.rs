//! Collateral: what is written is read back, and what is not of the form is refused by name.

use super::tdx::FIELDS;
use super::*;

fn sample() -> TdxCollateral {
    TdxCollateral {
        pck_crl_issuer_chain: "chain a".into(),
        root_ca_crl: vec![1, 2, 3],
        pck_crl: vec![4, 5],
        tcb_info_issuer_chain: "chain b".into(),
        tcb_info: "{\"id\":\"TDX\"}".into(),
        tcb_info_signature: [7; 64],
        qe_identity_issuer_chain: "chain c".into(),
        qe_identity: "{}".into(),
        qe_identity_signature: [9; 64],
    }
}

#[test]
fn what_is_written_is_read_back() {
    let collateral = Collateral::from(sample());
    assert_eq!(
        Collateral::parse(collateral.to_value().to_string().as_bytes()),
        Ok(collateral)
    );
    assert_eq!(
        TdxCollateral::parse(sample().to_value().to_string().as_bytes()),
        Ok(sample())
    );
    assert_eq!(Collateral::parse(b"{}"), Ok(Collateral::default()));
}

#[test]
fn each_missing_member_is_named() {
    for field in FIELDS {
        let mut value = sample().to_value();
        value.as_object_mut().unwrap().remove(field);
        assert_eq!(
            TdxCollateral::from_value(&value),
            Err(CollateralError::Missing(field))
        );
        value[field] = Value::from(5);
        assert_eq!(
            TdxCollateral::from_value(&value),
            Err(CollateralError::NotAString(field))
        );
    }
}

#[test]
fn unknown_members_are_refused_and_a_tenth_one_is_read_past() {
    let mut value = sample().to_value();
    value["pck_certificate_chain"] = Value::from("whatever");
    assert_eq!(TdxCollateral::from_value(&value), Ok(sample()));
    value["tcbinfo"] = Value::from("x");
    assert_eq!(
        TdxCollateral::from_value(&value),
        Err(CollateralError::Unknown("tcbinfo".into()))
    );
    assert_eq!(
        Collateral::parse(b"{\"sgx\":{}}"),
        Err(CollateralError::Unknown("sgx".into()))
    );
}

#[test]
fn hexadecimal_is_canonical_and_of_the_right_length() {
    for (field, text) in [
        ("tcb_info_signature", "00"),
        ("qe_identity_signature", "zz"),
        ("pck_crl", "0A"),
        ("root_ca_crl", "0"),
    ] {
        let mut value = sample().to_value();
        value[field] = Value::from(text);
        let refused = TdxCollateral::from_value(&value);
        assert!(
            matches!(&refused, Err(CollateralError::Hex { field: named, .. }) if *named == field),
            "{refused:?}"
        );
    }
}

#[test]
fn certificates_manifests_and_answers_are_read_back_too() {
    let collateral = Collateral {
        tdx: None,
        snp: Some(SnpCollateral {
            vek: vec![1],
            ask: vec![2, 3],
            crl: Some(vec![4]),
        }),
        nvidia: Some(NvidiaCollateral {
            rims: vec![b"<a/>".to_vec()],
            ocsp: vec![vec![5], vec![6]],
        }),
    };
    let text = collateral.to_value().to_string();
    assert_eq!(Collateral::parse(text.as_bytes()), Ok(collateral));
}

#[test]
fn each_part_is_as_strict_as_the_whole() {
    let refused = |text: &str| Collateral::parse(text.as_bytes()).unwrap_err();
    assert_eq!(
        refused(r#"{"snp":{"vek_b64":"AQ=="}}"#),
        CollateralError::Missing("ask_b64")
    );
    assert_eq!(
        refused(r#"{"snp":{"vek_b64":"AQ==","ask_b64":"AQ==","ark_b64":"AQ=="}}"#),
        CollateralError::Unknown("ark_b64".into())
    );
    assert_eq!(
        refused(r#"{"nvidia":{"rims":{}}}"#),
        CollateralError::NotAList("rims")
    );
    assert_eq!(
        refused(r#"{"nvidia":{"ocsp":[1]}}"#),
        CollateralError::NotAString("ocsp")
    );
    let many = format!(
        r#"{{"nvidia":{{"rims":["AQ=="{}]}}}}"#,
        ",\"AQ==\"".repeat(32)
    );
    assert_eq!(refused(&many), CollateralError::TooMany("rims"));
    assert!(matches!(
        refused(r#"{"nvidia":{"rims":["AR=="]}}"#),
        CollateralError::Base64 { field: "rims", .. }
    ));
}
