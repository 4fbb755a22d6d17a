//! A brief run of every target, within what a test run can bear. `make fuzz-smoke` runs more.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use attest_core::{Appraiser, AttestationPolicy, Decision, RootKind, Roots};
use fuzz::driver::{self, Effort};
use fuzz::recorded::truncate_all;
use fuzz::seeds::{Seeds, roots};
use fuzz_targets::{ALL, Cost, NOW, ROOTS, split};

static SEEDS: LazyLock<Seeds> = LazyLock::new(Seeds::make);

#[test]
fn no_target_panics_at_seeds_their_truncations_or_mutants_of_them() {
    let mut broken = Vec::new();
    let mut executions = 0;
    for target in ALL {
        let effort = match target.cost {
            Cost::Parse => Effort {
                truncations: 150,
                mutants: 400,
            },
            Cost::Signatures => Effort {
                truncations: 12,
                mutants: 40,
            },
        };
        let outcome = driver::run(target, SEEDS.of(target.name), effort, 2);
        executions += outcome.executions();
        for input in outcome.panics {
            broken.push((target.name, attest_core::to_hex(&input)));
        }
    }
    assert_eq!(broken, []);
    assert!(executions > 10_000, "{executions} executions");
}

/// Collateral JSON, certificates, lists and quotes changed by their structure and signed again.
#[test]
fn no_changed_bundle_of_quote_and_collateral_makes_verification_panic() {
    let outcome = driver::run_bundles(1..401);
    assert_eq!(outcome.panics, [0; 0]);
    // Neither is everything refused at the door, nor nothing.
    let verified = outcome.accepted;
    assert!((40..360).contains(&verified), "{verified} of 400 accepted");
}

#[test]
fn every_target_has_seeds_and_a_libfuzzer_binary() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/libfuzzer/fuzz_targets");
    let binaries: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("the folder of the binaries")
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    let mut named: BTreeSet<String> = ALL.iter().map(|target| target.name.to_owned()).collect();
    // Its input is choices, not bytes that a parser reads: `driver::run_bundles` makes them here.
    named.insert("tdx_bundle".to_owned());
    assert_eq!(binaries, named);
    for target in ALL {
        assert!(!SEEDS.of(target.name).is_empty(), "{}", target.name);
    }
}

#[test]
fn the_fuzz_targets_trust_the_roots_that_the_seeds_were_made_with() {
    for ((name, der), (kind, ours)) in roots().into_iter().zip(ROOTS) {
        // RSA signatures are salted at random; AMD's are compared by what whole seeds come to.
        if !matches!(kind, RootKind::AmdMilan | RootKind::AmdTurin) {
            assert_eq!(der, ours, "{name}");
        }
    }
}

/// Seeds that are refused would leave what lies behind the signatures unvisited.
#[test]
fn whole_seeds_are_accepted_unchanged() {
    let roots = ROOTS.iter().fold(Roots::none(), |roots, (kind, der)| {
        roots.with(*kind, der).expect("a root")
    });
    let policy = AttestationPolicy::parse(
        "name = \"any\"\n[snp]\nmeasurements = \"any\"\nkeys = [\"VCEK\", \"VLEK\"]\n",
    )
    .expect("a policy");
    let appraiser = Appraiser {
        roots: &roots,
        policy: &policy,
        collateral: None,
        now: NOW,
    };
    for seed in SEEDS.of("appraise_snp") {
        let [table, report] = split(seed);
        let verdict = appraiser.snp_report(report, table);
        assert_eq!(
            verdict.decision(),
            Decision::Accepted,
            "{}",
            verdict.to_json()
        );
    }
}

#[test]
fn no_parser_panics_at_any_recording_or_truncation_of_it() {
    let Some(vectors) = evidence::vectors_or_skip("truncations of recorded evidence") else {
        return;
    };
    let result = truncate_all(&vectors, 12).expect("files that can be read");
    assert_eq!(result.panics, []);
    assert!(result.files > 40, "{} files", result.files);
}
