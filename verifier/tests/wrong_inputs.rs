//! Every command with every wrong kind of file in place of each file it reads: one line that names
//! the file and an exit code, or a verdict that refuses; and no text of Rust's own.

mod fixtures;
mod service;

use std::path::Path;
use std::process::{Command, Output};

use attest_core::UnixTime;
use testkit::SoftwarePlatform;
use testkit::amd::MockAmd;
use testkit::amd::knobs::{EndorsementKey, Processor};
use testkit::nvidia::ocsp::OcspKnobs;
use testkit::nvidia::{Chip, MockNvidia};
use testkit::scratch::ScratchDir;

/// The time everything is about: 2026-01-02T03:04:05Z.
const AT: u64 = 1_767_323_045;
const WHEN: &str = "--roots roots --at 2026-01-02T03:04:05Z";

/// A command with `@` in place of the file that will be wrong, and the right one.
const FILES: &[(&str, &str)] = &[
    ("report @ {}", "report.json"),
    ("report report.json --policy @ {}", "policy.toml"),
    (
        "report report.json --policy policy.toml --collateral @ {}",
        "collateral.json",
    ),
    ("quote @ --policy policy.toml {}", "quote.bin"),
    ("quote quote.bin --policy @ {}", "policy.toml"),
    (
        "quote quote.bin --collateral @ --policy policy.toml {}",
        "collateral.json",
    ),
    ("evidence --quote @ --policy policy.toml {}", "quote.bin"),
    ("evidence --snp-report @ --any-measurement {}", "guest.bin"),
    ("evidence --gpu @:gpu.pem --any-measurement {}", "gpu.bin"),
    ("evidence --gpu gpu.bin:@ --any-measurement {}", "gpu.pem"),
    (
        "evidence --quote quote.bin --event-log @ --policy policy.toml {}",
        "td.log",
    ),
    ("evidence --input @ {}", "case.json"),
    ("evidence --quote quote.bin --mrtd @@ {}", "mrtd.txt"),
    (
        "evidence --snp-report guest.bin --snp-certs @ --any-measurement {}",
        "guest-certs.bin",
    ),
    (
        "evidence --snp-report guest.bin --vek @ --ask ask.der --any-measurement {}",
        "vek.der",
    ),
    (
        "evidence --snp-report guest.bin --vek vek.der --ask @ --any-measurement {}",
        "ask.der",
    ),
    (
        "evidence --gpu gpu.bin:gpu.pem --ocsp @ --rims optional --gpu-revocation required --any-measurement {}",
        "ocsp.der",
    ),
    (
        "evidence --gpu gpu.bin:gpu.pem --rim @ --any-measurement {}",
        "driver.xml",
    ),
    ("collateral save --out out.json --report @", "report.json"),
    ("collateral save --out out.json --input @", "case.json"),
    ("session @ --policy policy.toml {}", "session.json"),
    ("session session.json --policy @ {}", "policy.toml"),
    ("receipt @ --keyset keyset.json", "receipt.json"),
    ("receipt receipt.json --keyset @", "keyset.json"),
    (
        "receipt receipt.json --report @ --policy policy.toml {}",
        "report.json",
    ),
    (
        "receipt receipt.json --keyset keyset.json --session @",
        "session.json",
    ),
    ("policy check @", "policy.toml"),
    ("measure --uki @", "image.efi"),
    ("measure --uki image.efi --profile @", "tdx.toml"),
    ("measure --uki image.efi --compare @", "tpm.log"),
    ("inspect @", "report.json"),
    (
        "log receipt @ --proof proof.txt --head head.txt",
        "receipt.json",
    ),
    (
        "log receipt receipt.json --proof @ --head head.txt",
        "proof.txt",
    ),
    ("log consistency @ head.txt", "head.txt"),
    ("log replay --database @", "audit.sqlite"),
];

/// Nothing of the kind that any command reads.
const WRONG: [&str; 7] = [
    "absent.file",
    "wrong-folder",
    "wrong-fifo",
    "wrong-empty",
    "wrong-text",
    "wrong-json",
    "wrong-binary",
];

