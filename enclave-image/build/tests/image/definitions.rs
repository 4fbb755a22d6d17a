//! The repository's own definitions and lock.

use std::path::{Path, PathBuf};

use enclave_image::debian::lock::Lock;
use enclave_image::definition::{Definition, StatePlace};
use enclave_init::services::plan;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn all() -> Vec<Definition> {
    let folder = repository().join("images");
    let names = Definition::names(&folder).expect("a folder of definitions");
    assert!(names.iter().any(|name| name == "gateway"));
    let load = |name: &String| Definition::load(&folder, name).expect("a definition");
    names.iter().map(load).collect()
}

fn text_at<'a>(definition: &'a Definition, path: &str) -> &'a str {
    let mut texts = definition.lists.text.iter();
    let text = texts.find(|text| text.path == path).expect("it is there");
    text.contents.trim_start_matches('\n')
}

#[test]
fn the_lock_has_every_package_that_a_definition_names() {
    let text = std::fs::read_to_string(repository().join("packages.lock")).expect("the lock");
    let lock = Lock::parse(&text).expect("a lock");
    for definition in all() {
        let named = definition.lists.package.iter().map(|package| &package.name);
        let bundled = definition.lists.bundle.iter().map(|bundle| &bundle.package);
        for name in named.chain(bundled) {
            lock.find(&definition.group, name).expect("locked");
        }
    }
    for group in ["boot", "firmware", "tools"] {
        assert!(lock.group(group).count() > 0, "{group}");
    }
}

#[test]
fn pid_1_understands_every_images_services() {
    for definition in all() {
        let services = text_at(&definition, "/etc/services");
        plan::parse(services.as_bytes()).unwrap_or_else(|e| panic!("{}: {e}", definition.name));
    }
}

#[test]
fn no_production_image_has_the_software_platform() {
    let mut not_for_production = Vec::new();
    for definition in all() {
        if !definition.production {
            not_for_production.push(definition.name.clone());
            continue;
        }
        for program in &definition.lists.program {
            assert_ne!(program.of, "testkit", "{}", definition.name);
            assert!(!program.name.contains("soft"), "{}", definition.name);
        }
    }
    assert_eq!(not_for_production, ["test", "test-inference", "test-state"]);
}

#[test]
fn no_image_has_a_shell_or_a_package_manager() {
    let suspicious = [
        "/sh", "/bash", "/dash", "/busybox", "/dpkg", "/apt", "/perl", "/python3",
    ];
    for definition in all() {
        let files = definition
            .lists
            .package
            .iter()
            .flat_map(|package| &package.files);
        for file in files {
            assert!(!suspicious.iter().any(|end| file.ends_with(end)), "{file}");
        }
    }
}

#[test]
fn only_images_with_a_state_disk_have_what_it_needs() {
    let mut with_disk = Vec::new();
    for definition in all() {
        let asked = definition.state == StatePlace::Disk;
        for module in ["dm-crypt", "aesni-intel"] {
            let there = definition.lists.modules.iter().any(|name| name == module);
            assert_eq!(there, asked, "{} {module}", definition.name);
        }
        let option = "CONFIG_EXT4_FS=y".to_owned();
        let there = definition.lists.kernel_config.contains(&option);
        assert_eq!(there, asked, "{}", definition.name);
        with_disk.extend(asked.then_some(definition.name));
    }
    assert_eq!(with_disk, ["gateway-state", "test-state"]);
}

#[test]
fn a_definition_with_like_inherits_everything_and_adds_its_own_parts() {
    let folder = repository().join("images");
    let gateway = Definition::load(&folder, "gateway").expect("a definition");
    let with_state = Definition::load(&folder, "gateway-state").expect("a definition");
    assert_eq!(gateway.state, StatePlace::None);
    assert_eq!(
        text_at(&gateway, "/etc/services"),
        text_at(&with_state, "/etc/services")
    );
    assert_eq!(gateway.lists.program.len(), with_state.lists.program.len());
    let modules = [
        gateway.lists.modules,
        vec!["dm-crypt".into(), "aesni-intel".into()],
    ]
    .concat();
    assert_eq!(with_state.lists.modules, modules);
}

#[test]
fn a_definition_with_like_replaces_what_it_has_at_the_same_path() {
    let folder = repository().join("images");
    let inference = Definition::load(&folder, "inference").expect("a definition");
    let test = Definition::load(&folder, "test-inference").expect("a definition");
    let files = |definition: &Definition| -> Vec<String> {
        let packages = definition.lists.package.iter();
        packages.flat_map(|package| package.files.clone()).collect()
    };
    assert_eq!(files(&inference), files(&test));
    let services = |definition: &Definition| {
        let texts = definition.lists.text.iter();
        texts.filter(|text| text.path == "/etc/services").count()
    };
    assert_eq!((services(&inference), services(&test)), (1, 1));
    assert!(text_at(&test, "/etc/services").contains("platform-seed"));
    assert!(!text_at(&inference, "/etc/services").contains("platform-seed"));
}

#[test]
fn refuses_unknown_keys() {
    let folder = std::env::temp_dir().join(format!("sealgate-definition-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let good = std::fs::read_to_string(repository().join("images/gateway.toml")).expect("text");
    std::fs::copy(
        repository().join("images/base.toml"),
        folder.join("base.toml"),
    )
    .expect("copied");
    std::fs::write(folder.join("gateway.toml"), &good).expect("a temporary file");
    Definition::load(&folder, "gateway").expect("as it is");
    std::fs::write(folder.join("gateway.toml"), format!("shell = true\n{good}")).expect("a file");
    let error = Definition::load(&folder, "gateway").expect_err("an unknown key");
    assert!(format!("{error:#}").contains("shell"), "{error:#}");
    std::fs::remove_dir_all(&folder).expect("it is there");
}
