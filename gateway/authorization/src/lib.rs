//! Authorization: which requests are served, decided by typed rules, each with a stable code.
//!
//! A [`Policy`] is a TOML file of the operator's. A rule allows or denies, and has conditions that must all match; an
//! absent one matches everything. A rule that denies wins over every rule that allows, and where a policy is configured,
//! what no rule allows is denied. Without a policy everything is allowed that the rest of the service allows.
//!
//! Conditions on the class or region of upstreams decide for each upstream of a model whether it may serve the request. A
//! request is refused if none may.
//!
//! An [`Authorization`] is a policy that was compiled for one configuration: for each tenant, key and model the set of
//! rules about it. A decision intersects these sets; it allocates nothing. Names in decisions are the operator's.

#![warn(unreachable_pub)]

mod authorization;
mod compiled;
mod condition;
mod error;
mod example;
mod explain;
mod limits;
mod policy;
mod read;
mod rule;
mod rule_set;
mod schedule;
mod served;
mod warnings;

pub use authorization::{Authorization, Denied, Permit, PolicyFileError};
pub use condition::{Class, Condition, UserName};
pub use error::{InvalidPolicy, PolicyError};
pub use example::{Example, ExampleFailure};
pub use explain::{Explanation, RuleExplanation, explain};
pub use policy::Policy;
pub use rule::{Conditions, Effect, NO_RULE_MATCHED, Request, Rule};
pub use rule_set::MAX_RULES;
pub use schedule::{Day, Hours, Schedule};
pub use served::{Candidate, ServedModel, served_models};
