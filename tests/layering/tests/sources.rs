//! What the source itself may not say.

use std::fs;

use layering::source::{is_test_file, lines_naming};
use layering::{locks, tree};

/// The folders of the crates that are part of a shipped program.
const SHIPPED: [&str; 9] = [
    "attest",
    "enclave-image",
    "gateway",
    "harden",
    "resolver",
    "scrub",
    "strict-toml",
    "tls-client",
    "verifier",
];

/// Every place in shipped code below `folder` that names one of `words`, as `path:line: word`.
fn places(folder: &str, words: &[&str]) -> Vec<String> {
    let root = tree::root();
    let mut found = Vec::new();
    for path in tree::rust_files(folder) {
        if is_test_file(&path) {
            continue;
        }
        let text = tree::text(&path).expect("Rust files are UTF-8");
        for word in words {
            for line in lines_naming(&text, word) {
                let path = path.strip_prefix(&root).unwrap_or(&path).display();
                found.push(format!("{path}:{line}: {word}"));
            }
        }
    }
    found
}

#[test]
fn attest_core_names_no_clock_no_socket_no_file_and_no_runtime() {
    let found = places(
        "attest/core/src",
        &[
            "SystemTime",
            "Instant",
            "std::net",
            "std::fs",
            "std::env",
            "std::process",
            "std::thread",
            "std::io",
            "tokio",
            "async",
            "await",
            "SystemRandom",
            "SecureRandom",
            "Utc",
        ],
    );
    assert!(
        found.is_empty(),
        "attest/core reaches for the world: {found:#?}"
    );
}

#[test]
fn no_crate_below_the_request_path_can_name_a_prompt() {
    for folder in [
        "gateway/base/src",
        "gateway/store/src",
        "gateway/retention/src",
    ] {
        let found = places(folder, &["Prompt", "AdmittedRequest"]);
        assert!(found.is_empty(), "{folder} names prompts: {found:#?}");
    }
}

