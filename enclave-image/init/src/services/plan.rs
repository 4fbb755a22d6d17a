//! `/etc/services` of the verified root: what is started, as whom, in which order. The keys are in the contract.

use std::net::SocketAddr;
use std::time::Duration;

use crate::lines::{Item, Line, items};

const DEFAULT_READY: u64 = 60;
const LONGEST_READY: u64 = 3600;
const SERVICES_LIMIT: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("line {0} is not one that this PID 1 knows")]
    Unknown(usize),

    #[error("line {0} has a value that cannot be read")]
    Value(usize),

    #[error("line {0} says again what may be said once")]
    Again(usize),

    #[error("line {0} is outside of a service")]
    Outside(usize),

    #[error("the service {service} has no {key}")]
    Missing { service: String, key: &'static str },

    #[error("two services are called {0}")]
    SameName(String),

    #[error("{0} and another service may both ask for evidence")]
    Evidence(String),

    #[error("there are none, or more than {SERVICES_LIMIT}")]
    Count,

    #[error("the file is not UTF-8")]
    Text,
}

/// A program and its arguments, split at single spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Absolute.
    pub program: String,
    pub arguments: Vec<String>,
}

/// When the next service may be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    pub address: SocketAddr,
    pub within: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub name: String,
    pub user: String,
    /// Whether it may ask the hardware for evidence.
    pub evidence: bool,
    pub prepare: Vec<Command>,
    pub exec: Command,
    pub ready: Option<Ready>,
}

/// Reads the file, whole or not at all.
pub fn parse(bytes: &[u8]) -> Result<Vec<Service>, PlanError> {
    let text = std::str::from_utf8(bytes).map_err(|_| PlanError::Text)?;
    let mut services: Vec<Service> = Vec::new();
    let mut open: Option<Draft> = None;
    // A blank line after the last one closes what is still open.
    for item in items(text).chain([Item::Blank]) {
        match (item, &mut open) {
            (Item::Blank, _) => services.extend(open.take().map(Draft::finish).transpose()?),
            (Item::Line(line), Some(draft)) => draft.take(line)?,
            (Item::Line(line), None) => open = Some(Draft::begin(line)?),
        }
    }
    for (index, service) in services.iter().enumerate() {
        if services[..index]
            .iter()
            .any(|before| before.name == service.name)
        {
            return Err(PlanError::SameName(service.name.clone()));
        }
        if service.evidence && services[..index].iter().any(|before| before.evidence) {
            return Err(PlanError::Evidence(service.name.clone()));
        }
    }
    if !(1..=SERVICES_LIMIT).contains(&services.len()) {
        return Err(PlanError::Count);
    }
    Ok(services)
}

#[derive(Default)]
struct Draft {
    name: String,
    user: Option<String>,
    evidence: Option<bool>,
    prepare: Vec<Command>,
    exec: Option<Command>,
    ready: Option<SocketAddr>,
    within: Option<u64>,
}

impl Draft {
    fn begin(line: Line<'_>) -> Result<Self, PlanError> {
        if line.key != "service" {
            return Err(PlanError::Outside(line.number));
        }
        if !is_name(line.value) {
            return Err(PlanError::Value(line.number));
        }
        Ok(Self {
            name: line.value.to_owned(),
            ..Self::default()
        })
    }

    fn take(&mut self, line: Line<'_>) -> Result<(), PlanError> {
        let Line { number, key, value } = line;
        let bad = PlanError::Value(number);
        let again = match key {
            "user" => set(
                &mut self.user,
                is_name(value).then(|| value.to_owned()),
                bad,
            )?,
            "evidence" => set(&mut self.evidence, (value == "yes").then_some(true), bad)?,
            "prepare" => {
                self.prepare.push(command(value).ok_or(bad)?);
                false
            }
            "exec" => set(&mut self.exec, command(value), bad)?,
            "ready" => {
                let address = value
                    .strip_prefix("tcp ")
                    .and_then(|text| text.parse().ok());
                set(&mut self.ready, address, bad)?
            }
            "ready-seconds" => set(&mut self.within, seconds(value), bad)?,
            // The blank line between two services is missing.
            "service" => true,
            _ => return Err(PlanError::Unknown(number)),
        };
        if again {
            Err(PlanError::Again(number))
        } else {
            Ok(())
        }
    }

    fn finish(self) -> Result<Service, PlanError> {
        let service = self.name.clone();
        let missing = |key| PlanError::Missing {
            service: service.clone(),
            key,
        };
        if self.within.is_some() && self.ready.is_none() {
            return Err(missing("ready"));
        }
        let within = Duration::from_secs(self.within.unwrap_or(DEFAULT_READY));
        Ok(Service {
            user: self.user.ok_or_else(|| missing("user"))?,
            exec: self.exec.ok_or_else(|| missing("exec"))?,
            evidence: self.evidence.unwrap_or(false),
            prepare: self.prepare,
            ready: self.ready.map(|address| Ready { address, within }),
            name: self.name,
        })
    }
}

