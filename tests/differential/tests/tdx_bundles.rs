//! TDX quotes with their collateral: recorded ones, and changed ones of the software platform, judged by
//! us and by `dcap-qvl`. `make differential` compares 100,000.

use attest_core::RootKind;
use differential::bundles::{EXPLAINED, compare};
use differential::dcap::{Relation, judge, ours, relate};
use differential::subjects::{changed, quotes};

#[test]
fn both_report_the_same_status_and_advisories_for_recorded_quotes() {
    let mut verified = 0;
    for subject in quotes().expect("subjects") {
        let collateral = subject.collateral.tdx.as_ref().expect("Intel's");
        let root = subject.roots.der(RootKind::Intel).expect("a root");
        let theirs = judge(&subject.bytes, collateral, root, subject.at);
        let ours = ours(&subject.bytes, collateral, &subject.roots, subject.at);
        let relation = relate(&ours, &theirs);
        let alike = matches!(relation, Relation::Alike | Relation::BothRefuse);
        assert!(alike, "{}: {relation:?}", subject.name);
        verified += usize::from(relation == Relation::Alike);
    }
    assert!(verified > 0);
}

#[test]
fn no_changed_recording_is_verified_by_us_alone() {
    for subject in quotes().expect("subjects") {
        let collateral = subject.collateral.tdx.as_ref().expect("Intel's");
        let root = subject.roots.der(RootKind::Intel).expect("a root");
        for bytes in changed(&subject.bytes, 509, 8) {
            let theirs = judge(&bytes, collateral, root, subject.at);
            let ours = ours(&bytes, collateral, &subject.roots, subject.at);
            let relation = relate(&ours, &theirs);
            assert!(
                !matches!(relation, Relation::OnlyTheyRefuse(_) | Relation::Differ(_)),
                "{}: {relation:?}",
                subject.name
            );
        }
    }
}

#[test]
fn every_difference_on_changed_bundles_is_one_of_the_table() {
    let compared = compare(1..1_201);
    println!("{compared}");
    let unexplained: Vec<String> = compared.unexplained().collect();
    assert_eq!(unexplained, [""; 0]);
    assert!(compared.count(&Relation::Alike) > 100);
    assert!(compared.count(&Relation::BothRefuse) > 100);
}

#[test]
fn the_readme_has_every_row_of_the_table() {
    let readme = include_str!("../README.md");
    for row in EXPLAINED {
        assert!(readme.contains(row.begins), "{}", row.begins);
        assert!(readme.contains(row.why), "{}", row.why);
    }
}
