//! `/init`: see the library's page and `../CONTRACT.md`.

use std::process::ExitCode;
use std::thread::park;

use rustix::system::{RebootCommand, reboot};

use enclave_init::boot::boot;
use enclave_init::console::{printable, say};
use enclave_init::refusal::Refusal;
use enclave_init::services::{Reason, watch};

fn main() -> ExitCode {
    if !rustix::process::getpid().is_init() {
        eprintln!("this program is PID 1 of a confidential VM and does nothing else");
        return ExitCode::from(2);
    }
    // A panic in any thread is a fault of ours; going on without that thread would be a guess.
    // Before anything is started: a thread that panics earlier would end silently.
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        refuse(&Refusal::Internal(format!("panic at {place}")));
    }));
    match boot() {
        Ok(running) => match watch(running) {
            Reason::Ended { service, ending } => refuse(&Refusal::Ended { service, ending }),
            Reason::Asked => {
                say("stopped");
                power_off()
            }
        },
        Err(refusal) => refuse(&refusal),
    }
}

fn refuse(refusal: &Refusal) -> ! {
    let text = printable(refusal.to_string().as_bytes());
    say(format_args!("refused {}: {text}", refusal.code()));
    power_off()
}

fn power_off() -> ! {
    rustix::fs::sync();
    let _ = reboot(RebootCommand::PowerOff);
    // The kernel does not come back from that. If it did: PID 1 must not end, and there is nothing left to do.
    loop {
        park();
    }
}
