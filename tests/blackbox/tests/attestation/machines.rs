//! Whole machines: a CPU, its event log and its GPUs, in one report, appraised under one policy.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use attest_core::nvidia::UnverifiedDevice;
use attest_core::{
    Appraiser, AttestationPolicy, Channel, Decision, DeviceEvidence, Event, Freshness, Nonce,
    Receipt, Report, RootKind, Roots, gpu_nonce, to_base64,
};
use blackbox::asking::{CHAT, chat, error, receipt};
use blackbox::world::{
    MODEL, SEED, engine_model, gateway_trusting, identity, now, start, start_as, trusting_directory,
};
use testkit::config::{Config, Model};
use testkit::engine::Engine;
use testkit::platform::{Fault, FaultFile};
use testkit::policy::{EVENT_LOG_SECTION, gpu_section, pinned_policy, pinned_snp_policy};
use testkit::process::{run, sibling};
use testkit::scratch::ScratchDir;
use testkit::service::{Identity, Service, free_address};
use testkit::{SoftwarePlatform, TdMeasurements};

const GPUS: usize = 2;

/// An enclave on a machine with GPUs, and what goes wrong there.
struct Machine {
    directory: ScratchDir,
    engine: Engine,
    enclave: Service,
    enclave_key: PathBuf,
    faults: PathBuf,
}

impl Machine {
    /// `policy` is what the gateway will want of it.
    async fn start(name: &str, who: Identity, policy: &str, config: Config) -> Result<Self> {
        let directory = trusting_directory(name)?;
        directory.write("enclave-policy.toml", policy)?;
        // Beside its configuration, where the process may read.
        let home = directory.path().join(&who.measurement);
        std::fs::create_dir_all(&home)?;
        let faults = home.join("fault");
        FaultFile::write(&faults, None)?;
        let engine = Engine::start().await?;
        let who = Identity {
            fault_file: Some(faults.clone()),
            ..who
        };
        let config = config.serving(engine_model(&engine, MODEL));
        let enclave = start_as(&directory, who, config).await?;
        let enclave_key = directory.write("enclave.key", enclave.create_key("gateway").await?)?;
        Ok(Self {
            directory,
            engine,
            enclave,
            enclave_key,
            faults,
        })
    }

    /// A TD with two GPUs that shows its event log.
    async fn td(name: &str) -> Result<Self> {
        let who = Identity {
            event_log: true,
            ..identity("enclave").with_gpus(GPUS)
        };
        Self::start(name, who, &td_policy(), with_gpus(GPUS)?).await
    }

    /// A gateway that forwards to it.
    async fn gateway(&self) -> Result<Service> {
        let model = Model::confidential(MODEL, self.enclave.url()).with_key_from(&self.enclave_key);
        let config = gateway_trusting(&self.directory, "enclave")?.serving(model);
        start(&self.directory, "gateway", config).await
    }

    /// Restarts the machine with this fault. Its keys are new, so no client has verified them yet.
    async fn restart_with(&mut self, fault: Option<Fault>) -> Result<()> {
        FaultFile::write(&self.faults, fault)?;
        self.enclave.restart().await
    }

    /// What `sealgate-verify endpoint` says of it: the exit code, and the verdict.
    async fn verdict(&self) -> Result<(Option<i32>, Value)> {
        let url = self.enclave.url();
        let arguments = ["endpoint", &url, "--json", "--roots", "roots"];
        let arguments = [&arguments[..], &["--policy", "enclave-policy.toml"]].concat();
        let verify = sibling("sealgate-verify")?;
        let output = run(&verify, arguments, self.directory.path()).await?;
        let verdict: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        let verdict = match verdict.get("verdict") {
            Some(inner) => inner.clone(),
            None => verdict,
        };
        Ok((output.status.code(), verdict))
    }

    /// The report for this nonce, with collateral.
    async fn report(&self, query: &str) -> Result<Vec<u8>> {
        let mut connection = self.enclave.connect().await?;
        let path = format!("/v1/aci/attestation?collateral=1{query}");
        connection.get(&path).await?.bytes().await
    }
}

fn td_policy() -> String {
    let td = TdMeasurements::booted("enclave");
    pinned_policy("enclave", &td) + EVENT_LOG_SECTION + &gpu_section(GPUS)
}

fn with_gpus(gpus: usize) -> Result<Config> {
    Ok(Config {
        gpus,
        ..Config::direct(free_address()?)
    })
}

/// Ids of the checks with this outcome.
fn with_outcome<'a>(verdict: &'a Value, outcome: &str) -> Vec<&'a str> {
    let checks = verdict["checks"].as_array().into_iter().flatten();
    checks
        .filter(|check| check["outcome"] == outcome)
        .filter_map(|check| check["id"].as_str())
        .collect()
}

