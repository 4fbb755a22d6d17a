//! The protocol on the socket pair: a line with a name, and for each a line of answer that begins with the name.

use std::net::SocketAddr;

use crate::LookupError;

pub type Answer = Result<Vec<SocketAddr>, LookupError>;

/// The longest name of the DNS, with a final dot.
const MAX_NAME: usize = 254;
/// More than answers usually have; further addresses are dropped.
const MAX_ADDRESSES: usize = 64;
const MAX_MESSAGE: usize = 200;

/// Whether `host` may be looked up: printable ASCII without spaces, so that it is one word of a line.
pub fn is_name(host: &str) -> bool {
    let length = 1..=MAX_NAME;
    length.contains(&host.len()) && host.bytes().all(|byte| byte.is_ascii_graphic())
}

/// `NAME ADDRESS…`, or `NAME ! MESSAGE`.
pub fn answer_line(host: &str, answer: &Answer) -> String {
    let mut line = host.to_owned();
    match answer {
        Ok(found) => {
            for address in found.iter().take(MAX_ADDRESSES) {
                line.push(' ');
                line.push_str(&address.to_string());
            }
        }
        Err(error) => {
            line.push_str(" ! ");
            let message = error.to_string();
            line.extend(
                message
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(MAX_MESSAGE),
            );
        }
    }
    line.push('\n');
    line
}

/// `None` for a line that the helper does not write.
pub fn parse_answer(line: &str) -> Option<(&str, Answer)> {
    let (host, rest) = match line.split_once(' ') {
        Some((host, rest)) => (host, rest),
        None => (line, ""),
    };
    if let Some(message) = rest.strip_prefix("! ") {
        return Some((host, Err(LookupError::Failed(message.to_owned()))));
    }
    let addresses = rest.split_whitespace().map(str::parse);
    let addresses: Result<Vec<SocketAddr>, _> = addresses.collect();
    Some((host, Ok(addresses.ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_a_written_answer() {
        let addresses = ["192.0.2.7:0", "[2001:db8::1]:0", "[fe80::1%3]:0"];
        let addresses = addresses.map(|text| text.parse().expect("an address"));
        let failed = LookupError::Failed("Name or service not known".to_owned());
        for answer in [Ok(addresses.to_vec()), Ok(Vec::new()), Err(failed)] {
            let line = answer_line("engine.example", &answer);
            let line = line.strip_suffix('\n').expect("a line");
            assert_eq!(parse_answer(line), Some(("engine.example", answer)));
        }
        assert_eq!(parse_answer("engine.example nonsense"), None);
    }

    #[test]
    fn an_answer_is_one_line() {
        let failed = LookupError::Failed("two\nlines".to_owned());
        assert_eq!(answer_line("a", &Err(failed)), "a ! twolines\n");
    }
}
