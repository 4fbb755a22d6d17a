//! Verifies the peer behind a channel in advance: once at the start, then before each result expires. One task verifies
//! for all upstreams that share the channel.
//!
//! Requests do not depend on it: without it they verify the peer themselves, or are refused. It only saves them the wait.

use std::sync::Arc;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

use super::NotVerified;
use super::verified::Enclave;
use attest_channel::AttestedChannel;
use attest_channel::Clock;

/// How long before expiry to verify again, at most.
const MAX_LEAD: Duration = Duration::from_secs(600);
/// The shortest and the longest interval between verifications.
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(3600);
/// The delay after a failure, doubled with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Runs until dropped. The result is recorded for each of the upstreams that share the channel.
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
            // The first verification may be a request's, and is shared with it. A renewal must not take an earlier
            // result for its own.
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
                shortened(until_renewal(&channel, clock.as_ref()), random_share())
            }
            Err(why) => {
                for enclave in &enclaves {
                    enclave.not_verified(why);
                }
                let pause = lengthened(retry, random_share());
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
    renewal_interval(Duration::from_secs(
        earliest.unwrap_or(now).saturating_sub(now),
    ))
}

/// Renews when a tenth of the time to the earliest expiry is left, but ten minutes before it at the earliest.
fn renewal_interval(left: Duration) -> Duration {
    (left - (left / 10).min(MAX_LEAD)).clamp(SHORTEST, LONGEST)
}

/// Shortens by up to a tenth, so that gateways that were started together do not renew together.
fn shortened(pause: Duration, share: f64) -> Duration {
    pause - (pause / 10).mul_f64(share)
}

/// Lengthens by up to a half, for the same reason.
fn lengthened(pause: Duration, share: f64) -> Duration {
    pause + (pause / 2).mul_f64(share)
}

/// A random number from 0 to 1. Without randomness there is no verification either, so 0 does no harm.
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
    fn renews_before_expiry_and_not_too_often() {
        let interval = |left| renewal_interval(Duration::from_secs(left)).as_secs();
        assert_eq!(interval(0), 5);
        assert_eq!(interval(100), 90);
        assert_eq!(interval(3000), 2700);
        assert_eq!(interval(86_400), 3600);
    }

    #[test]
    fn renewals_and_retries_are_randomly_shifted() {
        let pause = Duration::from_secs(100);
        assert_eq!(shortened(pause, 0.0), pause);
        assert_eq!(shortened(pause, 1.0), Duration::from_secs(90));
        assert_eq!(lengthened(pause, 0.0), pause);
        assert_eq!(lengthened(pause, 1.0), Duration::from_secs(150));
        let shares: Vec<f64> = (0..20).map(|_| random_share()).collect();
        assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
        assert!(shares.iter().any(|share| share != &shares[0]));
    }
}
