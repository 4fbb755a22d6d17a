//! PID 1 after the boot: reaps processes, and powers the machine off when a service has ended or on request.
//!
//! One thread does all of it: only this loop calls `wait`, so no process is reaped in two places.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, wait};

use super::{Ending, Running};
use crate::console::say;
use crate::signals;

const PAUSE: Duration = Duration::from_millis(100);
/// From being asked to being killed. The gateway drains what is in flight in this time.
const GRACE: Duration = Duration::from_secs(30);

/// Why the machine is to be switched off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    Ended { service: String, ending: Ending },
    Asked,
}

/// Returns when the machine is to be switched off, with every service stopped.
pub fn watch(mut running: Vec<Running>) -> Reason {
    let reason = loop {
        if let Some((service, ending)) = reap(&running) {
            // Its process id is free now and may belong to another process: it must not be signalled.
            running.retain(|other| other.name != service);
            break Reason::Ended { service, ending };
        }
        if signals::asked_to_stop() {
            break Reason::Asked;
        }
        sleep(PAUSE);
    };
    // With every service, also when one has ended by itself: the machine never runs with a part of them.
    stop(running);
    reason
}

/// Reaps every process that has ended, a service or an orphan; returns the first service among them.
fn reap(running: &[Running]) -> Option<(String, Ending)> {
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        let pid = pid.as_raw_nonzero().get().cast_unsigned();
        if let Some(service) = running.iter().find(|service| service.pid == pid) {
            return Some((service.name.clone(), ending(status)));
        }
    }
    None
}

fn stop(mut running: Vec<Running>) {
    say("stopping");
    signal(&running, Signal::TERM);
    let deadline = Instant::now() + GRACE;
    while !running.is_empty() && Instant::now() < deadline {
        match reap(&running) {
            Some((name, _)) => running.retain(|service| service.name != name),
            None => sleep(PAUSE),
        }
    }
    // Remaining processes end with the machine.
    signal(&running, Signal::KILL);
}

fn signal(running: &[Running], signal: Signal) {
    // In reverse order of the start: a service uses those that were started before it. Each leads a separate process group.
    for service in running.iter().rev() {
        if let Some(pid) = Pid::from_raw(service.pid.cast_signed()) {
            let _ = kill_process_group(pid, signal);
        }
    }
}

fn ending(status: WaitStatus) -> Ending {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ending::Status(code),
        (None, Some(signal)) => Ending::Signal(signal),
        (None, None) => Ending::Unknown,
    }
}
