//! `collateral save` against services on the loopback, and what is judged with the bundle afterwards.

use std::path::Path;

use serde_json::Value;
use services::{Fault, Service};

use super::{PROGRAM, services};
use attest_core::{Sha256Digest, UnixTime, to_base64, to_hex};
use testkit::amd::MockAmd;
use testkit::amd::knobs::{EndorsementKey, Processor};
use testkit::nvidia::knobs::ManifestKnobs;
use testkit::nvidia::ocsp::OcspKnobs;
use testkit::nvidia::{Chip, MockNvidia, Source};
use testkit::process;
use testkit::scratch::ScratchDir;

const AT: UnixTime = UnixTime::from_secs(1_767_323_045);
const WHEN: &str = "2026-01-02T03:04:05Z";

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

async fn run(dir: &ScratchDir, command: &str) -> Ran {
    let arguments: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    let output = process::run(Path::new(PROGRAM), arguments, dir.path());
    let output = output.await.expect("the program");
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

fn pem(der: &[u8]) -> String {
    let encoded = to_base64(der);
    format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n")
}

/// An SNP guest with its roots and AMD's service about it.
fn snp(dir: &ScratchDir) -> (MockAmd, Service) {
    let amd = MockAmd::healthy(&[3; 32], Processor::Genoa, EndorsementKey::Vcek, AT.secs());
    let report = amd.report("guest", &[9; 64]);
    dir.write("guest.bin", &report).expect("a file");
    dir.write("roots/amd-genoa-root.pem", pem(amd.ark()))
        .expect("a file");
    let tcb = &report[0x180..0x188];
    let vcek = format!(
        "/vcek/v1/Genoa/{}?blSPL={}&teeSPL={}&snpSPL={}&ucodeSPL={}",
        to_hex(amd.chip_id()),
        tcb[0],
        tcb[1],
        tcb[6],
        tcb[7]
    );
    let service = Service::default()
        .answering(&vcek, amd.vek().to_vec())
        .answering(
            "/vcek/v1/Genoa/cert_chain",
            (pem(amd.ask()) + &pem(amd.ark())).into_bytes(),
        )
        .answering("/vcek/v1/Genoa/crl", amd.crl());
    (amd, service)
}

const DRIVER: &str = "/v1/rim/NV_GPU_DRIVER_GH100_";

/// NVIDIA's two services about the GPU of the fixtures.
fn nvidia() -> Service {
    let nvidia = MockNvidia::new(&[3; 32], AT.secs());
    let gpu = nvidia.healthy(Chip::Hopper, "gpu-0");
    let manifest = |source| {
        let manifest = nvidia.manifest(Chip::Hopper, source);
        let xml = nvidia
            .sign(&manifest, &ManifestKnobs::default())
            .into_bytes();
        let (rim, digest) = (to_base64(&xml), Sha256Digest::hash(&xml).to_hex());
        format!("{{\"rim\":\"{rim}\",\"sha256\":\"{digest}\"}}").into_bytes()
    };
    let good = OcspKnobs::good(None);
    let of_device = (1..=3).map(|place| nvidia.ocsp(&gpu, place, &good));
    let of_signer = (0..3).map(|place| nvidia.ocsp_of_manifest_signer(place, &good));
    Service::default()
        .answering(DRIVER, manifest(Source::Driver))
        .answering("/v1/rim/NV_GPU_VBIOS_", manifest(Source::Vbios))
        .answering_in_turn("/ocsp", of_device.chain(of_signer).collect())
}

#[tokio::test]
async fn a_saved_bundle_verifies_a_guest_and_a_gpu_without_a_network() {
    let dir = ScratchDir::new("saving").expect("a folder");
    super::fixtures::write(&dir);
    let (_, amd) = snp(&dir);
    let (kds, gpus) = (amd.serve().await, nvidia().serve().await);
    let saved = run(
        &dir,
        &format!(
            "collateral save --out bundle.json --json --snp-report guest.bin --gpu gpu.bin:gpu.pem \
             --kds {kds} --rim-service {gpus} --ocsp-responder {gpus}/ocsp"
        ),
    )
    .await;
    assert_eq!(saved.code, Some(0), "{}", saved.err);
    let printed: Value = serde_json::from_str(&saved.out).expect("JSON");
    assert_eq!(printed["snp"], true);
    assert_eq!(printed["tdx"], false);
    assert_eq!(printed["nvidia_manifests"], 2);
    assert_eq!(printed["nvidia_ocsp_responses"], 6);

    let judge = |more: &str| {
        format!(
            "evidence --snp-report guest.bin --gpu gpu.bin:gpu.pem --gpu-nonce {} --gpu-count 1 --any-measurement \
             --require-crl --gpu-revocation required --rim-revocation required \
             --roots roots --at {WHEN} {more}",
            "22".repeat(32)
        )
    };
    let with = run(&dir, &judge("--collateral bundle.json")).await;
    assert_eq!(with.code, Some(0), "{}{}", with.out, with.err);
    assert!(
        with.out.starts_with("ACCEPTED  guest.bin, 1 device\n"),
        "{}",
        with.out
    );
    let without = run(&dir, &judge("")).await;
    assert_eq!(without.code, Some(10), "{}", without.out);
}

#[tokio::test]
async fn a_fault_of_a_service_saves_nothing_and_prints_one_line() {
    let dir = ScratchDir::new("saving-faults").expect("a folder");
    super::fixtures::write(&dir);
    for (fault, message) in [
        (
            Fault::Status("404 Not Found"),
            "the collateral service answered 404",
        ),
        (
            Fault::Status("429 Too Many Requests\r\nretry-after: 900"),
            "limits requests (status 429)",
        ),
        (Fault::BrokenOff, "the answer broke off"),
        (
            Fault::OtherBody,
            "the answer is not of the documented shape",
        ),
        (Fault::Silence, "no complete answer before the timeout"),
    ] {
        let (_, amd) = snp(&dir);
        let kds = amd.with_fault("/vcek/v1/Genoa/cert_chain", fault);
        let kds = kds.serve().await;
        let failed = run(
            &dir,
            &format!("collateral save --out none.json --snp-report guest.bin --kds {kds} --fetch-timeout 2"),
        )
        .await;
        assert_eq!(failed.code, Some(1), "{message}: {}", failed.out);
        assert!(failed.err.contains(message), "{message}: {}", failed.err);
        assert_eq!(failed.err.lines().count(), 1, "{}", failed.err);
        // A revocation list that cannot be had costs nothing but itself, and is reported.
        let (_, amd) = snp(&dir);
        let kds = amd.with_fault("/vcek/v1/Genoa/crl", fault).serve().await;
        let saved = run(
            &dir,
            &format!("collateral save --out without-list.json --snp-report guest.bin --kds {kds} --fetch-timeout 2 --json"),
        )
        .await;
        assert_eq!(saved.code, Some(0), "{message}: {}", saved.err);
        assert!(
            saved.err.contains("no revocation list") && saved.err.contains(message),
            "{}",
            saved.err
        );
        assert_eq!(saved.err.lines().count(), 1, "{}", saved.err);
        let gpus = nvidia().with_fault(DRIVER, fault).serve().await;
        let failed = run(
            &dir,
            &format!(
                "collateral save --out none.json --gpu gpu.bin:gpu.pem --rim-service {gpus} \
                 --ocsp-responder {gpus}/ocsp --fetch-timeout 2"
            ),
        )
        .await;
        assert_eq!(failed.code, Some(1), "{message}: {}", failed.out);
        assert!(failed.err.contains("driver manifest: "), "{}", failed.err);
        assert!(!dir.path().join("none.json").exists(), "{message}");
    }
}

#[tokio::test]
async fn a_bundle_of_another_machine_is_saved_and_refused_when_it_is_used() {
    let dir = ScratchDir::new("saving-other").expect("a folder");
    super::fixtures::write(&dir);
    snp(&dir);
    let stranger = MockAmd::healthy(&[4; 32], Processor::Genoa, EndorsementKey::Vcek, AT.secs());
    let chain = pem(stranger.ask()) + &pem(stranger.ark());
    let kds = Service::default()
        .answering("/vcek/v1/Genoa/", stranger.vek().to_vec())
        .answering("/vcek/v1/Genoa/cert_chain", chain.into_bytes())
        .answering("/vcek/v1/Genoa/crl", stranger.crl())
        .serve()
        .await;
    let save = format!("collateral save --out other.json --snp-report guest.bin --kds {kds}");
    let saved = run(&dir, &save).await;
    assert_eq!(saved.code, Some(0), "{}", saved.err);
    assert!(saved.out.contains("Not verified yet"), "{}", saved.out);
    let judged = run(
        &dir,
        &format!(
            "evidence --snp-report guest.bin --collateral other.json --max-vmpl 0 --roots roots \
             --at {WHEN} --json"
        ),
    )
    .await;
    assert_eq!(judged.code, Some(10), "{}", judged.err);
    let verdict: Value = serde_json::from_str(&judged.out).expect("JSON");
    let checks = verdict["checks"].as_array().expect("checks");
    let failed = checks.iter().filter(|check| check["outcome"] == "fail");
    let failed: Vec<_> = failed.filter_map(|check| check["id"].as_str()).collect();
    assert_eq!(failed, ["snp.vek.hwid", "snp.report.signature"]);
}
