//! Telling connections to finish, and knowing when they have.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// All connections of the service: how many there may be, and whether they are to end.
#[derive(Clone)]
pub struct Connections {
    places: Arc<Semaphore>,
    limit: u32,
    stop: watch::Sender<bool>,
}

impl Connections {
    pub fn new(limit: usize) -> Self {
        let limit = u32::try_from(limit)
            .unwrap_or(u32::MAX)
            .min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        Self {
            places: Arc::new(Semaphore::new(limit as usize)),
            limit,
            stop: watch::Sender::new(false),
        }
    }

    /// Waits for room for one more.
    pub async fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().acquire_owned().await.ok()
    }

    /// Turns true when connections are to finish.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Asks all connections to finish and waits until they have, or for `patience`. Says how many had not.
    pub async fn drain(&self, patience: Duration) -> u64 {
        self.stop.send_replace(true);
        let all = self.places.acquire_many(self.limit);
        match tokio::time::timeout(patience, all).await {
            Ok(_) => 0,
            Err(_) => u64::from(self.limit).saturating_sub(self.places.available_permits() as u64),
        }
    }
}
