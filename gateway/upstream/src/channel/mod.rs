//! The only code that can send a prompt.
//!
//! Three types, and no flag that turns one into another: [`VerifiedUpstream`] is an enclave whose evidence was accepted
//! for the key that the connection uses (ACI §1.2); [`LocalEngine`] is the engine inside this machine; [`PlainUpstream`]
//! proves nothing and serves only models that are not flagged confidential. [`route`](crate::route) decides which of them
//! a model may use.
//!
//! Refused here: sending before verification, following redirects, forwarding the client's credential.

mod build;
mod connector;
mod not_verified;
mod plain;
mod prompt_body;
mod renewal;
mod send_failure;
mod session;
mod target;
#[cfg(test)]
mod tests;
mod upstream_body;
mod verified;

pub(crate) use build::{BuildError, Builder, Checker};
pub use connector::{ConnectFailure, Unattested};
pub use not_verified::{EvidenceError, NotVerified};
pub use plain::{HttpUpstream, PlainFailure};
pub(crate) use plain::{LocalEngine, PlainError, PlainUpstream};
pub use prompt_body::{Edit, OutgoingPrompt, ReceivedPrompt, SealablePrompt};
pub use send_failure::{NoResponse, SendFailure};
pub(crate) use target::TargetError;
pub use upstream_body::{IncompleteBody, UpstreamBody};

use http::Response;

use gateway_base::request::Endpoint;
use verified::VerifiedConnection;

pub use verified::{Enclave, VerifiedUpstream};

impl VerifiedConnection<'_> {
    /// Sends the prompt to the verified peer.
    pub async fn send_prompt(
        self,
        endpoint: Endpoint,
        stream: bool,
        prompt: &OutgoingPrompt,
    ) -> Result<Response<UpstreamBody>, SendFailure> {
        Ok(self
            .send(endpoint, stream, prompt)
            .await?
            .map(UpstreamBody::Enclave))
    }
}

impl HttpUpstream {
    /// Sends the prompt to an engine or API that is not attested.
    pub async fn send_prompt(
        &self,
        endpoint: Endpoint,
        stream: bool,
        prompt: &OutgoingPrompt,
    ) -> Result<Response<UpstreamBody>, PlainFailure> {
        Ok(self
            .send(endpoint, stream, prompt)
            .await?
            .map(UpstreamBody::Unattested))
    }
}
