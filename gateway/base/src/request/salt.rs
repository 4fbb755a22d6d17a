//! Salts that separate the tenants in an engine's prefix cache.
//!
//! An engine with a prefix cache answers faster if the same prompt was sent before. From that time one tenant could
//! learn what another has sent. Engines that accept a `cache_salt` never share cache entries between requests with
//! different salts. The salt is an HMAC of the tenant under a secret of the epoch: the same for all requests of a
//! tenant, unknown to clients, and different in every epoch.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SecureRandom;

use crate::request::Name;

/// The secret of one epoch.
pub struct CacheSalts(hmac::Key);

/// base64url of 32 bytes, for one tenant (and one salt of the caller) in one epoch.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt(String);

impl Salt {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl CacheSalts {
    pub fn generate(random: &dyn SecureRandom) -> Result<Self, ring::error::Unspecified> {
        hmac::Key::generate(hmac::HMAC_SHA256, random).map(Self)
    }

    /// The salt of a tenant's requests; with `caller_salt`, of a part of them.
    pub fn derive(&self, tenant: &Name, caller_salt: Option<&str>) -> Salt {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(tenant.as_str().as_bytes());
        if let Some(caller_salt) = caller_salt {
            // A name contains no NUL, so no pair of tenant and salt is encoded like another tenant.
            context.update(b"\0");
            context.update(caller_salt.as_bytes());
        }
        Salt(URL_SAFE_NO_PAD.encode(context.sign()))
    }

    /// The salts under a given secret.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_operator(text).expect("a name")
    }

    #[test]
    fn a_salt_is_the_hmac_of_the_tenant() {
        let salts = CacheSalts::from_secret(&[7; 32]);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]), b"acme");
        let salt = salts.derive(&name("acme"), None);
        assert_eq!(salt.as_str(), URL_SAFE_NO_PAD.encode(tag));
        assert!(salt != salts.derive(&name("acmf"), None));
    }

    #[test]
    fn every_epoch_has_different_salts() {
        let random = ring::rand::SystemRandom::new();
        let one = CacheSalts::generate(&random).expect("random bytes");
        let other = CacheSalts::generate(&random).expect("random bytes");
        assert!(one.derive(&name("acme"), None) != other.derive(&name("acme"), None));
    }
}
