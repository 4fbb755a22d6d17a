//! What the proxy remembers about a service that misbehaved.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use attest_channel::ChannelError;
use attest_core::Verdict;
use serde_json::Value;

use super::Proxy;
use super::answer::Refusal;

/// Set once by a receipt that contradicted an exchange; only a restart clears it.
#[derive(Default)]
pub struct Distrust(AtomicBool);

impl Distrust {
    pub fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub fn allow(&self) -> Result<(), Refusal> {
        if self.is_set() {
            Err(Refusal::Distrusted)
        } else {
            Ok(())
        }
    }
}

/// The verdict that led to the latest refusal, for whoever looks.
#[derive(Default)]
pub struct LastRejection(Mutex<Option<Value>>);

impl LastRejection {
    pub fn set(&self, verdict: &Verdict) {
        if let Ok(mut held) = self.0.lock() {
            *held = Some(verdict.to_json());
        }
    }

    pub fn get(&self) -> Option<Value> {
        self.0.lock().ok().and_then(|held| held.clone())
    }
}

impl Proxy {
    pub(super) fn note_channel_error(&self, error: &ChannelError) {
        if let ChannelError::Rejected(verdict) = error {
            self.last_rejection.set(verdict);
        }
    }
}

impl Refusal {
    pub fn not_accepted(verdict: &Verdict) -> Self {
        Self::NotAccepted {
            decision: verdict.decision().as_str(),
            failed: verdict.obstacles().map(|(check, _)| check).collect(),
        }
    }
}
