//! Facts about this process, each read back from the system after hardening.

use std::fs;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, set_dumpable_behavior,
    setrlimit,
};
use rustix::thread::{SecureComputingMode, no_new_privs, secure_computing_mode};
use serde_json::{Map, Value};

/// `CAP_IPC_LOCK` in the effective set.
const IPC_LOCK: u32 = 14;

/// One property of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Not dumpable: its user can neither dump nor trace it.
    NoDump,
    /// The limit for core files is zero and cannot be raised again.
    NoCore,
    /// A core file that is written all the same contains no memory: like `MADV_DONTDUMP` for
    /// every mapping, present and future.
    EmptyCore,
    /// Every page is locked in memory.
    MemoryLocked,
    /// The machine had no swap when the process started.
    NoSwap,
    /// Either of the two: no page of this process is ever written to a disk.
    NeverSwapped,
    NoNewPrivileges,
    Seccomp,
    /// Files outside of the list cannot be opened.
    Landlock,
}

impl Fact {
    pub const ALL: [Fact; 9] = [
        Fact::NoDump,
        Fact::NoCore,
        Fact::EmptyCore,
        Fact::MemoryLocked,
        Fact::NoSwap,
        Fact::NeverSwapped,
        Fact::NoNewPrivileges,
        Fact::Seccomp,
        Fact::Landlock,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Fact::NoDump => "no_dump",
            Fact::NoCore => "no_core",
            Fact::EmptyCore => "empty_core",
            Fact::MemoryLocked => "memory_locked",
            Fact::NoSwap => "no_swap",
            Fact::NeverSwapped => "never_swapped",
            Fact::NoNewPrivileges => "no_new_privileges",
            Fact::Seccomp => "seccomp",
            Fact::Landlock => "landlock",
        }
    }

    /// Their names, separated by commas.
    pub fn list(facts: &[Self]) -> String {
        let names: Vec<_> = facts.iter().map(|fact| fact.as_str()).collect();
        names.join(",")
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fact| fact.as_str() == text)
    }
}

/// Which of [`Fact::ALL`] hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts([bool; Fact::ALL.len()]);

impl Facts {
    pub(super) fn observe(memory: Memory) -> Self {
        Self(Fact::ALL.map(|fact| match fact {
            Fact::NoDump => dumpable_behavior() == Ok(DumpableBehavior::NotDumpable),
            Fact::NoCore => {
                let limit = getrlimit(Resource::Core);
                limit.current == Some(0) && limit.maximum == Some(0)
            }
            Fact::EmptyCore => memory.excluded_from_core,
            Fact::MemoryLocked => memory.locked,
            Fact::NoSwap => memory.no_swap,
            Fact::NeverSwapped => memory.locked || memory.no_swap,
            Fact::NoNewPrivileges => no_new_privs() == Ok(true),
            Fact::Seccomp => secure_computing_mode() == Ok(SecureComputingMode::Filter),
            Fact::Landlock => super::files::is_confined(),
        }))
    }

    pub fn holds(&self, fact: Fact) -> bool {
        Fact::ALL
            .into_iter()
            .zip(self.0)
            .any(|(known, holds)| known == fact && holds)
    }

    /// The names of the facts that hold, or of those that do not.
    pub fn names(&self, holding: bool) -> String {
        let named = Fact::ALL
            .into_iter()
            .filter(|fact| self.holds(*fact) == holding);
        Fact::list(&named.collect::<Vec<_>>())
    }

    /// The document `process` of a report: each fact and whether it holds.
    pub fn document(&self) -> String {
        let members = Fact::ALL
            .into_iter()
            .map(|fact| (fact.as_str().to_owned(), self.holds(fact).into()));
        Value::Object(members.collect::<Map<_, _>>()).to_string()
    }
}

/// The facts about memory, which can only be read while `/proc` is accessible.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    excluded_from_core: bool,
    locked: bool,
    no_swap: bool,
}

/// No core file, and no other user than root can read this process.
pub(super) fn forbid_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Locks pages in memory from when they are first touched, and keeps them out of core files.
pub(super) fn protect_memory() -> Memory {
    // With a limit, locking future pages would make a later allocation fail.
    let unlimited = getrlimit(Resource::Memlock).current.is_none() || may_lock();
    if unlimited {
        // Only pages that are in use: locking all that is reserved would cost far more memory.
        let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
        let _ = mlockall(flags);
    }
    Memory {
        excluded_from_core: exclude_memory_from_cores(),
        locked: status("VmLck:").is_some_and(|line| line.split_whitespace().next() != Some("0")),
        no_swap: swap_is_absent(),
    }
}

/// Clears the mask of mappings that a core file contains (core(5)), and reads it back.
fn exclude_memory_from_cores() -> bool {
    // Inherited by threads and started programs; read back, because a container may mount `/proc` read-only.
    let mask = "/proc/self/coredump_filter";
    let _ = fs::write(mask, "0");
    let read = fs::read_to_string(mask);
    read.is_ok_and(|mask| u64::from_str_radix(mask.trim(), 16) == Ok(0))
}

fn may_lock() -> bool {
    let set = status("CapEff:").and_then(|hex| u64::from_str_radix(&hex, 16).ok());
    set.is_some_and(|set| set & (1 << IPC_LOCK) != 0)
}

/// `/proc/swaps` has a line of headings and one line per device.
fn swap_is_absent() -> bool {
    fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() <= 1)
}

/// A line of `/proc/self/status`.
fn status(name: &str) -> Option<String> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_have_the_names_of_the_configuration() {
        for fact in Fact::ALL {
            assert_eq!(Fact::parse(fact.as_str()), Some(fact));
        }
        assert_eq!(Fact::parse("no-dump"), None);
    }

    #[test]
    fn the_document_lists_each_fact_and_whether_it_holds() {
        let mut facts = Facts([false; Fact::ALL.len()]);
        assert_eq!(facts.names(true), "");
        facts.0[1] = true;
        assert_eq!(facts.names(true), "no_core");
        assert!(facts.holds(Fact::NoCore) && !facts.holds(Fact::NoDump));
        let document: Value = serde_json::from_str(&facts.document()).expect("JSON");
        assert_eq!(document["no_core"], true);
        assert_eq!(document["landlock"], false);
        assert_eq!(document.as_object().map(Map::len), Some(Fact::ALL.len()));
    }
}