#[test]
fn each_shipped_program_opens_its_databases_in_one_place() {
    for (folder, place) in [
        ("gateway", "gateway/store/src/sqlite/mod.rs"),
        ("verifier/src", "verifier/src/log/database.rs"),
    ] {
        let found = places(
            folder,
            &[
                "SqliteConnectOptions::new",
                "SqliteConnection::connect",
                "SqlitePool::connect",
            ],
        );
        let elsewhere: Vec<_> = found.iter().filter(|at| !at.starts_with(place)).collect();
        assert!(elsewhere.is_empty(), "{elsewhere:#?}");
        let text = tree::text(&tree::root().join(place)).expect("Rust files are UTF-8");
        assert!(
            text.contains(r#".pragma("temp_store", "MEMORY")"#),
            "{place} lets SQLite make temporary files"
        );
    }
}

/// The files of the gateway that hold SQL: one for the tables of each handle of the ledger, one for those of the audit
/// log, and what is true of every SQLite file.
const SQL_FILES: [&str; 21] = [
    "gateway/store/src/audit/tables.rs",
    "gateway/store/src/ledger/admins.rs",
    "gateway/store/src/ledger/batches.rs",
    "gateway/store/src/ledger/budgets.rs",
    "gateway/store/src/ledger/directory/organisations.rs",
    "gateway/store/src/ledger/directory/tenants.rs",
    "gateway/store/src/ledger/directory/users.rs",
    "gateway/store/src/ledger/epochs.rs",
    "gateway/store/src/ledger/expiry.rs",
    "gateway/store/src/ledger/keys.rs",
    "gateway/store/src/ledger/limits.rs",
    "gateway/store/src/ledger/policies.rs",
    "gateway/store/src/ledger/receipts.rs",
    "gateway/store/src/ledger/records.rs",
    "gateway/store/src/ledger/sessions.rs",
    "gateway/store/src/ledger/unfinished.rs",
    "gateway/store/src/ledger/usage.rs",
    "gateway/store/src/ledger/usage_groups.rs",
    "gateway/store/src/sqlite/check.rs",
    "gateway/store/src/sqlite/database.rs",
    "gateway/store/src/sqlite/mod.rs",
];

#[test]
fn sql_is_in_the_files_of_the_tables_only() {
    let words = [
        "sqlx::query",
        "query_scalar",
        "query_as",
        "raw_sql",
        "QueryBuilder",
        "begin_with",
    ];
    let found = places("gateway", &words);
    for file in SQL_FILES {
        let there = found.iter().any(|at| at.starts_with(file));
        assert!(there, "{file} has no SQL: remove it from the list");
    }
    let elsewhere: Vec<_> = found
        .iter()
        .filter(|at| !SQL_FILES.iter().any(|file| at.starts_with(file)))
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
}

/// How a poisoned lock is treated is decided once: for the gateway, and for the crates that it stands on, which cannot
/// use the gateway's function.
#[test]
fn poisoned_locks_are_entered_in_one_place() {
    for (folder, place) in [
        ("gateway", "gateway/base/src/lock.rs"),
        ("attest/channel", "attest/channel/src/lock.rs"),
        ("attest/collect", "attest/collect/src/sev_guest.rs"),
        ("resolver", "resolver/src/client.rs"),
    ] {
        let found = places(folder, &["PoisonError"]);
        let (there, elsewhere): (Vec<_>, Vec<_>) =
            found.iter().partition(|at| at.starts_with(place));
        assert!(!there.is_empty(), "{place} enters no poisoned lock");
        assert!(elsewhere.is_empty(), "{elsewhere:#?}");
    }
}

/// The words of an error are for people, and change with the library that makes it.
#[test]
fn shipped_code_does_not_branch_on_the_text_of_an_error() {
    let words = [
        "to_string().contains",
        "to_string().starts_with",
        "to_string().ends_with",
        "message().contains",
        "message().starts_with",
        "message().ends_with",
    ];
    let found: Vec<_> = SHIPPED.iter().flat_map(|it| places(it, &words)).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn neither_shipped_program_can_make_evidence() {
    let found = ["attest", "gateway", "verifier/src"]
        .iter()
        .flat_map(|folder| places(folder, &["testkit", "SoftwarePlatform"]))
        .collect::<Vec<_>>();
    assert!(
        found.is_empty(),
        "shipped code names the software platform: {found:#?}"
    );
}

#[test]
fn a_prompt_cannot_be_printed_cloned_or_serialized() {
    let root = tree::root();
    let file = root.join("gateway");
    let mut definitions = 0;
    for path in tree::files(&file) {
        let text = tree::text(&path).expect("Rust files are UTF-8");
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (index, line) in lines.iter().enumerate() {
            if !line.starts_with("pub struct Prompt {") {
                continue;
            }
            definitions += 1;
            let attributes = lines[..index]
                .iter()
                .rev()
                .take_while(|l| l.starts_with('#') || l.starts_with("//"));
            for attribute in attributes {
                assert!(
                    !attribute.contains("derive"),
                    "{}: Prompt derives: {attribute}",
                    path.display()
                );
            }
        }
    }
    assert_eq!(definitions, 1, "there is one Prompt");
    for implementation in [
        "Debug for Prompt",
        "Display for Prompt",
        "Clone for Prompt",
        "Serialize for Prompt",
    ] {
        let found = places("gateway", &[implementation]);
        assert!(found.is_empty(), "{found:#?}");
    }
}

/// An allocator cannot be written without unsafe code, and two calls of PID 1 to the kernel have no safe form: the
/// device mapper's ioctl and installing a signal handler. Nothing else here needs it.
const UNSAFE_CRATES: [&str; 2] = ["scrub", "enclave-image/init"];
const UNSAFE_FILES: [&str; 3] = [
    "scrub/src/allocator.rs",
    "enclave-image/init/src/devmapper/ioctl.rs",
    "enclave-image/init/src/signals.rs",
];

/// Separate workspaces: libFuzzer's binaries, which are what its macro makes of a few lines, and the WebAssembly module,
/// whose functions are exported under names of the linker's.
const SEPARATE_WORKSPACES: [&str; 2] = ["tests/fuzz/libfuzzer", "tests/wasm"];

#[test]
fn unsafe_code_is_forbidden_in_every_crate_but_the_allocators_and_pid_1() {
    let root = tree::root();
    let workspace =
        fs::read_to_string(root.join("Cargo.toml")).expect("the root manifest can be read");
    assert!(
        workspace.contains("unsafe_code = \"forbid\""),
        "the workspace forbids unsafe code"
    );
    let mut crates = 0;
    for path in tree::files(&root) {
        let folder = path.parent().expect("a file lies in a folder");
        let is_separate = SEPARATE_WORKSPACES
            .iter()
            .any(|name| folder == root.join(name));
        let is_member = folder != root && !is_separate;
        if path.file_name().is_none_or(|name| name != "Cargo.toml") || !is_member {
            continue;
        }
        let manifest = fs::read_to_string(&path).expect("a manifest can be read");
        let inherits = manifest
            .split("[lints]")
            .nth(1)
            .and_then(|rest| rest.trim_start().lines().next())
            .is_some_and(|line| line.replace(' ', "") == "workspace=true");
        let may = UNSAFE_CRATES.iter().any(|name| folder == root.join(name));
        let excused = may && manifest.contains("unsafe_code = \"deny\"");
        assert!(
            inherits || excused,
            "{} does not inherit the workspace's lints",
            path.display()
        );
        crates += 1;
    }
    assert!(crates >= 12, "every crate's manifest was read");
}

#[test]
fn all_unsafe_code_is_in_three_files() {
    let found: Vec<String> = [
        "scrub",
        "resolver",
        "tls-client",
        "harden",
        "attest",
        "gateway",
        "verifier",
        "enclave-image",
    ]
    .iter()
    .flat_map(|folder| places(folder, &["unsafe"]))
    .filter(|place| !UNSAFE_FILES.iter().any(|file| place.starts_with(file)))
    .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_comment_beside_every_lock_and_atomic_says_who_uses_it() {
    let root = tree::root();
    let mut found = Vec::new();
    for folder in SHIPPED {
        for path in tree::rust_files(folder) {
            if is_test_file(&path) {
                continue;
            }
            let text = tree::text(&path).expect("Rust files are UTF-8");
            let path = path.strip_prefix(&root).unwrap_or(&path).display();
            let lines = locks::without_comment(&text);
            found.extend(lines.iter().map(|line| format!("{path}:{line}")));
        }
    }
    assert!(
        found.is_empty(),
        "say who writes, who reads, and what the lock or the order is for: {found:#?}"
    );
}

#[test]
fn nothing_that_ships_can_stop_the_wiping() {
    let word = "testonly_wipe_nothing";
    let found: Vec<String> = [
        "scrub",
        "resolver",
        "tls-client",
        "harden",
        "attest",
        "gateway",
        "verifier",
    ]
    .iter()
    .flat_map(|folder| places(folder, &[word]))
    .filter(|place| !place.starts_with("scrub/src/"))
    .collect();
    assert!(found.is_empty(), "{found:#?}");
    let control = tree::root().join("tests/testkit/src/bin/sealgate-soft-unwiped.rs");
    let text = tree::text(&control).expect("the control is part of the repository");
    assert_eq!(lines_naming(&text, &format!("scrub::{word}")).len(), 1);
}

#[test]
fn no_file_names_a_path_of_somebodys_machine() {
    // Spelled in two halves, so that this file does not name them either.
    let homes: Vec<String> = ["/ho|me/", "/ro|ot/", "/Us|ers/", "/wo|rk/"]
        .iter()
        .map(|h| h.replace('|', ""))
        .collect();
    let root = tree::root();
    let mut found = Vec::new();
    for path in tree::files(&root) {
        let Some(text) = tree::text(&path) else {
            continue;
        };
        for (index, line) in text.lines().enumerate() {
            for home in &homes {
                // A path starts a word; the same letters in the middle of a URL are something else.
                let starts = line.match_indices(home.as_str()).any(|(at, _)| {
                    line[..at]
                        .chars()
                        .next_back()
                        .is_none_or(|c| !c.is_alphanumeric() && !"._-)}".contains(c))
                });
                if starts {
                    found.push(format!("{}:{}: {home}", path.display(), index + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_npm_locks_name_no_registry_host() {
    for suite in ["clients", "console"] {
        let lock = tree::root().join(format!("tests/{suite}/package-lock.json"));
        let text = fs::read_to_string(&lock).expect("the npm lock is part of the repository");
        assert!(text.contains("\"integrity\""), "{suite} pins contents");
        assert!(
            !text.contains("\"resolved\""),
            "the lock of {suite} names the host a package came from"
        );
    }
}
