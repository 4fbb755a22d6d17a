//! Reading policies, and what they decide.

mod boxed;
mod compiled;
mod conditions;
mod examples;
mod reading;
mod support;
