//! The files below a stage, where content is kept: sealed, and in no other form.

use anyhow::Result;

use crate::memory::Found;
use crate::outputs::{Output, files};
use crate::stage::Stage;

/// How a file of the age format begins.
const AGE: &[u8] = b"age-encryption.org/v1\n";

/// What lies on the disk.
pub struct Disk {
    pub files: usize,
    /// Files that hold a prompt or an answer.
    pub copies: Vec<(String, Found)>,
    /// How many records each gateway has sealed.
    pub sealed: [(&'static str, usize); 2],
}

pub fn search(stage: &Stage) -> Result<Disk> {
    let mut all = Vec::new();
    files(stage.directory(), &mut all)?;
    let found = |file: &Output| (file.name.clone(), stage.needles.found_in(&file.bytes));
    let copies = all.iter().map(found).filter(|(_, found)| found.all() > 0);
    let copies = copies.collect();
    let sealed = ["gateway", "enclave"].map(|gateway| {
        let folder = stage.directory().join(gateway).join("state/records");
        let folder = folder.display().to_string();
        let in_it = all.iter().filter(|file| file.name.starts_with(&folder));
        (
            gateway,
            in_it.filter(|file| file.bytes.starts_with(AGE)).count(),
        )
    });
    Ok(Disk {
        files: all.len(),
        copies,
        sealed,
    })
}
