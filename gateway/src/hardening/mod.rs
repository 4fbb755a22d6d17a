//! What this process gives up before it serves, and proof that it did.
//!
//! [`harden`] runs once, before there is a second thread, so that every thread inherits it: no core dumps and no memory
//! in one that is made all the same, no debugger without root's rights, memory that is not swapped out, no new privileges, a closed list of files, and no
//! system calls that only an intruder needs. Each measure is tried; each fact is read back from the system and not
//! from our own success. `[hardening] require` names the facts without which there is no start.
//!
//! What it cannot do: stop the kernel or a debugger with root's rights. Keeping those out is the confidential VM's part.

mod calls;
mod facts;
mod files;

use std::sync::OnceLock;

pub use facts::{Fact, Facts};
pub use files::Reach;

static OBSERVED: OnceLock<Facts> = OnceLock::new();

/// A required fact that is none on this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this process could not be hardened as [hardening] require asks: {} missing. \
     The kernel, the container or the service manager refuses it; take it out of the list only if you can do without.",
    missing.iter().map(|fact| fact.as_str()).collect::<Vec<_>>().join(", ")
)]
pub struct NotHardened {
    pub missing: Vec<Fact>,
}

/// Tries every measure on the calling thread and on those it will start, and says what of `required` does not hold
/// then. For processes with one thread only; what is to be within `reach` has to be there.
pub fn harden(reach: &Reach, required: &[Fact]) -> Result<(), NotHardened> {
    let memory = facts::keep_memory();
    // Last of those that read `/proc`: it belongs to root from here on.
    facts::forbid_dumps();
    // Without this neither of the two that follow is to be had by an ordinary user.
    let _ = rustix::thread::set_no_new_privs(true);
    files::confine(reach);
    calls::confine();
    let facts = OBSERVED.get_or_init(|| Facts::observe(memory));
    let wanted = required.iter().copied();
    let missing: Vec<Fact> = wanted.filter(|fact| !facts.holds(*fact)).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(NotHardened { missing })
    }
}

/// What was seen of this process after [`harden`]; none where it has not run, as in a test of the library.
pub fn observed() -> Option<&'static Facts> {
    OBSERVED.get()
}

/// Whether files outside of a closed list are out of reach.
pub fn confined_to_files() -> bool {
    observed().is_some_and(|facts| facts.holds(Fact::Landlock))
}
