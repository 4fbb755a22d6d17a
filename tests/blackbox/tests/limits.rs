//! Limits: one client cannot exhaust shared resources, and every wait has a timeout.

#[path = "limits/silent.rs"]
mod silent;
#[path = "limits/slow.rs"]
mod slow;

use anyhow::Result;

use blackbox::asking::{CHAT, chat, error, eventually, next_chunk, streamed};
use blackbox::world::{Alone, MODEL};

#[tokio::test(flavor = "multi_thread")]
async fn one_key_has_only_so_many_requests_in_flight_and_another_is_not_held_up() -> Result<()> {
    let world = Alone::new("per-key", |config, _| {
        config.and("[limits]\nmax_concurrent_per_key = 1")
    })
    .await?;
    let other = world.enclave.create_key("another").await?;
    let stepper = world.engine.stepping();
    let mut busy = world.enclave.connect().await?;
    let mut answer = busy
        .post(&world.key, CHAT, &streamed(MODEL, "I take my time"))
        .await?;
    stepper.release(1);
    next_chunk(&mut answer, "the first chunk")
        .await
        .expect("a chunk");

    let mut connection = world.enclave.connect().await?;
    let refused = connection
        .post(&world.key, CHAT, &chat(MODEL, "me too"))
        .await?;
    assert!(refused.header("retry-after").is_some());
    let refused = error(refused).await?;
    assert_eq!(
        (refused.status, refused.kind.as_str()),
        (429, "rate_limit_error")
    );
    assert_eq!(
        connection
            .post(&other, CHAT, &chat(MODEL, "and I?"))
            .await?
            .status,
        200
    );

    drop((answer, busy));
    eventually("the key is free again", async || {
        let Ok(mut connection) = world.enclave.connect().await else {
            return false;
        };
        let again = connection
            .post(&world.key, CHAT, &chat(MODEL, "now?"))
            .await;
        again.is_ok_and(|answer| answer.status == 200)
    })
    .await;
    Ok(())
}
