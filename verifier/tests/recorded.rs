//! Real TDX quotes with the collateral of their time, through the command line. The recordings lie
//! outside the repository; without them this is skipped by name.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const POLICY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../policies/attestation/tdx-any-measurement.toml"
);

fn recordings() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors");
    let dir = std::env::var_os("SEALGATE_VECTORS").map_or_else(|| default.into(), PathBuf::from);
    if dir.join("index.json").is_file() {
        return Some(dir);
    }
    println!("skipped: recorded vectors not found at {}", dir.display());
    None
}

/// Exit code and the failed checks of one case.
fn judged(dir: &Path, quote: &str, case: &Value) -> (i32, Vec<String>) {
    let collateral = dir.join(case["collateral"].as_str().unwrap());
    let output = Command::new(env!("CARGO_BIN_EXE_sealgate-verify"))
        .arg("quote")
        .arg(dir.join(quote))
        .args([
            "--policy",
            POLICY,
            "--at",
            case["at"].as_str().unwrap(),
            "--json",
        ])
        .arg("--collateral")
        .arg(collateral)
        .output()
        .unwrap();
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    let failed = verdict["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["outcome"] == "fail")
        .map(|check| check["id"].as_str().unwrap().to_owned())
        .collect();
    (output.status.code().unwrap(), failed)
}

fn expected(kind: &str, expected: &Value) -> (i32, &'static str) {
    let reason = expected["reason"].as_str().unwrap_or_default();
    match (
        kind.starts_with("tdx"),
        expected["verdict"].as_str().unwrap(),
    ) {
        (false, _) => (20, "tdx.tee_type"),
        (true, "valid-signature") if expected["tcb_status"] == "UpToDate" => (0, ""),
        (true, "valid-signature") => (10, "tdx.tcb.status"),
        (true, _) if reason.contains("TCB level") => (10, "tdx.tcb.level"),
        (true, _) if reason.contains("Debug") => (10, "tdx.td.debug"),
        (true, _) if reason.contains("service TD") => (10, "tdx.td.service_td"),
        (true, _) if reason.contains("SEPT_VE") => (10, "tdx.td.sept_ve_disable"),
        (true, _) => panic!("an unclassified reason: {reason}"),
    }
}

#[test]
fn recorded_quotes_get_their_recorded_verdicts() {
    let Some(dir) = recordings() else { return };
    let index: Value =
        serde_json::from_slice(&std::fs::read(dir.join("index.json")).unwrap()).unwrap();
    let mut seen = 0;
    for vector in index["vectors"].as_array().unwrap() {
        let kind = vector["kind"].as_str().unwrap();
        if !kind.starts_with("tdx-quote") && !kind.starts_with("sgx-quote") {
            continue;
        }
        for case in vector["cases"].as_array().unwrap() {
            let quote = vector["files"]["evidence"].as_str().unwrap();
            let (code, failed) = judged(&dir, quote, case);
            let (wanted, cause) = expected(kind, &case["expected"]);
            let label = format!("{} at {}: {failed:?}", vector["id"], case["at"]);
            assert_eq!(code, wanted, "{label}");
            assert!(
                cause.is_empty() || failed.iter().any(|id| id == cause),
                "{label}"
            );
            seen += 1;
        }
    }
    assert!(seen > 0);
}
