//! How many requests and connections the limit of file descriptors allows, and how many descriptors `[limits]` need.
//!
//! At the start the process raises its limit to the hard limit. If that is too low for `[limits]`, fewer requests are
//! admitted at a time: a request that is refused with 503 needs a descriptor for its connection too.

use crate::config::Limits;

/// Descriptors for everything but requests: databases, listeners, the runtime, administrators, verification.
const RESERVED: u64 = 128;
/// Descriptors of one admitted request: its connection, the one to an upstream, the file of a sealed record, and one for
/// the connection of a request that is refused meanwhile.
const PER_REQUEST: u64 = 4;
/// Descriptors of one connection: itself, and one to an upstream.
const PER_CONNECTION: u64 = 2;

/// The most open connections of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    pub authenticated: usize,
    pub unauthenticated: usize,
}

/// How many descriptors the process needs to reach these limits.
pub fn required(limits: &Limits) -> u64 {
    let connections = PER_CONNECTION
        .saturating_mul(limits.max_connections as u64)
        .saturating_add(limits.max_unauthenticated as u64);
    // The larger of the two: a request in flight also has a connection, so they are not added.
    let requests = PER_REQUEST.saturating_mul(limits.max_concurrent as u64);
    RESERVED.saturating_add(connections.max(requests))
}

/// How many inference requests may be in flight with `limit` descriptors.
pub fn max_requests(limit: u64) -> usize {
    // With a very low limit, half of it is for requests.
    let reserved = RESERVED.min(limit / 2);
    let requests = ((limit - reserved) / PER_REQUEST).max(1);
    usize::try_from(requests).unwrap_or(usize::MAX)
}

/// How many connections may be open with `limit` descriptors: at most as many as configured.
pub fn connection_limits(limit: u64, limits: &Limits) -> ConnectionLimits {
    fit(
        ConnectionLimits {
            authenticated: limits.max_connections,
            unauthenticated: limits.max_unauthenticated,
        },
        usize::try_from(limit).unwrap_or(usize::MAX),
    )
}

fn fit(configured: ConnectionLimits, limit: usize) -> ConnectionLimits {
    let available = limit - (RESERVED as usize).min(limit / 2);
    let wanted = configured
        .authenticated
        .saturating_mul(PER_CONNECTION as usize)
        .saturating_add(configured.unauthenticated);
    if wanted <= available {
        return configured;
    }
    let unauthenticated = configured.unauthenticated.min(available / 4).max(1);
    let rest = available.saturating_sub(unauthenticated) / PER_CONNECTION as usize;
    ConnectionLimits {
        authenticated: configured.authenticated.min(rest).max(1),
        unauthenticated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_limited_by_the_configuration_and_the_descriptors() {
        let configured = ConnectionLimits {
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
    fn requests_leave_descriptors_for_refused_connections() {
        for limit in [16, 256, 1024, 65_536] {
            let requests = max_requests(limit) as u64;
            assert!(requests > 0 && requests * 4 <= limit, "{limit}: {requests}");
        }
        assert_eq!(max_requests(1024), 224);
        assert_eq!(max_requests(0), 1);
        assert!(max_requests(u64::MAX) > 1 << 32);
    }
}
