//! Makes named checks of an image, prints each result and counts the failures.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::stage::EmulatorFailed;

/// How often a check is made when the emulator fails it.
const ATTEMPTS: u32 = 3;

pub struct Checks {
    only: Option<String>,
    began: Instant,
    passed: usize,
    failed: Vec<String>,
    left_out: usize,
}

impl Checks {
    pub fn new(only: Option<String>) -> Self {
        Self {
            only,
            began: Instant::now(),
            passed: 0,
            failed: Vec::new(),
            left_out: 0,
        }
    }

    /// Runs one; what it returns is what it has seen.
    pub fn run(&mut self, name: &str, check: impl Fn() -> Result<Vec<String>>) {
        if self
            .only
            .as_ref()
            .is_some_and(|part| !name.contains(part.as_str()))
        {
            self.left_out += 1;
            return;
        }
        let began = Instant::now();
        let mut outcome = check();
        for _ in 1..ATTEMPTS {
            match &outcome {
                Err(error) if error.is::<EmulatorFailed>() => {
                    println!("  {name}: once more, since {error:#}");
                    outcome = check();
                }
                _ => break,
            }
        }
        let seconds = began.elapsed().as_secs_f64();
        match outcome {
            Ok(seen) => {
                self.passed += 1;
                println!("✓ {name} ({seconds:.0} s)");
                for line in seen {
                    println!("    {line}");
                }
            }
            Err(error) => {
                println!("✗ {name} ({seconds:.0} s)");
                println!("    {error:#}");
                self.failed.push(name.to_owned());
            }
        }
    }

    /// The figures, on the last line.
    pub fn conclude(self) -> ExitCode {
        let left_out = match self.left_out {
            0 => String::new(),
            number => format!(", {number} left out by --only"),
        };
        println!(
            "image-boot: {} passed, {} failed{left_out}, {:.0} s",
            self.passed,
            self.failed.len(),
            self.began.elapsed().as_secs_f64()
        );
        if self.failed.is_empty() && self.passed > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
