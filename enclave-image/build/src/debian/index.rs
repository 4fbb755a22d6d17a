//! An index of packages (`Packages`), and what a package needs of others.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// A package in a suite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    pub version: String,
    pub architecture: String,
    pub suite: String,
    pub path: String,
    pub sha256: String,
    /// `Pre-Depends` and `Depends`.
    pub needs: Vec<Need>,
    pub provides: Vec<String>,
}

/// One thing that is needed: any of these.
pub type Need = Vec<Relation>;

/// `libc6 (>= 2.38)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    pub name: String,
    /// Operator and version.
    pub version: Option<(String, String)>,
}

impl Relation {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        let name = name.split(':').next()?;
        if name.is_empty() {
            return None;
        }
        let inner = rest
            .trim()
            .strip_prefix('(')
            .and_then(|rest| rest.split(')').next());
        let version = inner
            .and_then(|inner| inner.trim().split_once(' '))
            .map(|(operator, version)| (operator.to_owned(), version.trim().to_owned()));
        Some(Self {
            name: name.to_owned(),
            version,
        })
    }

    /// Whether a version is one of those that are meant.
    pub fn admits(&self, version: &str) -> bool {
        let Some((operator, wanted)) = &self.version else {
            return true;
        };
        let order = compare_versions(version, wanted);
        match operator.as_str() {
            ">=" => order != Ordering::Less,
            "<=" => order != Ordering::Greater,
            ">>" => order == Ordering::Greater,
            "<<" => order == Ordering::Less,
            _ => order == Ordering::Equal,
        }
    }
}

/// What a suite has; of several versions the latest.
pub fn parse(text: &str, suite: &str) -> Vec<Listed> {
    let mut latest: BTreeMap<String, Listed> = BTreeMap::new();
    for paragraph in text.split("\n\n") {
        let Some(package) = parse_paragraph(paragraph, suite) else {
            continue;
        };
        match latest.get(&package.name) {
            Some(there) if compare_versions(&there.version, &package.version) != Ordering::Less => {
            }
            _ => {
                latest.insert(package.name.clone(), package);
            }
        }
    }
    latest.into_values().collect()
}

fn parse_paragraph(paragraph: &str, suite: &str) -> Option<Listed> {
    let fields: BTreeMap<&str, &str> = paragraph
        .lines()
        .filter(|line| !line.starts_with([' ', '\t']))
        .filter_map(|line| line.split_once(": "))
        .collect();
    let field = |name: &str| fields.get(name).map(|value| (*value).to_owned());
    let relations = |name: &str| -> Vec<Need> {
        let list = fields.get(name).copied().unwrap_or_default();
        list.split(',')
            .map(|need| need.split('|').filter_map(Relation::parse).collect())
            .filter(|need: &Need| !need.is_empty())
            .collect()
    };
    let mut needs = relations("Pre-Depends");
    needs.extend(relations("Depends"));
    let provides = relations("Provides").into_iter().flatten();
    Some(Listed {
        name: field("Package")?,
        version: field("Version")?,
        architecture: field("Architecture")?,
        suite: suite.to_owned(),
        path: field("Filename")?,
        sha256: field("SHA256")?,
        needs,
        provides: provides.map(|relation| relation.name).collect(),
    })
}

/// As dpkg orders versions (Debian Policy §5.6.12).
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    let (epoch_a, a) = epoch(a);
    let (epoch_b, b) = epoch(b);
    let (upstream_a, revision_a) = revision(a);
    let (upstream_b, revision_b) = revision(b);
    epoch_a
        .cmp(&epoch_b)
        .then_with(|| compare_parts(upstream_a, upstream_b))
        .then_with(|| compare_parts(revision_a, revision_b))
}

fn epoch(version: &str) -> (u64, &str) {
    match version.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, version),
    }
}

fn revision(version: &str) -> (&str, &str) {
    version.rsplit_once('-').unwrap_or((version, "0"))
}

fn compare_parts(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while !a.is_empty() || !b.is_empty() {
        let (text_a, rest_a) = split_while(a, |byte| !byte.is_ascii_digit());
        let (text_b, rest_b) = split_while(b, |byte| !byte.is_ascii_digit());
        for place in 0..text_a.len().max(text_b.len()) {
            match weight(text_a.get(place)).cmp(&weight(text_b.get(place))) {
                Ordering::Equal => {}
                other => return other,
            }
        }
        let (digits_a, rest_a) = split_while(rest_a, u8::is_ascii_digit);
        let (digits_b, rest_b) = split_while(rest_b, u8::is_ascii_digit);
        match number(digits_a).cmp(&number(digits_b)) {
            Ordering::Equal => (a, b) = (rest_a, rest_b),
            other => return other,
        }
    }
    Ordering::Equal
}

fn split_while(bytes: &[u8], holds: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes
        .iter()
        .position(|byte| !holds(byte))
        .unwrap_or(bytes.len());
    bytes.split_at(end)
}

/// `~` before the end, the end before letters, letters before everything else.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        None => 0,
        Some(b'~') => -1,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

/// Without leading zeros, longer is larger, then digit by digit.
fn number(digits: &[u8]) -> (usize, &[u8]) {
    let start = digits
        .iter()
        .position(|byte| *byte != b'0')
        .unwrap_or(digits.len());
    (digits.len() - start, &digits[start..])
}
