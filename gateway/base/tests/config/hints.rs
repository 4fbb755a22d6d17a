//! Mistakes that users of other software make, each reported with what to write instead.

use std::os::unix::fs::PermissionsExt;

use gateway_base::config::{Config, ConfigError};
use testkit::TdMeasurements;
use testkit::policy::pinned_policy;
use testkit::scratch::ScratchDir;

const SERVER: &str = r#"[server]
listen = "127.0.0.1:8443"
names = ["localhost"]
state_dir = "state"
mode = "aggregator"

[tee]
kind = "tdx"

[attestation.enclave]
policy = "enclave-policy.toml"

"#;
const MODEL: &str = r#"[[model]]
id = "llama"
confidential = true
attestation = "enclave"
[[model.upstream]]
name = "e1"
url = "https://127.0.0.1:18444"
"#;

fn directory() -> ScratchDir {
    let directory = ScratchDir::new("mistakes").expect("a directory");
    let policy = pinned_policy("pinned", &TdMeasurements::named("enclave"));
    directory
        .write("enclave-policy.toml", policy)
        .expect("written");
    directory
}

fn load_in(directory: &ScratchDir, text: &str) -> Result<Config, ConfigError> {
    let file = directory.write("sealgate.toml", text).expect("written");
    Config::load(&file)
}

/// The problems, each as it is printed without the file's name: `LINE: KEY: REASON`.
fn problems(text: &str) -> Vec<String> {
    let error = load_in(&directory(), text).expect_err("a configuration with problems");
    lines(&error)
}

fn lines(error: &ConfigError) -> Vec<String> {
    let prefix = format!("{}:", error.file.display());
    let text = error.to_string();
    let lines = text.lines().map(|line| {
        let rest = line
            .strip_prefix(&prefix)
            .expect("every problem on a separate line");
        rest.trim_start().to_owned()
    });
    lines.collect()
}

/// That there is exactly one problem, and it has these parts.
fn only(text: &str, parts: &[&str]) {
    let found = problems(text);
    assert_eq!(found.len(), 1, "{found:#?}");
    for part in parts {
        assert!(found[0].contains(part), "{part:?} is not in {:?}", found[0]);
    }
}

fn good() -> String {
    format!("{SERVER}{MODEL}")
}

