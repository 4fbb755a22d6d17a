//! Every committed case comes out as it says.

use std::collections::BTreeSet;
use std::process::Command;

use attest_core::CheckId;
use conformance::{receipts, run};

#[test]
fn every_case_has_the_verdict_it_states() {
    let directory = run::directory();
    let cases = run::read_all(&directory).expect("cases that can be read");
    assert!(cases.len() >= 200, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        wrong.extend(run::judge(&directory, case).expect("a case that can be judged"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A verifier that forgot a check would pass a kit that never fails it alone.
#[test]
fn every_check_fails_alone_in_some_case() {
    let cases = run::read_all(&run::directory()).expect("cases that can be read");
    let alone: BTreeSet<&str> = cases
        .iter()
        .filter_map(|case| {
            let expected = &case.expected;
            match (expected.failing.as_slice(), expected.missing.first()) {
                ([one], _) => Some(one.as_str()),
                ([], Some(missing)) => Some(missing.as_str()),
                _ => None,
            }
        })
        .collect();
    let of_verdicts = CheckId::ALL.iter().map(|id| id.as_str());
    let all = || of_verdicts.clone().chain(receipts::CHECKS);
    let without_a_case: Vec<&str> = all().filter(|id| !alone.contains(id)).collect();
    assert!(without_a_case.is_empty(), "{without_a_case:?}");
    let unknown: Vec<&&str> = alone
        .iter()
        .filter(|id| all().all(|it| it != **id))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// The second implementation, which shares no code with this one, comes to the same results about receipts.
#[test]
fn the_second_implementation_judges_every_receipt_as_it_says() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/receipts.py");
    let done = Command::new("python3").arg(script).output();
    let done = done.expect("Python, which the vectors need as well");
    let printed = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success(),
        "{printed}{}",
        String::from_utf8_lossy(&done.stderr)
    );
}
