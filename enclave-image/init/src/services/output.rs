//! What services print, line by line onto the console.

use std::io::{BufRead, BufReader, Read};
use std::thread;

use crate::console::{LINE_LIMIT, printable, say};

/// Passes lines on until the other end is closed.
pub fn forward(name: &str, from: impl Read + Send + 'static) {
    let name = name.to_owned();
    thread::spawn(move || {
        each_line(from, |line| {
            say(format_args!("{name}: {}", printable(line)))
        });
    });
}

/// Calls `each` with every line, cut to what is shown; memory stays bounded whatever comes.
fn each_line(from: impl Read, mut each: impl FnMut(&[u8])) {
    let mut reader = BufReader::with_capacity(LINE_LIMIT, from);
    let mut line = Vec::with_capacity(LINE_LIMIT);
    loop {
        let chunk = match reader.fill_buf() {
            Ok([]) | Err(_) => break,
            Ok(chunk) => chunk,
        };
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        // What exceeds the limit is read and dropped, not left in the pipe: a full pipe would block the service.
        let room = LINE_LIMIT - line.len();
        line.extend_from_slice(&part[..part.len().min(room)]);
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            each(&line);
            line.clear();
        }
    }
    if !line.is_empty() {
        each(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        each_line(bytes, |line| found.push(line.to_vec()));
        found
    }

    #[test]
    fn lines_come_one_by_one_and_the_last_needs_no_end() {
        assert_eq!(
            lines(b"a\n\nbc"),
            [b"a".to_vec(), b"".to_vec(), b"bc".to_vec()]
        );
        assert_eq!(lines(b""), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn an_endless_output_line_is_cut_at_the_limit() {
        let mut bytes = vec![b'x'; 1_000_000];
        bytes.extend_from_slice(b"\nshort\n");
        let found = lines(&bytes);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].len(), LINE_LIMIT);
        assert_eq!(found[1], b"short");
    }
}
