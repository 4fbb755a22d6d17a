//! The proxy's local pages: the service behind it, its health, and the verdicts on the service's keys.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::http_rules::{Target, VERDICT_PATH};
use super::refusal::{Refusal, page};
use super::state::{LocalBody, Proxy, local};

impl Proxy {
    pub(super) fn local_page(&self, target: &Target) -> Response<LocalBody> {
        local(match target {
            Target::Status => page(
                StatusCode::OK,
                "text/plain; charset=utf-8",
                self.status_text(),
            ),
            Target::Health => self.health(),
            Target::Verdict => page(
                StatusCode::OK,
                "application/json",
                self.verdicts().to_string(),
            ),
            Target::Service(_) | Target::NotFound => Refusal::Target.response(),
        })
    }

    fn healthy(&self) -> bool {
        !self.distrust.is_set() && !self.channel.peers().is_empty()
    }

    fn health(&self) -> Response<Bytes> {
        let (status, word) = match self.healthy() {
            true => (StatusCode::OK, "ok\n"),
            false => (StatusCode::SERVICE_UNAVAILABLE, "not verified\n"),
        };
        page(status, "text/plain; charset=utf-8", word.to_owned())
    }

    /// The verdict on every trusted key, and the last rejection.
    fn verdicts(&self) -> Value {
        let peers: Vec<Value> = self
            .channel
            .peers()
            .iter()
            .map(|peer| {
                json!({
                    "keyset_digest": peer.keyset_digest().to_string(),
                    "spki_sha256": peer.spki().to_hex(),
                    "expires_at": peer.expires_at().to_string(),
                    "verdict": peer.verdict().to_json(),
                })
            })
            .collect();
        json!({
            "upstream": self.channel.origin().to_string(),
            "distrusted": self.distrust.is_set(),
            "peers": peers,
            "last_rejection": self.last_rejection.get(),
        })
    }

    fn status_text(&self) -> String {
        let mut text = format!("sealgate-verify proxy for {}\n\n", self.channel.origin());
        if self.distrust.is_set() {
            text.push_str("DISTRUSTED: a receipt contradicted an exchange; nothing is sent until a restart.\n");
        }
        let peers = self.channel.peers();
        if peers.is_empty() {
            text.push_str("No key of the service is accepted at the moment.\n");
        }
        for peer in peers {
            let _ = writeln!(
                text,
                "accepted: keyset {}\n          TLS key {}\n          roots {}, until {}",
                peer.keyset_digest(),
                peer.spki().to_hex(),
                peer.verdict().root_origin(),
                peer.expires_at(),
            );
        }
        let _ = writeln!(
            text,
            "\nUse this address, with /v1, as an OpenAI base URL. Verdicts are at {VERDICT_PATH}."
        );
        text
    }
}
