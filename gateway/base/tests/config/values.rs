//! What a configuration file may contain, and how problems in it are reported.

use gateway_base::config::{Config, ConfigError};
use testkit::TdMeasurements;
use testkit::intel::knobs::Knobs;
use testkit::policy::pinned_policy;
use testkit::scratch::ScratchDir;

const GOOD: &str = r#"
[server]
listen = "127.0.0.1:8443"
names = ["localhost"]
state_dir = "state"
mode = "aggregator"

[tee]
kind = "tdx"

[attestation.enclave]
policy = "policy.toml"

[[model]]
id = "demo-model"
aliases = ["gpt-demo"]
confidential = true
attestation = "enclave"

[[model.upstream]]
name = "enclave-1"
url = "https://127.0.0.1:9443"
api_key_file = "upstream.key"
"#;

fn directory() -> ScratchDir {
    let directory = ScratchDir::new("config").expect("a directory");
    directory
        .write(
            "policy.toml",
            pinned_policy("pinned", &TdMeasurements::named("enclave")),
        )
        .expect("written");
    directory
        .write("upstream.key", "sk-upstream-secret\n")
        .expect("written");
    directory
}

fn load(text: &str) -> Result<Config, ConfigError> {
    let directory = directory();
    let file = directory.write("sealgate.toml", text).expect("written");
    Config::load(&file)
}

/// The problems as `line key: reason`.
fn problems(text: &str) -> Vec<String> {
    let error = load(text).expect_err("a configuration with problems");
    error
        .problems
        .iter()
        .map(|p| format!("{} {p}", p.line.unwrap_or(0)))
        .collect()
}

fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replacen(from, to, 1)
}

