//! `sealgate check`, a reload and a start agree on every configuration of a table.

use std::os::unix::fs::PermissionsExt;

use anyhow::Result;

use super::{cli, configuration};
use attest_core::Sha256Digest;
use blackbox::world::{Alone, identity};
use testkit::service::free_address;

/// What is tried: its name, how the configuration differs, and whether it can be served.
struct Case {
    name: &'static str,
    change: fn(&str) -> String,
    served: bool,
}

fn before_tee(text: &str, section: &str) -> String {
    text.replace("[tee]", &format!("{section}\n[tee]"))
}

const CASES: &[Case] = &[
    Case {
        name: "as it is",
        change: |text| text.to_owned(),
        served: true,
    },
    Case {
        name: "another limit",
        change: |text| before_tee(text, "[limits]\nmax_body = \"8MiB\""),
        served: true,
    },
    Case {
        name: "another epoch lifetime and log format",
        change: |text| before_tee(text, "epoch_lifetime = \"2h\"\n[log]\nformat = \"json\""),
        served: true,
    },
    Case {
        name: "an unknown key",
        change: |text| before_tee(text, "[limits]\nmax_boddy = \"8MiB\""),
        served: false,
    },
    Case {
        name: "no model",
        change: |text| {
            text.split("[[model]]")
                .next()
                .unwrap_or_default()
                .to_owned()
        },
        served: false,
    },
    Case {
        name: "an upstream elsewhere in direct mode",
        change: |text| text.replace("url = \"http://127.0.0.1", "url = \"http://10.0.0.1"),
        served: false,
    },
    Case {
        name: "policy keys that signed nothing",
        change: |text| {
            let key = "d431e907d7bf684470afc1aba6c18987a4b80ad26de09e7b49b03affdc9cf4b7";
            before_tee(text, &format!("[retention]\nkeys = [{key:?}]"))
        },
        served: false,
    },
    Case {
        name: "another policy that no key may set",
        change: |text| before_tee(text, "[retention]\npolicy = \"zero.toml\""),
        served: false,
    },
    Case {
        name: "a key file that all may read",
        change: |text| format!("{text}api_key_file = \"open.key\"\n"),
        served: false,
    },
    Case {
        name: "a key file that is closed",
        change: |text| format!("{text}api_key_file = \"closed.key\"\n"),
        served: true,
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn check_reload_and_start_agree_on_every_configuration() -> Result<()> {
    let mut alone =
        Alone::as_identity("operator-agree", identity("enclave"), |config, _| config).await?;
    let home = alone.enclave.directory().to_owned();
    for (name, mode) in [("open.key", 0o644), ("closed.key", 0o600)] {
        std::fs::write(home.join(name), "sk-upstream\n")?;
        std::fs::set_permissions(home.join(name), std::fs::Permissions::from_mode(mode))?;
    }
    let zero = "format = \"sealgate/retention/2\"\n[default]\nmode = \"zero\"\n";
    std::fs::write(home.join("zero.toml"), zero)?;
    let good = configuration(&alone)?;

    let mut reloaded = Vec::new();
    for case in CASES {
        alone.enclave.write_config(&(case.change)(&good))?;
        let (check, printed) = cli(&alone, &["check"]).await?;
        assert_eq!(
            check == 0,
            case.served,
            "{}: check printed {printed}",
            case.name
        );
        assert!(check == 0 || check == 2, "{}: {check}", case.name);
        let (reload, printed) = cli(&alone, &["reload"]).await?;
        assert_eq!(reload, check, "{}: reload printed {printed}", case.name);
        reloaded.push(reload);
        alone.enclave.write_config(&good)?;
    }

    alone.enclave.end("TERM").await?;
    for (case, reload) in CASES.iter().zip(reloaded) {
        alone.enclave.write_config(&(case.change)(&good))?;
        let (check, printed) = cli(&alone, &["check"]).await?;
        assert_eq!(
            check, reload,
            "{}: check without a service printed {printed}",
            case.name
        );
        if case.served {
            alone.enclave.start_again().await?;
            alone.enclave.end("TERM").await?;
        } else {
            // A service that does not start ends by itself.
            let (start, printed) = cli(&alone, &["serve"]).await?;
            assert_eq!(start, check, "{}: the start printed {printed}", case.name);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn check_finds_what_a_start_would_and_changes_nothing() -> Result<()> {
    let mut alone = Alone::new("operator-state", |config, _| config).await?;
    alone.enclave.end("TERM").await?;
    let home = alone.enclave.directory().to_owned();
    let good = configuration(&alone)?;
    let state = home.join("state");
    let listing = || -> Result<Vec<(String, String)>> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&state)? {
            let entry = entry?;
            if entry.path().is_file() {
                let name = entry.file_name().to_string_lossy().into_owned();
                // Memory that readers share, and not kept.
                if !name.ends_with("-shm") {
                    all.push((
                        name,
                        Sha256Digest::hash(&std::fs::read(entry.path())?).to_string(),
                    ));
                }
            }
        }
        all.sort();
        Ok(all)
    };
    let before = listing()?;
    let (code, printed) = cli(&alone, &["check"]).await?;
    assert_eq!(code, 0, "{printed}");
    assert_eq!(listing()?, before, "a check changes nothing");

    // An address that something else listens on.
    let taken = std::net::TcpListener::bind(alone.enclave.address())?;
    for command in ["check", "serve"] {
        let (code, printed) = cli(&alone, &[command]).await?;
        assert_ne!(code, 0, "{printed}");
        assert!(printed.contains("cannot listen on"), "{command}: {printed}");
    }
    drop(taken);

    // A state directory that others may write into.
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o777))?;
    for command in ["check", "serve"] {
        let (code, printed) = cli(&alone, &[command]).await?;
        assert_eq!(code, 2, "{command}: {printed}");
        assert!(
            printed.contains("server.state_dir: ") && printed.contains("chmod go-w"),
            "{printed}"
        );
    }
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o700))?;

    // A ledger that is none.
    std::fs::write(
        state.join("ledger.sqlite"),
        b"this is not a database, and long enough to be seen",
    )?;
    for command in ["check", "serve"] {
        let (code, printed) = cli(&alone, &[command]).await?;
        assert_ne!(code, 0, "{command}: {printed}");
    }

    // A directory that is not there yet is made by a start, not by a check.
    let elsewhere = good
        .replace("state_dir = \"state\"", "state_dir = \"new\"")
        .replace(
            &alone.enclave.address().to_string(),
            &free_address()?.to_string(),
        );
    alone.enclave.write_config(&elsewhere)?;
    let (code, printed) = cli(&alone, &["check"]).await?;
    assert_eq!(code, 0, "{printed}");
    assert!(!home.join("new").exists());
    Ok(())
}
