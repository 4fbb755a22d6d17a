//! The fake engine as a program: `demo-engine [HOST:PORT]`.

use std::net::SocketAddr;

use anyhow::Context;

use testkit::engine::Engine;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address: SocketAddr = match std::env::args().nth(1) {
        Some(address) => address.parse().context("usage: demo-engine [HOST:PORT]")?,
        None => SocketAddr::from(([127, 0, 0, 1], 8000)),
    };
    let engine = Engine::start_on(address).await.context("cannot listen")?;
    println!("listening {}", engine.base_url());
    tokio::select! {
        ended = engine.serve() => ended.context("the engine stopped"),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}
