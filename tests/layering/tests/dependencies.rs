//! Who may depend on whom, and what may never be linked into a shipped program.

use std::collections::{BTreeMap, BTreeSet};

use layering::graph::{Graph, Kind, Package, linked_into};

const SHIPPED: [&str; 2] = ["sealgate", "sealgate-verify"];

/// What a workspace crate may depend on among ours. A crate that is missing here may not exist outside `tests/`.
const ARROWS: &[(&str, &[&str])] = &[
    ("scrub", &[]),
    ("resolver", &[]),
    ("tls-client", &[]),
    ("harden", &["resolver"]),
    ("strict-toml", &[]),
    ("jwt", &[]),
    ("attest-core", &["strict-toml"]),
    ("attest-fetch", &["attest-core", "resolver", "tls-client"]),
    ("attest-collect", &["attest-core"]),
    ("attest-measure", &["attest-core"]),
    (
        "attest-channel",
        &["attest-core", "resolver", "scrub", "tls-client"],
    ),
    (
        "gateway-base",
        &[
            "attest-core",
            "attest-fetch",
            "attest-collect",
            "attest-channel",
            "harden",
            "jwt",
            "strict-toml",
            "tls-client",
        ],
    ),
    (
        "gateway-authorization",
        &["attest-core", "gateway-base", "strict-toml"],
    ),
    (
        "gateway-identity",
        &[
            "attest-core",
            "attest-fetch",
            "attest-channel",
            "gateway-base",
            "jwt",
            "tls-client",
        ],
    ),
    ("gateway-import", &["gateway-base"]),
    ("gateway-quota", &["attest-core", "gateway-base"]),
    (
        "gateway-store",
        &["attest-core", "attest-channel", "gateway-base"],
    ),
    (
        "gateway-retention",
        &[
            "attest-core",
            "attest-channel",
            "gateway-base",
            "gateway-store",
        ],
    ),
    (
        "gateway-upstream",
        &[
            "attest-core",
            "attest-channel",
            "gateway-base",
            "gateway-store",
            "resolver",
            "scrub",
            "tls-client",
        ],
    ),
    (
        "gateway-contract",
        &[
            "attest-core",
            "attest-fetch",
            "attest-collect",
            "attest-channel",
            "gateway-authorization",
            "gateway-base",
            "gateway-identity",
            "gateway-store",
            "gateway-retention",
            "gateway-upstream",
            "harden",
            "tls-client",
        ],
    ),
    (
        "gateway-path",
        &[
            "attest-core",
            "attest-channel",
            "gateway-authorization",
            "gateway-base",
            "gateway-identity",
            "gateway-quota",
            "gateway-store",
            "gateway-retention",
            "gateway-upstream",
            "gateway-contract",
            "harden",
            "scrub",
        ],
    ),
    (
        "gateway-admin",
        &[
            "attest-core",
            "attest-channel",
            "gateway-base",
            "gateway-identity",
            "gateway-quota",
            "gateway-store",
            "gateway-retention",
            "gateway-upstream",
            "gateway-contract",
            "gateway-path",
            "gateway-quota",
        ],
    ),
    (
        "sealgate",
        &[
            "attest-core",
            "attest-collect",
            "attest-channel",
            "gateway-authorization",
            "gateway-base",
            "gateway-store",
            "gateway-retention",
            "gateway-contract",
            "gateway-import",
            "gateway-path",
            "gateway-admin",
            "harden",
            "scrub",
        ],
    ),
    (
        "sealgate-verify",
        &[
            "attest-core",
            "attest-fetch",
            "attest-channel",
            "attest-measure",
            "harden",
            "scrub",
            "strict-toml",
        ],
    ),
    ("enclave-init", &[]),
    ("enclave-image", &[]),
];

/// Crates that exist for tests, demonstration and measurement, and are never shipped.
const TESTS_ONLY: &[&str] = &[
    "vendors",
    "testkit",
    "blackbox",
    "layering",
    "reference",
    "evidence",
    "flips",
    "conformance",
    "differential",
    "fuzz",
    "fuzz-targets",
    "demo",
    "engines",
    "bench",
    "bench-authorization",
    "bench-limits",
    "leaks",
    "soak",
    "image-boot",
];

fn assert_absent(crate_name: &str, kinds: &[Kind], forbidden: &[&str]) {
    let closure = Graph::of_this_workspace().closure(crate_name, kinds);
    let found: Vec<&String> = forbidden
        .iter()
        .filter_map(|name| closure.get(*name))
        .collect();
    assert!(
        found.is_empty(),
        "{crate_name} reaches what it must not: {found:#?}"
    );
}

#[test]
fn the_pure_crates_reach_no_network_no_runtime_and_no_database() {
    for pure in ["attest-core", "attest-measure"] {
        assert_absent(
            pure,
            &[Kind::Normal],
            &[
                "tokio",
                "hyper",
                "hyper-util",
                "reqwest",
                "sqlx",
                "sqlx-core",
                "mio",
                "socket2",
                "async-std",
                "smol",
                "rustls",
                "tokio-rustls",
                "axum",
                "ureq",
                "futures-executor",
            ],
        );
    }
}

#[test]
fn pid_1_reaches_no_runtime_no_tls_and_no_serializer() {
    assert_absent(
        "enclave-init",
        &[Kind::Normal],
        &[
            "tokio", "hyper", "rustls", "serde", "toml", "clap", "tracing", "nix",
        ],
    );
}

#[test]
fn no_dependency_of_attest_core_has_a_clock() {
    assert_absent("attest-core", &[Kind::Normal], &["chrono", "jiff"]);
}

