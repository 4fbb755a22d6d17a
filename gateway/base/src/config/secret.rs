//! Values that must not be printed.

use std::fmt;

use zeroize::Zeroize;

/// A secret: `Debug` prints `[sensitive]`, and it is wiped when dropped.
pub struct Sensitive<T: Zeroize>(T);

impl<T: Zeroize> Sensitive<T> {
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// Returns the secret. Search for this name to find every use.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[sensitive]")
    }
}

impl<T: Zeroize> Drop for Sensitive<T> {
    fn drop(&mut self) {
        // Also wiped by the allocator when it is freed; this covers values that are part of a larger one.
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_the_secret() {
        assert_eq!(
            format!("{:?}", Sensitive::new(String::from("hunter2"))),
            "[sensitive]"
        );
    }
}
