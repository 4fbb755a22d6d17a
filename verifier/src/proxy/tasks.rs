//! Owner of the work that outlives a request: receipt checks. Nothing runs without an owner, and
//! a shutdown waits for what is under way.

use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

use tokio::task::JoinSet;

#[derive(Default)]
pub struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Ok(mut set) = self.0.lock() {
            while set.try_join_next().is_some() {}
            set.spawn(work);
        }
    }

    /// Waits until everything is done, but not longer than `patience`.
    pub async fn drain(&self, patience: Duration) {
        let mut set = match self.0.lock() {
            Ok(mut held) => std::mem::take(&mut *held),
            Err(_) => return,
        };
        let all = async { while set.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(patience, all).await;
    }
}
