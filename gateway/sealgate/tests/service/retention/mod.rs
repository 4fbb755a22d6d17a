//! Retention policies of a running service: who may change them, what a change affects, and what is stored of a request.

mod changes;
mod names;
mod races;
