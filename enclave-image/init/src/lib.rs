//! PID 1 of the confidential VM: from the measured command line to unprivileged services, or power off.
//!
//! `../CONTRACT.md` says what the build puts where and what this program insists on. Everything that comes from the
//! host is hostile: the command line, disks, their serials, DHCP's answers, the clock. Parsers here take bytes and
//! return values or errors; they touch nothing, and are tested without a machine. What touches the kernel stands
//! beside them in small functions that are shown by booting.
//!
//! Refused, always with a line on the console and power off: whatever is not as the measured image says. There is
//! no shell, no fallback and no second try under weaker terms.

pub mod boot;
pub mod cmdline;
pub mod config;
pub mod console;
pub mod devmapper;
pub mod disks;
pub mod evidence;
pub mod ext2;
pub mod hardening;
pub mod initramfs;
pub mod lines;
pub mod modules;
pub mod mounts;
pub mod network;
pub mod os;
pub mod readiness;
pub mod refusal;
pub mod root;
pub mod services;
pub mod signals;
pub mod state;
pub mod users;
