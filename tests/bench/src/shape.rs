//! The shapes of load that targets are measured under.

use crate::process::Precedence;

/// How many connections an ordinary load has.
const CONNECTIONS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// As fast as answers come.
    Saturated,
    /// A fixed number of requests per second.
    Rate,
    /// Streams whose chunks the engine paces.
    Stream,
    /// Streams whose chunks come as fast as they are taken.
    Burst,
    /// A TLS handshake each, and no request.
    NewConnections,
    Prompt8K,
    Prompt200K,
    OneConnection,
    ThousandConnections,
}

impl Shape {
    pub const ALL: [Shape; 9] = [
        Shape::Saturated,
        Shape::Rate,
        Shape::Stream,
        Shape::Burst,
        Shape::NewConnections,
        Shape::Prompt8K,
        Shape::Prompt200K,
        Shape::OneConnection,
        Shape::ThousandConnections,
    ];

    /// How often it is measured in a round. Between requests at a fixed rate both cores sleep, and what waking costs
    /// differs from moment to moment.
    pub const fn turns(self) -> usize {
        match self {
            Shape::Rate => 3,
            _ => 1,
        }
    }

    /// Loads that leave the cores idle in between are measured before any other work on the machine: at such a load a
    /// few delayed requests are answered together, which costs less than one after the other.
    pub const fn precedence(self) -> Precedence {
        match self {
            Shape::Rate | Shape::Stream => Precedence::RealTime,
            _ => Precedence::Usual,
        }
    }

    /// The arguments of the load, beside the target's.
    pub fn arguments(self, rate: u32) -> Vec<String> {
        let (connections, more) = match self {
            Shape::Saturated => (CONNECTIONS, Vec::new()),
            Shape::Rate => (CONNECTIONS, vec![("rate", rate.to_string())]),
            Shape::Stream => (8, vec![chunks(200), ("pause-us", "5000".to_owned())]),
            Shape::Burst => (8, vec![chunks(400)]),
            Shape::NewConnections => (16, vec![("connect-only", "true".to_owned())]),
            Shape::Prompt8K => (CONNECTIONS, vec![prompt(8)]),
            Shape::Prompt200K => (16, vec![prompt(200)]),
            Shape::OneConnection => (1, Vec::new()),
            Shape::ThousandConnections => (1000, Vec::new()),
        };
        let connections = ("connections", connections.to_string());
        std::iter::once(connections)
            .chain(more)
            .flat_map(|(name, value)| [format!("--{name}"), value])
            .collect()
    }
}

fn chunks(number: u32) -> (&'static str, String) {
    ("chunks", number.to_string())
}

fn prompt(kib: usize) -> (&'static str, String) {
    ("prompt-bytes", (kib << 10).to_string())
}
