//! `../../trusted-base.md` counts what is trusted. What the repository itself decides is counted here again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use enclave_init::hardening;
use enclave_init::services::plan;

fn enclave_image() -> PathBuf {
    let init = Path::new(env!("CARGO_MANIFEST_DIR"));
    init.parent().expect("it lies in enclave-image").to_owned()
}

fn text(path: &str) -> String {
    let path = enclave_image().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The right-hand side of the table's row with this left-hand side.
fn counted(what: &str) -> String {
    let page = text("trusted-base.md");
    let begin = page
        .find("<!-- counted:")
        .expect("the table has a beginning");
    let end = page.find("<!-- end -->").expect("the table has an end");
    let row = page[begin..end].lines().find_map(|line| {
        let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
        (cells.next() == Some(what)).then(|| cells.next().unwrap_or_default().to_owned())
    });
    row.unwrap_or_else(|| panic!("the table has no row {what:?}"))
}

fn list(names: &BTreeSet<String>) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    format!("{}: {}", names.len(), names.join(", "))
}

/// The contents of the definition's text for this path.
fn text_of_definition(definition: &str, path: &str) -> String {
    let after = definition.split(&format!("path = \"{path}\"")).nth(1);
    let contents = after.and_then(|rest| rest.split("\"\"\"").nth(1));
    contents
        .expect("the definition has this text")
        .trim_start()
        .to_owned()
}

#[test]
fn the_trusted_base_lists_exactly_the_locked_packages() {
    let lock = text("packages.lock");
    let of_image = lock.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let group = words.next()?;
        matches!(group, "boot" | "root").then(|| words.next())?
    });
    assert_eq!(
        counted("packages of Debian"),
        list(&of_image.map(str::to_owned).collect())
    );
}

#[test]
fn programs_and_services_are_those_of_the_definition() {
    let definition = text("images/gateway.toml");
    let named = definition
        .split("[[program]]")
        .skip(1)
        .filter_map(|program| {
            let line = program.lines().find(|line| line.starts_with("name = "))?;
            line.split('"').nth(1).map(str::to_owned)
        });
    let mut programs: BTreeSet<String> = named.collect();
    programs.insert("init".to_owned());
    assert_eq!(counted("programs that run in user space"), list(&programs));
    let plan = text_of_definition(&definition, "/etc/services");
    let services = plan::parse(plan.as_bytes()).expect("PID 1 can read the plan");
    assert!(services.iter().all(|service| service.user != "root"));
    let names = services.into_iter().map(|service| service.name).collect();
    assert_eq!(counted("services"), list(&names));
}

#[test]
fn libraries_unsafe_files_and_switches_are_those_of_the_crate() {
    let manifest = text("init/Cargo.toml");
    let dependencies = manifest
        .split("[dependencies]\n")
        .nth(1)
        .expect("there are some");
    let lines = dependencies.lines().take_while(|line| !line.is_empty());
    let names: BTreeSet<String> = lines
        .filter_map(|line| line.split(['.', ' ']).next())
        .map(str::to_owned)
        .collect();
    let expected = list(&names).replacen(':', " named:", 1);
    assert_eq!(counted("libraries that PID 1 is linked with"), expected);

    let mut unsafe_files = 0;
    let mut folders = vec![enclave_image().join("init/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("it can be listed") {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::read_to_string(&path)
                .is_ok_and(|text| text.contains("allow(unsafe_code)"))
            {
                unsafe_files += 1;
            }
        }
    }
    assert_eq!(
        counted("files with unsafe code in PID 1"),
        unsafe_files.to_string()
    );
    assert_eq!(
        counted("kernel switches set permanently"),
        hardening::switches().to_string()
    );
}