#[test]
fn shipped_programs_contain_no_software_platform() {
    for program in SHIPPED {
        assert_absent(program, &[Kind::Normal, Kind::Build], TESTS_ONLY);
    }
}

#[test]
fn shipped_programs_contain_one_tls_stack_and_one_crypto_provider() {
    for program in SHIPPED {
        assert_absent(
            program,
            &[Kind::Normal, Kind::Build],
            &[
                "aws-lc-rs",
                "aws-lc-sys",
                "aws-lc-fips-sys",
                "openssl",
                "openssl-sys",
                "native-tls",
                "boring",
                "boring-sys",
                "mbedtls",
                "s2n-tls",
            ],
        );
    }
}

/// Crates with an open security advisory that only tests link, each with its advisory. `deny.toml` ignores these
/// advisories for that reason, and this test holds it to it.
const ADVISORIES_IN_TESTS_ONLY: &[(&str, &str)] = &[("rsa", "RUSTSEC-2023-0071")];

#[test]
fn no_shipped_program_links_a_crate_whose_advisory_is_ignored() {
    let root = layering::tree::root();
    let deny = std::fs::read_to_string(root.join("deny.toml")).expect("deny.toml is read");
    let ignored: BTreeSet<&str> = deny
        .split('"')
        .filter(|word| word.starts_with("RUSTSEC-"))
        .collect();
    let explained: BTreeSet<&str> = ADVISORIES_IN_TESTS_ONLY.iter().map(|(_, id)| *id).collect();
    assert_eq!(
        ignored, explained,
        "deny.toml and this test name different advisories"
    );
    for program in SHIPPED {
        let linked = linked_into(program);
        assert!(
            linked.contains("ring"),
            "{program} is built with ring: {linked:?}"
        );
        for (name, advisory) in ADVISORIES_IN_TESTS_ONLY {
            assert!(
                !linked.contains(*name),
                "{program} links {name}: {advisory}"
            );
        }
    }
}

/// Other people's verifiers of TDX quotes, for tests.
const SECOND_OPINIONS: [&str; 3] = ["dcap-qvl", "dcap-qvl-webpki", "tdx-quote"];

/// Another reader would report one problem at a time, and let a misspelt key pass unless it remembers not to.
#[test]
fn shipped_programs_read_toml_through_strict_toml_only() {
    let graph = Graph::of_this_workspace();
    let reads_toml = |package: &&Package| {
        let direct = graph.direct(package, &[Kind::Normal, Kind::Build]);
        direct.iter().any(|dependency| dependency.name == "toml")
    };
    let readers: BTreeSet<&str> = graph
        .workspace()
        .filter(reads_toml)
        .map(|package| package.name.as_str())
        .collect();
    // The image's build tool reads lock files and definitions that Cargo and the repository write.
    assert_eq!(readers, BTreeSet::from(["enclave-image", "strict-toml"]));
}

#[test]
fn no_shipped_program_links_a_second_opinion_on_tdx_quotes() {
    for program in SHIPPED {
        assert_absent(program, &[Kind::Normal, Kind::Build], &SECOND_OPINIONS);
    }
}

#[test]
fn only_the_differential_tests_link_second_opinions_and_nothing_links_them() {
    let graph = Graph::of_this_workspace();
    let dependents = |wanted: &str| -> Vec<&str> {
        let kinds = [Kind::Normal, Kind::Build, Kind::Dev];
        let reaches = |package: &&Package| {
            let direct = graph.direct(package, &kinds);
            direct.iter().any(|dependency| dependency.name == wanted)
        };
        graph
            .all()
            .filter(reaches)
            .map(|package| package.name.as_str())
            .collect()
    };
    assert_eq!(dependents("dcap-qvl"), ["differential"]);
    assert_eq!(dependents("dcap-qvl-webpki"), ["dcap-qvl"]);
    assert_eq!(dependents("tdx-quote"), ["differential"]);
    assert_eq!(dependents("differential"), [""; 0]);
}

#[test]
fn there_is_one_rustls_and_one_ring() {
    let graph = Graph::of_this_workspace();
    for name in ["rustls", "ring", "tokio", "hyper"] {
        let versions: BTreeSet<&str> = graph
            .named(name)
            .iter()
            .map(|p| p.version.as_str())
            .collect();
        assert_eq!(versions.len(), 1, "{name} is here in {versions:?}");
    }
    for rustls in graph.named("rustls") {
        for feature in ["aws_lc_rs", "aws-lc-rs", "fips"] {
            assert!(
                !rustls.features.contains(feature),
                "rustls is built with `{feature}`"
            );
        }
    }
}

#[test]
fn arrows_between_our_crates_point_inward() {
    let graph = Graph::of_this_workspace();
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for package in graph.workspace() {
        let name = package.name.as_str();
        if TESTS_ONLY.contains(&name) {
            continue;
        }
        let allowed = allowed
            .get(name)
            .unwrap_or_else(|| panic!("{name} has no place in the layering"));
        for dependency in graph.direct(package, &[Kind::Normal, Kind::Build]) {
            let ours = dependency.in_workspace;
            assert!(
                !ours || allowed.contains(&dependency.name.as_str()),
                "{name} depends on {}, which the layering does not allow",
                dependency.name
            );
        }
    }
}

#[test]
fn every_crate_named_in_the_layering_exists() {
    let graph = Graph::of_this_workspace();
    let present: BTreeSet<&str> = graph.workspace().map(|p| p.name.as_str()).collect();
    let named: BTreeSet<&str> = ARROWS
        .iter()
        .map(|(name, _)| *name)
        .chain(TESTS_ONLY.iter().copied())
        .collect();
    assert_eq!(present, named);
}
