//! Names in a retention policy: what a client without a key sees of them, and what a tenant's key opens.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::operated::{METADATA, Operated, SALT, holds};
use blackbox::asking::{CHAT, chat};
use blackbox::world::{MODEL, policy_file};
use testkit::client::Connection;
use testkit::process::{run, sibling};
use testkit::service::free_address;

const CLINIC: &str = "canary-clinic-4f1e77";
const BANK: &str = "canary-bank-90ab12";
const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

fn terms() -> String {
    format!(
        "{METADATA}[[rule]]\ntenants = [\"{CLINIC}\"]\nmode = \"zero\"\n\
         [[rule]]\ntenants = [\"{BANK}\"]\nmode = \"content\"\nttl = \"30d\"\nrecipients = [\"{RECIPIENT}\"]\n"
    )
}

/// Every path of the public interface that its description gives to clients without a key, with values for its
/// parameters.
async fn open_paths(connection: &mut Connection) -> Result<Vec<String>> {
    let checkpoint = connection.get("/v1/aci/log/checkpoint").await?;
    let checkpoint = String::from_utf8(checkpoint.bytes().await?)?;
    let size = checkpoint.lines().nth(1).context("a size")?;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi/public.json");
    let description: Value = serde_json::from_slice(&std::fs::read(file)?)?;
    let mut all = Vec::new();
    for (path, methods) in description["paths"].as_object().context("paths")? {
        for operation in methods.as_object().context("methods")?.values() {
            if operation["security"] != serde_json::json!([]) {
                continue;
            }
            match path.as_str() {
                "/v1/aci/attestation" => all.extend([
                    path.clone(),
                    format!("{path}?nonce={}", "07".repeat(32)),
                    format!("{path}?nonce={}&collateral=1", "08".repeat(32)),
                ]),
                "/v1/aci/log/consistency" => all.push(format!("{path}?old=1&new={size}")),
                "/v1/aci/log/tile/{path}" => all.extend([
                    format!("/v1/aci/log/tile/0/000.p/{size}"),
                    format!("/v1/aci/log/tile/entries/000.p/{size}"),
                ]),
                "/v1/aci/sessions/{id}" => {
                    all.push(format!("/v1/aci/sessions/{}", "09".repeat(32)));
                }
                plain => {
                    ensure!(!plain.contains('{'), "this test has no value for {plain}");
                    all.push(plain.to_owned());
                }
            }
        }
    }
    Ok(all)
}