/// Whether there was a value before.
fn set<T>(place: &mut Option<T>, value: Option<T>, bad: PlanError) -> Result<bool, PlanError> {
    Ok(place.replace(value.ok_or(bad)?).is_some())
}

fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=16).contains(&text.len()) && text.bytes().all(allowed)
}

fn command(text: &str) -> Option<Command> {
    let mut words = text.split(' ').map(str::to_owned);
    let program = words.next().filter(|program| program.starts_with('/'))?;
    let arguments: Vec<String> = words.collect();
    let whole = arguments
        .iter()
        .all(|word| !word.is_empty() && !word.contains('\0'));
    whole.then_some(Command { program, arguments })
}

fn seconds(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let value = digits.then(|| text.parse().ok()).flatten();
    value.filter(|seconds| (1..=LONGEST_READY).contains(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TWO: &str = "\
# first the engine
service engine
user engine
exec /usr/bin/llama-server --host 127.0.0.1 --port 8000
ready tcp 127.0.0.1:8000
ready-seconds 300

service sealgate
user sealgate
evidence yes
prepare /usr/bin/sealgate keys create /etc/sealgate/sealgate.toml --tenant demo
exec /usr/bin/sealgate serve /etc/sealgate/sealgate.toml
";

    #[test]
    fn services_are_read_in_their_order() {
        let services = parse(TWO.as_bytes()).expect("it is as the contract has it");
        let [engine, sealgate] = services.as_slice() else {
            panic!("there are two");
        };
        assert_eq!(
            (engine.name.as_str(), engine.user.as_str(), engine.evidence),
            ("engine", "engine", false)
        );
        assert_eq!(engine.exec.program, "/usr/bin/llama-server");
        assert_eq!(
            engine.exec.arguments,
            ["--host", "127.0.0.1", "--port", "8000"]
        );
        let ready = engine.ready.expect("it says when");
        assert_eq!(
            (ready.address.to_string(), ready.within.as_secs()),
            ("127.0.0.1:8000".into(), 300)
        );
        assert!(sealgate.evidence);
        assert_eq!(sealgate.prepare.len(), 1);
        assert_eq!(sealgate.ready, None);
    }

    #[test]
    fn a_line_that_is_unknown_misplaced_doubled_or_unreadable_is_refused_by_its_number() {
        for (from, to, error) in [
            ("user engine", "group engine", PlanError::Unknown(3)),
            ("user engine", "user Engine", PlanError::Value(3)),
            (
                "user engine",
                "user engine\nuser engine",
                PlanError::Again(4),
            ),
            ("user engine", "service other", PlanError::Again(3)),
            ("service engine", "user engine", PlanError::Outside(2)),
            ("service engine", "service ../x", PlanError::Value(2)),
            (
                "exec /usr/bin/llama-server",
                "exec llama-server",
                PlanError::Value(4),
            ),
            ("--host 127", "--host  127", PlanError::Value(4)),
            ("ready tcp", "ready udp", PlanError::Value(5)),
            (
                "ready tcp 127.0.0.1:8000",
                "ready tcp localhost:8000",
                PlanError::Value(5),
            ),
            ("ready-seconds 300", "ready-seconds 0", PlanError::Value(6)),
            (
                "ready-seconds 300",
                "ready-seconds 99999",
                PlanError::Value(6),
            ),
            ("evidence yes", "evidence no", PlanError::Value(10)),
            (
                "user engine",
                "user engine\nevidence yes",
                PlanError::Evidence("sealgate".into()),
            ),
            (
                "service sealgate",
                "service engine",
                PlanError::SameName("engine".into()),
            ),
        ] {
            let changed = TWO.replacen(from, to, 1);
            assert_ne!(changed, TWO);
            assert_eq!(parse(changed.as_bytes()), Err(error), "{to}");
        }
    }

    #[test]
    fn a_service_without_user_or_program_and_a_file_without_services_are_refused() {
        let missing = |key| PlanError::Missing {
            service: "engine".into(),
            key,
        };
        let without = |line: &str| parse(TWO.replacen(line, "", 1).as_bytes());
        assert_eq!(without("user engine\n"), Err(missing("user")));
        assert_eq!(
            without("exec /usr/bin/llama-server --host 127.0.0.1 --port 8000\n"),
            Err(missing("exec"))
        );
        assert_eq!(without("ready tcp 127.0.0.1:8000\n"), Err(missing("ready")));
        assert_eq!(parse(b"\n# nothing\n\n"), Err(PlanError::Count));
        assert_eq!(parse(b"\xff"), Err(PlanError::Text));
        let many: String = (0..9)
            .map(|n| format!("service s{n}\nuser a\nexec /a\n\n"))
            .collect();
        assert_eq!(parse(many.as_bytes()), Err(PlanError::Count));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "(service|user|exec|ready|prepare|evidence|tcp|/a| |\n|[a-z0-9:.]){0,60}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(text.as_bytes());
            let _ = parse(&bytes);
        }
    }
}
