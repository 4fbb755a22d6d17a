//! The policies in the box.

use std::path::Path;

use gateway_authorization::Policy;

#[test]
fn every_policy_in_the_box_decides_its_examples_as_stated() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/authorization");
    let mut policies = 0;
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a text");
        let policy = Policy::parse_and_try(&text)
            .unwrap_or_else(|invalid| panic!("{}:\n{invalid}", path.display()));
        assert!(!policy.examples.is_empty(), "{}", path.display());
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        assert_eq!(Some(policy.name.as_str()), stem);
        policies += 1;
    }
    assert!(policies >= 3, "{policies}");
}
