use std::collections::BTreeMap;

use enclave_image::boot::modules::{ModuleError, dependencies, load_order};

const SIGNED: &[u8] = b"~Module signature appended~\n";

/// A 64-bit ELF file with one section, `.modinfo`.
fn module(depends: &str) -> Vec<u8> {
    let information = format!("license=GPL\0depends={depends}\0name=x\0");
    let names = b"\0.modinfo\0.names\0";
    let (information_at, names_at) = (64, 64 + information.len());
    let table = (names_at + names.len()).next_multiple_of(8);
    let mut file = vec![0; table + 3 * 64];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    file[0x28..0x30].copy_from_slice(&(table as u64).to_le_bytes());
    file[0x3a..0x3c].copy_from_slice(&64_u16.to_le_bytes());
    file[0x3c..0x3e].copy_from_slice(&3_u16.to_le_bytes());
    file[0x3e..0x40].copy_from_slice(&2_u16.to_le_bytes());
    file[information_at..names_at].copy_from_slice(information.as_bytes());
    file[names_at..names_at + names.len()].copy_from_slice(names);
    let mut section = |index: usize, name: u32, at: usize, len: usize| {
        let header = table + index * 64;
        file[header..header + 4].copy_from_slice(&name.to_le_bytes());
        file[header + 0x18..header + 0x20].copy_from_slice(&(at as u64).to_le_bytes());
        file[header + 0x20..header + 0x28].copy_from_slice(&(len as u64).to_le_bytes());
    };
    section(1, 1, information_at, information.len());
    section(2, 10, names_at, names.len());
    file.extend_from_slice(SIGNED);
    file
}

fn order(all: &[(&str, &str)], wanted: &[&str]) -> Result<Vec<String>, ModuleError> {
    let files: BTreeMap<&str, Vec<u8>> = all
        .iter()
        .map(|(name, needs)| (*name, module(needs)))
        .collect();
    let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
    let loaded = load_order(&wanted, |name| files.get(name).cloned())?;
    Ok(loaded.into_iter().map(|(name, _)| name).collect())
}

#[test]
fn dependencies_come_first_and_once() {
    let all = [
        ("dm_verity", "dm-mod,dm-bufio,reed_solomon"),
        ("dm_mod", ""),
        ("dm_bufio", "dm-mod"),
        ("reed_solomon", ""),
        ("virtio_net", "net_failover"),
        ("net_failover", "failover"),
        ("failover", ""),
    ];
    let loaded = order(&all, &["virtio-net", "dm-verity", "dm_mod"]).expect("all are there");
    let expected = [
        "failover",
        "net_failover",
        "virtio_net",
        "dm_mod",
        "dm_bufio",
        "reed_solomon",
        "dm_verity",
    ];
    assert_eq!(loaded, expected);
}

#[test]
fn a_missing_dependency_is_named_with_the_module_that_needs_it() {
    let missing = order(&[], &["erofs"]);
    assert_eq!(missing, Err(ModuleError::Missing("erofs".into())));
    let missing = order(&[("a", "b")], &["a"]);
    let (name, by) = ("b".to_owned(), "a".to_owned());
    assert_eq!(missing, Err(ModuleError::MissingDependency { name, by }));
}

#[test]
fn modules_that_depend_on_each_other_are_refused() {
    let circle = order(&[("a", "b"), ("b", "a")], &["a"]);
    assert_eq!(circle, Err(ModuleError::Cycle("a".into())));
}

#[test]
fn a_module_without_a_signature_is_refused() {
    let mut bytes = module("");
    bytes.truncate(bytes.len() - 1);
    let refused = load_order(&["a".to_owned()], |_| Some(bytes.clone()));
    assert_eq!(refused, Err(ModuleError::Unsigned("a".into())));
}

#[test]
fn truncated_or_arbitrary_bytes_are_not_read_as_a_module() {
    let whole = module("a,b");
    assert_eq!(
        dependencies(&whole),
        Some(vec!["a".to_owned(), "b".to_owned()])
    );
    // The last 24 bytes of the last section's header say nothing that is read.
    for len in 0..whole.len() - SIGNED.len() - 24 {
        assert_eq!(dependencies(&whole[..len]), None, "{len} bytes");
    }
    for at in 0..64 {
        let mut bent = whole.clone();
        bent[at] = 0xff;
        let _ = dependencies(&bent);
    }
}
