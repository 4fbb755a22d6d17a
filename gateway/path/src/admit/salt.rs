//! A client's own cache salt: removed, refused, or bound, which divides its tenant's part of the cache further.

use gateway_base::config::ClientCacheSalt;
use gateway_base::errors::Invalid;

use super::CacheSalt;

/// The longest client's salt that is read.
const MAX_SALT: usize = 256;

/// The client's own salt if it divides its tenant's part of the cache, or why it is refused.
pub(super) fn bound(
    body: &[u8],
    own: Option<&CacheSalt>,
    policy: ClientCacheSalt,
) -> Result<Option<String>, Invalid> {
    match (policy, own) {
        (_, None) | (ClientCacheSalt::Strip, _) => Ok(None),
        (ClientCacheSalt::Refuse, Some(_)) => Err(Invalid::CacheSaltRefused),
        (ClientCacheSalt::Bind, Some(at)) => read(body, at),
    }
}

/// The client's salt; `None` for null, as if the member were absent.
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
    use crate::admit::Fields;
    use gateway_base::request::{CacheSalts, Endpoint, Name};

    fn name(text: &str) -> Name {
        Name::from_operator(text).expect("a name")
    }

    fn salts() -> CacheSalts {
        CacheSalts::from_secret(&[7; 32])
    }

    fn salt_of(tenant: &str, member: &str, policy: ClientCacheSalt) -> Result<String, Invalid> {
        let body = format!("{{\"model\":\"m\"{member}}}");
        let fields = Fields::read(body.as_bytes(), Endpoint::Chat)?;
        let own = fields.cache_salt.as_ref();
        let own = bound(body.as_bytes(), own, policy)?;
        let salt = salts().derive(&name(tenant), own.as_deref());
        Ok(salt.as_str().to_owned())
    }

    #[test]
    fn a_clients_salt_never_selects_another_tenants_cache() {
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
        // Another tenant's salt gives a different result.
        let known = format!(",\"cache_salt\":{:?}", without.clone().unwrap_or_default());
        assert_ne!(salt_of("mallory", &known, Bind), without);
    }

    #[test]
    fn rejects_a_salt_that_cannot_be_bound() {
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