/// Fails where an answer, its head included, has a name or the salt.
async fn hides_names(connection: &mut Connection, path: &str) -> Result<u16> {
    let answer = connection.get(path).await?;
    let (status, head) = (answer.status.as_u16(), format!("{:?}", answer.headers));
    let bytes = answer.bytes().await?;
    for hidden in [CLINIC, BANK, RECIPIENT, SALT] {
        ensure!(!holds(&bytes, hidden), "{path} shows {hidden}");
        ensure!(!head.contains(hidden), "the head of {path} shows {hidden}");
    }
    Ok(status)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_served_without_a_key_names_a_tenant_or_a_recipient() -> Result<()> {
    let health = free_address()?;
    let world = Operated::serving("retention-names", &terms(), |config| {
        config.and(&format!("[health]\nlisten = \"{health}\""))
    })
    .await?;
    let (clinic, bank) = (
        world.service.create_key(CLINIC).await?,
        world.service.create_key(BANK).await?,
    );
    let mut metrics = Connection::plain(world.metrics).await?;
    hides_names(&mut metrics, "/metrics").await?;
    let mut connection = world.service.connect().await?;
    for key in [&clinic, &bank] {
        let answer = connection.post(key, CHAT, &chat(MODEL, "hello")).await?;
        ensure!(answer.status == 200, "{}", answer.status);
        answer.bytes().await?;
    }
    let paths = open_paths(&mut connection).await?;
    ensure!(paths.len() >= 10, "{paths:?}");
    for path in &paths {
        let mut connection = world.service.connect().await?;
        let status = hides_names(&mut connection, path)
            .await
            .with_context(|| path.clone())?;
        let expected = if path.contains("/sessions/") {
            404
        } else {
            200
        };
        ensure!(status == expected, "{path}: {status}");
    }
    for path in ["/v1/sealgate/retention/opening", "/v1/models"] {
        let mut connection = world.service.connect().await?;
        let status = hides_names(&mut connection, path).await?;
        ensure!(status == 401, "{path}: {status}");
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        let mut connection = Connection::plain(health).await?;
        hides_names(&mut connection, path).await.context(path)?;
    }
    Ok(())
}

async fn verify(world: &Operated, command: &str, arguments: &[&str]) -> Result<(i32, String)> {
    let url = world.service.url();
    let all = [&[command, &url, "--roots", "roots"], arguments].concat();
    let output = run(&sibling("sealgate-verify")?, &all, world.directory.path()).await?;
    let both = [output.stdout, output.stderr].concat();
    Ok((output.status.code().unwrap_or(-1), String::from_utf8(both)?))
}

/// A verifier's policy for the service with these lines in its `[retention]`.
fn limited(world: &Operated, name: &str, lines: &str) -> Result<PathBuf> {
    let policy = std::fs::read_to_string(policy_file(world.directory.path(), "enclave"))?;
    let text = format!("{policy}[retention]\n{lines}");
    Ok(world.directory.write(name, text)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_fetches_its_opening_and_its_verifier_counts_its_own_terms() -> Result<()> {
    let world = Operated::new("retention-opening", &terms()).await?;
    let limit = format!("max = \"zero\"\ntenant = \"{CLINIC}\"\n");
    limited(&world, "closed.toml", &limit)?;
    let (code, said) = verify(&world, "endpoint", &["--policy", "closed.toml"]).await?;
    ensure!(
        code == 10 && said.contains("no opening for this tenant"),
        "{code} {said}"
    );

    // The limits that need the opening do not keep it from being fetched.
    let key = world.service.create_key(CLINIC).await?;
    world.directory.write("clinic.key", format!("{key}\n"))?;
    let fetch = ["--policy", "closed.toml", "--api-key", "clinic.key"];
    let (code, lines) = verify(&world, "retention-opening", &fetch).await?;
    ensure!(code == 0, "{code} {lines}");
    for part in [
        &format!("tenant = \"{CLINIC}\"\n"),
        "tenant_salt = \"",
        "keeps: zero at most",
    ] {
        ensure!(lines.contains(part), "no {part:?} in\n{lines}");
    }
    limited(&world, "opened.toml", &format!("max = \"zero\"\n{lines}"))?;
    let (code, said) = verify(&world, "endpoint", &["--policy", "opened.toml"]).await?;
    ensure!(
        code == 0 && said.contains(&format!("{CLINIC}: zero")),
        "{code} {said}"
    );

    let bank = world.service.create_key(BANK).await?;
    world.directory.write("bank.key", &bank)?;
    let fetch = ["--policy", "closed.toml", "--api-key", "bank.key"];
    let (code, lines) = verify(&world, "retention-opening", &fetch).await?;
    ensure!(
        code == 0 && lines.contains(&format!("# sealed to {RECIPIENT}")),
        "{lines}"
    );
    ensure!(!lines.contains(CLINIC), "{lines}");
    limited(&world, "bank.toml", &format!("max = \"metadata\"\n{lines}"))?;
    let (code, said) = verify(&world, "endpoint", &["--policy", "bank.toml"]).await?;
    ensure!(
        code == 10 && said.contains("retains \"content\""),
        "{code} {said}"
    );

    let other = world.service.create_key("elsewhere").await?;
    world.directory.write("other.key", &other)?;
    let fetch = ["--policy", "closed.toml", "--api-key", "other.key"];
    let (code, lines) = verify(&world, "retention-opening", &fetch).await?;
    ensure!(
        code == 0 && lines.contains("cannot prove"),
        "{code} {lines}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_is_sent_to_no_service_that_the_policy_does_not_accept() -> Result<()> {
    let world = Operated::new("retention-opening-refused", &terms()).await?;
    let key = world.service.create_key(CLINIC).await?;
    world.directory.write("clinic.key", &key)?;
    let gateway = policy_file(Path::new(""), "gateway").display().to_string();
    let fetch = ["--policy", &gateway, "--api-key", "clinic.key"];
    let (code, said) = verify(&world, "retention-opening", &fetch).await?;
    ensure!(code == 10 && said.contains("REJECTED"), "{code} {said}");
    let (code, said) = verify(&world, "retention-opening", &["--api-key", "clinic.key"]).await?;
    ensure!(code == 2 && said.contains("--policy"), "{code} {said}");
    world.directory.write("wrong.key", "sk-none")?;
    let enclave = policy_file(Path::new(""), "enclave").display().to_string();
    let fetch = ["--policy", &enclave, "--api-key", "wrong.key"];
    let (code, said) = verify(&world, "retention-opening", &fetch).await?;
    ensure!(
        code == 1 && said.contains("the API key is not accepted"),
        "{code} {said}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_warn_of_published_names_and_print_a_salt_to_paste() -> Result<()> {
    let world = Operated::new("retention-warnings", METADATA).await?;
    let first = world.policy().await?;
    let next = world.operator().write(2, Some(first.digest()), &terms())?;
    let text = std::fs::read_to_string(&next)?;
    let file = next.display().to_string();

    std::fs::write(&next, text.replacen(&format!("salt = \"{SALT}\"\n"), "", 1))?;
    let (code, said) = world.cli(&["retention", "plan", &file]).await?;
    ensure!(code == 2 && said.contains("line 1: "), "{code} {said}");
    let (_, salt) = said.split_once("salt = \"").context("a line to paste")?;
    let salt = salt.get(..64).context("a salt")?;
    std::fs::write(&next, text.replace(SALT, salt))?;
    let (code, said) = world.cli(&["retention", "plan", &file]).await?;
    ensure!(
        code == 0 && !said.contains("names tenants"),
        "{code} {said}"
    );
    world.operator().sign(&next).await?;
    let (code, said) = world.cli(&["retention", "set", &file]).await?;
    ensure!(code == 0 && !said.contains("warning"), "{code} {said}");
    let (_, published) = world.cli(&["retention", "show", "--published"]).await?;
    ensure!(
        !published.contains(CLINIC) && published.contains("sha256:"),
        "{published}"
    );
    let (_, document) = world.cli(&["retention", "show", "--document"]).await?;
    ensure!(
        document.contains(CLINIC) && document.contains(salt),
        "{document}"
    );

    let second = attest_core::Sha256Digest::hash(published.as_bytes());
    let third = world.operator().write(3, Some(second), &terms())?;
    let file = third.display().to_string();
    let (_, said) = world.cli(&["retention", "plan", &file]).await?;
    ensure!(said.contains("the salt changes"), "{said}");
    let plain = std::fs::read_to_string(&third)?
        .replace(&format!("salt = \"{SALT}\"\n"), "")
        .replace("retention/2", "retention/1");
    std::fs::write(&third, plain)?;
    let warning = "names tenants to every client that asks for a report";
    let (code, said) = world.cli(&["retention", "plan", &file]).await?;
    ensure!(code == 0 && said.contains(warning), "{code} {said}");
    world.operator().sign(&third).await?;
    let (code, said) = world.cli(&["retention", "set", &file]).await?;
    ensure!(code == 0 && said.contains(warning), "{code} {said}");
    let (code, said) = world.cli(&["check"]).await?;
    ensure!(code == 0 && said.contains(warning), "{code} {said}");
    Ok(())
}
