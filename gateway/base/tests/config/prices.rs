//! `[prices]` and the price table that it names.

use gateway_base::config::{Config, ConfigError};
use gateway_base::request::Name;
use testkit::scratch::ScratchDir;

use attest_core::UnixTime;

const SERVICE: &str = r#"
[server]
listen = "127.0.0.1:8443"
names = ["localhost"]
state_dir = "state"
mode = "aggregator"

[tee]
kind = "none"

[[model]]
id = "demo-model"

[[model.upstream]]
name = "engine"
url = "https://127.0.0.1:9444"

[[model.upstream]]
name = "spare"
url = "https://127.0.0.1:9445"
"#;

const PRICES: &str = "[prices]\nfile = \"prices.toml\"\ncost_header = true\n";

const TABLE: &str = r#"
currency = "USD"

[[price]]
model = "demo-model"
input = "2.50"
output = "10"

[[price]]
model = "demo-model"
effective_from = "2027-01-01"
input = "2"
cached_input = "0.5"
output = "8"
reasoning = "9"
request = "0.001"
image = "0.0048"

[[price]]
model = "demo-model"
upstream = "spare"
effective_from = "2027-01-01T00:00:00Z"
input = "1"
output = "1"

[[price]]
model = "another/model"
input = "1"
output = "0"
"#;

fn load(more: &str, table: &str) -> Result<Config, ConfigError> {
    let directory = ScratchDir::new("prices-config").expect("a directory");
    directory.write("prices.toml", table).expect("written");
    let file = directory.write("sealgate.toml", format!("{SERVICE}{more}"));
    Config::load(&file.expect("written"))
}

/// The problems of a table, without the path of its file.
fn problems(table: &str) -> Vec<String> {
    let error = load(PRICES, table).expect_err("a table with problems");
    let shown = error.problems.iter().map(|problem| {
        let (before, after) = problem.reason.split_once("prices.toml").expect("the file");
        assert!(before.ends_with('/'), "{before}");
        assert_eq!(problem.key, "prices.file");
        after.trim_start_matches([':', ' ']).to_owned()
    });
    shown.collect()
}

#[test]
fn a_table_is_read_and_its_digest_is_published() {
    let config = load(PRICES, TABLE).expect("a configuration");
    let table = config.prices.table.as_ref().expect("a table");
    let name = |text| Name::from_operator(text).expect("a name");
    let input = |upstream, at: &str| {
        let at = UnixTime::parse_rfc3339(at).expect("a time");
        let rates = table.rates(&name("demo-model"), &name(upstream), at);
        rates.map(|rates| rates.input.to_string()).expect("a price")
    };
    assert_eq!(input("engine", "2026-12-31T23:59:59Z"), "2.5");
    assert_eq!(input("engine", "2027-01-01T00:00:00Z"), "2");
    assert_eq!(input("spare", "2026-12-31T23:59:59Z"), "2.5");
    assert_eq!(input("spare", "2027-01-01T00:00:00Z"), "1");
    let document: serde_json::Value = serde_json::from_str(&config.document()).expect("JSON");
    assert_eq!(document["prices"]["digest"], table.digest.to_string());
    assert_eq!(document["prices"]["currency"], "USD");
    assert!(
        !config.document().contains("2.5"),
        "the prices are not published"
    );
    let other = load(PRICES, &TABLE.replace("2.50", "2.51")).expect("a configuration");
    assert_ne!(config.document(), other.document());
    let none = load("", TABLE).expect("a configuration");
    let document: serde_json::Value = serde_json::from_str(&none.document()).expect("JSON");
    assert!(document["prices"].is_null());
}

#[test]
fn what_is_not_given_costs_what_is_like_it() {
    let config = load(PRICES, TABLE).expect("a configuration");
    let table = config.prices.table.expect("a table");
    let prices: Vec<_> = table.prices().map(|price| price.rates).collect();
    let plain = prices.iter().find(|rates| rates.input.to_string() == "2.5");
    let plain = plain.expect("a price");
    assert_eq!(
        (plain.cached_input, plain.reasoning),
        (plain.input, plain.output)
    );
    assert_eq!((plain.request.nanos(), plain.image.nanos()), (0, 0));
}

