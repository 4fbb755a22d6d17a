//! The shipped program on the command line: its output and its exit status.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use testkit::scratch::ScratchDir;

const CONFIG: &str = "[server]\nlisten = \"127.0.0.1:0\"\nnames = [\"localhost\"]\nstate_dir = \"state\"\nmode = \"direct\"\n\
    [tee]\nkind = \"none\"\n[[model]]\nid = \"m\"\n[[model.upstream]]\nname = \"engine\"\nurl = \"http://127.0.0.1:8000/v1\"\n";

fn sealgate(directory: &ScratchDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealgate"));
    command
        .current_dir(directory.path())
        .args(arguments)
        .output()
        .expect("the program runs")
}

fn directory(config: &str) -> ScratchDir {
    let directory = ScratchDir::new("cli").expect("a directory");
    directory.write("sealgate.toml", config).expect("written");
    directory
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

#[test]
fn check_explains_a_good_configuration_and_ends_with_0() {
    let output = sealgate(&directory(CONFIG), &["check"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        out(&output).contains("sealgate.toml is good"),
        "{}",
        out(&output)
    );
    assert_eq!(err(&output), "");
}

#[test]
fn check_lists_every_problem_and_ends_with_2() {
    let bad = CONFIG
        .replace("listen", "lissen")
        .replace("\"direct\"", "\"both\"");
    let output = sealgate(&directory(&bad), &["check", "sealgate.toml"]);
    assert_eq!(
        (output.status.code(), out(&output)),
        (Some(2), String::new())
    );
    let said = err(&output);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 4, "{said}");
    assert!(
        lines[0].starts_with("sealgate.toml:1: server.listen: is missing"),
        "{said}"
    );
    assert!(
        lines[1].starts_with("sealgate.toml:2: server.lissen: is not a key here"),
        "{said}"
    );
    assert!(
        lines[2].starts_with("sealgate.toml:5: server.mode: is \"both\""),
        "{said}"
    );
    assert_eq!(lines[3], "3 problems; nothing would be served");
}

/// With an unknown format, a misspelt key and no ttl.
const BAD_POLICY: &str =
    "format = \"sealgate/retention/9\"\nepohc = 1\n[default]\nmode = \"metadata\"\n";

fn assert_names_each_problem_of_bad_policy(lines: &[&str], prefix: &str) {
    let starts = [
        "line 1: the format \"sealgate/retention/9\" is unknown",
        "line 2: unknown field `epohc`, did you mean `epoch`?",
        "line 4: default: mode \"metadata\" needs a ttl",
    ];
    assert_eq!(lines.len(), starts.len(), "{lines:?}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(
            line.starts_with(&format!("{prefix}policy.toml: {start}")),
            "{line}"
        );
    }
}

