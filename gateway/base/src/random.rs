//! Random bytes without a system call for each few of them.

use std::cell::RefCell;

use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};

/// How much a thread gets from the system at once.
const POOL: usize = 512;

/// A thread's random bytes. Those that were returned are zero.
struct Pool {
    bytes: [u8; POOL],
    left: usize,
}

thread_local! {
    static THREAD_POOL: RefCell<Pool> = const {
        RefCell::new(Pool {
            bytes: [0; POOL],
            left: 0,
        })
    };
}

/// Bytes of the system's random generator, for identifiers. Keys are not made of them.
pub fn random<const N: usize>() -> Result<[u8; N], Unspecified> {
    const { assert!(N <= POOL) };
    THREAD_POOL.with_borrow_mut(|pool| pool.take())
}

impl Pool {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Unspecified> {
        if self.left < N {
            // Nothing is taken of a pool whose filling failed.
            self.left = 0;
            SystemRandom::new().fill(&mut self.bytes)?;
            self.left = POOL;
        }
        let taken = self.bytes.get_mut(self.left - N..self.left);
        let taken: &mut [u8; N] = taken.and_then(|t| t.try_into().ok()).ok_or(Unspecified)?;
        self.left -= N;
        Ok(std::mem::replace(taken, [0; N]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_are_returned_twice_and_none_stays_in_the_pool() {
        let mut pool = Pool {
            bytes: [0; POOL],
            left: 0,
        };
        let mut seen = std::collections::HashSet::new();
        for _ in 0..4 * POOL / 16 {
            let taken: [u8; 16] = pool.take().expect("random bytes");
            assert!(seen.insert(taken), "{taken:?}");
            assert!(pool.bytes[pool.left..].iter().all(|byte| *byte == 0));
        }
        let odd: [u8; POOL - 1] = pool.take().expect("random bytes");
        let next: [u8; POOL - 1] = pool.take().expect("random bytes");
        assert_ne!(odd, next);
    }
}
