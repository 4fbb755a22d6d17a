//! What the limit of file descriptors allows, and what `[limits]` need.
//!
//! The limit is raised to the hard one at the start. Where that is too low for `[limits]`, fewer requests are admitted at
//! a time: a request that is refused with 503 needs a descriptor for its connection too.

use crate::config::Limits;

/// For everything but requests: the databases, listeners and the runtime, administrators, verification of upstreams.
const RESERVED: u64 = 128;
/// Of one admitted request: its connection, the one to an upstream, the file of a record that is kept; and one for the
/// connection of a request that is refused meanwhile.
const OF_A_REQUEST: u64 = 4;
/// Of a connection: its own, and one to an upstream.
const OF_A_CONNECTION: u64 = 2;

/// How many connections of a listener may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceLimits {
    pub authenticated: usize,
    pub unauthenticated: usize,
}

/// How many descriptors these limits need to be reached.
pub fn needed(limits: &Limits) -> u64 {
    let connections = OF_A_CONNECTION
        .saturating_mul(limits.max_connections as u64)
        .saturating_add(limits.max_unauthenticated as u64);
    let requests = OF_A_REQUEST.saturating_mul(limits.max_concurrent as u64);
    RESERVED.saturating_add(connections.max(requests))
}

/// How many inference requests may be in flight where the process may have `limit` descriptors open.
pub fn requests_within(limit: u64) -> usize {
    // Of a very low limit, half is for requests.
    let reserved = RESERVED.min(limit / 2);
    let requests = ((limit - reserved) / OF_A_REQUEST).max(1);
    usize::try_from(requests).unwrap_or(usize::MAX)
}

/// How many connections may be open where the process may have `limit` descriptors open: as many as configured if
/// that suffices for them.
pub fn connections_within(limit: u64, limits: &Limits) -> PlaceLimits {
    fit(
        PlaceLimits {
            authenticated: limits.max_connections,
            unauthenticated: limits.max_unauthenticated,
        },
        usize::try_from(limit).unwrap_or(usize::MAX),
    )
}

fn fit(configured: PlaceLimits, limit: usize) -> PlaceLimits {
    let available = limit - (RESERVED as usize).min(limit / 2);
    let wanted = configured
        .authenticated
        .saturating_mul(OF_A_CONNECTION as usize)
        .saturating_add(configured.unauthenticated);
    if wanted <= available {
        return configured;
    }
    let unauthenticated = configured.unauthenticated.min(available / 4).max(1);
    let rest = available.saturating_sub(unauthenticated) / OF_A_CONNECTION as usize;
    PlaceLimits {
        authenticated: configured.authenticated.min(rest).max(1),
        unauthenticated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_as_many_as_configured_or_as_there_are_descriptors_for() {
        let configured = PlaceLimits {
            authenticated: 4096,
            unauthenticated: 1024,
        };
        assert_eq!(fit(configured, 524_288), configured);
        assert_eq!(fit(configured, usize::MAX), configured);
        for limit in [256, 1024, 4096, 9343] {
            let fitted = fit(configured, limit);
            assert!(fitted != configured);
            let used = 2 * fitted.authenticated + fitted.unauthenticated + RESERVED as usize;
            assert!(used <= limit, "{limit}: {fitted:?}");
        }
        assert_eq!(
            (
                fit(configured, 2).authenticated,
                fit(configured, 2).unauthenticated
            ),
            (1, 1)
        );
    }

    #[test]
    fn requests_leave_descriptors_for_connections_that_are_refused() {
        for limit in [16, 256, 1024, 65_536] {
            let requests = requests_within(limit) as u64;
            assert!(requests > 0 && requests * 4 <= limit, "{limit}: {requests}");
        }
        assert_eq!(requests_within(1024), 224);
        assert_eq!(requests_within(0), 1);
        assert!(requests_within(u64::MAX) > 1 << 32);
    }
}
