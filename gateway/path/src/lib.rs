//! The request path, in the order of a request: [`listen`] accepts connections, each of which gets one of a limited number
//! of `slots`, [`http`] maps paths to handlers, [`admit`] authenticates and limits, [`relay`] sends the prompt to an
//! upstream and its answer to the client, and [`receipt`] signs a record of it. [`flushes`] counts what a connection has
//! written.

pub mod admit;
pub mod flushes;
pub mod http;
pub mod listen;
pub mod receipt;
pub mod relay;
mod slots;
