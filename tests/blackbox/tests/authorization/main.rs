//! Authorization policies: what is served and refused, through which upstreams, and which policies are not accepted.

mod commands;
mod policies;
mod requests;
mod roles;
mod support;