fn replaced(from: &str, to: &str) -> String {
    let text = good();
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

#[test]
fn the_configuration_that_the_cases_are_made_from_is_good() {
    let config = load_in(&directory(), &good()).expect("a good configuration");
    assert_eq!(config.warnings, []);
}

#[test]
fn a_listen_address_without_an_ip_address_is_reported_with_how_to_write_it() {
    for (written, wanted) in [
        ("8443", "\"0.0.0.0:8443\" for all addresses"),
        (":8443", "\"127.0.0.1:8443\" for this machine alone"),
        ("*:8443", "\"0.0.0.0:8443\" for all addresses"),
        (
            "localhost:8443",
            "such as \"127.0.0.1:8443\": names are not resolved here",
        ),
        ("example.com:8443", "such as \"127.0.0.1:8443\""),
    ] {
        let text = replaced("\"127.0.0.1:8443\"", &format!("{written:?}"));
        only(&text, &["2: server.listen: ", wanted]);
    }
}

#[test]
fn a_string_that_is_not_closed_is_reported_in_its_line() {
    let found = problems(&replaced("kind = \"tdx\"", "kind = \"tdx"));
    assert!(
        found
            .iter()
            .any(|line| line.starts_with("8: is not TOML: ")),
        "{found:#?}"
    );
}

#[test]
fn a_missing_file_is_reported_with_the_similar_one_that_exists() {
    only(
        &replaced("enclave-policy.toml", "enclave-polcy.toml"),
        &[
            "11: attestation.enclave.policy: cannot read",
            "did you mean",
            "enclave-policy.toml",
        ],
    );
}

#[test]
fn an_api_key_in_the_configuration_is_refused_in_favour_of_a_file() {
    let text = format!("{}api_key = \"sk-secret\"\n", good());
    only(
        &text,
        &[
            "20: model[1].upstream[1].api_key: ",
            "api_key_file = \"upstream.key\"",
        ],
    );
    assert!(!problems(&text)[0].contains("sk-secret"));
}

#[test]
fn environment_variables_are_reported_as_not_expanded() {
    for written in [
        "${UPSTREAM_URL}",
        "$UPSTREAM_URL",
        "https://${HOST}/v1",
        "env:UPSTREAM_URL",
        "os.environ/URL",
    ] {
        only(
            &replaced("https://127.0.0.1:18444", written),
            &[
                "19: model[1].upstream[1].url: ",
                "environment variable",
                "not expanded",
            ],
        );
    }
    only(
        &replaced("[\"localhost\"]", "[\"$HOST\"]"),
        &["3: server.names[1]: ", "not expanded"],
    );
}

#[test]
fn a_configuration_of_litellm_is_recognised_and_reported_with_what_to_write() {
    let text =
        "model_list:\n  - model_name: gpt-4o\n    litellm_params:\n      model: azure/gpt-4o\n";
    only(
        text,
        &["LiteLLM", "[[model]]", "[[model.upstream]]", "api_key_file"],
    );
    only(
        &format!("{}[litellm_settings]\ndrop_params = true\n", good()),
        &["20: litellm_settings: ", "LiteLLM"],
    );
}

#[test]
fn an_empty_file_is_one_problem_that_says_what_is_needed() {
    only("", &["is empty", "[server]", "[[model]]"]);
    only("# nothing yet\n", &["is empty"]);
}

#[test]
fn a_url_that_contains_the_endpoint_is_refused_with_the_right_one() {
    for (written, right) in [
        (
            "https://h.example/v1/chat/completions",
            "\"https://h.example/v1\"",
        ),
        (
            "https://h.example/v1/chat/completions/",
            "\"https://h.example/v1\"",
        ),
        (
            "https://h.example:444/api/v1/embeddings",
            "\"https://h.example:444/api/v1\"",
        ),
        (
            "https://h.example/v1/completions",
            "\"https://h.example/v1\"",
        ),
        ("https://h.example/v1/models", "\"https://h.example/v1\""),
    ] {
        let text = replaced("https://127.0.0.1:18444", written);
        only(
            &text,
            &[
                "19: model[1].upstream[1].url: already contains an endpoint",
                right,
            ],
        );
    }
}

#[test]
fn a_deployment_url_of_azure_is_reported_with_the_one_that_works() {
    let azure = "https://my.openai.azure.com/openai/deployments/x";
    for written in [
        azure.to_owned(),
        format!("{azure}?api-version=2024-02-01"),
        format!("{azure}/chat/completions?api-version=2024-02-01"),
    ] {
        only(
            &replaced("https://127.0.0.1:18444", &written),
            &[
                "url = \"https://my.openai.azure.com/openai/v1\"",
                "deployment's name",
            ],
        );
    }
}

#[test]
fn sections_of_other_software_are_reported_with_our_equivalent() {
    for (more, parts) in [
        (
            "[database]\nurl = \"postgres://x\"\n",
            &["database: ", "server.state_dir"][..],
        ),
        (
            "[retention]\nmode = \"zero\"\n",
            &["retention.mode: ", "retention.policy"][..],
        ),
        (
            "[server.tls]\ncert = \"a.pem\"\n",
            &["server.tls: ", "generated for each epoch"][..],
        ),
        (
            "[limits]\nrpm = 100\n",
            &["limits.rpm: ", "limits.max_concurrent"][..],
        ),
        ("[logging]\n", &["logging: ", "[log]"][..]),
    ] {
        only(
            &format!("{more}{}", good()).replacen("[server]\nlisten", "[server]\nlisten", 1),
            parts,
        );
    }
}

#[test]
fn weights_and_fallback_rules_are_refused_because_order_decides() {
    let text = format!(
        "{}weight = 2\n[model.fallback]\non = [\"timeout\"]\n",
        good()
    );
    let found = problems(&text);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].starts_with("20: model[1].upstream[1].weight: "),
        "{found:#?}"
    );
    assert!(
        found[1].starts_with("21: model[1].fallback: "),
        "{found:#?}"
    );
    assert!(
        found
            .iter()
            .all(|line| line.contains("in the order in which they are written"))
    );
}

