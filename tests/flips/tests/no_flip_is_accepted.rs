//! The strided version of `make flips`: some flips in every signed part, quickly.

/// Of each part. An odd number walks over bits as well as bytes.
const OF_EACH_PART: usize = 41;
const THREADS: usize = 2;

#[test]
fn no_sampled_flip_of_a_signed_bit_is_accepted() {
    let mut flips = 0;
    for subject in flips::software() {
        let count = flips::run(&subject, OF_EACH_PART, THREADS).expect("unchanged is accepted");
        let what = (subject.kind, &subject.part);
        assert_eq!(count.accepted, [], "{what:?}");
        flips += count.flips;
    }
    assert!(flips > 1000, "{flips}");
}

#[test]
fn detects_a_verifier_that_checks_nothing() {
    let subject = flips::Subject::new("none", "none", vec![0; 4], |_| true);
    let count = flips::run(&subject, usize::MAX, THREADS).expect("accepted");
    assert_eq!((count.flips, count.accepted.len()), (32, 32));
    assert!(count.exhaustive);
    let refusing = flips::Subject::new("none", "none", vec![0; 4], |_| false);
    assert!(flips::run(&refusing, usize::MAX, THREADS).is_err());
}
