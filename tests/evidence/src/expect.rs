//! Compares results with recorded ones and reports every difference, not only the first.

use std::fmt::Debug;

/// Differences between what was recorded and what we found.
#[derive(Default)]
pub struct Differences(Vec<String>);

impl Differences {
    pub fn equal<T: PartialEq + Debug>(&mut self, what: &str, ours: T, recorded: T) {
        if ours != recorded {
            self.0
                .push(format!("{what}: ours {ours:?}, recorded {recorded:?}"));
        }
    }

    pub fn add(&mut self, difference: String) {
        self.0.push(difference);
    }

    pub fn into_vec(self) -> Vec<String> {
        self.0
    }
}
