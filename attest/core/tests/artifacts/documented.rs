//! `docs/profile.md` says what the code does.

use serde_json::Value;

use crate::fixtures;
use attest_core::{
    Event, MAX_RECEIPT_BYTES, MAX_REPORT_BYTES, PROFILE_ID, REPORT_PREFIX, Receipt, json,
};

fn profile_page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/profile.md");
    std::fs::read_to_string(path).expect("the profile is published")
}

#[test]
fn the_page_names_the_profile_and_its_prefixes() {
    let page = profile_page();
    let prefix = REPORT_PREFIX;
    let text = std::str::from_utf8(&prefix[..prefix.len() - 1]).expect("a text and a zero byte");
    assert_eq!(prefix.last(), Some(&0));
    for wanted in [
        format!("# The wire profile `{}`", PROFILE_ID),
        format!("\"{text}\" || 0x00 || JCS("),
        format!("has {} bytes", prefix.len()),
        "sha256(\"sealgate/gpu-nonce/v1\" || nonce || keyset_digest)".to_owned(),
        format!("a report {} MiB", MAX_REPORT_BYTES >> 20),
        format!("A receipt is at most {} KiB", MAX_RECEIPT_BYTES >> 10),
    ] {
        assert!(page.contains(&wanted), "{wanted}");
    }
}

#[test]
fn the_event_on_the_page_is_one_that_is_read() {
    let page = profile_page();
    let line = page
        .lines()
        .find(|line| line.contains("{\"type\":\"policy.applied\""))
        .expect("the page shows the event");
    let digest = "sha256:".to_owned() + &"0".repeat(64);
    let event = line.trim().replace("sha256:<hex>", &digest);
    let mut document: Value =
        serde_json::from_str(&fixtures::receipt().to_json()).expect("a receipt is JSON");
    let event = json::parse(event.as_bytes(), 1000).expect("the event is JSON");
    document["event_log"][1] = event;
    let receipt = Receipt::parse(document.to_string().as_bytes()).expect("it is a receipt");
    assert!(matches!(
        &receipt.body().events[1],
        Event::PolicyApplied { mode, epoch: 7, .. } if mode == "metadata"
    ));
}
