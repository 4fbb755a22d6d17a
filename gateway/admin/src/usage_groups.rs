//! Usage in groups: the query's parameters, and the answer as JSON or as CSV.

use serde_json::{Map, Value, json};

use attest_core::UnixTime;
use gateway_base::errors::Invalid;
use gateway_store::ledger::{Dimension, GroupValue, UsageGroup};

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    #[default]
    Json,
    Csv,
}

/// The parameters beside the span.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Grouping {
    /// `None` if no parameter asks for groups.
    by: Option<Vec<Dimension>>,
    pub filters: Vec<(Dimension, String)>,
    pub format: Format,
}

impl Grouping {
    /// Reads one parameter. Returns false if it is none of these.
    pub fn read(&mut self, name: &str, value: &str) -> Result<bool, Invalid> {
        if name == "group_by" {
            let by = dimensions(value).ok_or(Invalid::QueryParameter("group_by"))?;
            return set(&mut self.by, by, "group_by").map(|()| true);
        }
        if name == "format" {
            self.format = match value {
                "json" => Format::Json,
                "csv" => Format::Csv,
                _ => return Err(Invalid::QueryParameter("format")),
            };
            return Ok(true);
        }
        let filter = Dimension::parse(name).filter(|dimension| !dimension.is_time());
        let Some(dimension) = filter else {
            return Ok(false);
        };
        let wrong = || Invalid::QueryParameter(dimension.as_str());
        let value = decoded(value).ok_or_else(wrong)?;
        if self.filters.iter().any(|(known, _)| *known == dimension) {
            return Err(wrong());
        }
        self.filters.push((dimension, value));
        Ok(true)
    }

    /// What is grouped by; `None` for the answer without groups.
    pub fn by(&self) -> Option<Vec<Dimension>> {
        let asks = !self.filters.is_empty() || self.format == Format::Csv;
        let usual = || asks.then(|| vec![Dimension::Tenant, Dimension::Model]);
        self.by.clone().or_else(usual)
    }
}

fn set<T>(place: &mut Option<T>, value: T, name: &'static str) -> Result<(), Invalid> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Invalid::QueryParameter(name)),
    }
}

/// A list of dimensions, each once; an empty text is the empty list.
fn dimensions(text: &str) -> Option<Vec<Dimension>> {
    let words = text.split(',').filter(|_| !text.is_empty());
    let mut dimensions = Vec::new();
    for word in words {
        let dimension = Dimension::parse(word)?;
        if dimensions.contains(&dimension) {
            return None;
        }
        dimensions.push(dimension);
    }
    Some(dimensions)
}

/// A value of a query without its percent-encoding. A `+` is itself: names may have one.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let digits = digits
            .bytes()
            .all(|b| b.is_ascii_hexdigit())
            .then_some(digits)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

const SUMS: [&str; 7] = [
    "requests",
    "failed",
    "prompt_tokens",
    "completion_tokens",
    "cost",
    "bytes_in",
    "bytes_out",
];

/// When the group begins: an hour as a time, a day as a date.
fn time(at: UnixTime, dimension: Dimension) -> String {
    let text = at.to_string();
    match dimension {
        Dimension::Day => text.split('T').next().unwrap_or_default().to_owned(),
        _ => text,
    }
}

fn text(value: &GroupValue, dimension: Dimension) -> Option<String> {
    match value {
        GroupValue::Text(text) => text.clone(),
        GroupValue::Time(at) => Some(time(*at, dimension)),
    }
}

pub(super) fn as_json(by: &[Dimension], group: &UsageGroup) -> Value {
    let mut members = Map::new();
    for (dimension, value) in by.iter().zip(&group.values) {
        let text = text(value, *dimension);
        members.insert(dimension.as_str().to_owned(), json!(text));
    }
    for (name, value) in SUMS.into_iter().zip(sums(group)) {
        members.insert(name.to_owned(), value);
    }
    Value::Object(members)
}

/// In the order of [`SUMS`].
fn sums(group: &UsageGroup) -> [Value; 7] {
    [
        group.requests.into(),
        group.failed.into(),
        group.prompt_tokens.into(),
        group.completion_tokens.into(),
        json!(group.cost.map(|cost| cost.to_string())),
        group.bytes_in.into(),
        group.bytes_out.into(),
    ]
}

