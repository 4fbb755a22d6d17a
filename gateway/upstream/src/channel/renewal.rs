//! Keeps what is behind a channel verified ahead of need: once at the start, then before each result expires. However
//! many upstreams share the channel, one task verifies for all of them.
//!
//! Requests do not depend on it. If it fails they verify for themselves, or are refused; it only saves them the wait.

use std::sync::Arc;
use std::time::Duration;

use attest_channel::AttestedChannel;
use ring::rand::{SecureRandom, SystemRandom};

use super::NotVerified;
use super::verified::Enclave;
use attest_channel::Clock;

/// How long before expiry to verify anew, at most.
const AHEAD: Duration = Duration::from_secs(600);
/// The shortest and the longest pause between attempts.
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(3600);
/// After a failure: doubling from here.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Runs until dropped. What it finds is recorded for each of the upstreams that share the channel.
pub(super) async fn keep_verified(
    channel: Arc<AttestedChannel>,
    enclaves: Vec<Arc<Enclave>>,
    clock: Arc<dyn Clock>,
) {
    let mut retry = FIRST_RETRY;
    let mut verified_once = false;
    loop {
        let outcome = match verified_once {
            false => channel.ensure_verified().await,
            true => channel.renew().await,
        };
        let recorded = outcome.map_err(NotVerified::from).and_then(|peer| {
            enclaves
                .iter()
                .try_for_each(|enclave| enclave.session(&peer).map(drop))
        });
        let pause = match recorded {
            Ok(()) => {
                verified_once = true;
                retry = FIRST_RETRY;
                sooner(until_renewal(&channel, clock.as_ref()), random_share())
            }
            Err(why) => {
                for enclave in &enclaves {
                    enclave.not_verified(why);
                }
                let pause = later(retry, random_share());
                retry = (retry * 2).min(LAST_RETRY);
                pause
            }
        };
        tokio::time::sleep(pause).await;
    }
}

fn until_renewal(channel: &AttestedChannel, clock: &dyn Clock) -> Duration {
    let now = clock.now().secs();
    let earliest = channel
        .peers()
        .iter()
        .map(|peer| peer.expires_at().secs())
        .min();
    pause(Duration::from_secs(
        earliest.unwrap_or(now).saturating_sub(now),
    ))
}

/// A tenth of what is left before the earliest expiry, ten minutes at most, is kept in hand.
fn pause(left: Duration) -> Duration {
    (left - (left / 10).min(AHEAD)).clamp(SHORTEST, LONGEST)
}

/// Up to a tenth sooner, so that gateways that were started together do not renew together.
fn sooner(pause: Duration, share: f64) -> Duration {
    pause - (pause / 10).mul_f64(share)
}

/// Up to half as much again, for the same reason.
fn later(pause: Duration, share: f64) -> Duration {
    pause + (pause / 2).mul_f64(share)
}

/// From 0 to 1. Without random numbers there is no verification either, and no need to be apart.
fn random_share() -> f64 {
    let mut random = [0; 2];
    match SystemRandom::new().fill(&mut random) {
        Ok(()) => f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX),
        Err(_) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_comes_before_expiry_and_not_in_a_rush() {
        let pause_of = |left| pause(Duration::from_secs(left)).as_secs();
        assert_eq!(pause_of(0), 5);
        assert_eq!(pause_of(100), 90);
        assert_eq!(pause_of(3000), 2700);
        assert_eq!(pause_of(86_400), 3600);
    }

    #[test]
    fn gateways_that_were_started_together_renew_and_retry_apart_from_each_other() {
        let pause = Duration::from_secs(100);
        assert_eq!(sooner(pause, 0.0), pause);
        assert_eq!(sooner(pause, 1.0), Duration::from_secs(90));
        assert_eq!(later(pause, 0.0), pause);
        assert_eq!(later(pause, 1.0), Duration::from_secs(150));
        let shares: Vec<f64> = (0..20).map(|_| random_share()).collect();
        assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
        assert!(shares.iter().any(|share| share != &shares[0]));
    }
}
