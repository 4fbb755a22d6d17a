//! Admin keys: `sk-sealgate-admin-<id>-<secret>`.
//!
//! The id, 12 hex characters, is public and finds the key; the secret is 256 random bits. What is stored and compared
//! is the SHA-256 of the whole, as for API keys. The two cannot be confused: their prefixes and lengths
//! differ, and they are stored in different tables.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, Zeroizing};

use gateway_base::config::Sensitive;
use gateway_path::admit::digest;

const PREFIX: &str = "sk-sealgate-admin-";
const ID_LEN: usize = 12;
const SECRET_LEN: usize = 43;
const TOKEN_LEN: usize = PREFIX.len() + ID_LEN + 1 + SECRET_LEN;

/// A complete admin key. Its owner sees it once.
pub struct AdminToken {
    id: String,
    token: Sensitive<String>,
}

/// Why a key could not be generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no randomness")]
pub struct AdminTokenError;

impl AdminToken {
    /// Generates a new key.
    pub fn generate() -> Result<Self, AdminTokenError> {
        let random = SystemRandom::new();
        let mut id = [0; ID_LEN / 2];
        let mut secret = Zeroizing::new([0; 32]);
        random.fill(&mut id).map_err(|_| AdminTokenError)?;
        random.fill(&mut secret[..]).map_err(|_| AdminTokenError)?;
        let id = attest_core::to_hex(&id);
        let mut encoded = URL_SAFE_NO_PAD.encode(&secret[..]);
        let token = Sensitive::new(format!("{PREFIX}{id}-{encoded}"));
        encoded.zeroize();
        Ok(Self { id, token })
    }

    /// The public part.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key itself, to be shown to its owner.
    pub fn expose(&self) -> &str {
        self.token.expose()
    }

    pub fn digest(&self) -> [u8; 32] {
        digest(self.expose())
    }
}

/// The id in a token of the right form.
pub(super) fn claimed_id(token: &str) -> Option<&str> {
    if token.len() != TOKEN_LEN {
        return None;
    }
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('-')?;
    let well_formed = id.len() == ID_LEN && secret.len() == SECRET_LEN;
    (well_formed && attest_core::parse_hex::<{ ID_LEN / 2 }>(id).is_ok()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_path::admit::ApiToken;

    #[test]
    fn a_generated_key_has_the_documented_form_and_contains_its_id() {
        let key = AdminToken::generate().expect("a key");
        assert_eq!(claimed_id(key.expose()), Some(key.id()));
        assert_eq!(key.digest(), digest(key.expose()));
    }

    #[test]
    fn a_malformed_token_has_no_id() {
        let key = AdminToken::generate().expect("a key");
        let (_, api) = ApiToken::generate().expect("a key");
        let token = key.expose();
        for other in [
            "",
            PREFIX,
            api.expose(),
            &token[1..],
            &token[..token.len() - 1],
            &token.to_uppercase(),
            &format!("{token}x"),
        ] {
            assert_eq!(claimed_id(other), None, "{other}");
        }
    }
}
