//! The body of an inference request.

use std::hint::black_box;

use gateway_base::request::BodyReservation;

/// A client's prompt: one owned buffer, wiped when dropped.
///
/// It has no `Debug`, `Display`, `Clone` or `Serialize`, so logging one does not compile:
///
/// ```compile_fail
/// fn print(prompt: gateway_upstream::prompt::Prompt) { println!("{prompt:?}"); }
/// ```
/// ```compile_fail
/// fn show(prompt: gateway_upstream::prompt::Prompt) { println!("{prompt}"); }
/// ```
/// ```compile_fail
/// fn copy(prompt: &gateway_upstream::prompt::Prompt) -> gateway_upstream::prompt::Prompt { prompt.clone() }
/// ```
/// ```compile_fail
/// fn serialize(prompt: &gateway_upstream::prompt::Prompt) -> String { serde_json::to_string(prompt).unwrap() }
/// ```
/// ```compile_fail
/// fn fail(prompt: gateway_upstream::prompt::Prompt) -> Box<dyn std::error::Error> { Box::new(prompt) }
/// ```
/// ```compile_fail
/// fn fail(prompt: gateway_upstream::prompt::Prompt) -> gateway_base::errors::ApiError { prompt.into() }
/// ```
/// ```compile_fail
/// fn log(prompt: gateway_upstream::prompt::Prompt) { gateway_base::events::emit(prompt.into()) }
/// ```
/// ```compile_fail
/// fn trace(prompt: gateway_upstream::prompt::Prompt) { tracing::info!(?prompt); }
/// ```
/// ```compile_fail
/// use gateway_base::metering::UsageRow;
/// fn row(prompt: gateway_upstream::prompt::Prompt, row: UsageRow) -> UsageRow {
///     UsageRow { tenant: prompt.into(), ..row }
/// }
/// ```
/// No field of a row takes it. The same lines with the types they are meant for do compile:
/// ```
/// fn fail(error: gateway_base::errors::Invalid) -> gateway_base::errors::ApiError { error.into() }
/// fn log(event: gateway_base::events::Event) { gateway_base::events::emit(event.into()) }
/// fn trace(length: usize) { tracing::info!(?length); }
/// use gateway_base::metering::UsageRow;
/// fn row(name: gateway_base::request::Name, row: UsageRow) -> UsageRow {
///     UsageRow { tenant: name.into(), ..row }
/// }
/// fn read(prompt: &gateway_upstream::prompt::Prompt) -> usize { prompt.bytes().len() }
/// ```
pub struct Prompt {
    bytes: Vec<u8>,
    /// The memory budget that it takes, released after the bytes were wiped: fields are dropped after `drop` has run.
    _reserved: Vec<BodyReservation>,
}

impl Prompt {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            _reserved: Vec::new(),
        }
    }

    /// An empty prompt with room for `capacity` bytes, filled as they arrive.
    pub fn with_capacity(capacity: usize) -> Self {
        Self::new(Vec::with_capacity(capacity))
    }

    /// Holds these reservations until the bytes are dropped.
    pub fn with_reservations(mut self, reserved: Vec<BodyReservation>) -> Self {
        self._reserved = reserved;
        self
    }

    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Makes room for `capacity` bytes in total. The bytes are moved, and their old memory is wiped.
    pub fn reserve_total(&mut self, capacity: usize) {
        if capacity > self.bytes.capacity() {
            // Not `Vec::reserve`: it frees the old memory without wiping it.
            let mut larger = Vec::with_capacity(capacity);
            larger.extend_from_slice(&self.bytes);
            wipe(&mut self.bytes);
            self.bytes = larger;
        }
    }

    /// Appends a piece.
    pub fn extend(&mut self, piece: &[u8]) {
        let needed = self.bytes.len().saturating_add(piece.len());
        if needed > self.bytes.capacity() {
            self.reserve_total(needed.max(self.bytes.capacity().saturating_mul(2)));
        }
        self.bytes.extend_from_slice(piece);
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl AsRef<[u8]> for Prompt {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Prompt {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

/// Overwrites the whole allocation: one memset, and a use of the result, so that the compiler does not remove it.
/// Volatile stores byte by byte would cost many times as much.
fn wipe(bytes: &mut Vec<u8>) {
    let capacity = bytes.capacity();
    bytes.clear();
    bytes.resize(capacity, 0);
    black_box(bytes.as_mut_slice());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_appended_in_order() {
        let mut prompt = Prompt::with_capacity(4);
        for piece in [&b"ab"[..], b"", b"cdefgh", b"i"] {
            prompt.extend(piece);
        }
        assert_eq!(prompt.bytes(), b"abcdefghi");
    }

    #[test]
    fn appending_within_the_capacity_does_not_move_the_bytes() {
        let mut prompt = Prompt::with_capacity(64);
        let before = prompt.bytes.as_ptr();
        prompt.extend(&[7; 64]);
        assert_eq!(prompt.bytes.as_ptr(), before);
    }

    #[test]
    fn wiping_leaves_zeroes_in_the_same_memory() {
        let mut bytes = b"secret".to_vec();
        bytes.reserve(100);
        let before = (bytes.as_ptr(), bytes.capacity());
        wipe(&mut bytes);
        assert_eq!((bytes.as_ptr(), bytes.len()), before);
        assert!(bytes.iter().all(|b| *b == 0));
    }
}
