//! The order of modules inside a crate: a module names only modules that stand below it.

use layering::modules::Modules;

/// A crate's sources and its modules, lowest first. Add a crate with one entry.
const ORDERS: &[(&str, &[&str])] = &[
    (
        "attest/core/src",
        &[
            "quoted",
            "reader",
            "section",
            "encoding",
            "digest",
            "time",
            "json",
            "x509",
            "cache",
            "collateral",
            "roots",
            "event_log",
            "profile",
            "aci",
            "log",
            "receipt_evidence",
            "retention",
            "nvidia",
            "tdx",
            "snp",
            "evidence",
            "policy",
            "verdict",
            "appraise",
        ],
    ),
    (
        "attest/channel/src",
        &[
            "lock",
            "clock",
            "error",
            "origin",
            "settings",
            "task",
            "tls",
            "transport",
            "lease",
            "report",
            "connection",
            "dial",
            "peers",
            "channel",
        ],
    ),
    (
        "verifier/src",
        &[
            "failure",
            "files",
            "inputs",
            "qualified_verdict",
            "findings",
            "render",
            "args",
            "trust_inputs",
            "conclusion",
            "evidence_input",
            "collateral",
            "log",
            "receipt_check",
            "commands",
            "proxy::journal",
            "proxy::request_body",
            "proxy::request_facts",
            "proxy::http_rules",
            "proxy::response_body",
            "proxy::refusal",
            "proxy::fetch",
            "proxy::upstream_models",
            "proxy::receipts",
            "proxy::receipt_archive",
            "proxy::state",
            "proxy::status",
            "proxy::forward",
            "proxy::serve",
            "proxy::start",
            "proxy",
            "cli",
        ],
    ),
    (
        "gateway/base/src",
        &[
            "lock",
            "random",
            "store_failure",
            "request",
            "quota",
            "config",
            "metering",
            "errors",
            "events",
            "metrics",
            "telemetry",
            "descriptors",
        ],
    ),
    (
        "gateway/contract/src",
        &[
            "platform",
            "evidence",
            "epoch",
            "check",
            "rotation",
            "attestation",
        ],
    ),
    (
        "gateway/authorization/src",
        &[
            "limits",
            "rule_set",
            "condition",
            "schedule",
            "served",
            "rule",
            "example",
            "error",
            "policy",
            "read",
            "warnings",
            "explain",
            "compiled",
            "authorization",
        ],
    ),
    ("gateway/upstream/src", &["prompt", "channel", "route"]),
    (
        "gateway/path/src",
        &[
            "flushes", "slots", "admit", "receipt", "relay", "http", "listen",
        ],
    ),
    ("gateway/store/src", &["error", "sqlite", "audit", "ledger"]),
    (
        "gateway/retention/src",
        &[
            "age",
            "deletion_entry",
            "records",
            "sealing_record",
            "prepare",
            "history",
            "notice",
            "plan",
            "logged",
            "purge",
        ],
    ),
];

#[test]
fn no_module_names_one_that_stands_above_it() {
    let mut wrong = String::new();
    for (folder, order) in ORDERS {
        let modules = Modules::read(folder, order);
        assert!(
            modules.unlisted.is_empty(),
            "{folder}: put in the order: {:?}",
            modules.unlisted
        );
        assert!(
            modules.unknown.is_empty(),
            "{folder}: there is no module {:?}",
            modules.unknown
        );
        let circles = modules.circles();
        println!(
            "{folder}: {} modules, {} circles",
            order.len(),
            circles.len()
        );
        for circle in circles {
            wrong.push_str(&circle.to_string());
        }
        for import in modules.against(order) {
            wrong.push_str(&format!("{import}, which stands above\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