#[test]
fn check_lists_every_problem_of_the_retention_policy() {
    let directory = directory(&format!("{CONFIG}[retention]\npolicy = \"policy.toml\"\n"));
    directory.write("policy.toml", BAD_POLICY).expect("written");
    let output = sealgate(&directory, &["check", "sealgate.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let errors = err(&output);
    let mut lines: Vec<_> = errors.lines().collect();
    assert_eq!(lines.pop(), Some("3 problems; nothing would be served"));
    assert_names_each_problem_of_bad_policy(&lines, "sealgate.toml:14: retention.policy: ");
}

#[test]
fn retention_sign_lists_every_problem_of_the_policy_and_signs_nothing() {
    let directory = directory(CONFIG);
    directory.write("policy.toml", BAD_POLICY).expect("written");
    let made = sealgate(&directory, &["retention", "keygen", "--out", "key"]);
    assert_eq!(made.status.code(), Some(0), "{}", err(&made));
    let output = sealgate(
        &directory,
        &["retention", "sign", "--key", "key", "policy.toml"],
    );
    assert_eq!(output.status.code(), Some(2));
    let errors = err(&output);
    let lines: Vec<_> = errors.lines().collect();
    let lines: Vec<_> = lines
        .iter()
        .map(|line| line.trim_start_matches("sealgate: "))
        .collect();
    assert_names_each_problem_of_bad_policy(&lines, "");
    assert!(!directory.path().join("policy.toml.sig").exists());
}

#[test]
fn check_and_serve_end_with_2_where_there_is_no_configuration() {
    let directory = ScratchDir::new("cli").expect("a directory");
    for command in ["check", "serve"] {
        let output = sealgate(&directory, &[command, "nowhere.toml"]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        assert!(
            err(&output).starts_with("nowhere.toml: cannot read"),
            "{}",
            err(&output)
        );
    }
}

#[test]
fn serve_lists_what_was_probed_without_a_tee() {
    for (kind, vendor) in [("tdx", "Intel TDX"), ("snp", "AMD SEV-SNP")] {
        let config = CONFIG.replace(
            "kind = \"none\"",
            &format!("kind = \"{kind}\"\ntsm_path = \"no/such/report\""),
        );
        let output = sealgate(&directory(&config), &["serve"]);
        assert_eq!(output.status.code(), Some(1));
        let said = err(&output);
        for part in [vendor, "no/such/report", "make demo", "kind = \"none\""] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

#[test]
fn a_key_is_printed_once_and_listed_without_its_secret() {
    let directory = directory(CONFIG);
    let created = sealgate(
        &directory,
        &["keys", "create", "--tenant", "acme", "--name", "ci"],
    );
    assert_eq!(created.status.code(), Some(0), "{}", err(&created));
    let key = out(&created);
    let key = key.trim();
    let id = key.split('-').nth(2).expect("an id");
    assert_eq!(key.lines().count(), 1);
    let listed = out(&sealgate(&directory, &["keys", "list", "sealgate.toml"]));
    let line = listed
        .lines()
        .find(|line| line.starts_with(id))
        .expect("listed");
    let columns: Vec<_> = line.split_whitespace().collect();
    let [_, state, _, tenant, name, restrictions @ ..] = columns.as_slice() else {
        panic!("{line}");
    };
    assert_eq!((*state, *tenant, *name), ("active", "acme", "ci"));
    assert_eq!(restrictions.join(" "), "no restrictions");
    assert!(!listed.contains(&key[30..]));

    let revoked = sealgate(&directory, &["keys", "revoke", id]);
    assert_eq!(revoked.status.code(), Some(0), "{}", err(&revoked));
    let listed = out(&sealgate(&directory, &["keys", "list", "sealgate.toml"]));
    assert!(
        listed
            .lines()
            .any(|line| line.starts_with(id) && line.contains("revoked")),
        "{listed}"
    );
    let again = sealgate(&directory, &["keys", "revoke", "sealgate.toml", id]);
    assert_eq!(again.status.code(), Some(2));
    assert!(err(&again).contains("no active key"), "{}", err(&again));
}

#[test]
fn an_invalid_command_line_ends_with_2() {
    let directory = directory(CONFIG);
    for arguments in [
        &["fly"][..],
        &[],
        &["keys", "create"],
        &["keys", "create", "--tenant", "a b"],
        &["serve", "a", "b"],
    ] {
        let output = sealgate(&directory, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_ne!(err(&output), "", "{arguments:?}");
    }
    assert_eq!(sealgate(&directory, &["--help"]).status.code(), Some(0));
}

const LITELLM: &str = "model_list:
  - {model_name: chat, rpm: 60, litellm_params: {model: hosted_vllm/llama, api_base: \"http://127.0.0.1:8000/v1\", api_key: sk-upstream}}
  - {model_name: claude, litellm_params: {model: anthropic/claude-sonnet}}
router_settings: {model_group_alias: {fast: chat}}
";

#[test]
fn a_litellm_configuration_is_imported_and_passes_check() {
    let directory = directory("");
    directory.write("config.yaml", LITELLM).expect("written");
    let arguments = [
        "import",
        "litellm",
        "config.yaml",
        "--output",
        "new",
        "--tee",
        "none",
    ];
    let output = sealgate(&directory, &arguments);
    assert_eq!(
        (output.status.code(), err(&output)),
        (Some(0), String::new())
    );
    assert_eq!(
        out(&output),
        "imported 1 models with 1 upstreams to new/sealgate.toml\n\nchanged:\n  model_name chat: the limits of its deployments are one limit of the model in limits.sh: their sum\n\nnot imported:\n  model_list[1].litellm_params.model: the API of \"anthropic\" is not OpenAI's\n"
    );
    let check = sealgate(&directory, &["check", "new/sealgate.toml"]);
    assert_eq!(check.status.code(), Some(0), "{}", err(&check));
    assert!(out(&check).contains("fast"), "{}", out(&check));
    let key = directory.path().join("new/keys/chat");
    let mode = std::fs::metadata(&key)
        .expect("a file")
        .permissions()
        .mode();
    let text = std::fs::read_to_string(key).expect("a key");
    assert_eq!((mode & 0o777, text.as_str()), (0o600, "sk-upstream"));

    let program = Path::new(env!("CARGO_BIN_EXE_sealgate"));
    let path = program.parent().expect("a directory");
    let script = Command::new("sh")
        .current_dir(directory.path().join("new"))
        .arg("limits.sh")
        .env("PATH", format!("{}:/usr/bin:/bin", path.display()))
        .output()
        .expect("a shell");
    assert!(script.status.success(), "{}", err(&script));
    let limits = sealgate(&directory, &["limits", "list", "new/sealgate.toml"]);
    assert!(
        out(&limits).contains("model=chat requests/minute=60"),
        "{}",
        out(&limits)
    );

    let again = sealgate(&directory, &arguments);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(
        err(&again),
        "sealgate: cannot write new/sealgate.toml: File exists (os error 17)\n"
    );
}

#[test]
fn an_import_without_a_model_ends_with_2_and_writes_nothing() {
    let directory = directory("");
    directory
        .write("config.yaml", "model_list: [")
        .expect("written");
    let import = |file: &str| {
        let arguments = [
            "import", "litellm", file, "--output", "new", "--tee", "none",
        ];
        let output = sealgate(&directory, &arguments);
        (output.status.code(), err(&output))
    };
    let refused =
        "sealgate: config.yaml is not YAML, or a key is there twice (line 1)\n".to_owned();
    assert_eq!(import("config.yaml"), (Some(2), refused));
    assert!(!directory.path().join("new").exists());
    let missing =
        "sealgate: cannot read none.yaml: No such file or directory (os error 2)\n".to_owned();
    assert_eq!(import("none.yaml"), (Some(1), missing));
}
