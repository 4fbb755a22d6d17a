//! Identity providers: verifies the tokens (JWTs) of callers and of administrators.
//!
//! The crate `jwt` verifies a token by given keys. [`Identities`] holds what a running service needs besides: each issuer's
//! current keys, which are fetched in the background, the rules of the configuration, and the tokens that were verified
//! already.
//!
//! No text of a token leaves this crate: a subject becomes a digest, and a tenant or a role is a name that the operator
//! wrote.

mod fetch;
mod grant;
mod key_cache;
mod verified_tokens;

use std::sync::Arc;

use attest_channel::{Clock, Moment};
use attest_core::Sha256Digest;
use gateway_base::config::identity::{Identity, Issuer, Purpose};
use gateway_base::errors::TokenFault;
use gateway_base::metrics::Metrics;

use jwt::{Expected, TokenError, UnverifiedToken};
use key_cache::KeyCache;
use verified_tokens::{Entry, VerifiedTokens};

pub use grant::{Granted, Subject, VerifiedToken};

/// The identity providers of one configuration.
pub struct Identities {
    callers: Issuers,
    administrators: Issuers,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// The issuers for one purpose, and the tokens of theirs that were verified.
#[derive(Default)]
struct Issuers {
    all: Vec<KnownIssuer>,
    verified: VerifiedTokens,
}

struct KnownIssuer {
    issuer: Issuer,
    keys: Arc<KeyCache>,
}

impl Identities {
    /// Begins to fetch the issuers' keys; those of issuers that `previous` has with the same source are shared with it.
    /// Must be called within a runtime.
    pub fn start(
        config: &Identity,
        clock: &Arc<dyn Clock>,
        metrics: &Arc<Metrics>,
        previous: Option<&Self>,
    ) -> Self {
        let issuers = |purpose| {
            let all = config.issuers_for(purpose).map(|issuer| {
                let known = previous.and_then(|previous| previous.keys_of(issuer));
                let keys = known
                    .unwrap_or_else(|| KeyCache::start(issuer, clock.clone(), metrics.clone()));
                let issuer = issuer.clone();
                KnownIssuer { issuer, keys }
            });
            Issuers {
                all: all.collect(),
                verified: VerifiedTokens::default(),
            }
        };
        Self {
            callers: issuers(Purpose::Callers),
            administrators: issuers(Purpose::Administrators),
            clock: clock.clone(),
            metrics: metrics.clone(),
        }
    }

    /// Whether any issuer is configured for this.
    pub fn accepts(&self, purpose: Purpose) -> bool {
        !self.issuers(purpose).all.is_empty()
    }

    /// Verifies a token for this purpose.
    pub fn verify(&self, purpose: Purpose, token: &str) -> Result<Arc<VerifiedToken>, TokenFault> {
        let issuers = self.issuers(purpose);
        let digest = *Sha256Digest::hash(token.as_bytes()).as_bytes();
        let moment = self.clock.moment();
        if let Some(entry) = issuers.verified.get(&digest)
            && let Some(known) = issuers.all.get(entry.issuer)
            && known.keys.current(moment.uptime)?.generation == entry.generation
        {
            entry.token.validity.check(moment.now.secs())?;
            return Ok(entry.token.clone());
        }
        let not_of_an_issuer = |error: TokenError| {
            self.metrics.token_checked(None, Err(error.into()));
            error
        };
        let token = UnverifiedToken::parse(token).map_err(not_of_an_issuer)?;
        let (place, known) = issuers.of(&token).map_err(not_of_an_issuer)?;
        let verified = known.verify(token, moment);
        let result = verified.as_ref().map(|_| ()).map_err(|fault| *fault);
        self.metrics.token_checked(Some(&known.issuer.name), result);
        let (verified, generation) = verified?;
        let entry = Entry {
            token: verified.clone(),
            issuer: place,
            generation,
        };
        issuers.verified.insert(digest, entry, moment.now);
        Ok(verified)
    }

    fn issuers(&self, purpose: Purpose) -> &Issuers {
        match purpose {
            Purpose::Callers => &self.callers,
            Purpose::Administrators => &self.administrators,
        }
    }

    /// The keys of an issuer that fetches the same ones.
    fn keys_of(&self, issuer: &Issuer) -> Option<Arc<KeyCache>> {
        let digest = |issuer: &Issuer| issuer.authorities.as_ref().map(|pinned| pinned.digest);
        let known = self.issuers(issuer.purpose).all.iter().find(|known| {
            let other = &known.issuer;
            (&other.name, &other.issuer, &other.keys)
                == (&issuer.name, &issuer.issuer, &issuer.keys)
                && other.max_stale == issuer.max_stale
                && digest(other) == digest(issuer)
        });
        known.map(|known| known.keys.clone())
    }
}

impl Issuers {
    /// The issuer that a token names, and its place.
    fn of(&self, token: &UnverifiedToken<'_>) -> Result<(usize, &KnownIssuer), TokenError> {
        let named = token.issuer()?;
        let mut all = self.all.iter().enumerate();
        all.find(|(_, known)| known.issuer.issuer == named)
            .ok_or(TokenError::Issuer)
    }
}

impl KnownIssuer {
    /// The verified token, and the generation of the keys.
    fn verify(
        &self,
        token: UnverifiedToken<'_>,
        moment: Moment,
    ) -> Result<(Arc<VerifiedToken>, u64), TokenFault> {
        let expected = Expected {
            issuer: &self.issuer.issuer,
            audiences: &self.issuer.audiences,
            algorithms: &self.issuer.algorithms,
            clock_skew: self.issuer.clock_skew,
        };
        let current = self.keys.current(moment.uptime)?;
        let claims = jwt::verify(token, &current.set, &expected, moment.now.secs());
        let claims = claims.map_err(|error| match error {
            TokenError::KeyUnknown => self.keys.unknown_key(moment.uptime),
            error => error.into(),
        })?;
        let verified = grant::grant(&self.issuer, &claims)?;
        Ok((Arc::new(verified), current.generation))
    }
}
