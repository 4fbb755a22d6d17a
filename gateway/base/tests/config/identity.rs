//! `[[identity.issuers]]`: what is read, what is published, and every mistake at once.

use gateway_base::config::identity::{Condition, Grant, KeySource, Purpose};
use gateway_base::config::{Config, ConfigError};
use gateway_base::request::Role;
use testkit::scratch::ScratchDir;

const SERVICE: &str = r#"
[server]
listen = "127.0.0.1:8443"
names = ["localhost"]
state_dir = "state"
mode = "aggregator"

[tee]
kind = "none"

[admin]
listen = "127.0.0.1:9443"

[[model]]
id = "demo-model"

[[model.upstream]]
name = "engine"
url = "https://127.0.0.1:9444"
"#;

const CALLERS: &str = r#"
[[identity.issuers]]
name = "corporate"
issuer = "https://id.example.com/realm/"
for = "callers"
audiences = ["sealgate"]
algorithms = ["RS256", "EdDSA"]

[[identity.issuers.rules]]
claim = ["realm", "groups"]
equals = "ml-team"
tenant = "research"

[[identity.issuers.rules]]
claim = ["org"]
tenant_one_of = ["acme", "globex"]
"#;

const STAFF: &str = r#"
[[identity.issuers]]
name = "staff"
issuer = "https://id.example.com/realm/"
for = "administrators"
audiences = ["sealgate-admin"]
jwks_uri = "https://id.example.com/keys?v=2"

[[identity.issuers.rules]]
role = "auditor"
"#;

fn load(text: &str) -> Result<Config, ConfigError> {
    let directory = ScratchDir::new("identity-config").expect("a directory");
    directory
        .write("empty.pem", "no certificate")
        .expect("written");
    let file = directory.write("sealgate.toml", text).expect("written");
    Config::load(&file)
}

