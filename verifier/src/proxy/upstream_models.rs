//! The models of the service, and which of them are confidential.
//!
//! An aggregator passes prompts for models that it does not mark confidential to upstreams
//! that it does not verify. Its list of models, fetched over the attested channel, states which those
//! are; the list is fixed as long as the keyset is.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use attest_core::{Sha256Digest, json};

use super::fetch::MAX_MODELS;
use super::refusal::Refusal;

/// Which upstreams behind the service may see a prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upstreams {
    #[default]
    VerifiedOnly,
    /// `--allow-unverified-upstreams`.
    AnyAllowed,
}

/// Keysets whose models are cached; a service has few at a time.
const MAX_KEYSETS: usize = 16;

/// Whether each model of a service is confidential.
pub(super) struct Models(HashMap<String, bool>);

/// The models of each keyset, the newest last. The lock is held for deque operations only; two requests may fetch
/// the same list at the same time.
#[derive(Default)]
pub(super) struct KnownModels(Mutex<VecDeque<(Sha256Digest, Arc<Models>)>>);

impl KnownModels {
    pub(super) fn get(&self, keyset: &Sha256Digest) -> Option<Arc<Models>> {
        let known = self.0.lock().ok()?;
        let found = known.iter().find(|(digest, _)| digest == keyset);
        found.map(|(_, models)| Arc::clone(models))
    }

    pub(super) fn put(&self, keyset: Sha256Digest, models: &Arc<Models>) {
        let Ok(mut known) = self.0.lock() else { return };
        known.retain(|(digest, _)| *digest != keyset);
        if known.len() >= MAX_KEYSETS {
            known.pop_front();
        }
        known.push_back((keyset, Arc::clone(models)));
    }
}

impl Models {
    /// Parses the list strictly. A model without `"confidential": true` is not confidential.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let list = json::parse(bytes, MAX_MODELS).ok()?;
        let models = list.get("data")?.as_array()?.iter();
        let read = models.map(|model| {
            let id = model.get("id")?.as_str()?.to_owned();
            let confidential = model.get("confidential").and_then(|it| it.as_bool());
            Some((id, confidential == Some(true)))
        });
        let mut found = HashMap::new();
        for model in read {
            let (id, confidential) = model?;
            // Of two entries with one name, one that is not confidential decides.
            let both = found.get(&id).is_none_or(|known| *known) && confidential;
            found.insert(id, both);
        }
        Some(Self(found))
    }

    pub(super) fn check(&self, model: &str) -> Result<(), Refusal> {
        match self.0.get(model) {
            Some(true) => Ok(()),
            Some(false) => Err(Refusal::UpstreamNotVerified),
            None => Err(Refusal::ModelNotFound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_models_that_are_marked_are_confidential() {
        let list = br#"{"object":"list","data":[{"id":"a","confidential":true},{"id":"b"},
            {"id":"c","confidential":"true"},{"id":"d","confidential":false},
            {"id":"e","confidential":true},{"id":"e","confidential":false}]}"#;
        let models = Models::parse(list).expect("a list");
        assert_eq!(models.check("a"), Ok(()));
        for not in ["b", "c", "d", "e"] {
            assert_eq!(
                models.check(not),
                Err(Refusal::UpstreamNotVerified),
                "{not}"
            );
        }
        assert_eq!(models.check("A"), Err(Refusal::ModelNotFound));
        for no_list in [
            &b"[]"[..],
            b"{}",
            br#"{"data":{}}"#,
            br#"{"data":[{"confidential":true}]}"#,
            br#"{"data":[{"id":"a","confidential":false,"confidential":true}]}"#,
        ] {
            assert!(Models::parse(no_list).is_none());
        }
    }
}