#[test]
fn a_number_without_its_unit_is_reported_with_how_to_write_it() {
    let text = format!(
        "[limits]\nmax_body = \"5 gigs\"\nmax_concurrent = 0\n[timeouts]\nfirst_byte = 60\nconnect = \"10h\"\n{}",
        good()
    );
    let found = problems(&text);
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found[0].starts_with("2: limits.max_body: ") && found[0].contains("KiB"));
    assert!(found[1].starts_with("3: limits.max_concurrent: "));
    assert!(found[2].starts_with("5: timeouts.first_byte: ") && found[2].contains("\"60s\""));
    assert!(found[3].starts_with("6: timeouts.connect: ") && found[3].contains("1h"));
}

#[test]
fn one_model_name_given_twice_is_reported_where_it_is_given_again() {
    let text = format!(
        "{}[[model]]\nid = \"llama\"\n[[model.upstream]]\nname = \"x\"\nurl = \"http://127.0.0.1:1/v1\"\n",
        good()
    );
    only(
        &text,
        &["21: model[2].id: \"llama\" is already given by model[1].id"],
    );
}

#[test]
fn one_address_for_two_listeners_is_refused_naming_both() {
    let with = |metrics: &str, admin: &str| {
        format!(
            "{}[metrics]\nlisten = {metrics:?}\n[admin]\nlisten = {admin:?}\n",
            good()
        )
    };
    let found = problems(&with("127.0.0.1:8443", "127.0.0.1:8443"));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].contains("21: metrics.listen: 127.0.0.1:8443 is the address of server.listen")
    );
    assert!(found[1].contains("23: admin.listen: 127.0.0.1:8443 is the address of server.listen"));
    only(
        &with("127.0.0.1:1", "0.0.0.0:8443"),
        &["admin.listen: 0.0.0.0:8443", "server.listen"],
    );
    let health = "[health]\nlisten = \"127.0.0.1:8443\"\n";
    only(
        &format!("{}{health}", good()),
        &["health.listen: 127.0.0.1:8443 is the address of server.listen"],
    );
    for (metrics, admin) in [
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.2:8443", "127.0.0.3:8443"),
    ] {
        assert!(load_in(&directory(), &with(metrics, admin)).is_ok());
    }
}

#[test]
fn a_key_file_that_other_users_may_read_or_change_is_refused() {
    let directory = directory();
    let key = directory.write("up.key", "sk-upstream\n").expect("written");
    let text = format!("{}api_key_file = \"up.key\"\n", good());
    for (mode, part) in [
        (0o644, "chmod 600"),
        (0o604, "chmod 600"),
        (0o660, "chmod go-w"),
    ] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).expect("set");
        let error = load_in(&directory, &text).expect_err("an exposed key");
        let found = lines(&error);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(
            found[0].starts_with("20: model[1].upstream[1].api_key_file: "),
            "{found:#?}"
        );
        assert!(found[0].contains(part), "{mode:o}: {found:#?}");
    }
    for mode in [0o600, 0o400, 0o640] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).expect("set");
        assert!(load_in(&directory, &text).is_ok(), "{mode:o}");
    }
}

#[test]
fn a_confidential_model_whose_policy_accepts_any_image_gets_a_warning() {
    let directory = directory();
    let any = "name = \"any\"\n[tdx]\nmeasurements = \"any\"\n";
    directory
        .write("enclave-policy.toml", any)
        .expect("written");
    let config = load_in(&directory, &good()).expect("it can be served");
    assert_eq!(config.warnings.len(), 1, "{:#?}", config.warnings);
    assert_eq!(config.warnings[0].line, Some(16));
    assert_eq!(config.warnings[0].key, "model[1].attestation");
    assert!(config.warnings[0].reason.contains("measurements = \"any\""));
}

#[test]
fn a_pccs_url_as_intels_own_configuration_has_it_is_refused_with_the_right_one() {
    let written = "https://localhost:8081/sgx/certification/v4/";
    let text = replaced(
        "kind = \"tdx\"",
        &format!("kind = \"tdx\"\npcs_url = {written:?}"),
    );
    only(
        &text,
        &["9: tee.pcs_url: ", "write \"https://localhost:8081\""],
    );
}
