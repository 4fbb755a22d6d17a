//! Prices and cost, budgets and credits.

mod cost;
mod limits;
mod support;
