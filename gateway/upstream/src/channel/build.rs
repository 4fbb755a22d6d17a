//! Builds upstreams from the configuration. What several models share (an enclave's channel, the certificate authorities
//! of this machine) is built once.

use std::collections::HashMap;
use std::sync::Arc;

use attest_channel::{AttestedChannel, Limits, Origin, OriginError, OwnedTask, TcpDialer};

use super::plain::WebPki;
use super::renewal::keep_verified;
use super::target::Target;
use super::verified::Enclave;
use super::{LocalEngine, PlainError, PlainUpstream, TargetError, VerifiedUpstream};
use attest_channel::Clock;
use gateway_base::config::{NamedTrust, Timeouts, Upstream};
use gateway_base::metrics::Metrics;
use gateway_base::request::Name;
use gateway_store::ledger::Ledger;

/// Why an upstream cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Plain(#[from] PlainError),
    #[error("an enclave is reached at https:// only: {0}")]
    Origin(#[from] OriginError),
}

/// Checks whether upstreams can be built, without building them.
pub struct Checker<'a> {
    timeouts: &'a Timeouts,
    web_pki: WebPki,
}

impl<'a> Checker<'a> {
    pub fn new(timeouts: &'a Timeouts) -> Self {
        Self {
            timeouts,
            web_pki: WebPki::default(),
        }
    }

    pub fn verified(&self, upstream: &Upstream, model_id: &Name) -> Result<(), BuildError> {
        Origin::parse(&upstream.url.origin())?;
        Target::new(upstream, model_id)?;
        Ok(())
    }

    pub fn local(&self, upstream: &Upstream, model_id: &Name) -> Result<(), BuildError> {
        LocalEngine::new(upstream, model_id, self.timeouts, Arc::default())?;
        Ok(())
    }

    pub fn plain(&self, upstream: &Upstream, model_id: &Name) -> Result<(), BuildError> {
        PlainUpstream::new(
            upstream,
            model_id,
            self.timeouts,
            Arc::default(),
            &self.web_pki,
        )?;
        Ok(())
    }
}

/// Builds the upstreams of one epoch.
pub struct Builder<'a> {
    timeouts: &'a Timeouts,
    ledger: Arc<Ledger>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    web_pki: WebPki,
    /// Shared by all upstreams, so that an address which did not answer one is tried last by all.
    tcp: Arc<TcpDialer>,
    /// By origin and trust. A verification on a channel is valid for every upstream that uses the channel, so each key is
    /// verified once, whatever the number of models and upstreams.
    channels: HashMap<(String, Name), SharedChannel>,
}

/// A channel and the upstreams that use it, by name.
struct SharedChannel {
    channel: Arc<AttestedChannel>,
    enclaves: HashMap<Name, Arc<Enclave>>,
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
            channels: HashMap::new(),
        }
    }

    /// Adds an enclave. [`finish`](Self::finish) starts its verification.
    pub fn verified(
        &mut self,
        upstream: &Upstream,
        model_id: &Name,
        trust: &NamedTrust,
    ) -> Result<VerifiedUpstream, BuildError> {
        let origin = upstream.url.origin();
        let key = (origin.clone(), trust.name.clone());
        let mut shared = match self.channels.remove(&key) {
            Some(shared) => shared,
            None => SharedChannel {
                channel: self.channel(&origin, trust)?,
                enclaves: HashMap::new(),
            },
        };
        // Rendered for this origin, whose `Host` is the channel's.
        let host = shared.channel.origin().authority().clone();
        let target = Target::with_host(upstream, model_id, host)?;
        let enclave = match shared.enclaves.get(&upstream.name) {
            Some(enclave) => Arc::clone(enclave),
            None => {
                let enclave = Enclave::new(
                    upstream.name.clone(),
                    Arc::clone(&shared.channel),
                    Arc::clone(&self.ledger),
                    Arc::clone(&self.metrics),
                    Arc::clone(&self.clock),
                );
                let name = upstream.name.clone();
                shared.enclaves.insert(name, Arc::clone(&enclave));
                enclave
            }
        };
        self.channels.insert(key, shared);
        Ok(VerifiedUpstream { target, enclave })
    }

    pub fn local(&self, upstream: &Upstream, model_id: &Name) -> Result<LocalEngine, BuildError> {
        Ok(LocalEngine::new(
            upstream,
            model_id,
            self.timeouts,
            Arc::clone(&self.tcp),
        )?)
    }

    pub fn plain(&self, upstream: &Upstream, model_id: &Name) -> Result<PlainUpstream, BuildError> {
        Ok(PlainUpstream::new(
            upstream,
            model_id,
            self.timeouts,
            Arc::clone(&self.tcp),
            &self.web_pki,
        )?)
    }

    /// The enclaves built so far, and the tasks that keep them verified, one for each channel. The first verifications
    /// start at once, in the background; needs a running executor.
    pub fn finish(self) -> (Vec<Arc<Enclave>>, Vec<OwnedTask>) {
        let (mut all, mut tasks) = (Vec::new(), Vec::new());
        for SharedChannel { channel, enclaves } in self.channels.into_values() {
            let enclaves: Vec<_> = enclaves.into_values().collect();
            all.extend(enclaves.iter().cloned());
            let clock = Arc::clone(&self.clock);
            tasks.push(OwnedTask::spawn(keep_verified(channel, enclaves, clock)));
        }
        (all, tasks)
    }

    fn channel(
        &self,
        origin: &str,
        trust: &NamedTrust,
    ) -> Result<Arc<AttestedChannel>, BuildError> {
        let timeouts = attest_channel::Timeouts {
            connect: self.timeouts.connect,
            report: self.timeouts.report,
            idle_pool: self.timeouts.pool_idle,
        };
        let (trust, clock) = (Arc::clone(&trust.trust), Arc::clone(&self.clock));
        Ok(AttestedChannel::with_tcp(
            Origin::parse(origin)?,
            trust,
            timeouts,
            Limits::default(),
            clock,
            Arc::clone(&self.tcp),
        ))
    }
}
