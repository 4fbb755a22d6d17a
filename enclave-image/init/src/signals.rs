//! Requests to stop, by signals.
//!
//! PID 1 gets only signals that it has a handler for. It handles SIGTERM and SIGINT by setting a flag, which the loop in
//! `services` polls. The kernel sends SIGINT for Ctrl-Alt-Del after `CadOff`: that is how a host
//! without a guest agent can request a stop. The ACPI power button is not handled; such a host has to power the machine off.

#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::system::{RebootCommand, reboot};

use crate::os::{Doing, OsError};

/// Written by the signal handler only. Relaxed: it is polled, and no other memory depends on it.
static STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_signal: libc::c_int) {
    STOP.store(true, Ordering::Relaxed);
}

/// Whether a stop was requested.
pub fn asked_to_stop() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// Makes Ctrl-Alt-Del send SIGINT. Requires root, so tests do not call it.
pub fn take_ctrl_alt_del() -> Result<(), OsError> {
    reboot(RebootCommand::CadOff).doing("take", "Ctrl-Alt-Del")
}

/// Installs the handlers for SIGTERM and SIGINT. Started programs have the default action again.
pub fn listen() -> Result<(), OsError> {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        install(signal).doing("listen for", format!("signal {signal}"))?;
    }
    Ok(())
}

fn install(signal: libc::c_int) -> io::Result<()> {
    let handler: extern "C" fn(libc::c_int) = note;
    // SAFETY: all zeros is a valid `sigaction`: no flags, an empty mask, the default disposition.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: `action` is a whole `sigaction` and outlives the call; the handler takes the signal's number, as it must
    // without `SA_SIGINFO`, and does nothing but store an atomic, which may be done in a handler.
    match unsafe { libc::sigaction(signal, &action, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Signal, getpid, kill_process};

    #[test]
    fn a_signal_is_noted_and_does_not_end_the_process() {
        listen().expect("handlers can be installed");
        assert!(!asked_to_stop());
        kill_process(getpid(), Signal::TERM).expect("we may signal ourselves");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !asked_to_stop() && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(asked_to_stop());
    }
}
