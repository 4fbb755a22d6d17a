//! The blob that the tool makes is the blob that PID 1 reads.

use std::collections::BTreeMap;

use enclave_image::blob::{Blob, BlobError};
use enclave_image::debian::archive::hex;
use enclave_init::config::blob;

fn files(names: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let contents = |name: &str| format!("contents of {name}\n").into_bytes();
    names
        .iter()
        .map(|name| ((*name).to_owned(), contents(name)))
        .collect()
}

#[test]
fn pid_1_parses_the_blob_that_the_build_tool_writes() {
    let all = files(&[
        "sealgate.toml",
        "network",
        "state.ledger.db",
        "a-policy.toml",
    ]);
    let made = Blob::of(&all).expect("good names");
    let disk = made.disk();
    assert_eq!(disk.len() % 512, 0);
    let len = blob::length(&disk[..512]).expect("it begins as a blob does");
    assert_eq!(len, made.bytes().len());
    let read = blob::parse(&disk[..len]).expect("a blob");
    for (name, contents) in &all {
        assert_eq!(read.file(name), Some(contents.as_slice()), "{name}");
    }
}

/// Digests by Python's hashlib over the bytes written out by hand.
#[test]
fn blob_digest_and_register_match_known_values() {
    let all = BTreeMap::from([("sealgate.toml".to_owned(), b"x".to_vec())]);
    let made = Blob::of(&all).expect("a good name");
    let by_hand = b"SGCONF01\x23\0\0\0\x01\0\0\0\x0dsealgate.toml\x01\0\0\0x";
    assert_eq!(made.bytes(), by_hand);
    assert_eq!(
        hex(&made.sha256()),
        "8dd1dcd2f0d0a0ebfe5a817ad38bf27a3518629a2ec07fffa26fb1d8bad3f8e1"
    );
    assert_eq!(
        hex(&made.rtmr3()),
        "58c40c1aafbc694a55d5c965d204213c35bb3050074e1f92ee2be3a1ee16c82629d7dcc620086b8dfdfffc7a06ca6495"
    );
}

#[test]
fn the_build_tool_makes_no_blob_that_pid_1_would_refuse() {
    let refused = |all: &BTreeMap<String, Vec<u8>>| Blob::of(all).expect_err("it is wrong");
    assert_eq!(refused(&files(&[])), BlobError::Count(0));
    assert_eq!(refused(&files(&["network"])), BlobError::NoConfiguration);
    for name in ["", ".hidden", "UPPER", "a/b", "a b"] {
        let all = files(&["sealgate.toml", name]);
        assert_eq!(refused(&all), BlobError::Name(name.into()));
    }
    let mut large = files(&["sealgate.toml"]);
    large.insert("large".into(), vec![0; 4 << 20]);
    assert!(matches!(refused(&large), BlobError::Length(_)));
}
