//! Shutdown: requests in flight finish, new ones are refused, and the exit status is 0.

use anyhow::Result;
use tokio::time::timeout;

use blackbox::asking::{CHAT, TIMEOUT, chat, eventually, next_chunk, streamed};
use blackbox::world::{Alone, MODEL};
use testkit::client::TlsClient;

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_flight_finishes_and_then_the_process_ends_with_0() -> Result<()> {
    let mut world = Alone::new("graceful", |config, _| config).await?;
    let stepper = world.engine.stepping();
    let mut connection = world.enclave.connect().await?;
    let mut answer = connection
        .post(&world.key, CHAT, &streamed(MODEL, "let me finish"))
        .await?;
    stepper.release(1);
    next_chunk(&mut answer, "the first chunk")
        .await
        .expect("a chunk");

    world.enclave.process().signal("TERM")?;
    let address = world.enclave.address();
    eventually("new connections are refused", async || {
        TlsClient::observing().connect(address).await.is_err()
    })
    .await;
    assert!(world.enclave.process().is_running());
    stepper.release(1000);
    let rest = timeout(TIMEOUT, answer.bytes()).await??;
    assert!(rest.ends_with(b"data: [DONE]\n\n"));
    let status = world.enclave.process().ended().await?;
    assert_eq!(status.code(), Some(0), "{}", world.enclave.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_service_ends_at_once_even_with_connections_open() -> Result<()> {
    let mut world = Alone::new("idle-exit", |config, _| config).await?;
    let mut connection = world.enclave.connect().await?;
    assert_eq!(
        connection
            .post(&world.key, CHAT, &chat(MODEL, "bye"))
            .await?
            .status,
        200
    );
    world.enclave.process().signal("TERM")?;
    let status = timeout(TIMEOUT, world.enclave.process().ended()).await??;
    assert_eq!(status.code(), Some(0), "{}", world.enclave.log());
    Ok(())
}
