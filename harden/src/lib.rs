//! Hardens this process before it serves, and reads back what holds.
//!
//! [`harden`] runs once, before there is a second thread, so that every thread inherits it: no core dumps and no memory
//! in one that is written all the same, no debugger without root's rights, memory that is not swapped out, no new
//! privileges, a closed list of files, and no system calls that only an intruder needs. Each measure is attempted;
//! each fact is read back from the system instead of derived from return values. The caller names the facts that the
//! start requires.
//!
//! Names are resolved by a separate process, which [`start_resolver`] starts before, and which hardens itself the same
//! way ([`run_resolver`]).
//!
//! It cannot stop the kernel or a debugger with root's rights. Keeping those out is the confidential VM's part.

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
pub use files::AllowedFiles;

/// What was read back after [`harden`]. Set once, by the main thread; reports and the log read it.
static OBSERVED: OnceLock<Facts> = OnceLock::new();

/// Required facts that do not hold on this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this process could not be hardened as [hardening] require asks: {} missing. \
     The kernel, the container or the service manager refuses it; take it out of the list only if you can do without.",
    missing.iter().map(|fact| fact.as_str()).collect::<Vec<_>>().join(", ")
)]
pub struct NotHardened {
    pub missing: Vec<Fact>,
}

/// Applies every measure to the calling thread and to those it will start, and returns which of `required` does not
/// hold then. For processes with one thread only; the files of `allowed` must exist.
pub fn harden(allowed: &AllowedFiles, required: &[Fact]) -> Result<(), NotHardened> {
    // First: it writes to files below `/proc` that the next measure takes away.
    let memory = facts::protect_memory();
    // After everything that reads `/proc`: its files belong to root from here on.
    facts::forbid_dumps();
    // An ordinary user may apply Landlock and seccomp only after this.
    let _ = rustix::thread::set_no_new_privs(true);
    files::confine(allowed);
    // Last: the filter refuses calls that the measures above may need.
    calls::confine();
    let facts = OBSERVED.get_or_init(|| Facts::observe(memory));
    let required = required.iter().copied();
    let missing: Vec<Fact> = required.filter(|fact| !facts.holds(*fact)).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(NotHardened { missing })
    }
}

/// The facts as read after [`harden`]; `None` if it has not run, as in a test of the library.
pub fn observed() -> Option<&'static Facts> {
    OBSERVED.get()
}

/// Whether files outside of a closed list cannot be opened.
pub fn confined_to_files() -> bool {
    observed().is_some_and(|facts| facts.holds(Fact::Landlock))
}

/// Starts the process that resolves names. Without it, this process resolves names until the resolver's files are
/// replaced. `on_end` is called if it ends before this process does.
pub fn start_resolver(on_end: fn()) -> std::io::Result<u32> {
    resolver::start(on_end)
}

/// If this process was started to resolve names for another one: hardens itself and resolves names until the other
/// process ends. Programs call it before they read their arguments.
pub fn run_resolver() -> Option<ExitCode> {
    let helper = Helper::requested()?;
    let listed = Helper::DIRECTORIES.iter().map(PathBuf::from);
    // If one of these is a link, its target must be readable too.
    let linked = Helper::FILES.iter().map(std::fs::canonicalize);
    let linked = linked
        .flatten()
        .flat_map(|file| files::with_directories(&file));
    let allowed = AllowedFiles {
        read: listed.chain(linked.collect::<Vec<_>>()).collect(),
        written: Vec::new(),
    };
    let required = [Fact::NoDump, Fact::NoCore];
    match harden(&allowed, &required) {
        Ok(()) => Some(helper.run()),
        Err(_) => Some(ExitCode::FAILURE),
    }
}
