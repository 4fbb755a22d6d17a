//! Keeps an enclave verified ahead of need: once at the start, then before each result expires.
//!
//! Requests do not depend on it. If it fails they verify for themselves, or are refused; it only saves them the wait.

use std::sync::Arc;
use std::time::Duration;

use super::verified::Enclave;
use crate::Clock;

/// How long before expiry to verify anew, at most.
const AHEAD: Duration = Duration::from_secs(600);
/// The shortest and the longest pause between attempts.
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(3600);
/// After a failure: doubling from here.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// A task that ends when its owner is dropped.
pub struct OwnedTask(tokio::task::JoinHandle<()>);

impl OwnedTask {
    pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl Drop for OwnedTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs until dropped.
pub(super) async fn keep_verified(enclave: Arc<Enclave>, clock: Arc<dyn Clock>) {
    let mut retry = FIRST_RETRY;
    let mut verified_once = false;
    loop {
        let outcome = match verified_once {
            false => enclave.channel().ensure_verified().await,
            true => enclave.channel().renew().await,
        };
        let recorded = outcome.map_err(Into::into).and_then(|peer| {
            enclave.session(&peer)?;
            Ok::<_, super::NotVerified>(peer)
        });
        let pause = match recorded {
            Ok(_) => {
                verified_once = true;
                retry = FIRST_RETRY;
                until_renewal(&enclave, clock.as_ref())
            }
            Err(why) => {
                enclave.not_verified(why);
                let pause = retry;
                retry = (retry * 2).min(LAST_RETRY);
                pause
            }
        };
        tokio::time::sleep(pause).await;
    }
}

fn until_renewal(enclave: &Enclave, clock: &dyn Clock) -> Duration {
    let now = clock.now().secs();
    let earliest = enclave
        .channel()
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
}