#[test]
fn a_good_configuration_loads_and_explains_itself() {
    let config = load(GOOD).expect("a good configuration");
    assert_eq!(config.models[0].id, "demo-model");
    assert!(config.models[0].attestation.is_some());
    assert_eq!(config.retention.policy, None);
    let page = config.explain();
    for part in [
        "https://127.0.0.1:8443",
        "demo-model (also gpt-demo)",
        "only upstreams accepted under [attestation.enclave]",
        "the vendors' own",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn devices_and_event_logs_are_configured_and_explained() {
    use gateway_base::config::{EventLogChoice, Gpus};
    let tee = |more: &str| {
        let text = with("kind = \"tdx\"", &format!("kind = \"tdx\"\n{more}"));
        load(&text).expect("a good configuration")
    };
    let usual = tee("");
    assert_eq!(usual.tee.gpus, Gpus::None);
    let if_any = EventLogChoice::Firmware { required: false };
    assert_eq!(usual.tee.event_log, if_any);
    assert!(usual.tee.collateral.fetch);

    let node =
        tee("gpus = \"nvidia\"\ngpu_count = 8\nevent_log = \"required\"\ncollateral = \"none\"\n");
    assert_eq!(node.tee.gpus, Gpus::Nvidia { count: Some(8) });
    let required = EventLogChoice::Firmware { required: true };
    assert_eq!(node.tee.event_log, required);
    assert!(!node.tee.collateral.fetch);
    assert!(
        node.explain()
            .contains("Intel TDX, 8 NVIDIA GPUs, the firmware's event log")
    );
    assert_ne!(node.document(), usual.document());

    let own_log = tee("event_log_path = \"boot.log\"\n");
    assert!(
        matches!(own_log.tee.event_log, EventLogChoice::File(path) if path.ends_with("boot.log"))
    );
}

#[test]
fn every_mistake_is_reported_with_line_key_and_reason() {
    for (text, line, says) in [
        (
            with("listen = \"127.0.0.1:8443\"", "listen = \"localhost:8443\""),
            3,
            "server.listen: is \"localhost:8443\"; must be an IP address and port",
        ),
        (
            with("listen = \"127.0.0.1:8443\"", "listen = 8443"),
            3,
            "server.listen: must be a string, not an integer",
        ),
        (
            with("listen = ", "lissen = "),
            3,
            "server.lissen: is not a key here; did you mean \"listen\"?",
        ),
        (
            with("listen = ", "lissen = "),
            2,
            "server.listen: is missing",
        ),
        (
            with("names = [\"localhost\"]", "names = []"),
            2,
            "server.names: must list at least one",
        ),
        (
            with("names = [\"localhost\"]", "names = [\"a b\"]"),
            4,
            "server.names[1]: \"a b\" is neither a DNS name nor an IP address",
        ),
        (
            with("names = [\"localhost\"]", "names = [\"a\", \"a\"]"),
            4,
            "server.names[2]: \"a\" is listed twice",
        ),
        (
            with(
                "names = [\"localhost\"]",
                "names = [\"a\", \"b\"]\nbind_domain = true",
            ),
            5,
            "server.bind_domain: needs server.names to be exactly one DNS name",
        ),
        (
            with("mode = \"aggregator\"", "mode = \"proxy\""),
            6,
            "server.mode: is \"proxy\"; must be \"aggregator\" or \"direct\"",
        ),
        (
            with(
                "mode = \"aggregator\"",
                "mode = \"aggregator\"\nepoch_lifetime = \"1 day\"",
            ),
            7,
            "server.epoch_lifetime: \"1 day\" has a unit that is not one of",
        ),
        (
            with(
                "mode = \"aggregator\"",
                "mode = \"aggregator\"\nepoch_lifetime = \"2000d\"",
            ),
            7,
            "server.epoch_lifetime: is 2000d; must be from 1s to 400d",
        ),
        (
            with("kind = \"tdx\"", "kind = \"sgx\""),
            9,
            "tee.kind: is \"sgx\"; must be \"tdx\" or \"snp\" or \"none\"",
        ),
        (
            with("kind = \"tdx\"", "kind = \"none\""),
            17,
            "model[1].confidential: a confidential model cannot be served with tee.kind = \"none\"",
        ),
        (
            with("kind = \"tdx\"", "kind = \"tdx\"\ngpus = \"amd\""),
            10,
            "tee.gpus: is \"amd\"; must be \"none\" or \"nvidia\"",
        ),
        (
            with("kind = \"tdx\"", "gpus = \"nvidia\"\nkind = \"none\""),
            9,
            "tee.gpus: is \"nvidia\"; evidence of GPUs is published beside a CPU's",
        ),
        (
            with("kind = \"tdx\"", "kind = \"tdx\"\ngpu_count = 8"),
            10,
            "tee.gpu_count: is for gpus = \"nvidia\"",
        ),
        (
            with(
                "kind = \"tdx\"",
                "kind = \"tdx\"\ngpus = \"nvidia\"\ngpu_count = 0",
            ),
            11,
            "tee.gpu_count: must be a whole number from 1 to 64",
        ),
        (
            with("kind = \"tdx\"", "kind = \"snp\"\nevent_log = \"required\""),
            10,
            "tee.event_log: an event log accounts for a TD's registers",
        ),
        (
            with(
                "kind = \"tdx\"",
                "kind = \"tdx\"\nevent_log = \"none\"\nevent_log_path = \"log\"",
            ),
            10,
            "tee.event_log: is \"none\", but event_log_path names one",
        ),
        (
            with("kind = \"tdx\"", "kind = \"tdx\"\nkds_url = \"kds\""),
            10,
            "tee.kds_url: must begin with https:// or http://",
        ),
        (
            with(
                "kind = \"tdx\"",
                "kind = \"tdx\"\ngpus = \"nvidia\"\nrims = \"nowhere\"",
            ),
            11,
            "tee.rims: cannot read",
        ),
        (
            with("[tee]", "[tea]"),
            8,
            "tea: is not a key here; did you mean \"tee\"?",
        ),
        (
            with("policy.toml", "other.toml"),
            12,
            "attestation.enclave.policy: cannot read",
        ),
        (
            with("policy.toml", "upstream.key"),
            12,
            "attestation.enclave.policy: ",
        ),
        (
            with(
                "policy = \"policy.toml\"",
                "policy = \"policy.toml\"\nroots = \"nowhere\"",
            ),
            13,
            "attestation.enclave.roots: cannot read",
        ),
        (
            with("id = \"demo-model\"", "id = \"\""),
            15,
            "model[1].id: is empty",
        ),
        (
            with("aliases = [\"gpt-demo\"]", "aliases = [\"demo-model\"]"),
            16,
            "model[1].aliases[1]: \"demo-model\" is already given by model[1].id",
        ),
        (
            with("attestation = \"enclave\"", "attestation = \"enclaves\""),
            18,
            "model[1].attestation: there is no [attestation.enclaves]",
        ),
        (
            with("attestation = \"enclave\"", ""),
            17,
            "model[1].attestation: is missing: a confidential model needs",
        ),
        (
            with("confidential = true", ""),
            18,
            "model[1].attestation: is only for models with confidential = true",
        ),
        (
            with("https://127", "http://127"),
            22,
            "model[1].upstream[1].url: a confidential model needs an https:// upstream",
        ),
        (
            with("https://127", "https://me:pw@127"),
            22,
            "model[1].upstream[1].url: must not contain a user name or password",
        ),
        (
            with("upstream.key", "nothing.key"),
            23,
            "model[1].upstream[1].api_key_file: cannot read",
        ),
        (
            with("[[model.upstream]]", "[model.upstream]"),
            20,
            "model[1].upstream: must be written as [[model[1].upstream]]",
        ),
        (
            with("[tee]", "[limits]\nmax_body = \"4MB\"\n[tee]"),
            9,
            "limits.max_body: \"4MB\" has a unit that is not one of B, KiB",
        ),
        (
            with("[tee]", "[limits]\nattest_queue = 0\n[tee]"),
            9,
            "limits.attest_queue: must be a whole number from 1 to",
        ),
        (
            with("[tee]", "[metrics]\nlisten = \"0.0.0.0:9464\"\n[tee]"),
            9,
            "metrics.listen: is 0.0.0.0:9464; metrics are served without TLS and therefore on loopback only",
        ),
        (
            with("[tee]", "[log]\nformat = \"xml\"\n[tee]"),
            9,
            "log.format: is \"xml\"; must be \"text\" or \"json\"",
        ),
        (
            with("[tee]", "[log]\nlevel = \"loud\"\n[tee]"),
            9,
            "log.level: is \"loud\"; must be \"error\"",
        ),
        (
            with(
                "[tee]",
                "[telemetry]\notlp = \"http://collector.example:4318\"\n[tee]",
            ),
            9,
            "telemetry.otlp: is http://collector.example:4318/v1; without TLS telemetry goes to loopback only",
        ),
        (
            with(
                "[tee]",
                "[telemetry]\notlp = \"grpc://collector.example\"\n[tee]",
            ),
            9,
            "telemetry.otlp: must begin with https:// or http://",
        ),
        (
            with("[tee]", "[retention]\npolicy = \"upstream.key\"\n[tee]"),
            9,
            "retention.policy: ",
        ),
        (
            with(
                "mode = \"aggregator\"",
                "mode = \"aggregator\"\nmode = \"direct\"",
            ),
            7,
            "is not TOML: ",
        ),
    ] {
        let found = problems(&text);
        let wanted = format!("{line} {says}");
        assert!(
            found.iter().any(|problem| problem.starts_with(&wanted)),
            "wanted {wanted:?}, found {found:#?}"
        );
    }
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
    let text = with("listen = ", "lissen = ")
        .replace("mode = \"aggregator\"", "mode = 1")
        .replace("https://", "ftp://");
    let found = problems(&text);
    let keys: Vec<_> = found
        .iter()
        .map(|p| p.split([' ', ':']).nth(1).unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        keys,
        [
            "server.listen",
            "server.lissen",
            "server.mode",
            "model[1].upstream[1].url"
        ]
    );
}

#[test]
fn in_direct_mode_the_engine_is_on_this_machine() {
    let direct = with("mode = \"aggregator\"", "mode = \"direct\"")
        .replace("attestation = \"enclave\"\n", "");
    assert!(load(&direct.replace("https://127.0.0.1:9443", "http://127.0.0.1:8000/v1")).is_ok());
    let found = problems(&direct.replace("https://127.0.0.1:9443", "http://10.0.0.1:8000/v1"));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains(
        "model[1].upstream[1].url: with server.mode = \"direct\" the engine runs on this machine"
    ));
}

#[test]
fn the_published_document_names_secrets_without_their_values() {
    let document = load(GOOD).expect("a good configuration").document();
    assert!(
        document.contains("\"api_key_file\":\"upstream.key\""),
        "{document}"
    );
    assert!(!document.contains("sk-upstream-secret"));
    let value: serde_json::Value = serde_json::from_str(&document).expect("JSON");
    assert_eq!(value["format"], "sealgate/config/1");
    assert_eq!(
        value["models"][0]["upstreams"][0]["url"],
        "https://127.0.0.1:9443/v1"
    );
}

#[test]
fn the_document_depends_on_the_contract_and_not_on_the_machine() {
    let document = |text: &str| load(text).expect("a good configuration").document();
    let base = document(GOOD);
    for same in [
        with("127.0.0.1:8443", "127.0.0.1:9999"),
        with("state_dir = \"state\"", "state_dir = \"elsewhere\""),
        with("[tee]", "# a comment\n[log]\nformat = \"json\"\n[tee]"),
        with("[tee]", "[limits]\nmax_body = \"32768KiB\"\n[tee]"),
    ] {
        assert_eq!(document(&same), base);
    }
    let weaker = pinned_policy("pinned", &TdMeasurements::named("other"));
    let directory = directory();
    directory.write("policy.toml", weaker).expect("written");
    let file = directory.write("sealgate.toml", GOOD).expect("written");
    assert_ne!(
        Config::load(&file).expect("good").document(),
        base,
        "another policy under the same name"
    );
    for other in [
        with(
            "mode = \"aggregator\"",
            "mode = \"aggregator\"\ndrain_timeout = \"61s\"",
        ),
        with("127.0.0.1:9443", "127.0.0.1:9444"),
        with("[tee]", "[limits]\nmax_body = \"8MiB\"\n[tee]"),
        with("[tee]", "[receipts]\nkeep = \"31d\"\n[tee]"),
        with("[tee]", "[provenance]\nrepo_commit = \"abc\"\n[tee]"),
    ] {
        assert_ne!(document(&other), base);
    }
}

#[test]
fn supplied_roots_are_pinned_by_the_document_and_highlighted_by_the_explanation() {
    let document = |seed: u8| {
        let directory = directory();
        let platform = testkit::SoftwarePlatform::with_knobs(
            &[seed; 32],
            attest_core::UnixTime::from_secs(1_790_000_000),
            Knobs::default(),
        );
        let roots = directory.path().join("roots");
        std::fs::create_dir(&roots).expect("a directory");
        std::fs::write(roots.join("intel-root.pem"), platform.intel_root_pem()).expect("written");
        let text = with(
            "policy = \"policy.toml\"",
            "policy = \"policy.toml\"\nroots = \"roots\"",
        );
        let config =
            Config::load(&directory.write("sealgate.toml", text).expect("written")).expect("good");
        assert!(config.explain().contains("SUPPLIED"));
        config.document()
    };
    assert_eq!(document(1), document(1));
    assert_ne!(document(1), document(2));
}

#[test]
fn debug_output_of_a_configuration_contains_no_secret() {
    let config = load(GOOD).expect("a good configuration");
    assert!(!format!("{config:?}").contains("sk-upstream-secret"));
}
