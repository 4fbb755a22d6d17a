//! Whether a prompt would leave the attested service, and for whom.
//!
//! A service that forwards passes prompts for models that it does not mark confidential to upstreams
//! that it does not verify. Its list of models, fetched over the attested channel, says which those
//! are; it is fixed for as long as the keyset is. A request may also demand a verified upstream
//! itself, `"provider": {"aci_verified": true}` (ACI/1 §5.3). What its receipt says is compared
//! afterwards in any case.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use attest_channel::{Accept, Lease};
use attest_core::{Serving, Sha256Digest, TrustedPeer, json};
use http::Method;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::Proxy;
use super::answer::Refusal;
use super::fetch::{self, MAX_MODELS};
use super::request_facts::RequestFacts;
use super::secret_body::SecretBody;

/// Which upstreams behind the service may see a prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upstreams {
    #[default]
    VerifiedOnly,
    /// The user's explicit wish.
    AnyAllowed,
}

/// Keysets whose models are remembered; a service has few at a time.
const MAX_KEYSETS: usize = 16;

/// Whether each model of a service is confidential.
pub(super) struct Models(HashMap<String, bool>);

/// The models of each keyset, the newest last.
#[derive(Default)]
pub(super) struct KnownModels(Mutex<VecDeque<(Sha256Digest, Arc<Models>)>>);

impl KnownModels {
    fn get(&self, keyset: &Sha256Digest) -> Option<Arc<Models>> {
        let known = self.0.lock().ok()?;
        let found = known.iter().find(|(digest, _)| digest == keyset);
        found.map(|(_, models)| Arc::clone(models))
    }

    fn put(&self, keyset: Sha256Digest, models: &Arc<Models>) {
        let Ok(mut known) = self.0.lock() else { return };
        known.retain(|(digest, _)| *digest != keyset);
        if known.len() >= MAX_KEYSETS {
            known.pop_front();
        }
        known.push_back((keyset, Arc::clone(models)));
    }
}

impl Models {
    /// Reads the list strictly. A model that does not say that it is confidential is not.
    fn parse(bytes: &[u8]) -> Option<Self> {
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
            // Of two models with one name the laxer counts.
            let both = found.get(&id).is_none_or(|known| *known) && confidential;
            found.insert(id, both);
        }
        Some(Self(found))
    }

    fn check(&self, model: &str) -> Result<(), Refusal> {
        match self.0.get(model) {
            Some(true) => Ok(()),
            Some(false) => Err(Refusal::UpstreamNotVerified),
            None => Err(Refusal::ModelNotFound),
        }
    }
}

impl Proxy {
    /// Gives the lease back, or another to the same keyset, if what `prompt` asks for stays with
    /// verified upstreams there.
    pub(super) async fn behind_is_verified(
        &self,
        lease: Lease,
        parts: &Parts,
        prompt: &SecretBody,
    ) -> Result<Lease, Refusal> {
        let serves_itself = lease.peer().serving() == Serving::Direct;
        let allowed = self.options.upstreams == Upstreams::AnyAllowed;
        if serves_itself || allowed || carries_nothing(&parts.method, prompt) {
            return Ok(lease);
        }
        let asked = RequestFacts::read(prompt.bytes()).ok_or(Refusal::ModelUnreadable)?;
        if asked.demands_verified {
            return Ok(lease);
        }
        let keyset = lease.peer().keyset_digest();
        if let Some(models) = self.models.get(&keyset) {
            return models.check(&asked.model).map(|()| lease);
        }
        let models = Arc::new(self.fetch_models(lease, parts).await?);
        self.models.put(keyset, &models);
        models.check(&asked.model)?;
        let same = |peer: &TrustedPeer| match peer.keyset_digest() == keyset {
            true => Accept::Yes,
            false => Accept::No,
        };
        let leased = self.channel.lease_for(&same).await;
        leased.map_err(|error| self.refusal(error))
    }

    /// With the caller's credential, which the list is shown to.
    async fn fetch_models(&self, lease: Lease, parts: &Parts) -> Result<Models, Refusal> {
        let authorization = parts.headers.get(AUTHORIZATION);
        let fetched = fetch::once_on(lease, "/v1/models", authorization, MAX_MODELS).await;
        let bytes = fetched.map_err(|error| Refusal::ModelsNotShown {
            status: error.status,
            why: error.why,
        })?;
        Models::parse(&bytes).ok_or_else(|| Refusal::ModelsNotShown {
            status: None,
            why: "no list of models".to_owned(),
        })
    }
}

/// A request without a body, of a method that has none.
fn carries_nothing(method: &Method, prompt: &SecretBody) -> bool {
    let has_none = [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS];
    has_none.contains(method) && prompt.bytes().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_marked_confidential_is() {
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
