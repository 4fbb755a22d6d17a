//! Callers that authenticate with a token of an identity provider.
//!
//! Such a caller has no row in the ledger. Its limits are counted as for an API key, as long as a request of it is in
//! flight: all tokens of one subject count together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use super::Keyring;
use super::keyring::{ActiveKey, SharedState};
use gateway_base::config::identity::Purpose;
use gateway_base::errors::{ApiError, TokenFault};
use gateway_base::lock::lock;
use gateway_base::request::Name;
use gateway_identity::{Granted, Identities, Subject};

/// Entries of callers without requests are removed when there are this many, and at every doubling.
const FIRST_SWEEP: usize = 1024;

/// A caller that a token was verified for.
pub(super) struct TokenCaller {
    subject: Subject,
    tenant: Name,
    roles: Arc<[Name]>,
}

impl TokenCaller {
    /// `None` if the credential is not a token: there are no dots in an API key.
    pub fn verify(identities: &Identities, token: &str) -> Option<Result<Self, ApiError>> {
        if !token.contains('.') || !identities.accepts(Purpose::Callers) {
            return None;
        }
        let verified = identities.verify(Purpose::Callers, token);
        Some(verified.map_err(ApiError::Token).and_then(|verified| {
            match &verified.granted {
                Granted::Tenant(tenant) => Ok(Self {
                    subject: verified.subject,
                    tenant: tenant.clone(),
                    roles: Arc::clone(&verified.roles),
                }),
                // The configuration accepts no such rule for callers.
                Granted::Role(_) => Err(ApiError::Token(TokenFault::NotMapped)),
            }
        }))
    }

    /// The digest that receipts and records are bound to.
    pub fn digest(&self) -> [u8; 32] {
        *self.subject.digest()
    }
}

/// The callers with requests in flight.
pub(super) struct TokenCallers {
    // Held for one look-up, and now and then for a sweep. A state is alive while a request holds it.
    active: Mutex<Active>,
}

struct Active {
    states: HashMap<Subject, Weak<SharedState>>,
    sweep_at: usize,
}

impl TokenCallers {
    pub fn new() -> Self {
        Self {
            active: Mutex::new(Active {
                states: HashMap::new(),
                sweep_at: FIRST_SWEEP,
            }),
        }
    }

    /// The caller, with the counters of its subject, and with what the keyring's directory says about it.
    pub fn active_key(&self, caller: TokenCaller, keyring: &Keyring) -> ActiveKey {
        let shared = self.shared(caller.subject);
        let membership = keyring.membership(&caller.tenant);
        let roles = Arc::clone(&caller.roles);
        let id = caller.subject.public_id().into();
        let digest = caller.digest();
        ActiveKey::of_token((id, caller.tenant, digest), roles, membership, shared)
    }

    fn shared(&self, subject: Subject) -> Arc<SharedState> {
        let mut active = lock(&self.active);
        if let Some(shared) = active.states.get(&subject).and_then(Weak::upgrade) {
            return shared;
        }
        if active.states.len() >= active.sweep_at {
            active.states.retain(|_, shared| shared.strong_count() > 0);
            active.sweep_at = FIRST_SWEEP.max(2 * active.states.len());
        }
        let shared = Arc::new(SharedState::new());
        active.states.insert(subject, Arc::downgrade(&shared));
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(text: &str) -> Subject {
        Subject::new("https://id.example.com", text)
    }

    #[test]
    fn requests_of_one_subject_share_counters_while_one_is_in_flight() {
        let callers = TokenCallers::new();
        let first = callers.shared(subject("a"));
        assert!(Arc::ptr_eq(&first, &callers.shared(subject("a"))));
        assert!(!Arc::ptr_eq(&first, &callers.shared(subject("b"))));
    }

    #[test]
    fn callers_without_requests_take_no_memory() {
        let callers = TokenCallers::new();
        let kept = callers.shared(subject("kept"));
        for n in 0..10 * FIRST_SWEEP {
            callers.shared(subject(&n.to_string()));
        }
        assert!(lock(&callers.active).states.len() <= FIRST_SWEEP);
        assert!(Arc::ptr_eq(&kept, &callers.shared(subject("kept"))));
    }
}
