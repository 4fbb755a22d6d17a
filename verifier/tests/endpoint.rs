//! `endpoint` and `proxy` as processes against a live attested service.

mod service;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;

use service::Service;
use testkit::TdMeasurements;
use testkit::policy::pinned_policy;
use testkit::process::{self, Process};
use testkit::relay::Relay;
use testkit::scratch::ScratchDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_sealgate-verify");

/// A directory with `roots/`, `policy.toml` for the service and `other.toml` for another image.
fn prepared(service: &Service) -> ScratchDir {
    let dir = ScratchDir::new("endpoint").unwrap();
    service
        .state
        .platform
        .write_roots(&dir.path().join("roots"))
        .unwrap();
    dir.write(
        "policy.toml",
        pinned_policy("pinned", &service.measurements()),
    )
    .unwrap();
    let other = TdMeasurements::named("another image");
    dir.write("other.toml", pinned_policy("other", &other))
        .unwrap();
    dir
}

async fn endpoint(dir: &ScratchDir, address: SocketAddr, arguments: &str) -> Output {
    let url = format!("https://{address}");
    let mut all = vec!["endpoint", &url, "--roots", "roots"];
    all.extend(arguments.split_whitespace());
    process::run(Path::new(PROGRAM), all, dir.path())
        .await
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Ids of the checks that failed, from `--json`.
fn failed(output: &Output) -> Vec<String> {
    let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    verdict["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["outcome"] == "fail")
        .map(|check| check["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_service_inside_the_policy_is_accepted_over_its_own_channel() {
    let service = Service::start().await;
    let dir = prepared(&service);
    let arguments = "--policy policy.toml --all --save-report saved.json --save-cert cert.pem";
    let output = endpoint(&dir, service.address, arguments).await;
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.starts_with(&format!("ACCEPTED  https://{}\n", service.address)),
        "{text}"
    );
    assert!(text.contains("SUPPLIED ROOTS — not a vendor's"), "{text}");
    let channel = text
        .lines()
        .find(|line| line.contains("channel.spki"))
        .unwrap();
    assert!(channel.contains("✓ PASS"), "{channel}");
    assert!(!text.contains("Channel not observed"), "{text}");
    let saved = std::fs::read(dir.path().join("saved.json")).unwrap();
    let report = attest_core::Report::parse(&saved).unwrap();
    assert_eq!(
        report.keyset_digest().to_string(),
        service.keyset_digests()[0]
    );
    let again = "report saved.json --nonce @saved.json.nonce --policy policy.toml --roots roots";
    let again = process::run(Path::new(PROGRAM), again.split_whitespace(), dir.path());
    assert_eq!(again.await.unwrap().status.code(), Some(0));
    let pem = std::fs::read_to_string(dir.path().join("cert.pem")).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\n"), "{pem}");
}

#[tokio::test]
async fn a_relay_fails_by_its_key_alone_and_leaves_no_certificate_behind() {
    let service = Service::start().await;
    let relay = Relay::start(service.address).await.unwrap();
    let dir = prepared(&service);
    let arguments = "--policy policy.toml --json --save-cert cert.pem";
    let output = endpoint(&dir, relay.address(), arguments).await;
    assert_eq!(output.status.code(), Some(10));
    assert_eq!(failed(&output), ["channel.spki"]);
    assert!(!dir.path().join("cert.pem").exists());
}

#[tokio::test]
async fn another_image_fails_by_its_measurements_alone() {
    let service = Service::start().await;
    let dir = prepared(&service);
    let output = endpoint(&dir, service.address, "--policy other.toml --json").await;
    assert_eq!(output.status.code(), Some(10));
    let failed = failed(&output);
    assert!(
        failed.contains(&"tdx.measurement.mrtd".to_owned()),
        "{failed:?}"
    );
    assert!(
        failed.iter().all(|id| id.starts_with("tdx.measurement.")),
        "{failed:?}"
    );
}

#[tokio::test]
async fn without_a_policy_nothing_is_accepted_and_a_drafted_one_accepts_what_it_was_drafted_from() {
    let service = Service::start().await;
    let dir = prepared(&service);
    let output = endpoint(&dir, service.address, "--json").await;
    assert_eq!(output.status.code(), Some(10));
    let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verdict["decision"], "rejected");
    assert_eq!(verdict["exit_code"], 10);
    assert_eq!(failed(&output), Vec::<String>::new());
    let draft = endpoint(&dir, service.address, "--print-policy").await;
    assert_eq!(draft.status.code(), Some(0));
    dir.write("draft.toml", stdout(&draft)).unwrap();
    let again = endpoint(&dir, service.address, "--policy draft.toml").await;
    assert_eq!(again.status.code(), Some(0), "{}", stdout(&again));
}

#[tokio::test]
async fn no_policy_is_drafted_from_evidence_that_is_not_genuine() {
    let service = Service::start().await;
    let dir = prepared(&service);
    let url = service.url();
    let arguments = ["endpoint", &url, "--print-policy"];
    let output = process::run(Path::new(PROGRAM), arguments, dir.path())
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(10));
    assert!(
        !stdout(&output).contains("name = \"draft\""),
        "{}",
        stdout(&output)
    );
}

fn proxy(dir: &ScratchDir, upstream: &str, policy: &str, more: &[&str]) -> Process {
    let mut arguments = vec!["proxy", "--listen", "127.0.0.1:0", "--upstream", upstream];
    arguments.extend(["--roots", "roots", "--policy", policy]);
    arguments.extend(more);
    Process::start(Path::new(PROGRAM), arguments, dir.path()).unwrap()
}

#[tokio::test]
async fn the_proxy_shows_its_verdict_says_when_it_is_ready_and_stops_when_asked() {
    let service = Service::start().await;
    let dir = prepared(&service);
    let mut proxy = proxy(&dir, &service.url(), "policy.toml", &[]);
    let ready = |line: &str| {
        line.strip_prefix("proxy ready on http://")
            .map(str::to_owned)
    };
    let address = proxy.wait_for(ready).await.unwrap();
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    assert!(proxy.log().contains("ACCEPTED"), "{}", proxy.log());
    proxy.signal("INT").unwrap();
    assert_eq!(proxy.ended().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn the_proxy_does_not_start_before_a_rejected_service_without_wait() {
    let service = Service::start().await;
    let dir = prepared(&service);
    let mut refused = proxy(&dir, &service.url(), "other.toml", &[]);
    assert_eq!(refused.ended().await.unwrap().code(), Some(10));
    assert!(!refused.log().contains("proxy ready"), "{}", refused.log());
    let mut waiting = proxy(&dir, &service.url(), "other.toml", &["--wait"]);
    waiting
        .wait_for(|line| line.starts_with("proxy ready").then_some(()))
        .await
        .unwrap();
}
