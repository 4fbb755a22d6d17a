//! A handler that panics ends its connection, and nothing else; the log says so.

use anyhow::Result;

use blackbox::asking::{CHAT, chat, eventually};
use blackbox::world::{MODEL, engine_model, identity, start_as, trusting_directory};
use testkit::config::Config;
use testkit::engine::Engine;
use testkit::service::free_address;

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_handler_is_logged_and_ends_its_connection_alone() -> Result<()> {
    let directory = trusting_directory("panics")?;
    // In its state directory, the one place where a process may take a file away.
    let file = directory.path().join("enclave/state/panics");
    let engine = Engine::start().await?;
    let config = Config::direct(free_address()?).serving(engine_model(&engine, MODEL));
    let mut machine = identity("enclave");
    machine.panic_file = Some(file.clone());
    let enclave = start_as(&directory, machine, config).await?;
    let key = enclave.create_key("tests").await?;
    let mut other = enclave.connect().await?;
    assert_eq!(other.get("/healthz").await?.status, 200);

    let mut connection = enclave.connect().await?;
    std::fs::write(&file, "")?;
    let body = chat(MODEL, "let me panic");
    let failed = connection.post(&key, CHAT, &body).await.is_err();
    assert!(failed, "the handler did not panic: {}", enclave.log());
    eventually("the panic is logged", async || {
        let log = enclave.log();
        log.contains("panicked_at file=") && log.contains("panicked room=listen")
    })
    .await;
    assert_eq!(other.post(&key, CHAT, &body).await?.status, 200);
    Ok(())
}
