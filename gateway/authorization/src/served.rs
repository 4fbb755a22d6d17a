//! The models of a configuration, as rules see them.

use attest_core::Serving;
use gateway_base::config::{Config, Model};
use gateway_base::request::Name;

use crate::condition::Class;

/// What rules can be about of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub class: Class,
    pub region: Option<Name>,
}

/// A model with all its names, and its upstreams in order of preference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedModel {
    /// The id first, then the aliases.
    pub names: Vec<Name>,
    pub candidates: Vec<Candidate>,
}

impl ServedModel {
    pub fn is_called(&self, name: &str) -> bool {
        self.names.iter().any(|known| known.as_str() == name)
    }
}

/// Every model that a configuration serves, in its order.
pub fn served_models(config: &Config) -> Vec<ServedModel> {
    let models = config.models.iter();
    models
        .map(|model| served_model(model, config.server.mode))
        .collect()
}

fn served_model(model: &Model, mode: Serving) -> ServedModel {
    // As `gateway-upstream` builds its routes.
    let class = match (mode, &model.attestation) {
        (Serving::Direct, _) => Class::Local,
        (Serving::Aggregator, Some(_)) => Class::Verified,
        (Serving::Aggregator, None) => Class::Unverified,
    };
    let names = std::iter::once(&model.id).chain(&model.aliases);
    let candidates = model.upstreams.iter().map(|upstream| Candidate {
        class,
        region: upstream.region.clone(),
    });
    ServedModel {
        names: names.cloned().collect(),
        candidates: candidates.collect(),
    }
}
