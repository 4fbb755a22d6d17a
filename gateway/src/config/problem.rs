//! What is wrong with a configuration, told so that it can be mended in one go.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1; absent when it concerns the file as a whole.
    pub line: Option<usize>,
    /// The key as it would be written, such as `model[2].upstream[1].url`; empty for the file as a whole.
    pub key: String,
    pub reason: String,
}

/// All that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub file: PathBuf,
    /// In the order of the file; never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.reason)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            match problem.line {
                Some(line) => write!(f, "{file}:{line}: {problem}")?,
                None => write!(f, "{file}: {problem}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
