//! What this process gives up before it serves, and proof that it did.
//!
//! [`harden`] runs once, before there is a second thread, so that every thread inherits it: no core dumps and no memory
//! in one that is made all the same, no debugger without root's rights, memory that is not swapped out, no new privileges, a closed list of files, and no
//! system calls that only an intruder needs. Each measure is tried; each fact is read back from the system and not
//! from our own success. The caller names the facts without which there is no start.
//!
//! Names are resolved by a process of its own, which [`start_resolver`] starts before, and which hardens itself the same
//! way ([`run_resolver`]).
//!
//! What it cannot do: stop the kernel or a debugger with root's rights. Keeping those out is the confidential VM's part.

mod calls;
mod descriptors;
mod facts;
mod files;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;

use resolver::Helper;

pub use descriptors::{descriptor_limit, hard_descriptor_limit, raise_descriptor_limit};

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

/// Starts the process that resolves names. Without it, this process can until the resolver's files are replaced.
/// `on_end` is called should it end while this process goes on.
pub fn start_resolver(on_end: fn()) -> std::io::Result<u32> {
    resolver::start(on_end)
}

/// Where this process was started to resolve names for another: hardens itself and does that until the other ends.
/// Programs call it before they read their arguments.
pub fn run_resolver() -> Option<ExitCode> {
    let helper = Helper::requested()?;
    let listed = Helper::DIRECTORIES.iter().map(PathBuf::from);
    // Where one of these is a link to somewhere else, there.
    let linked = Helper::FILES.iter().map(std::fs::canonicalize);
    let linked = linked
        .flatten()
        .flat_map(|file| files::with_directories(&file));
    let reach = Reach {
        read: listed.chain(linked.collect::<Vec<_>>()).collect(),
        written: Vec::new(),
    };
    let required = [Fact::NoDump, Fact::NoCore];
    match harden(&reach, &required) {
        Ok(()) => Some(helper.run()),
        Err(_) => Some(ExitCode::FAILURE),
    }
}
