//! What an API key may be used for: models, endpoints, networks, verified upstreams only, the most retention.
//!
//! An operator sets them with the key; admission checks them. They only tighten: a key without restrictions may do what
//! the configuration allows. One form is written and read, in the ledger, over the admin API and on the command line:
//! lists of words, of which `*` alone stands for everything.

use std::net::IpAddr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::network::{Network, NetworkError};
use super::{Endpoint, ModelPattern};
use attest_core::retention::RetentionMode;

/// The most members of one list.
pub const MAX_ENTRIES: usize = 64;

/// Everything: any model, any endpoint, any network.
const ANY: &str = "*";

/// What a key may be used for. An empty list restricts nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restrictions {
    models: Vec<ModelPattern>,
    endpoints: Vec<Endpoint>,
    networks: Vec<Network>,
    /// Requests are served through verified upstreams only, as if each had `aci_verified`.
    pub verified_only: bool,
    /// The most that may be kept of a request.
    pub retention: RetentionMode,
}

/// Restrictions as they are written; a member that is absent is left as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct WrittenRestrictions {
    /// Names of models, with `*` for any characters; `["*"]` for every model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// `chat`, `completions`, `embeddings`; `["*"]` for every endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<String>>,
    /// `192.0.2.0/24` or a single address; `["*"]` for every network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_only: Option<bool>,
    /// `zero`, `metadata` or `content`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<String>,
}

impl Serialize for WrittenRestrictions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// From an object only: what is derived also reads an array, by position.
impl<'de> Deserialize<'de> for WrittenRestrictions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Map::deserialize(deserializer)?;
        Self::deserialize(Value::Object(members)).map_err(D::Error::custom)
    }
}

/// A change of restrictions that was read completely: applying it cannot fail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestrictionChanges {
    models: Option<Vec<ModelPattern>>,
    endpoints: Option<Vec<Endpoint>>,
    networks: Option<Vec<Network>>,
    verified_only: Option<bool>,
    retention: Option<RetentionMode>,
}

/// Why written restrictions cannot be used. Positions count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestrictionError {
    #[error("{list} must not be empty: [\"*\"] allows everything")]
    Empty { list: &'static str },
    #[error("{list} has more than {MAX_ENTRIES} entries")]
    TooMany { list: &'static str },
    #[error("{list}: \"*\" allows everything and must stand alone")]
    AnyAndMore { list: &'static str },
    #[error("models: entry {position} is not a model's name with or without *")]
    Model { position: usize },
    #[error("endpoints: entry {position} is not chat, completions or embeddings")]
    Endpoint { position: usize },
    #[error("networks: entry {position} {reason}")]
    Network {
        position: usize,
        reason: NetworkError,
    },
    #[error("retention must be zero, metadata or content")]
    Retention,
}

impl RestrictionError {
    /// The member that is wrong.
    pub fn member(self) -> &'static str {
        match self {
            Self::Empty { list } | Self::TooMany { list } | Self::AnyAndMore { list } => list,
            Self::Model { .. } => MODELS,
            Self::Endpoint { .. } => ENDPOINTS,
            Self::Network { .. } => NETWORKS,
            Self::Retention => "retention",
        }
    }
}

const MODELS: &str = "models";
const ENDPOINTS: &str = "endpoints";
const NETWORKS: &str = "networks";

impl Default for Restrictions {
    fn default() -> Self {
        Self {
            models: Vec::new(),
            endpoints: Vec::new(),
            networks: Vec::new(),
            verified_only: false,
            // The most that there is.
            retention: RetentionMode::Content,
        }
    }
}

impl Restrictions {
    /// Whether a request may name this model.
    pub fn allow_model(&self, name: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| pattern.matches(name))
    }

    pub fn allow_endpoint(&self, endpoint: Endpoint) -> bool {
        self.endpoints.is_empty() || self.endpoints.contains(&endpoint)
    }

    /// Whether a peer may use the key. One whose address is not known may not, where networks are restricted.
    pub fn allow_peer(&self, peer: Option<IpAddr>) -> bool {
        self.networks.is_empty()
            || peer.is_some_and(|peer| self.networks.iter().any(|network| network.contains(peer)))
    }

    /// The complete written form.
    pub fn written(&self) -> WrittenRestrictions {
        let models = self
            .models
            .iter()
            .map(|pattern| pattern.as_str().to_owned());
        let endpoints = self
            .endpoints
            .iter()
            .map(|endpoint| endpoint.label().to_owned());
        let networks = self.networks.iter().map(Network::to_string);
        WrittenRestrictions {
            models: Some(or_any(models)),
            endpoints: Some(or_any(endpoints)),
            networks: Some(or_any(networks)),
            verified_only: Some(self.verified_only),
            retention: Some(self.retention.as_str().to_owned()),
        }
    }

    /// What they restrict, in the order of the written form; empty if nothing.
    pub fn summary(&self) -> Vec<String> {
        let written = self.written();
        let lists = [
            (MODELS, written.models),
            (ENDPOINTS, written.endpoints),
            (NETWORKS, written.networks),
        ];
        let mut summary: Vec<String> = lists
            .into_iter()
            .filter_map(|(name, words)| Some((name, words?)))
            .filter(|(_, words)| *words != [ANY])
            .map(|(name, words)| format!("{name}={}", words.join(",")))
            .collect();
        if self.verified_only {
            summary.push("verified-only".to_owned());
        }
        if self.retention != RetentionMode::Content {
            summary.push(format!("retention={}", self.retention));
        }
        summary
    }
}

