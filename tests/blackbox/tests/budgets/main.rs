//! Prices and cost.

mod cost;
mod support;
