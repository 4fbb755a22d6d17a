//! Epochs while the machine's clock is set.

use std::path::PathBuf;

use anyhow::{Context, Result};

use blackbox::asking::eventually;
use blackbox::identity;
use blackbox::world::{engine_model, now, start_as, trusting_directory};
use testkit::config::Config;
use testkit::engine::Engine;
use testkit::scratch::ScratchDir;
use testkit::service::{Service, free_address};

const DAY: i64 = 86_400;

/// An enclave whose clock the test sets.
struct Clocked {
    enclave: Service,
    clock: PathBuf,
    _directory: ScratchDir,
    _engine: Engine,
}

impl Clocked {
    async fn start(name: &str, offset: i64, lifetime: &str) -> Result<Self> {
        let directory = trusting_directory(name)?;
        let clock = directory.write("enclave/clock", offset.to_string())?;
        let engine = Engine::start().await?;
        let config = Config::direct(free_address()?)
            .serving(engine_model(&engine, "model"))
            .and(&format!("epoch_lifetime = \"{lifetime}\""));
        let mut identity = identity("enclave");
        identity.clock_file = Some(clock.clone());
        let enclave = start_as(&directory, identity, config).await?;
        Ok(Self {
            enclave,
            clock,
            _directory: directory,
            _engine: engine,
        })
    }

    fn set_clock(&self, offset: i64) -> Result<()> {
        // At once, so that the service never reads half of it.
        let beside = self.clock.with_extension("new");
        std::fs::write(&beside, offset.to_string())?;
        Ok(std::fs::rename(&beside, &self.clock)?)
    }

    /// From when to when the certificate that is shown now is valid.
    async fn dates(&self) -> Result<(i64, i64)> {
        let connection = self.enclave.connect().await?;
        connection.certificate_dates().context("a certificate")
    }

    async fn is_ready(&self) -> Result<bool> {
        let mut connection = self.enclave.connect().await?;
        Ok(connection.get("/readyz").await?.status == 200)
    }

    fn epochs(&self) -> usize {
        self.enclave.log().matches("epoch_began").count()
    }

    async fn more_epochs(&self, what: &str, more: usize) {
        let before = self.epochs();
        eventually(what, async || self.epochs() >= before + more).await;
    }
}

fn true_time() -> i64 {
    i64::try_from(now().secs()).unwrap_or(i64::MAX)
}

/// What clients with a right clock accept, and what ends within some days.
fn are_right(dates: (i64, i64)) -> bool {
    let now = true_time();
    dates.0 <= now && now < dates.1 && dates.1 < now + 3 * DAY
}

#[tokio::test(flavor = "multi_thread")]
async fn recovers_from_a_start_with_a_clock_ahead() -> Result<()> {
    let world = Clocked::start("clock-ahead", 7200, "24h").await?;
    assert!(world.dates().await?.0 > true_time(), "not valid yet");
    world.set_clock(0)?;
    eventually("a certificate that is valid now", async || {
        world.dates().await.is_ok_and(are_right)
    })
    .await;
    assert!(world.is_ready().await?);
    assert!(world.enclave.log().contains("reason=clock"));
    assert_eq!(world.epochs(), 2, "once");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn serves_with_a_clock_before_1970_and_recovers_when_it_is_corrected() -> Result<()> {
    let world = Clocked::start("clock-1970", -100 * 365 * DAY, "24h").await?;
    assert_eq!(world.dates().await?.0, 0);
    world.set_clock(0)?;
    eventually("a certificate that is valid now", async || {
        world.dates().await.is_ok_and(are_right)
    })
    .await;
    assert!(world.is_ready().await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn epochs_continue_after_a_clock_jump_of_ten_years_and_back() -> Result<()> {
    let world = Clocked::start("clock-jump", 0, "2s").await?;
    world.more_epochs("epochs before the jump", 1).await;
    world.set_clock(3650 * DAY)?;
    eventually("a certificate of ten years later", async || {
        let dates = world.dates().await;
        dates.is_ok_and(|dates| dates.0 > true_time())
    })
    .await;
    world.more_epochs("epochs ten years later", 2).await;
    world.set_clock(0)?;
    eventually("a certificate of today", async || {
        world.dates().await.is_ok_and(are_right)
    })
    .await;
    world.more_epochs("epochs after the jump back", 2).await;
    assert!(are_right(world.dates().await?));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_prolongs_no_epoch() -> Result<()> {
    let world = Clocked::start("clock-back", 0, "2s").await?;
    // By less than the certificate allows for, then by a day.
    for offset in [-200, -DAY] {
        world.set_clock(offset)?;
        world.more_epochs("epochs under a clock set back", 3).await;
        assert!(world.is_ready().await?);
    }
    Ok(())
}