fn or_any(words: impl Iterator<Item = String>) -> Vec<String> {
    let words: Vec<String> = words.collect();
    if words.is_empty() {
        vec![ANY.to_owned()]
    } else {
        words
    }
}

impl WrittenRestrictions {
    /// Reads every member that is present.
    pub fn read(&self) -> Result<RestrictionChanges, RestrictionError> {
        Ok(RestrictionChanges {
            models: list(MODELS, self.models.as_deref(), |position, word| {
                ModelPattern::parse(word).map_err(|_| RestrictionError::Model { position })
            })?,
            endpoints: list(ENDPOINTS, self.endpoints.as_deref(), |position, word| {
                let endpoint = Endpoint::ALL
                    .into_iter()
                    .find(|known| known.label() == word);
                endpoint.ok_or(RestrictionError::Endpoint { position })
            })?,
            networks: list(NETWORKS, self.networks.as_deref(), |position, word| {
                Network::parse(word)
                    .map_err(|reason| RestrictionError::Network { position, reason })
            })?,
            verified_only: self.verified_only,
            retention: self
                .retention
                .as_deref()
                .map(|word| RetentionMode::parse(word).ok_or(RestrictionError::Retention))
                .transpose()?,
        })
    }
}

/// Reads a list of words; `["*"]` is the empty list.
fn list<T>(
    name: &'static str,
    words: Option<&[String]>,
    read: impl Fn(usize, &str) -> Result<T, RestrictionError>,
) -> Result<Option<Vec<T>>, RestrictionError> {
    let Some(words) = words else { return Ok(None) };
    if words.is_empty() {
        return Err(RestrictionError::Empty { list: name });
    }
    if words.len() > MAX_ENTRIES {
        return Err(RestrictionError::TooMany { list: name });
    }
    if words.iter().any(|word| word == ANY) {
        return match words {
            [_] => Ok(Some(Vec::new())),
            _ => Err(RestrictionError::AnyAndMore { list: name }),
        };
    }
    let read = words
        .iter()
        .zip(1..)
        .map(|(word, position)| read(position, word));
    read.collect::<Result<_, _>>().map(Some)
}

impl RestrictionChanges {
    /// Puts every member that is present in the place of the earlier one.
    pub fn apply(self, to: &mut Restrictions) {
        let Self {
            models,
            endpoints,
            networks,
            verified_only,
            retention,
        } = self;
        replace(&mut to.models, models);
        replace(&mut to.endpoints, endpoints);
        replace(&mut to.networks, networks);
        replace(&mut to.verified_only, verified_only);
        replace(&mut to.retention, retention);
    }

    /// The names of the members that are present.
    pub fn members(&self) -> Vec<&'static str> {
        let present = [
            (MODELS, self.models.is_some()),
            (ENDPOINTS, self.endpoints.is_some()),
            (NETWORKS, self.networks.is_some()),
            ("verified_only", self.verified_only.is_some()),
            ("retention", self.retention.is_some()),
        ];
        let present = present.into_iter().filter(|(_, present)| *present);
        present.map(|(name, _)| name).collect()
    }
}

