//! `sealgate authz`.

use std::path::Path;

use anyhow::{Context, Result};

use super::support::{Gateway, NOT_US};
use testkit::process::{run, sibling};
use testkit::scratch::ScratchDir;

const HOURS: &str = r#"name = "hours"
version = 2

[[rule]]
code = "engineers-by-day"
effect = "allow"
roles = ["engineer"]
hours = "08:00-18:00"

[[rule]]
code = "not-large"
effect = "deny"
models = ["large-*"]

[[example]]
tenant = "research"
model = "small"
roles = ["engineer"]
at = "2026-12-01T10:00:00Z"
expect = "allow"
"#;

/// Exit code and everything that was printed.
async fn authz(directory: &Path, arguments: &[&str]) -> Result<(i32, String)> {
    let mut all = vec!["authz"];
    all.extend(arguments);
    let output = run(&sibling("sealgate")?, &all, directory).await?;
    let code = output.status.code().context("killed")?;
    let printed = [output.stdout, output.stderr].concat();
    Ok((code, String::from_utf8(printed)?))
}

#[tokio::test(flavor = "multi_thread")]
async fn check_and_test_print_what_a_policy_has_or_what_is_wrong_with_it() -> Result<()> {
    let directory = ScratchDir::new("authz-check")?;
    let at = directory.path();
    directory.write("good.toml", HOURS)?;
    let (code, printed) = authz(at, &["check", "good.toml"]).await?;
    assert_eq!(code, 0, "{printed}");
    assert!(
        printed.starts_with("good.toml is good: hours, version 2, digest sha256:"),
        "{printed}"
    );
    assert!(
        printed.ends_with(
            "   1. allow  engineers-by-day  by roles, hours\n   2. deny   not-large  by models\n1 examples hold\n"
        ),
        "{printed}"
    );
    let (code, printed) = authz(at, &["test", "good.toml"]).await?;
    assert_eq!((code, printed.as_str()), (0, "1 examples hold\n"));

    directory.write("failing.toml", HOURS.replace("T10:", "T20:"))?;
    let failure =
        "failing.toml:15: example 1: expected allow, and the decision is deny by no-rule-matched\n";
    let (code, printed) = authz(at, &["test", "failing.toml"]).await?;
    let expected = format!("{failure}1 of 1 examples failed\n");
    assert_eq!((code, printed), (1, expected));
    let (code, printed) = authz(at, &["check", "failing.toml"]).await?;
    assert_eq!((code, printed.as_str()), (2, failure));

    directory.write("wrong.toml", HOURS.replace("roles", "rolls"))?;
    for command in ["check", "test"] {
        let (code, printed) = authz(at, &[command, "wrong.toml"]).await?;
        assert_eq!(code, 2, "{printed}");
        let problems: Vec<&str> = printed.lines().collect();
        assert!(
            problems[0].starts_with("wrong.toml:7: rule[1].rolls"),
            "{printed}"
        );
        assert!(
            problems[1].starts_with("wrong.toml:18: example[1].rolls"),
            "{printed}"
        );
    }
    let (code, _) = authz(at, &["check", "missing.toml"]).await?;
    assert_eq!(code, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_prints_the_decision_and_why_each_rule_does_not_match() -> Result<()> {
    let directory = ScratchDir::new("authz-explain")?;
    directory.write("good.toml", HOURS)?;
    let question = [
        "explain",
        "good.toml",
        "--tenant",
        "research",
        "--model",
        "small",
        "--at",
        "2026-12-01T19:00:00Z",
    ];
    let (code, printed) = authz(directory.path(), &question).await?;
    assert_eq!(code, 0, "{printed}");
    assert_eq!(
        printed,
        "class     verified\nregion    none\ndecision  deny\ncode      no-rule-matched\n   \
         1. allow  engineers-by-day  does not match: roles, hours\n   \
         2. deny   not-large  does not match: models\n"
    );
    let allowed = [
        "explain",
        "good.toml",
        "--tenant",
        "research",
        "--model",
        "small",
        "--role",
        "engineer",
        "--at",
        "2026-12-01T12:00:00Z",
    ];
    let (_, printed) = authz(directory.path(), &allowed).await?;
    assert!(
        printed.contains("decision  allow\ncode      engineers-by-day\n"),
        "{printed}"
    );
    assert!(
        printed.contains("1. allow  engineers-by-day  matches\n"),
        "{printed}"
    );
    let (code, _) = authz(
        directory.path(),
        &["explain", "good.toml", "--tenant", "a b"],
    )
    .await?;
    assert_eq!(code, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_with_a_configuration_is_about_each_upstream_of_the_model() -> Result<()> {
    let gateway = Gateway::start("authz-configured", NOT_US, "").await?;
    let question = [
        "authz",
        "explain",
        "sealgate.toml",
        "--tenant",
        "tests",
        "--model",
        "wide",
    ];
    let output = gateway.service.cli(&question).await?;
    let printed = String::from_utf8(output.stdout)?;
    let decisions: Vec<&str> = printed
        .lines()
        .filter(|line| !line.starts_with(' ') && !line.is_empty())
        .collect();
    assert_eq!(
        decisions,
        [
            "upstream  upstream-0-0",
            "class     unverified",
            "region    us",
            "decision  deny",
            "code      not-us",
            "upstream  upstream-0-1",
            "class     unverified",
            "region    eu",
            "decision  allow",
            "code      everything",
        ]
    );
    let missing = [
        "authz",
        "explain",
        "sealgate.toml",
        "--tenant",
        "tests",
        "--model",
        "none",
    ];
    let output = gateway.service.cli(&missing).await?;
    assert_eq!(output.status.code(), Some(2));
    Ok(())
}
