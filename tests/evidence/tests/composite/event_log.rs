//! An event log inside a report: it must lead to the registers that hardware signed, and say what the
//! policy wants measured.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{
    intel, judge, keyset, refused_by, refused_for_want_of, report_data, signing_key,
};
use attest_core::event_log::EventLog;
use attest_core::{
    AttestationPolicy, CpuEvidence, EvidenceBundle, Serving, SourceProvenance, UnsignedReport,
    to_base64, to_hex,
};
use vendors::TdMeasurements;

/// What dstack calls its own events.
const RUNTIME: u32 = 0x0800_0001;

fn event(name: &str, payload: &[u8]) -> Value {
    json!({ "imr": 3, "event_type": RUNTIME, "event": name, "event_payload": to_hex(payload) })
}

/// What a well-behaved guest measures, in order.
fn guest() -> Vec<Value> {
    vec![
        event("system-preparing", b""),
        event("app-id", b"app"),
        event("compose-hash", &[7; 32]),
        event("system-ready", b""),
    ]
}

fn bytes(log: &[Value]) -> Vec<u8> {
    Value::from(log.to_vec()).to_string().into_bytes()
}

/// A TD that measured `measured` and shows `shown`.
fn report(measured: &[Value], shown: Option<&[u8]>) -> String {
    let log = EventLog::parse(&bytes(measured)).expect("a log");
    let mut td = TdMeasurements::named("with a log");
    td.rtmr[3] = log.replay()[3];
    let cpu = CpuEvidence::Tdx {
        quote: intel().quote(&td, &report_data()),
    };
    UnsignedReport {
        keyset: keyset(),
        tee_type: cpu.tee_type(),
        report_data: report_data().digest_half(),
        provenance: SourceProvenance::default(),
        evidence: EvidenceBundle {
            cpu,
            event_log: shown.map(to_base64),
            devices: vec![],
            documents: BTreeMap::new(),
            collateral: Some(intel().collateral()),
        },
        serving: Serving::Direct,
    }
    .sign(&signing_key())
    .to_json()
}

fn policy(more: &str) -> AttestationPolicy {
    let text = format!(
        "name = \"log\"\n[tdx]\nmeasurements = \"any\"\n[event_log]\nrequired = true\nregisters = [\"rtmr3\"]\n{more}{}",
        super::super::ANY_LIFETIME
    );
    AttestationPolicy::parse(&text).expect("a policy")
}

#[test]
fn accepts_a_log_that_replays_to_the_signed_registers_and_checks_its_pins() {
    let report = report(&guest(), Some(&bytes(&guest())));
    let pins = format!(
        "app_id = [\"{}\"]\ncompose_hash = [\"{}\"]\n",
        to_hex(b"app"),
        "07".repeat(32)
    );
    let appraisal = judge(&report, &policy(&pins));
    let log = appraisal.verdict().facts().event_log.clone();
    assert_eq!(log.expect("the log").events.len(), 4);
    assert!(appraisal.trusted().is_ok());
    for (check, pin) in [
        ("event_log.app_id", "app_id = [\"00\"]\n"),
        ("event_log.compose_hash", "compose_hash = [\"00\"]\n"),
        ("event_log.os_image_hash", "os_image_hash = [\"00\"]\n"),
    ] {
        refused_by(judge(&report, &policy(pin)), &[check]);
    }
}

#[test]
fn rejects_a_log_that_does_not_replay_to_the_signed_registers() {
    let mut reordered = guest();
    reordered.swap(1, 2);
    let mut shorter = guest();
    shorter.pop();
    let mut renamed = guest();
    renamed[1] = event("app-id", b"another app");
    for lie in [reordered, shorter, renamed] {
        let report = report(&guest(), Some(&bytes(&lie)));
        refused_by(judge(&report, &policy("")), &["event_log.replay"]);
    }
    let garbled = report(&guest(), Some(b"[{}]"));
    refused_by(judge(&garbled, &policy("")), &["event_log.format"]);
}

#[test]
fn rejects_a_report_without_the_required_log() {
    let without = report(&guest(), None);
    refused_for_want_of(judge(&without, &policy("")), "event_log.format");
}