fn problems(more: &str) -> Vec<String> {
    let error = load(&format!("{SERVICE}{more}")).expect_err("a configuration with problems");
    error.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn reads_issuers_for_callers_and_for_administrators() {
    let config = load(&format!("{SERVICE}{CALLERS}{STAFF}")).expect("a configuration");
    let [callers, staff] = &config.identity.issuers[..] else {
        panic!("two issuers: {:?}", config.identity)
    };
    assert_eq!(
        (callers.purpose, staff.purpose),
        (Purpose::Callers, Purpose::Administrators)
    );
    let discovery = "https://id.example.com/realm/.well-known/openid-configuration";
    assert!(matches!(&callers.keys, KeySource::Discovery(url) if url.as_str() == discovery));
    let keys = "https://id.example.com/keys?v=2";
    assert!(matches!(&staff.keys, KeySource::KeySet(url) if url.as_str() == keys));
    assert_eq!((callers.algorithms.len(), staff.algorithms.len()), (2, 9));
    assert!(matches!(&callers.rules[1].grant, Grant::TenantOf(names) if names.len() == 2));
    assert_eq!(staff.rules[0].condition, Condition::Always);
    assert_eq!(staff.rules[0].grant, Grant::Role(Role::Auditor));
    let page = config.explain();
    for line in [
        "identity    corporate, for callers",
        "  rule      realm / groups is ml-team: tenant research",
        "  rule      org is acme or globex: the tenant of that name",
        "  rule      every token: role auditor",
    ] {
        assert!(
            page.lines().any(|one| one == line),
            "{line}\nnot in\n{page}"
        );
    }
}

#[test]
fn the_published_document_shows_issuers_and_no_tenant() {
    let document = |text: &str| {
        let config = load(&format!("{SERVICE}{text}")).expect("a configuration");
        config.document()
    };
    let published = document(CALLERS);
    assert!(
        published.contains("https://id.example.com/realm/"),
        "{published}"
    );
    for private in ["research", "acme", "globex", "ml-team"] {
        assert!(!published.contains(private), "{published}");
    }
    let other = document(&CALLERS.replace("globex", "initech"));
    assert_ne!(other, published, "another rule is another document");
}

#[test]
fn reports_every_mistake_at_once() {
    let found = problems(
        r#"
[[identity.issuers]]
name = "a b"
issuer = "http://id.example.com"
for = "everyone"
audiences = []
jwks_uri = "ftp://id.example.com/keys"
algorithms = ["RS256", "none", "HS256"]
clock_skew = "1h"
max_stale = "1s"
ca_file = "empty.pem"
client_secret = "x"

[[identity.issuers.rules]]
claim = []
equals = ""
tenant = "a\nb"
"#,
    );
    for (key, reason) in [
        ("identity.issuers[1].name", "contains ' '"),
        ("identity.issuers[1].issuer", "must begin with https://"),
        (
            "identity.issuers[1].for",
            "\"callers\" or \"administrators\"",
        ),
        ("identity.issuers[1].audiences", "must not be an empty list"),
        ("identity.issuers[1].jwks_uri", "must begin with https://"),
        (
            "identity.issuers[1].algorithms[2]",
            "\"none\" is not one of RS256",
        ),
        (
            "identity.issuers[1].algorithms[3]",
            "\"HS256\" is not one of RS256",
        ),
        ("identity.issuers[1].clock_skew", "must be from 0ms to 5m"),
        ("identity.issuers[1].max_stale", "must be from 5m to 7d"),
        ("identity.issuers[1].ca_file", "contains no certificate"),
        ("identity.issuers[1].client_secret", "is not a key here"),
        ("identity.issuers[1].rules[1].equals", "must not be empty"),
        ("identity.issuers[1].rules[1].tenant", "contains '\\n'"),
        (
            "identity.issuers[1].rules[1].claim",
            "must not be an empty list",
        ),
    ] {
        let line = format!("{key}: ");
        let reported = found.iter().filter(|one| one.starts_with(&line));
        assert!(
            reported.clone().any(|one| one.contains(reason)),
            "{key}: {reason}\nnot in {found:#?}"
        );
    }
}

#[test]
fn an_issuer_without_rules_or_with_rules_for_others_is_refused() {
    let with_rule = |rule: &str| {
        let rule = format!("\n[[identity.issuers.rules]]\n{rule}\n");
        let (head, _) = CALLERS
            .split_once("\n[[identity.issuers.rules]]")
            .expect("rules");
        problems(&format!("{head}{rule}")).join("\n")
    };
    let (head, _) = CALLERS
        .split_once("\n[[identity.issuers.rules]]")
        .expect("rules");
    assert!(
        problems(head)
            .join("\n")
            .contains("no token would be accepted")
    );
    for (rule, reason) in [
        ("role = \"auditor\"", "role is for administrators"),
        ("claim = [\"a\"]", "needs exactly one of tenant"),
        (
            "claim = [\"a\"]\ntenant = \"t\"",
            "no value to compare it with",
        ),
        ("equals = \"a\"\ntenant = \"t\"", "names no claim"),
        (
            "claim = [\"a\"]\nequals = \"a\"\ntenant_one_of = [\"t\"]",
            "both equals and tenant_one_of",
        ),
        ("claim = [\"a\"]\ntenant_one_of = [\"t t\"]", "contains ' '"),
        (
            "tenant = \"t\"\n[[identity.issuers.rules]]\ntenant = \"u\"",
            "must be the last rule",
        ),
    ] {
        let found = with_rule(rule);
        assert!(found.contains(reason), "{rule}: {reason}\nnot in {found}");
    }
    let no_role = STAFF.replace("role = \"auditor\"", "tenant = \"t\"");
    assert!(problems(&no_role).join("\n").contains("needs a role"));
}

#[test]
fn issuers_that_could_be_confused_are_refused() {
    let same_audience = STAFF.replace("sealgate-admin", "sealgate");
    let found = problems(&format!("{CALLERS}{same_audience}")).join("\n");
    assert!(
        found.contains("identity.issuers[2]: shares an audience with corporate"),
        "{found}"
    );
    let twice = CALLERS.replace("\"corporate\"", "\"other\"");
    let found = problems(&format!("{CALLERS}{twice}")).join("\n");
    assert!(
        found.contains("corporate is an issuer for callers already"),
        "{found}"
    );
    let same_name = STAFF.replace("\"staff\"", "\"corporate\"");
    let found = problems(&format!("{CALLERS}{same_name}")).join("\n");
    assert!(
        found.contains("the name corporate is used twice"),
        "{found}"
    );
    let no_listener = SERVICE.replace("[admin]\nlisten = \"127.0.0.1:9443\"", "");
    let error = load(&format!("{no_listener}{STAFF}")).expect_err("no listener");
    assert!(
        error.to_string().contains("admin.listen is not configured"),
        "{error}"
    );
}

#[test]
fn an_issuer_without_tls_is_on_this_machine() {
    for host in ["127.0.0.1:8000", "localhost", "[::1]:80"] {
        let text = CALLERS.replace("https://id.example.com", &format!("http://{host}"));
        assert!(load(&format!("{SERVICE}{text}")).is_ok(), "{host}");
    }
    for url in [
        "http://127.0.0.1.example.com",
        "https://user@id.example.com",
        "https://id.example.com/?tenant=1",
        "https://id.example.com/#a",
        "id.example.com",
        "https://",
    ] {
        let text = CALLERS.replace("https://id.example.com/realm/", url);
        let found = problems(&text).join("\n");
        assert!(
            found.starts_with("identity.issuers[1].issuer: "),
            "{url}: {found}"
        );
    }
}
