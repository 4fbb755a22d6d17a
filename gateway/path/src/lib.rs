//! The request path, in the order of a request: [`listen`] accepts connections and gives each one of a limited number of
//! [`places`], [`http`] maps paths to handlers, [`admit`] authenticates and limits, [`relay`] sends the prompt to an
//! upstream and its answer back, and [`receipt`] signs what happened. [`flushes`] counts what a connection has written.

pub mod admit;
pub mod flushes;
pub mod http;
pub mod listen;
pub mod places;
pub mod receipt;
pub mod relay;
