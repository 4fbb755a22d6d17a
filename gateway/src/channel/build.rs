//! Upstreams from configuration. What several models share — an enclave's channel, the certificate authorities of
//! this machine — is made once.

use std::collections::HashMap;
use std::sync::Arc;

use attest_channel::{AttestedChannel, Limits, Origin, OriginError, TcpDialer};

use super::plain::WebPki;
use super::renewal::{OwnedTask, keep_verified};
use super::target::Target;
use super::verified::Enclave;
use super::{LocalEngine, PlainError, PlainUpstream, TargetError, VerifiedUpstream};
use crate::Clock;
use crate::config::{Name, NamedTrust, Timeouts, Upstream};
use crate::ledger::Ledger;
use crate::metrics::Metrics;

/// Why an upstream cannot be set up.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Plain(#[from] PlainError),
    #[error("an enclave is reached at https:// only: {0}")]
    Origin(#[from] OriginError),
}

/// Makes upstreams for one epoch.
pub struct Builder<'a> {
    timeouts: &'a Timeouts,
    ledger: Arc<Ledger>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    web_pki: WebPki,
    /// Remembers dead addresses for every upstream.
    tcp: Arc<TcpDialer>,
    enclaves: HashMap<(Name, String, Name), Arc<Enclave>>,
    tasks: Vec<OwnedTask>,
}

impl<'a> Builder<'a> {
    pub fn new(
        timeouts: &'a Timeouts,
        ledger: Arc<Ledger>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            timeouts,
            ledger,
            metrics,
            clock,
            web_pki: WebPki::default(),
            tcp: Arc::default(),
            enclaves: HashMap::new(),
            tasks: Vec::new(),
        }
    }

    /// An enclave. Its first verification begins at once, in the background; needs a running executor.
    pub fn verified(
        &mut self,
        upstream: &Upstream,
        model_id: &Name,
        trust: &NamedTrust,
    ) -> Result<VerifiedUpstream, BuildError> {
        let origin = upstream.url.origin();
        let key = (upstream.name.clone(), origin.clone(), trust.name.clone());
        let enclave = match self.enclaves.get(&key) {
            Some(enclave) => Arc::clone(enclave),
            None => {
                let enclave = self.enclave(upstream, &origin, trust)?;
                self.enclaves.insert(key, Arc::clone(&enclave));
                enclave
            }
        };
        Ok(VerifiedUpstream {
            target: Target::new(upstream, model_id)?,
            enclave,
        })
    }

    pub fn local(&self, upstream: &Upstream, model_id: &Name) -> Result<LocalEngine, BuildError> {
        Ok(LocalEngine::new(upstream, model_id, self.timeouts.connect)?)
    }

    pub fn plain(&self, upstream: &Upstream, model_id: &Name) -> Result<PlainUpstream, BuildError> {
        Ok(PlainUpstream::new(
            upstream,
            model_id,
            self.timeouts.connect,
            &self.web_pki,
        )?)
    }

    /// The enclaves made so far, and the tasks that keep them verified.
    pub fn finish(self) -> (Vec<Arc<Enclave>>, Vec<OwnedTask>) {
        (self.enclaves.into_values().collect(), self.tasks)
    }

    fn enclave(
        &mut self,
        upstream: &Upstream,
        origin: &str,
        trust: &NamedTrust,
    ) -> Result<Arc<Enclave>, BuildError> {
        let timeouts = attest_channel::Timeouts {
            connect: self.timeouts.connect,
            report: self.timeouts.report,
            idle_pool: self.timeouts.pool_idle,
        };
        let (trust, clock) = (Arc::clone(&trust.trust), Arc::clone(&self.clock));
        let channel = AttestedChannel::with_tcp(
            Origin::parse(origin)?,
            trust,
            timeouts,
            Limits::default(),
            clock,
            Arc::clone(&self.tcp),
        );
        let enclave = Enclave::new(
            upstream.name.clone(),
            channel,
            Arc::clone(&self.ledger),
            Arc::clone(&self.metrics),
            Arc::clone(&self.clock),
        );
        self.tasks.push(OwnedTask::spawn(keep_verified(
            Arc::clone(&enclave),
            Arc::clone(&self.clock),
        )));
        Ok(enclave)
    }
}
