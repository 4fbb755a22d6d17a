//! The limit of open file descriptors.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the soft limit to the hard limit and returns the new limit. Service managers and shells leave the
/// soft limit at 1024 for programs that use `select`, which this one does not.
pub fn raise_descriptor_limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    descriptor_limit()
}

/// How many descriptors this process may have open now.
pub fn descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// The hard limit, up to which the limit can be raised.
pub fn hard_descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::Rlimit;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let hard = getrlimit(Resource::Nofile).maximum;
        let low = Rlimit {
            current: Some(100),
            maximum: hard,
        };
        setrlimit(Resource::Nofile, low).expect("a lower limit is always allowed");
        assert_eq!(raise_descriptor_limit(), hard.unwrap_or(u64::MAX));
    }
}
