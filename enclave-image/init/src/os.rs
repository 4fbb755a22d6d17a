//! Errors of system calls, with the operation and its object.

use std::fmt;
use std::io;
use std::path::Path;

/// What was tried, on what, and the error number of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OsError {
    pub doing: &'static str,
    pub on: String,
    /// As in `errno(3)`; 0 where the library, not the kernel, refused.
    pub errno: i32,
}

impl OsError {
    pub fn new(doing: &'static str, on: impl AsRef<Path>, error: &io::Error) -> Self {
        Self {
            doing,
            on: on.as_ref().display().to_string(),
            errno: error.raw_os_error().unwrap_or(0),
        }
    }
}

impl std::error::Error for OsError {}

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = io::Error::from_raw_os_error(self.errno);
        write!(f, "cannot {} {}: {cause}", self.doing, self.on)
    }
}

/// Says what was being done when the kernel refused.
pub trait Doing<T> {
    fn doing(self, doing: &'static str, on: impl AsRef<Path>) -> Result<T, OsError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str, on: impl AsRef<Path>) -> Result<T, OsError> {
        self.map_err(|error| OsError::new(doing, on, &error))
    }
}

impl<T> Doing<T> for rustix::io::Result<T> {
    fn doing(self, doing: &'static str, on: impl AsRef<Path>) -> Result<T, OsError> {
        self.map_err(|error| OsError::new(doing, on, &error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_what_was_tried_and_on_what() {
        let gone: Result<(), OsError> =
            Err(io::Error::from_raw_os_error(2)).doing("open", "/etc/cmdline");
        let error = gone.expect_err("it does not exist");
        assert_eq!((error.doing, error.errno), ("open", 2));
        assert!(error.to_string().starts_with("cannot open /etc/cmdline: "));
    }
}
