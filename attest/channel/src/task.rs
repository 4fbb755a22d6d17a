//! Background tasks with an owner.

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// A task that is aborted when this value is dropped, so that no task outlives what it works for.
pub struct OwnedTask(JoinHandle<()>);

impl OwnedTask {
    /// Spawns on the runtime of the caller.
    pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::spawn_on(&Handle::current(), task)
    }

    /// Spawns on `runtime`, for callers that may run outside of one.
    pub(crate) fn spawn_on(
        runtime: &Handle,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        OwnedTask(runtime.spawn(task))
    }
}

impl Drop for OwnedTask {
    fn drop(&mut self) {
        // Takes effect at the task's next await; what the task owns is dropped then.
        self.0.abort();
    }
}
