//! The shipped binary on a machine without a TEE: it refuses to serve confidential models.

use anyhow::Result;

use blackbox::world::engine_model;
use testkit::config::{Config, Model};
use testkit::engine::{CHAT_MODEL, Engine};
use testkit::process::{run, sibling};
use testkit::scratch::ScratchDir;
use testkit::service::free_address;

fn machine_has_a_tee() -> bool {
    std::path::Path::new("/sys/kernel/config/tsm/report").exists()
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_to_start_without_a_tee_and_lists_what_was_probed() -> Result<()> {
    if machine_has_a_tee() {
        println!("skipped: this machine has configfs-tsm");
        return Ok(());
    }
    let directory = ScratchDir::new("hardware")?;
    let engine = Engine::start().await?;
    let config = Config::direct(free_address()?).serving(engine_model(&engine, "sealed"));
    directory.write("sealgate.toml", config.text())?;
    let output = run(&sibling("sealgate")?, ["serve"], directory.path()).await?;
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("tsm") && said.contains("make demo"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_tee_a_confidential_model_is_a_configuration_error() -> Result<()> {
    let directory = ScratchDir::new("no-tee")?;
    let engine = Engine::start().await?;
    let mut config = Config::direct(free_address()?).serving(engine_model(&engine, "sealed"));
    config.tee = "none";
    directory.write("sealgate.toml", config.text())?;
    let sealgate = sibling("sealgate")?;
    for command in ["check", "serve"] {
        let output = run(&sealgate, [command], directory.path()).await?;
        assert!(!output.status.success(), "{command}");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("confidential"), "{command}: {said}");
    }
    config.models = vec![Model::plain("plain", engine.base_url()).known_upstream_as(CHAT_MODEL)];
    directory.write("sealgate.toml", config.text())?;
    let output = run(&sealgate, ["check", "sealgate.toml"], directory.path()).await?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_binary_does_not_contain_the_software_platform() -> Result<()> {
    let directory = ScratchDir::new("no-flag")?;
    let seed = "00".repeat(32);
    let arguments = ["--platform-seed", &seed, "serve"];
    let output = run(&sibling("sealgate")?, arguments, directory.path()).await?;
    assert!(!output.status.success());
    Ok(())
}
