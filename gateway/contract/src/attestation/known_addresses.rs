//! Addresses from which a valid API key was used recently.
//!
//! Their report requests wait in a separate lane, so that known clients can verify again during a flood of others.
//! A source address cannot be forged on an open connection, but it can be shared. Behind a balancer that hides the
//! clients' addresses all of them are one address, and the lanes separate nothing.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::fair_queue::Host;
use gateway_base::lock::lock;

/// For how long an address counts as known after a key was last used from it.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// Beyond it the address that was used longest ago is removed.
const MAX_KNOWN: usize = 4096;
/// The time of use is updated this often at most.
const REFRESH: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct KnownAddresses(
    /// By the time of last use. Held for one lookup or change, never across an await.
    Mutex<HashMap<Host, Instant>>,
);

impl KnownAddresses {
    pub fn note(&self, host: Host) {
        self.note_at(host, Instant::now());
    }

    pub fn contains(&self, host: Host) -> bool {
        self.contains_at(host, Instant::now())
    }

    fn note_at(&self, host: Host, now: Instant) {
        let mut known = lock(&self.0);
        if let Some(used) = known.get_mut(&host) {
            // Every request of a client comes here: most change nothing.
            if now.duration_since(*used) > REFRESH {
                *used = now;
            }
            return;
        }
        if known.len() >= MAX_KNOWN {
            known.retain(|_, used| now.duration_since(*used) < REMEMBERED);
        }
        if known.len() >= MAX_KNOWN
            && let Some(oldest) = known.iter().min_by_key(|(_, used)| **used)
        {
            let oldest = *oldest.0;
            known.remove(&oldest);
        }
        known.insert(host, now);
    }

    fn contains_at(&self, host: Host, now: Instant) -> bool {
        let known = lock(&self.0);
        known
            .get(&host)
            .is_some_and(|used| now.duration_since(*used) < REMEMBERED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn host(number: u32) -> Host {
        Host::from_address(Some(Ipv4Addr::from_bits(number).into()))
    }

    #[test]
    fn an_address_is_known_for_an_hour_after_a_key_was_used_from_it() {
        let (known, start) = (KnownAddresses::default(), Instant::now());
        assert!(!known.contains_at(host(1), start));
        known.note_at(host(1), start);
        assert!(known.contains_at(host(1), start + REMEMBERED / 2));
        assert!(!known.contains_at(host(2), start));
        known.note_at(host(1), start + REMEMBERED / 2);
        assert!(known.contains_at(host(1), start + REMEMBERED));
        assert!(!known.contains_at(host(1), start + REMEMBERED * 2));
    }

    #[test]
    fn the_number_of_known_addresses_is_bounded() {
        let (known, start) = (KnownAddresses::default(), Instant::now());
        for number in 0..2 * u32::try_from(MAX_KNOWN).expect("a number") {
            known.note_at(host(number), start + Duration::from_millis(number.into()));
        }
        assert_eq!(known.0.lock().expect("a lock").len(), MAX_KNOWN);
    }
}
