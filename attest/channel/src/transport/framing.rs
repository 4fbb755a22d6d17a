//! Where a response's body ends, and which of the bytes read are its content.

use bytes::{Bytes, BytesMut};
use http_body::SizeHint;

use super::connection::ExchangeError;

/// The longest line between chunks: a size with its extensions, or a trailer.
const MAX_LINE: usize = 8 * 1024;

/// How much of the body is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes, at least one.
    Length(u64),
    Chunked(Chunk),
    /// Everything until the connection closes.
    UntilClose,
    Ended,
}

/// What comes next in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    Size,
    /// So many bytes of content, at least one.
    Data(u64),
    /// The line break after the content.
    Break,
    /// A trailer, which is dropped, or the empty line after the last one. So many bytes of them came before.
    Trailer(usize),
}

impl Framing {
    pub(super) const fn with_length(length: u64) -> Self {
        match length {
            0 => Self::Ended,
            _ => Self::Length(length),
        }
    }

    pub(super) const fn chunked() -> Self {
        Self::Chunked(Chunk::Size)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Length(length) => SizeHint::with_exact(*length),
            Self::Ended => SizeHint::with_exact(0),
            Self::Chunked(_) | Self::UntilClose => SizeHint::default(),
        }
    }

    /// The next piece of the content in `buffer`, which shares its memory. `None` if the body has ended, or if more has to
    /// be read.
    pub(super) fn take(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, ExchangeError> {
        loop {
            let (length, after) = match *self {
                Self::Ended => return Ok(None),
                Self::UntilClose => (u64::MAX, *self),
                Self::Length(length) => (length, Self::Ended),
                Self::Chunked(Chunk::Data(length)) => (length, Self::Chunked(Chunk::Break)),
                Self::Chunked(chunk) => match chunk.between(buffer)? {
                    Some(next) => {
                        *self = next;
                        continue;
                    }
                    None => return Ok(None),
                },
            };
            if buffer.is_empty() {
                return Ok(None);
            }
            let available = buffer.len() as u64;
            let taken = usize::try_from(length).map_or(buffer.len(), |n| n.min(buffer.len()));
            *self = match self {
                Self::Length(_) if length > available => Self::Length(length - available),
                Self::Chunked(_) if length > available => {
                    Self::Chunked(Chunk::Data(length - available))
                }
                _ => after,
            };
            return Ok(Some(buffer.split_to(taken).freeze()));
        }
    }
}

impl Chunk {
    /// Removes one line that is no content and returns what follows it; `None` if it is not complete.
    fn between(self, buffer: &mut BytesMut) -> Result<Option<Framing>, ExchangeError> {
        let Some(length) = buffer.iter().position(|byte| *byte == b'\n') else {
            return match buffer.len() < MAX_LINE {
                true => Ok(None),
                false => Err(ExchangeError::Framing),
            };
        };
        let line = buffer.split_to(length + 1);
        match (self, &*line) {
            (Self::Size, line) => match chunk_size(line).ok_or(ExchangeError::Framing)? {
                0 => Ok(Some(Framing::Chunked(Self::Trailer(0)))),
                size => Ok(Some(Framing::Chunked(Self::Data(size)))),
            },
            (Self::Break, b"\r\n") => Ok(Some(Framing::chunked())),
            (Self::Trailer(_), b"\r\n") => Ok(Some(Framing::Ended)),
            (Self::Trailer(before), line) if line.ends_with(b"\r\n") && before < MAX_LINE => {
                let all = before + line.len();
                Ok(Some(Framing::Chunked(Self::Trailer(all))))
            }
            _ => Err(ExchangeError::Framing),
        }
    }
}

/// The size in a line of hexadecimal digits and, perhaps, extensions.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let digits = line.find(|c: char| !c.is_ascii_hexdigit());
    let (size, rest) = line.split_at(digits.unwrap_or(line.len()));
    let rest = rest.trim_start_matches([' ', '\t']);
    let ends = rest.is_empty() || rest.starts_with(';');
    ends.then(|| u64::from_str_radix(size, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content, what is left of the bytes, and whether the body has ended; read in steps.
    fn read(
        mut framing: Framing,
        text: &[u8],
        step: usize,
    ) -> Result<(Vec<u8>, Vec<u8>, bool), ExchangeError> {
        let (mut content, mut buffer) = (Vec::new(), BytesMut::new());
        for part in text.chunks(step) {
            buffer.extend_from_slice(part);
            while let Some(piece) = framing.take(&mut buffer)? {
                assert!(!piece.is_empty());
                content.extend_from_slice(&piece);
            }
        }
        Ok((content, buffer.to_vec(), framing == Framing::Ended))
    }

    #[test]
    fn content_is_what_the_framing_says() {
        let chunked = b"3\r\nabc\r\n0A ;x=\"y\"\r\n0123456789\r\n000\r\nt: u\r\nv: w\r\n\r\nrest";
        for step in [1, 2, 3, 7, 99] {
            let expected = (b"abc0123456789".to_vec(), b"rest".to_vec(), true);
            assert_eq!(read(Framing::chunked(), chunked, step), Ok(expected));
            let expected = (b"abcd".to_vec(), b"ef".to_vec(), true);
            assert_eq!(read(Framing::with_length(4), b"abcdef", step), Ok(expected));
            let expected = (b"abcdef".to_vec(), Vec::new(), false);
            assert_eq!(
                read(Framing::with_length(7), b"abcdef", step),
                Ok(expected.clone())
            );
            assert_eq!(read(Framing::UntilClose, b"abcdef", step), Ok(expected));
        }
        let nothing = (Vec::new(), b"x".to_vec(), true);
        assert_eq!(read(Framing::with_length(0), b"x", 1), Ok(nothing));
    }

    #[test]
    fn a_body_is_not_complete_before_the_last_line_break() {
        let text = b"3\r\nabc\r\n0\r\nt: u\r\n\r\n";
        for end in 0..text.len() {
            let (_, _, ended) = read(Framing::chunked(), &text[..end], 99).expect("readable");
            assert!(!ended, "{end}");
        }
    }

    #[test]
    fn rejects_chunks_that_break_the_rules() {
        let long_size = "0".repeat(MAX_LINE);
        let long_extension = format!("1;{}", "x".repeat(MAX_LINE));
        let long_trailer = format!("0\r\nx: {}", "x".repeat(MAX_LINE));
        let many_trailers = format!("0\r\n{}", "x: y\r\n".repeat(MAX_LINE));
        for text in [
            "x\r\n",
            "\r\n",
            "-1\r\n",
            "1\n",
            "1 x\r\n",
            "1\r2\r\n",
            "10000000000000000\r\n",
            "1\r\nab\r\n",
            "1\r\na\n",
            "0\r\n\n",
            "0\r\nx: y\n",
            &long_size,
            &long_extension,
            &long_trailer,
            &many_trailers,
        ] {
            for step in [1, 99_999] {
                let read = read(Framing::chunked(), text.as_bytes(), step);
                assert_eq!(
                    read,
                    Err(ExchangeError::Framing),
                    "{}",
                    &text[..text.len().min(20)]
                );
            }
        }
    }
}