fn prepare(dir: &ScratchDir) {
    fixtures::write(dir);
    let path = |name: &str| dir.path().join(name);
    let amd = MockAmd::healthy(&[3; 32], Processor::Genoa, EndorsementKey::Vcek, AT);
    let nvidia = MockNvidia::new(&[3; 32], AT);
    let gpu = nvidia.healthy(Chip::Hopper, "gpu-0");
    let ocsp = nvidia.ocsp(&gpu, 1, &OcspKnobs::good(None));
    let collateral = SoftwarePlatform::from_seed(&[3; 32], UnixTime::from_secs(AT)).collateral();
    for (name, bytes) in [
        ("guest.bin", amd.report("guest", &[9; 64])),
        ("guest-certs.bin", amd.certificate_table()),
        ("vek.der", amd.vek().to_vec()),
        ("ask.der", amd.ask().to_vec()),
        ("crl.der", amd.crl()),
        ("ocsp.der", ocsp),
        ("tcb.json", collateral.tdx.unwrap().tcb_info.into_bytes()),
        ("mrtd.txt", b"00".repeat(48)),
    ] {
        std::fs::write(path(name), bytes).unwrap();
    }
    std::fs::create_dir(path("wrong-folder")).unwrap();
    let fifo = Command::new("mkfifo").arg(path("wrong-fifo")).status();
    assert!(fifo.unwrap().success());
    std::fs::write(path("wrong-empty"), "").unwrap();
    std::fs::write(path("wrong-text"), "hello, world\n").unwrap();
    std::fs::write(path("wrong-json"), r#"{"object":"list","data":[null]}"#).unwrap();
    std::fs::write(path("wrong-binary"), [0xfe; 2000]).unwrap();
}

fn run(dir: &Path, command: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sealgate-verify"))
        .args(command.split_whitespace())
        .current_dir(dir)
        .output()
        .unwrap()
}

/// What Rust's Debug and its libraries' types would look like.
const DEBUG: [&str; 12] = [
    "Some(",
    "None",
    "Err(",
    "Ok(",
    "Os {",
    "kind:",
    "Error {",
    "Error(",
    "ErrorKind",
    "::",
    "panicked",
    "Vec<",
];

/// What is wrong with how a command ended, if anything is.
fn problem(command: &str, wrong: &str, output: &Output) -> Option<String> {
    let out = String::from_utf8(output.stdout.clone()).unwrap();
    let err = String::from_utf8(output.stderr.clone()).unwrap();
    let code = output.status.code().expect("an exit code");
    let debug = DEBUG
        .iter()
        .find(|text| out.contains(**text) || err.contains(**text));
    let refused = code >= 10 && err.is_empty();
    let why = if let Some(text) = debug {
        format!("prints {text}")
    } else if ![1, 2, 10, 20, 30].contains(&code) {
        format!("exits with {code}")
    } else if !out.is_empty() {
        match refused {
            true => return None,
            false => "prints a verdict that does not refuse, or more beside it".to_owned(),
        }
    } else if err.lines().count() != 1 || !err.starts_with("sealgate-verify: ") {
        "does not say it in one line".to_owned()
    } else if !err.contains(wrong) {
        "does not name the file".to_owned()
    } else {
        return None;
    };
    Some(format!("$ {command}: {why}\n{out}{err}"))
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn a_wrong_file_is_named_in_one_line_whatever_the_command() {
    let dir = ScratchDir::new("wrong-inputs").unwrap();
    prepare(&dir);
    let mut problems = Vec::new();
    for (template, _) in FILES {
        for wrong in WRONG {
            let command = template.replace("{}", WHEN);
            // `@@` is a value that is read from a file.
            let command = command.replace("@@", &format!("\u{1}{wrong}"));
            let command = command.replace('@', wrong).replace('\u{1}', "@");
            problems.extend(problem(&command, wrong, &run(dir.path(), &command)));
        }
    }
    assert_none(&problems);
}

#[test]
fn a_file_that_is_cut_short_is_refused() {
    let dir = ScratchDir::new("cut-inputs").unwrap();
    prepare(&dir);
    let mut problems = Vec::new();
    for (template, right) in FILES {
        let Ok(whole) = std::fs::read(dir.path().join(right)) else {
            continue;
        };
        for keep in [1, whole.len() / 2, whole.len() - 2] {
            std::fs::write(dir.path().join("cut-file"), &whole[..keep]).unwrap();
            let command = template.replace("{}", WHEN).replace('@', "cut-file");
            if *right == "policy.toml" {
                // A policy that ends between two fields is a policy.
                continue;
            }
            let ended = run(dir.path(), &command);
            problems.extend(problem(&command, "cut-file", &ended));
        }
    }
    assert_none(&problems);
}

#[test]
fn roots_are_read_from_a_directory_that_has_some() {
    let dir = ScratchDir::new("wrong-roots").unwrap();
    prepare(&dir);
    let mut problems = Vec::new();
    for wrong in ["absent.file", "wrong-folder", "wrong-text", "wrong-fifo"] {
        for command in [
            format!("report report.json --roots {wrong}"),
            format!("quote quote.bin --roots {wrong}"),
            format!("evidence --quote quote.bin --roots {wrong}"),
            format!("session session.json --roots {wrong}"),
        ] {
            problems.extend(problem(&command, wrong, &run(dir.path(), &command)));
        }
    }
    assert_none(&problems);
}

#[test]
fn inspect_reads_everything_that_evidence_reads() {
    let dir = ScratchDir::new("inspect-all").unwrap();
    prepare(&dir);
    for (file, kind) in [
        ("quote.bin", "raw TDX quote"),
        ("guest.bin", "raw SEV-SNP report"),
        ("guest-certs.bin", "certificate table of an SEV-SNP host"),
        ("gpu.bin", "evidence of an NVIDIA device"),
        ("gpu.pem", "certificates"),
        ("roots/intel-root.pem", "certificates"),
        ("vek.der", "certificates"),
        ("crl.der", "certificate revocation list"),
        ("ocsp.der", "OCSP response"),
        ("driver.xml", "NVIDIA's reference integrity manifest"),
        ("td.log", "event log"),
        ("case.json", "evidence in one document"),
        ("case-machine.json", "evidence in one document"),
        ("collateral.json", "collateral"),
        ("tcb.json", "Intel's TCB info"),
        ("policy.toml", "attestation policy"),
    ] {
        let output = run(dir.path(), &format!("inspect {file}"));
        let text = String::from_utf8(output.stdout).unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{file}: {err}");
        assert!(
            text.starts_with(&format!("{file}: {kind}")),
            "{file}: {text}"
        );
        assert!(text.contains("NOTHING WAS VERIFIED"), "{file}: {text}");
        let json = run(dir.path(), &format!("inspect {file} --json"));
        let value: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!(value["verified"], false, "{file}");
        assert_ne!(
            value["content"],
            serde_json::Value::Null,
            "{file}: nothing is said"
        );
    }
}
