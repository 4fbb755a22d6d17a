//! The proxy holds prompts, answers and API keys: what the gateway gives up before it serves, it gives up too.
//!
//! As far as the machine lets an ordinary program: no core dump, no debugger or other program of the same user that
//! looks into it, no new privileges, no system calls that only an intruder needs, files outside of a closed list out of
//! reach, and memory that is not swapped out where locking it is allowed. The first two are a condition of the start.

use std::path::PathBuf;

use harden::{AllowedFiles, Fact};

use super::args::ProxyArgs;
use crate::failure::Failure;

/// Without these it does not start.
const REQUIRED: [Fact; 2] = [Fact::NoDump, Fact::NoCore];

/// Hardens this process, which has one thread.
pub fn harden(args: &ProxyArgs) -> Result<(), Failure> {
    // A rule needs the directory to be there.
    if let Some(directory) = &args.keep_receipts {
        super::Shelf::open(directory)?;
    }
    if let Err(error) = harden::start_resolver(|| {
        eprintln!("sealgate-verify: the process that resolves names has ended");
    }) {
        eprintln!("sealgate-verify: no process of its own resolves names: {error}");
    }
    harden::raise_descriptor_limit();
    harden::harden(&reach(args), &REQUIRED).map_err(|error| Failure::Internal(error.to_string()))
}

/// Prints what holds, once the arguments are known to make sense.
pub(super) fn print_facts() {
    if let Some(facts) = harden::observed() {
        eprintln!(
            "sealgate-verify: hardened holds={} lacks={}",
            facts.names(true),
            facts.names(false)
        );
    }
}

fn reach(args: &ProxyArgs) -> AllowedFiles {
    let named = [
        &args.judge.policy,
        &args.judge.roots,
        &args.judge.collateral,
    ];
    let read = named.into_iter().flatten().cloned();
    let written: Vec<PathBuf> = args.keep_receipts.iter().cloned().collect();
    AllowedFiles {
        read: read.collect(),
        written,
    }
}
