//! Every committed case comes out as it says.

use conformance::run;

#[test]
fn every_case_comes_out_as_it_says() {
    let directory = run::directory();
    let cases = run::read_all(&directory).expect("cases that can be read");
    assert!(cases.len() >= 200, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        wrong.extend(run::judge(&directory, case).expect("a case that can be judged"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