fn replace<T>(value: &mut T, with: Option<T>) {
    if let Some(with) = with {
        *value = with;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(json: &str) -> Result<RestrictionChanges, RestrictionError> {
        serde_json::from_str::<WrittenRestrictions>(json)
            .expect("the members are known")
            .read()
    }

    fn restrictions(json: &str) -> Restrictions {
        let mut restrictions = Restrictions::default();
        written(json)
            .expect("they can be used")
            .apply(&mut restrictions);
        restrictions
    }

    #[test]
    fn a_key_without_restrictions_may_do_everything() {
        let free = Restrictions::default();
        assert!(free.allow_model("anything") && free.allow_peer(None));
        assert!(
            Endpoint::ALL
                .into_iter()
                .all(|endpoint| free.allow_endpoint(endpoint))
        );
        assert!(free.summary().is_empty());
    }

    #[test]
    fn a_star_stands_for_any_characters_in_a_models_name() {
        for (pattern, matching, other) in [
            (
                "crm.*",
                vec!["crm.", "crm.summary.fast"],
                vec!["crm", "xcrm.a"],
            ),
            ("*-8b", vec!["llama-8b", "-8b"], vec!["llama-8b-it"]),
            ("a*b*c", vec!["abc", "a-b-bc-c"], vec!["ac", "acb", "abcd"]),
            ("exact", vec!["exact"], vec!["exac", "exactly"]),
            ("aa*aa", vec!["aaaa", "aa-aa"], vec!["aaa"]),
        ] {
            let restricted = restrictions(&format!(r#"{{"models":["{pattern}"]}}"#));
            for name in matching {
                assert!(restricted.allow_model(name), "{pattern} {name}");
            }
            for name in other {
                assert!(!restricted.allow_model(name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn the_written_form_is_read_back_unchanged() {
        for json in [
            "{}",
            r#"{"models":["a*","b"],"endpoints":["chat"],"networks":["192.0.2.0/24","2001:db8::/32"],"verified_only":true,"retention":"zero"}"#,
        ] {
            let first = restrictions(json);
            let text = serde_json::to_string(&first.written()).expect("JSON");
            assert_eq!(restrictions(&text), first, "{text}");
        }
    }

    #[test]
    fn unknown_members_and_arrays_are_not_read() {
        for json in [r#"{"model":["a"]}"#, "[]", r#"[["a"]]"#, "null"] {
            let read = serde_json::from_str::<WrittenRestrictions>(json);
            assert!(read.is_err(), "{json}");
        }
    }

    #[test]
    fn a_change_leaves_absent_members_as_they_are() {
        let mut key = restrictions(r#"{"models":["a"],"retention":"zero"}"#);
        let change = written(r#"{"endpoints":["chat"],"retention":"metadata"}"#).expect("a change");
        assert_eq!(change.members(), ["endpoints", "retention"]);
        change.apply(&mut key);
        assert_eq!(
            key.summary(),
            ["models=a", "endpoints=chat", "retention=metadata"]
        );
        written(r#"{"models":["*"]}"#)
            .expect("a change")
            .apply(&mut key);
        assert!(key.allow_model("b"));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_place() {
        let many = format!(r#"{{"models":[{}"x"]}}"#, r#""x","#.repeat(MAX_ENTRIES));
        for (json, error) in [
            (
                r#"{"models":[]}"#,
                RestrictionError::Empty { list: "models" },
            ),
            (
                r#"{"endpoints":[]}"#,
                RestrictionError::Empty { list: "endpoints" },
            ),
            (
                r#"{"models":["a","*"]}"#,
                RestrictionError::AnyAndMore { list: "models" },
            ),
            (
                r#"{"models":["a","b c"]}"#,
                RestrictionError::Model { position: 2 },
            ),
            (
                r#"{"models":[""]}"#,
                RestrictionError::Model { position: 1 },
            ),
            (
                r#"{"endpoints":["chat","images"]}"#,
                RestrictionError::Endpoint { position: 2 },
            ),
            (
                r#"{"networks":["10.1.0.0/8"]}"#,
                RestrictionError::Network {
                    position: 1,
                    reason: NetworkError::HostBits,
                },
            ),
            (r#"{"retention":"none"}"#, RestrictionError::Retention),
            (&many, RestrictionError::TooMany { list: "models" }),
        ] {
            assert_eq!(written(json), Err(error), "{json}");
            assert!(error.to_string().starts_with(error.member()), "{error}");
        }
    }
}
