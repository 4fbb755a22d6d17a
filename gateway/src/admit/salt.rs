//! Which part of an engine's prefix cache a request may touch.
//!
//! An engine that reuses the work on equal beginnings answers faster when somebody has asked the same before, and so
//! tells one tenant what another has asked. Engines that take a `cache_salt` keep requests with different salts
//! apart. The salt is an HMAC of the tenant under a secret of the epoch: the same for all requests of a tenant, known
//! to nobody who could use it, and a new one with every epoch.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SecureRandom;

use super::CacheSalt;
use crate::config::{ClientCacheSalt, Name};
use crate::http::errors::Invalid;

/// The longest salt of a caller that is looked at.
const MAX_SALT: usize = 256;

/// The secret of one epoch.
pub struct CacheSalts(hmac::Key);

/// base64url of 32 bytes, for one tenant (and one salt of its own) in one epoch.
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

    /// The salt for a tenant's request, or why its own one is not taken.
    pub fn salt(
        &self,
        tenant: &Name,
        body: &[u8],
        own: Option<&CacheSalt>,
        policy: ClientCacheSalt,
    ) -> Result<Salt, Invalid> {
        let own = match (policy, own) {
            (_, None) | (ClientCacheSalt::Strip, _) => None,
            (ClientCacheSalt::Refuse, Some(_)) => return Err(Invalid::CacheSaltRefused),
            (ClientCacheSalt::Bind, Some(at)) => read(body, at)?,
        };
        Ok(self.derive(tenant, own.as_deref()))
    }

    fn derive(&self, tenant: &Name, own: Option<&str>) -> Salt {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(tenant.as_str().as_bytes());
        if let Some(own) = own {
            // A name has no NUL, so no tenant and salt together look like another tenant.
            context.update(b"\0");
            context.update(own.as_bytes());
        }
        Salt(URL_SAFE_NO_PAD.encode(context.sign()))
    }
}

/// What the caller wrote; none for null, as if the member were not there.
fn read(body: &[u8], at: &CacheSalt) -> Result<Option<String>, Invalid> {
    let value = body.get(at.value.clone()).ok_or(Invalid::CacheSaltType)?;
    if value.len() > 6 * MAX_SALT {
        return Err(Invalid::CacheSaltType);
    }
    let own: Option<String> = serde_json::from_slice(value).map_err(|_| Invalid::CacheSaltType)?;
    match own {
        Some(own) if own.is_empty() || own.len() > MAX_SALT => Err(Invalid::CacheSaltType),
        own => Ok(own),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit::{Endpoint, Fields};

    fn name(text: &str) -> Name {
        Name::from_operator(text).expect("a name")
    }

    fn salts() -> CacheSalts {
        CacheSalts(hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]))
    }

    fn salt_of(tenant: &str, member: &str, policy: ClientCacheSalt) -> Result<String, Invalid> {
        let body = format!("{{\"model\":\"m\"{member}}}");
        let fields = Fields::read(body.as_bytes(), Endpoint::Chat)?;
        let own = fields.cache_salt.as_ref();
        let salt = salts().salt(&name(tenant), body.as_bytes(), own, policy);
        salt.map(|salt| salt.as_str().to_owned())
    }

    #[test]
    fn a_salt_is_the_hmac_of_the_tenant() {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]), b"acme");
        let expected = URL_SAFE_NO_PAD.encode(tag);
        assert_eq!(salt_of("acme", "", ClientCacheSalt::Strip), Ok(expected));
        assert_ne!(
            salt_of("acme", "", ClientCacheSalt::Strip),
            salt_of("acmf", "", ClientCacheSalt::Strip)
        );
    }

    #[test]
    fn every_epoch_has_its_own() {
        let random = ring::rand::SystemRandom::new();
        let one = CacheSalts::generate(&random).expect("random bytes");
        let other = CacheSalts::generate(&random).expect("random bytes");
        assert!(one.derive(&name("acme"), None) != other.derive(&name("acme"), None));
    }

    #[test]
    fn a_callers_own_salt_never_decides_alone() {
        use ClientCacheSalt::{Bind, Refuse, Strip};
        let own = ",\"cache_salt\":\"s\"";
        let without = salt_of("acme", "", Strip);
        assert_eq!(salt_of("acme", own, Strip), without);
        assert_eq!(salt_of("acme", own, Refuse), Err(Invalid::CacheSaltRefused));
        assert_eq!(salt_of("acme", "", Refuse), without);
        let bound = salt_of("acme", own, Bind);
        assert_ne!(bound, without);
        assert_eq!(bound, salt_of("acme", ",\"cache_salt\":\"\\u0073\"", Bind));
        assert_ne!(bound, salt_of("other", own, Bind));
        assert_ne!(bound, salt_of("acme", ",\"cache_salt\":\"t\"", Bind));
        assert_eq!(salt_of("acme", ",\"cache_salt\":null", Bind), without);
        // Whoever knows another's salt gets somewhere else with it.
        let known = format!(",\"cache_salt\":{:?}", without.clone().unwrap_or_default());
        assert_ne!(salt_of("mallory", &known, Bind), without);
    }

    #[test]
    fn what_cannot_be_bound_is_refused() {
        let long = format!("\"{}\"", "a".repeat(MAX_SALT + 1));
        for value in [
            "1",
            "true",
            "[]",
            "{}",
            "\"\"",
            "\"\\ud800\"",
            long.as_str(),
        ] {
            let member = format!(",\"cache_salt\":{value}");
            let bound = salt_of("acme", &member, ClientCacheSalt::Bind);
            assert_eq!(bound, Err(Invalid::CacheSaltType), "{value}");
        }
    }
}
