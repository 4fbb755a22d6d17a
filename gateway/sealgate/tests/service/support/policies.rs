//! Retention policies, signed by a test key and activated as an operator would.

use attest_channel::Clock;
use attest_channel::SystemClock;
use attest_core::retention::{Authority, PolicyKeys, PolicySignatures, RetentionPolicy};
use attest_core::{Sha256Digest, SigningKey, to_hex};
use gateway_retention::{HistoryError, Installed, history};
use gateway_store::ledger::Ledger;

use super::{Gateway, Setup, eventually};

pub const METADATA: &str = "[default]\nmode = \"metadata\"\nttl = \"30d\"\n";
pub const CONTENT: &str = "[default]\nmode = \"metadata\"\nttl = \"30d\"\n[[rule]]\ntenants = [\"acme\"]\n\
    mode = \"content\"\nttl = \"30d\"\n\
    recipients = [\"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj\"]\n";
pub const ZERO: &str = "[default]\nmode = \"zero\"\n";

/// The operator's one policy key.
pub fn key() -> SigningKey {
    SigningKey::from_seed("policy", &[0x51; 32]).expect("a key")
}

fn public() -> String {
    to_hex(key().verifying_key().as_bytes())
}

pub fn authority() -> Authority {
    Authority::Keys(PolicyKeys::new(&[public()], 1).expect("keys"))
}

/// A policy text with its epoch and predecessor.
pub fn text(epoch: u64, predecessor: Option<Sha256Digest>, terms: &str) -> String {
    let predecessor = predecessor.map(|digest| format!("predecessor = \"{digest}\"\n"));
    let predecessor = predecessor.unwrap_or_default();
    format!("format = \"sealgate/retention/1\"\nepoch = {epoch}\n{predecessor}{terms}")
}

pub fn policy(text: &str) -> RetentionPolicy {
    RetentionPolicy::from_toml(text).expect("a policy")
}

pub fn signed(policy: &RetentionPolicy) -> PolicySignatures {
    let mut signatures = PolicySignatures::default();
    signatures.sign(policy.digest(), &key());
    signatures
}

/// A setup whose service begins with these terms, signed.
pub fn beginning_with(terms: &str, mut setup: Setup) -> Setup {
    let text = text(1, None, terms);
    let signatures = signed(&policy(&text)).to_string();
    setup.sections.push_str(&format!(
        "\n[retention]\npolicy = \"retention.toml\"\nkeys = [\"{}\"]\n",
        public()
    ));
    setup.files.push(("retention.toml", text));
    setup.files.push(("retention.toml.sig", signatures));
    setup
}

impl Gateway {
    /// Activates the next policy beside the running service, and waits until it serves under it.
    pub async fn toggle(&self, terms: &str) -> RetentionPolicy {
        let before = self.connect().await.spki_sha256();
        let next = self.set(terms).await;
        eventually("an epoch under the new policy", async || {
            self.connect().await.spki_sha256() != before
        })
        .await;
        next
    }

    /// Activates the next policy.
    pub async fn set(&self, terms: &str) -> RetentionPolicy {
        let ledger = self.ledger().await;
        let head = history::latest(&ledger)
            .await
            .expect("a history")
            .expect("a policy");
        let text = text(
            head.policy().epoch() + 1,
            Some(head.policy().digest()),
            terms,
        );
        let next = policy(&text);
        let (authority, signatures) = (authority(), signed(&next));
        let now = SystemClock.now();
        let done = history::install(&ledger, &authority, next.clone(), signatures, now).await;
        assert_eq!(done.expect("set"), Installed::Next);
        ledger.close().await;
        next
    }

    /// Tries to activate a policy.
    pub async fn try_to_set(
        &self,
        text: &str,
        signatures: PolicySignatures,
    ) -> Result<Installed, HistoryError> {
        let ledger = self.ledger().await;
        let done = history::install(
            &ledger,
            &authority(),
            policy(text),
            signatures,
            SystemClock.now(),
        )
        .await;
        ledger.close().await;
        done
    }

    async fn ledger(&self) -> Ledger {
        Ledger::open_for_keys(&self.directory.path().join("state"))
            .await
            .expect("a ledger")
    }
}
