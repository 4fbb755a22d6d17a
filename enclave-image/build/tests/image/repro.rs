use std::fs;
use std::path::PathBuf;

use enclave_image::repro::differences;

struct Folders(PathBuf);

impl Drop for Folders {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn every_file_that_differs_is_named_and_no_other() {
    let base = std::env::temp_dir().join(format!("sealgate-repro-{}", std::process::id()));
    let folders = Folders(base.clone());
    let (a, b) = (base.join("a"), base.join("b"));
    for folder in [&a, &b] {
        fs::create_dir_all(folder.join("launch")).expect("a temporary folder");
        fs::write(folder.join("same"), "same").expect("a temporary file");
        fs::write(folder.join("launch/bent"), "bent").expect("a temporary file");
    }
    assert_eq!(
        differences(&a, &b).expect("they can be read"),
        Vec::<String>::new()
    );
    fs::write(b.join("launch/bent"), "Bent").expect("a temporary file");
    fs::write(a.join("alone"), "").expect("a temporary file");
    let expected = ["alone: in one of them alone", "launch/bent: other bytes"];
    assert_eq!(differences(&a, &b).expect("they can be read"), expected);
    drop(folders);
}
