//! The authorization of one configuration, and what it decides about a request.

use std::path::PathBuf;

use attest_core::Sha256Digest;
use gateway_base::config::Config;
use gateway_base::request::Name;

use crate::compiled::{Compiled, Verdict};
use crate::error::InvalidPolicy;
use crate::policy::Policy;
use crate::rule::Request;
use crate::rule_set::RuleSet;
use crate::served::{ServedModel, served_models};
use crate::warnings::warnings;

/// What decides about the requests of one configuration.
pub struct Authorization(Option<Active>);

struct Active {
    digest: Sha256Digest,
    compiled: Compiled,
}

/// A request that is allowed, and what decides which upstreams may serve it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permit(Option<Granted>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Granted {
    matching: RuleSet,
    /// The place of the model.
    model: usize,
    code: Name,
}

/// A request that is refused, with the code of the rule that refuses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    pub code: Name,
}

/// The policy that a configuration names cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {invalid}", .file.display())]
pub struct PolicyFileError {
    pub file: PathBuf,
    pub invalid: InvalidPolicy,
}

impl PolicyFileError {
    /// Each problem as `FILE:LINE: REASON`.
    pub fn reasons(&self) -> Vec<String> {
        let problems = self.invalid.problems().iter();
        let file = self.file.display();
        problems
            .map(|located| format!("{file}:{}: {}", located.line, located.problem))
            .collect()
    }
}

impl Authorization {
    /// Compiles the policy that a configuration names, if it names one.
    pub fn from_config(config: &Config) -> Result<Self, PolicyFileError> {
        match read(config)? {
            None => Ok(Self(None)),
            Some(policy) => Ok(Self::new(&policy, &served_models(config))),
        }
    }

    /// Compiles a policy for these models.
    pub fn new(policy: &Policy, models: &[ServedModel]) -> Self {
        Self(Some(Active {
            digest: policy.digest,
            compiled: Compiled::new(policy, models),
        }))
    }

    /// Names in the policy that nothing in the configuration has. One sentence for each.
    pub fn warnings(config: &Config) -> Vec<String> {
        match read(config) {
            Ok(Some(policy)) => warnings(&policy, config),
            // What is wrong with it is an error, not a warning.
            Ok(None) | Err(_) => Vec::new(),
        }
    }

    /// The digest of the policy, if there is one.
    pub fn digest(&self) -> Option<Sha256Digest> {
        self.0.as_ref().map(|active| active.digest)
    }

    /// Decides about a request. `usable` are the candidates, by their places, that may serve it otherwise; if none may,
    /// the decision is about all of them.
    pub fn decide(
        &self,
        request: &Request<'_>,
        usable: impl Fn(usize) -> bool,
    ) -> Result<Permit, Denied> {
        let Some(Active { compiled, .. }) = &self.0 else {
            return Ok(Permit(None));
        };
        let Some(model) = compiled.place_of(request.model) else {
            let code = compiled.code(Verdict::NotAllowed).clone();
            return Err(Denied { code });
        };
        let matching = compiled.matching(request, model);
        let all = 0..compiled.candidates(model);
        let any_usable = all.clone().any(&usable);
        let considered = all.filter(|place| !any_usable || usable(*place));
        // The code is that of the first candidate that may serve the request, or of the first rule that denies one.
        let mut denied = Verdict::NotAllowed;
        for place in considered {
            let verdict = compiled.decide(&matching, model, place);
            match (verdict, denied) {
                (Verdict::Allowed { .. }, _) => {
                    let code = compiled.code(verdict).clone();
                    return Ok(Permit(Some(Granted {
                        matching,
                        model,
                        code,
                    })));
                }
                (Verdict::DeniedByRule { rule }, Verdict::DeniedByRule { rule: earlier })
                    if rule >= earlier => {}
                (Verdict::DeniedByRule { .. }, _) => denied = verdict,
                (Verdict::NotAllowed, _) => {}
            }
        }
        let code = compiled.code(denied).clone();
        Err(Denied { code })
    }

    /// Whether a candidate of the request's model may serve it, once it is allowed. If not, the code of the rule that denies it.
    pub fn may_serve(&self, permit: &Permit, candidate: usize) -> Result<(), &Name> {
        let Some(Active { compiled, .. }) = &self.0 else {
            return Ok(());
        };
        let verdict = match &permit.0 {
            Some(granted) => compiled.decide(&granted.matching, granted.model, candidate),
            // A permit that was given without a policy allows nothing under one.
            None => Verdict::NotAllowed,
        };
        match verdict {
            Verdict::Allowed { .. } => Ok(()),
            refused => Err(compiled.code(refused)),
        }
    }
}

impl Permit {
    /// The code of the rule that allows the request; none without a policy.
    pub fn code(&self) -> Option<&Name> {
        self.0.as_ref().map(|granted| &granted.code)
    }
}

fn read(config: &Config) -> Result<Option<Policy>, PolicyFileError> {
    let Some(named) = &config.authorization.policy else {
        return Ok(None);
    };
    let policy = Policy::parse_and_try(&named.text).map_err(|invalid| PolicyFileError {
        file: named.file.clone(),
        invalid,
    })?;
    Ok(Some(policy))
}