#[test]
fn money_is_written_as_text_and_never_negative_or_absurd() {
    let with = |input: &str| {
        problems(&format!(
            "currency = \"USD\"\n[[price]]\nmodel = \"m\"\noutput = \"1\"\ninput = {input}\n"
        ))
    };
    for (input, reason) in [
        (
            "2.5",
            "is a number, and a number could lose digits; write \"2.5\"",
        ),
        (
            "3",
            "is a number, and a number could lose digits; write \"3\"",
        ),
        (
            "1e-3",
            "is a number, and a number could lose digits; write \"1e-3\"",
        ),
        ("true", "must be a string, not a boolean"),
        ("\"-1\"", "is -1; must not be negative"),
        (
            "\"100000000.1\"",
            "is 100000000.1; must be 100000000 at most",
        ),
        (
            "\"1e-6\"",
            "\"1e-6\" is not a decimal number such as \"12.50\"",
        ),
        ("\"$2\"", "\"$2\" is not a decimal number such as \"12.50\""),
        (
            "\"0.0000000001\"",
            "\"0.0000000001\" has more than nine digits after the point",
        ),
        ("\"99999999999\"", "\"99999999999\" is out of range"),
    ] {
        assert_eq!(
            with(input),
            [format!("5: price[1].input: {reason}")],
            "{input}"
        );
    }
}

#[test]
fn rejects_a_table_with_every_problem_at_once() {
    let table = r#"
currency = "US dollars"

[[price]]
model = "m"
inputs = "1"

[[price]]
model = "m"
input = "1"
output = "1"
effective_from = "next year"

[[price]]
model = "n"
input = "1"
output = "1"

[[price]]
model = "n"
input = "2"
output = "2"
"#;
    assert_eq!(
        problems(table),
        [
            "2: currency: contains ' '; letters, digits and . _ - : / @ + are allowed",
            "4: price[1].input: is missing",
            "4: price[1].output: is missing",
            "6: price[1].inputs: is not a key here; did you mean \"input\"?",
            "12: price[2].effective_from: is neither a date such as \"2027-01-31\" nor a time such as \"2027-01-31T12:00:00Z\"",
            "19: price[4]: overlaps price[3]: both are for the same model and upstream, from the same time on",
        ]
    );
    assert_eq!(
        problems("currency = \"USD\"\n"),
        ["1: price: is missing: there is no [[price]]"]
    );
    assert_eq!(problems("")[0], "1: currency: is missing");
    assert!(problems("[[price]\n")[0].contains("is not TOML"));
}

#[test]
fn prices_of_the_same_time_overlap_and_of_the_same_upstream_only() {
    let one =
        |more: &str| format!("[[price]]\nmodel = \"m\"\ninput = \"1\"\noutput = \"1\"\n{more}\n");
    let table = |more: [&str; 2]| format!("currency = \"USD\"\n{}{}", one(more[0]), one(more[1]));
    let date = "effective_from = \"2027-01-01\"";
    let time = "effective_from = \"2027-01-01T00:00:00Z\"";
    assert_eq!(problems(&table([date, time])).len(), 1);
    for different in [
        ["", date],
        ["upstream = \"a\"", "upstream = \"b\""],
        ["", "upstream = \"a\""],
    ] {
        assert!(load(PRICES, &table(different)).is_ok(), "{different:?}");
    }
}

#[test]
fn warns_of_what_is_served_without_a_price() {
    let config = load(PRICES, TABLE).expect("a configuration");
    assert_eq!(config.warnings, []);
    let partial = TABLE.replace(
        "model = \"demo-model\"\ninput",
        "model = \"demo-model\"\nupstream = \"old\"\ninput",
    );
    let partial = partial.replace(
        "model = \"demo-model\"\neffective",
        "model = \"other\"\neffective",
    );
    let warnings = load(PRICES, &partial).expect("a configuration").warnings;
    let shown: Vec<&str> = warnings
        .iter()
        .filter_map(|warning| {
            warning
                .reason
                .split_once("prices.toml ")
                .map(|(_, rest)| rest)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "has no price of demo-model at engine: what it costs there is not known",
            "has a price of demo-model at old, which is not one of its upstreams",
        ]
    );
}

#[test]
fn a_header_with_the_cost_needs_prices() {
    let error = load("[prices]\ncost_header = true\n", TABLE).expect_err("a problem");
    let shown: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        ["prices.cost_header: has no meaning without prices.file"]
    );
    let error = load("[prices]\nfile = \"missing.toml\"\n", TABLE).expect_err("a problem");
    assert!(
        error.problems[0].reason.starts_with("cannot read "),
        "{error}"
    );
}