/// Asks for a completion, and gives the events of its receipt.
async fn asked(gateway: &Service, key: &str, status: u16) -> Result<Vec<Event>> {
    let mut connection = gateway.connect().await?;
    let question = chat(MODEL, "only inside a machine that was verified");
    let answer = connection.post(key, CHAT, &question).await?;
    let id = answer.header("x-receipt-id").context("no receipt id")?;
    let id = id.to_owned();
    if status == 200 {
        assert_eq!(answer.status, 200, "the gateway said:\n{}", gateway.log());
        answer.bytes().await?;
    } else {
        let refused = error(answer).await?;
        assert_eq!(
            (refused.status, refused.kind.as_str()),
            (status, "upstream_verification_failed")
        );
    }
    let receipt = Receipt::parse(&receipt(&mut connection, key, &id).await?)?;
    Ok(receipt.body().events.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_with_gpus_is_verified_before_it_gets_the_prompt() -> Result<()> {
    let machine = Machine::td("machine").await?;
    let (code, verdict) = machine.verdict().await?;
    assert_eq!(code, Some(0), "{verdict:#}");
    let passed = with_outcome(&verdict, "pass");
    for check in [
        "tdx.quote.signature",
        "event_log.replay",
        "event_log.secure_boot",
        "nvidia.chain",
        "nvidia.report.signature",
        "nvidia.nonce",
        "nvidia.ocsp",
        "nvidia.rim.driver",
        "nvidia.rim.vbios",
        "nvidia.measurements",
        "nvidia.count",
        "nvidia.distinct",
    ] {
        assert!(passed.contains(&check), "{check}: {verdict:#}");
    }
    assert_eq!(
        verdict["facts"]["devices"].as_array().map(Vec::len),
        Some(GPUS)
    );

    let gateway = machine.gateway().await?;
    let key = gateway.create_key("tests").await?;
    let events = asked(&gateway, &key, 200).await?;
    assert_eq!(machine.engine.stats().prompts, 1);
    let session = events.iter().find_map(|event| match event {
        Event::UpstreamVerified { session_id, .. } => Some(session_id.to_string()),
        _ => None,
    });
    let path = format!("/v1/aci/sessions/{}", session.context("no session")?);
    let mut connection = gateway.connect().await?;
    let record = connection.get_as(&key, &path).await?.json().await?;
    let claim = &record["claims"]["gpu_attested"];
    assert_ne!(claim, &Value::Null, "{record:#}");
    assert!(
        claim.to_string().contains("2 devices, authentic"),
        "{claim}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn startup_fails_when_configured_gpus_are_missing() -> Result<()> {
    let directory = trusting_directory("no-gpus")?;
    let engine = Engine::start().await?;
    let config = with_gpus(GPUS)?.serving(engine_model(&engine, MODEL));
    let error = start(&directory, "enclave", config).await.err();
    let said = error.context("it started")?.to_string();
    assert!(said.contains("no evidence of GPUs"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_machine_fault_is_rejected_with_its_reason_before_a_prompt_is_sent() -> Result<()> {
    let mut machine = Machine::td("faults").await?;
    let gateway = machine.gateway().await?;
    let key = gateway.create_key("tests").await?;
    for (fault, check) in [
        (Fault::OtherNonce, "nvidia.nonce"),
        (Fault::SplicedGpu, "nvidia.nonce"),
        (Fault::DevTools, "nvidia.measurements"),
        (Fault::MissingGpu, "nvidia.count"),
        (Fault::DoubledGpu, "nvidia.distinct"),
        (Fault::OtherManifest, "nvidia.measurements"),
        (Fault::ForgedManifest, "nvidia.rim.vbios"),
        (Fault::AlteredLog, "event_log.replay"),
    ] {
        machine.restart_with(Some(fault)).await?;
        let (code, verdict) = machine.verdict().await?;
        let failed = with_outcome(&verdict, "fail");
        assert_eq!((code, failed), (Some(10), vec![check]), "{fault:?}");

        let events = asked(&gateway, &key, 503).await?;
        let reason = events.iter().find_map(|event| match event {
            Event::UpstreamFailed { reason, .. } => Some(reason.as_str()),
            _ => None,
        });
        assert_eq!(
            reason,
            Some(format!("rejected:{check}").as_str()),
            "{fault:?}"
        );
        let forwarded = |event: &Event| matches!(event, Event::RequestForwarded { .. });
        assert!(!events.iter().any(forwarded), "{fault:?}: {events:?}");
    }
    assert_eq!(machine.engine.stats().prompts, 0);

    machine.restart_with(None).await?;
    asked(&gateway, &key, 200).await?;
    assert_eq!(machine.engine.stats().prompts, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_and_enclave_on_snp_are_verified_too() -> Result<()> {
    let snp = |image: &str| Identity {
        snp: true,
        ..identity(image)
    };
    let policy = pinned_snp_policy("enclave", "enclave") + &gpu_section(1);
    let config = Config {
        tee: "snp",
        ..with_gpus(1)?
    };
    let machine = Machine::start("snp", snp("enclave").with_gpus(1), &policy, config).await?;
    let (code, verdict) = machine.verdict().await?;
    assert_eq!(code, Some(0), "{verdict:#}");
    let passed = with_outcome(&verdict, "pass");
    for check in [
        "snp.chain",
        "snp.report.signature",
        "snp.measurement",
        "snp.crl",
    ] {
        assert!(passed.contains(&check), "{check}: {verdict:#}");
    }

    let model = Model::confidential(MODEL, machine.enclave.url());
    let mut config = gateway_trusting(&machine.directory, "enclave")?
        .serving(model.with_key_from(&machine.enclave_key));
    config.tee = "snp";
    let gateway = start_as(&machine.directory, snp("gateway"), config).await?;
    let key = gateway.create_key("tests").await?;
    asked(&gateway, &key, 200).await?;
    assert_eq!(machine.engine.stats().prompts, 1);

    machine
        .directory
        .write("gateway-snp.toml", pinned_snp_policy("gateway", "gateway"))?;
    let verify = sibling("sealgate-verify")?;
    for (policy, code) in [("gateway-snp.toml", 0), ("enclave-policy.toml", 10)] {
        let url = gateway.url();
        let arguments = ["endpoint", &url, "--roots", "roots", "--policy", policy];
        let output = run(&verify, arguments, machine.directory.path()).await?;
        assert_eq!(output.status.code(), Some(code), "{policy}");
    }
    Ok(())
}

fn roots(machine: &Machine) -> Result<Roots> {
    let mut roots = Roots::none();
    for kind in RootKind::ALL {
        let file = machine
            .directory
            .path()
            .join("roots")
            .join(kind.file_name());
        if file.exists() {
            roots = roots.with(kind, &std::fs::read(file)?)?;
        }
    }
    Ok(roots)
}

/// The checks that fail on a report outside of any channel.
fn failures(machine: &Machine, report: &[u8], freshness: Freshness) -> Result<Vec<&'static str>> {
    let (roots, policy) = (roots(machine)?, AttestationPolicy::parse(&td_policy())?);
    let appraiser = Appraiser {
        roots: &roots,
        policy: &policy,
        collateral: None,
        now: now(),
    };
    let appraisal = appraiser.report(report, freshness, Channel::NotObserved);
    let verdict = appraisal.verdict();
    let failed: Vec<_> = verdict.failures().map(|(id, _)| id.as_str()).collect();
    assert_eq!(verdict.decision() == Decision::Accepted, failed.is_empty());
    Ok(failed)
}

#[tokio::test(flavor = "multi_thread")]
async fn gpu_evidence_of_an_unchallenged_report_covers_a_zero_nonce_and_the_keyset() -> Result<()> {
    let machine = Machine::td("unchallenged").await?;
    let bytes = machine.report("").await?;
    let report = Report::parse(&bytes)?;
    let nonce = gpu_nonce(&Nonce::from_bytes([0; 32]), &report.keyset_digest());
    assert_eq!(report.evidence().devices.len(), GPUS);
    for device in &report.evidence().devices {
        let evidence = UnverifiedDevice::from_evidence(device)?.evidence;
        assert_eq!(evidence.get(4..36), Some(&nonce[..]));
    }
    let unchallenged = Freshness::Unchallenged;
    assert_eq!(
        failures(&machine, &bytes, unchallenged)?,
        Vec::<&str>::new()
    );
    // The audit log's head moves on; the hardware is asked once.
    let again = Report::parse(&machine.report("").await?)?;
    assert!(again.evidence().devices == report.evidence().devices);
    assert!(
        again.evidence().cpu == report.evidence().cpu,
        "another quote"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_changed_after_signing_has_an_invalid_signature() -> Result<()> {
    let machine = Machine::td("spliced").await?;
    let nonce = Nonce::from_bytes([7; 32]);
    let challenged = Freshness::Challenged(nonce);
    let bytes = machine.report(&format!("&nonce={nonce}")).await?;
    assert_eq!(failures(&machine, &bytes, challenged)?, Vec::<&str>::new());

    let stranger = SoftwarePlatform::from_seed(&SEED, now()).with_gpus("elsewhere", 1);
    let device = elsewhere(&stranger, &Report::parse(&bytes)?, &nonce)?;
    let report: Value = serde_json::from_slice(&bytes)?;
    let log = to_base64(b"[]");
    let alterations = [
        (
            "devices",
            json!([
                device.value(),
                report["attestation"]["evidence"]["devices"][0]
            ]),
        ),
        ("event_log", json!(log)),
    ];
    for (member, value) in alterations {
        let mut altered = report.clone();
        altered["attestation"]["evidence"][member] = value;
        let failed = failures(&machine, altered.to_string().as_bytes(), challenged)?;
        assert!(failed.contains(&"report.signature"), "{member}: {failed:?}");
    }
    Ok(())
}

/// A GPU of another machine that was asked with the very nonce of this report.
fn elsewhere(machine: &SoftwarePlatform, report: &Report, nonce: &Nonce) -> Result<DeviceEvidence> {
    use testkit::platform::DeviceAttester;
    let nonce = gpu_nonce(nonce, &report.keyset_digest());
    let devices = machine.attest_devices(&nonce)?;
    Ok(devices.first().context("a device")?.to_evidence())
}
