//! Hardens the kernel permanently, and sets the limits that every service inherits.

use std::fs;
use std::path::Path;

use Need::{Always, WhereThere};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set, set_no_new_privs};

use crate::os::{Doing, OsError};

/// Whether a kernel may lack the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Always,
    /// The feature it limits is an option of the kernel's build.
    WhereThere,
}

/// Below `/proc/sys`. Each limits what an attacker who controls one process can do to others.
const SWITCHES: &[(&str, &str, Need)] = &[
    // Addresses and messages of the kernel.
    ("kernel/kptr_restrict", "2", Always),
    ("kernel/dmesg_restrict", "1", Always),
    ("kernel/perf_event_paranoid", "3", WhereThere),
    // Parts of the kernel that take programs from users.
    ("kernel/unprivileged_bpf_disabled", "1", WhereThere),
    ("net/core/bpf_jit_harden", "2", WhereThere),
    ("kernel/io_uring_disabled", "2", WhereThere),
    ("user/max_user_namespaces", "0", WhereThere),
    ("vm/unprivileged_userfaultfd", "0", WhereThere),
    ("dev/tty/ldisc_autoload", "0", WhereThere),
    // Another kernel, more of this one, or its magic keys.
    ("kernel/kexec_load_disabled", "1", WhereThere),
    ("kernel/modprobe", "\n", WhereThere),
    ("kernel/sysrq", "0", WhereThere),
    // Memory of processes: no dump to a file or a program, and no process attaches to another.
    ("kernel/core_pattern", "|/nonexistent", Always),
    ("fs/suid_dumpable", "0", Always),
    ("kernel/yama/ptrace_scope", "3", WhereThere),
    ("kernel/randomize_va_space", "2", Always),
    ("vm/mmap_min_addr", "65536", Always),
    // A kernel after an oops must not continue.
    ("kernel/panic_on_oops", "1", Always),
    // Links in folders that several may write to.
    ("fs/protected_hardlinks", "1", Always),
    ("fs/protected_symlinks", "1", Always),
    ("fs/protected_fifos", "2", Always),
    ("fs/protected_regular", "2", Always),
    // The network is the host's: no redirects, no source routes, no addresses from router advertisements.
    ("net/ipv4/ip_forward", "0", Always),
    ("net/ipv4/conf/all/accept_redirects", "0", Always),
    ("net/ipv4/conf/default/accept_redirects", "0", Always),
    ("net/ipv4/conf/all/accept_source_route", "0", Always),
    ("net/ipv4/conf/default/accept_source_route", "0", Always),
    ("net/ipv4/conf/all/send_redirects", "0", Always),
    ("net/ipv4/icmp_echo_ignore_broadcasts", "1", Always),
    ("net/ipv4/tcp_syncookies", "1", WhereThere),
    ("net/ipv6/conf/all/disable_ipv6", "1", WhereThere),
    ("net/ipv6/conf/default/disable_ipv6", "1", WhereThere),
];

/// How many there are, with the one that ends the loading of modules.
pub fn switches() -> usize {
    SWITCHES.len() + 1
}

/// Sets the switches.
pub fn kernel() -> Result<(), OsError> {
    for (name, value, need) in SWITCHES {
        set(Path::new("/proc/sys"), name, value, *need)?;
    }
    Ok(())
}

/// No kernel code is loaded after the measured modules.
pub fn no_more_modules() -> Result<(), OsError> {
    set(
        Path::new("/proc/sys"),
        "kernel/modules_disabled",
        "1",
        Always,
    )
}

fn set(base: &Path, name: &str, value: &str, need: Need) -> Result<(), OsError> {
    let path = base.join(name);
    match fs::write(&path, value) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && need == WhereThere => Ok(()),
        done => done.doing("set", &path),
    }
}

/// Limits, capabilities and the bit that no program can gain any. PID 1 keeps its own capabilities; what it starts
/// gets none: another user than root, an empty bounding set, and no new privileges.
pub fn services() -> Result<(), OsError> {
    let exactly = |value| Rlimit {
        current: Some(value),
        maximum: Some(value),
    };
    let without_bound = Rlimit {
        current: None,
        maximum: None,
    };
    let limits = [
        (Resource::Core, exactly(0)),
        (Resource::Nofile, exactly(65_536)),
        // A service may keep all its memory from ever being written out.
        (Resource::Memlock, without_bound),
    ];
    for (resource, limit) in limits {
        setrlimit(resource, limit).doing("limit", format!("{resource:?}"))?;
    }
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        match remove_capability_from_bounding_set(capability) {
            // Numbers above the last capability of this kernel.
            Err(rustix::io::Errno::INVAL) => break,
            done => done.doing("drop", format!("capability {bit}"))?,
        }
    }
    set_no_new_privs(true).doing("set", "no_new_privs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_optional_sysctl_is_skipped_and_a_required_one_is_an_error() {
        let base = std::env::temp_dir().join(format!("enclave-init-sysctl-{}", std::process::id()));
        fs::create_dir_all(base.join("kernel")).expect("a folder can be made");
        fs::write(base.join("kernel/there"), "0").expect("a file can be written");
        assert_eq!(set(&base, "kernel/there", "1", Always), Ok(()));
        let read = fs::read_to_string(base.join("kernel/there")).expect("it is there");
        assert_eq!(set(&base, "gone/gone", "1", WhereThere), Ok(()));
        let refused = set(&base, "gone/gone", "1", Always);
        fs::remove_dir_all(&base).expect("it can be removed");
        assert_eq!(read, "1");
        assert_eq!(refused.expect_err("it is not there").errno, 2);
    }

    #[test]
    fn no_sysctl_is_set_twice() {
        let mut names: Vec<&str> = SWITCHES.iter().map(|(name, ..)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SWITCHES.len());
    }
}