/// As RFC 4180 has it, with a header. A spreadsheet takes a text that begins with one of `= + - @` for a formula; such a
/// name is written with an apostrophe in front.
pub(super) fn as_csv(by: &[Dimension], groups: &[UsageGroup]) -> String {
    let names = by.iter().map(|dimension| dimension.as_str());
    let header: Vec<&str> = names.chain(SUMS).collect();
    let mut csv = header.join(",") + "\r\n";
    for group in groups {
        let values = by.iter().zip(&group.values);
        let values = values.map(|(dimension, value)| {
            let text = text(value, *dimension).unwrap_or_default();
            field(&without_formula(text))
        });
        let sums = sums(group).into_iter().map(|sum| match sum {
            Value::String(text) => text,
            Value::Null => String::new(),
            number => number.to_string(),
        });
        let fields: Vec<String> = values.chain(sums).collect();
        csv += &fields.join(",");
        csv += "\r\n";
    }
    csv
}

fn without_formula(text: String) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text,
    }
}

fn field(text: &str) -> String {
    match text.contains(['"', ',', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_base::quota::Money;

    fn read(pairs: &[(&str, &str)]) -> Result<Grouping, Invalid> {
        let mut grouping = Grouping::default();
        for (name, value) in pairs {
            assert_eq!(grouping.read(name, value), Ok(true), "{name}");
        }
        Ok(grouping)
    }

    #[test]
    fn reads_dimensions_filters_and_the_format() {
        let grouping = read(&[
            ("group_by", "user,day"),
            ("tenant", "acme%2Feu%3A1+x"),
            ("user", ""),
            ("format", "csv"),
        ])
        .expect("parameters");
        assert_eq!(grouping.by(), Some(vec![Dimension::User, Dimension::Day]));
        let filters = [
            (Dimension::Tenant, "acme/eu:1+x".to_owned()),
            (Dimension::User, String::new()),
        ];
        assert_eq!(grouping.filters, filters);
        assert_eq!(grouping.format, Format::Csv);
        assert_eq!(Grouping::default().by(), None);
        let usual = Some(vec![Dimension::Tenant, Dimension::Model]);
        assert_eq!(read(&[("key", "a")]).expect("a filter").by(), usual);
        assert_eq!(read(&[("group_by", "")]).expect("none").by(), Some(vec![]));
    }

    #[test]
    fn rejects_parameters_by_name() {
        for (name, value) in [
            ("group_by", "user,user"),
            ("group_by", "users"),
            ("group_by", "user,"),
            ("format", "xml"),
            ("tenant", "%2"),
            ("tenant", "%+1"),
            ("tenant", "%ff"),
        ] {
            let found = Grouping::default().read(name, value);
            assert!(
                matches!(found, Err(Invalid::QueryParameter(known)) if known == name),
                "{name}={value}: {found:?}"
            );
        }
        let mut twice = Grouping::default();
        assert_eq!(twice.read("tenant", "a"), Ok(true));
        assert_eq!(
            twice.read("tenant", "a"),
            Err(Invalid::QueryParameter("tenant"))
        );
        assert_eq!(Grouping::default().read("hour", "1"), Ok(false));
    }

    fn group(tenant: Option<&str>) -> UsageGroup {
        UsageGroup {
            values: vec![
                GroupValue::Text(tenant.map(str::to_owned)),
                GroupValue::Time(UnixTime::from_secs(86_400)),
            ],
            requests: 2,
            failed: 1,
            prompt_tokens: 3,
            completion_tokens: 4,
            cost: tenant.map(|_| Money::from_nanos(1_500_000_000)),
            bytes_in: 5,
            bytes_out: 6,
        }
    }

    #[test]
    fn csv_has_a_header_and_no_formulas() {
        let by = [Dimension::Tenant, Dimension::Day];
        let groups = [group(Some("-1+2")), group(Some("a,\"b\"")), group(None)];
        assert_eq!(
            as_csv(&by, &groups),
            "tenant,day,requests,failed,prompt_tokens,completion_tokens,cost,bytes_in,bytes_out\r\n\
             '-1+2,1970-01-02,2,1,3,4,1.5,5,6\r\n\
             \"a,\"\"b\"\"\",1970-01-02,2,1,3,4,1.5,5,6\r\n\
             ,1970-01-02,2,1,3,4,,5,6\r\n"
        );
    }

    #[test]
    fn json_names_what_is_grouped_by() {
        let json = as_json(&[Dimension::Tenant, Dimension::Hour], &group(None));
        assert_eq!(
            (&json["tenant"], &json["hour"], &json["cost"]),
            (&Value::Null, &json!("1970-01-02T00:00:00Z"), &Value::Null)
        );
        assert_eq!(json["requests"], 2);
    }
}
