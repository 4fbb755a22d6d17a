//! Facts about this process, read back from the system.

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

/// One thing that can be known of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Neither dumped nor traced by its own user: not dumpable.
    NoDump,
    /// The limit for core files is zero, and cannot be raised again.
    NoCore,
    /// A core file, were one made all the same, would hold none of the memory: what `MADV_DONTDUMP` says of one
    /// mapping, said of all there are and will be.
    EmptyCore,
    /// Every page stays in memory.
    MemoryLocked,
    /// The machine had no swap when the process began.
    NoSwap,
    /// Either of the two: nothing of this process is ever on a disk.
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

    /// Their names, with commas between them.
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
            Fact::EmptyCore => memory.in_no_core,
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

    /// The names of those that hold, or of those that do not.
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

/// What of memory can only be seen while `/proc` can be read.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    in_no_core: bool,
    locked: bool,
    no_swap: bool,
}

/// No core file, and nobody but root looks into this process.
pub(super) fn forbid_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Keeps pages in memory from when they are first touched, and out of core files.
pub(super) fn keep_memory() -> Memory {
    // With a limit, locking what is yet to come would make some later allocation fail.
    let unlimited = getrlimit(Resource::Memlock).current.is_none() || may_lock();
    if unlimited {
        let everything = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
        let _ = mlockall(everything);
    }
    Memory {
        in_no_core: leave_no_memory_to_cores(),
        locked: status("VmLck:").is_some_and(|line| line.split_whitespace().next() != Some("0")),
        no_swap: swap_is_absent(),
    }
}

/// Clears the mask of what goes into a core file (core(5)), and reads it back.
fn leave_no_memory_to_cores() -> bool {
    let mask = "/proc/self/coredump_filter";
    let _ = fs::write(mask, "0");
    let read = fs::read_to_string(mask);
    read.is_ok_and(|mask| u64::from_str_radix(mask.trim(), 16) == Ok(0))
}

fn may_lock() -> bool {
    let set = status("CapEff:").and_then(|hex| u64::from_str_radix(&hex, 16).ok());
    set.is_some_and(|set| set & (1 << IPC_LOCK) != 0)
}

/// `/proc/swaps` has a line of headings, and one for each device.
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
    fn facts_are_named_as_the_configuration_names_them() {
        for fact in Fact::ALL {
            assert_eq!(Fact::parse(fact.as_str()), Some(fact));
        }
        assert_eq!(Fact::parse("no-dump"), None);
    }

    #[test]
    fn a_document_says_of_each_fact_whether_it_holds() {
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
