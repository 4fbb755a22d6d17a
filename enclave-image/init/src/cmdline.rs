//! Checks that the kernel was started with the measured command line, and parses it.
//!
//! systemd's stub takes a host's load options (QEMU's `-append`) in place of the measured `.cmdline` unless secure
//! boot is on, and may append words of add-ons, of SMBIOS strings and of a detected console. All of that changes
//! `/proc/cmdline`, and the copy in the initial file system, which is measured with it, does not change.

/// No command line of ours is longer; the kernel's limit on x86 is 2048.
const LIMIT: usize = 4096;

const BLOCKS_LIMIT: u64 = 1 << 32;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CmdlineError {
    /// The kernel was started with something else than what the image says.
    #[error("the kernel was started with another command line than the image's: {running:?}")]
    Differs { running: String },

    #[error("the command line is not UTF-8 or longer than {LIMIT} bytes")]
    Unreadable,

    #[error("the command line has no {0}")]
    Missing(&'static str),

    #[error("the command line says {0} twice")]
    Twice(String),

    #[error("{0} is not a word that this PID 1 knows")]
    Unknown(String),

    #[error("{word} cannot be read")]
    Value { word: String },
}

/// A verity device as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verity {
    pub root_hash: [u8; 32],
    /// Data blocks of 4096 bytes; the hash tree follows them.
    pub blocks: u64,
}

/// Where the configuration comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    Image,
    Disk,
}

/// Where the state directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatePlace {
    Memory,
    Disk,
}

/// The values of the words that begin with `sealgate.`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cmdline {
    pub profile: String,
    pub root: Verity,
    pub config: ConfigSource,
    pub state: StatePlace,
    pub model: Option<Verity>,
    /// A clock that shows an earlier time is refused. Unix seconds.
    pub not_before: Option<u64>,
}

/// Compares the running command line with the measured one, byte for byte, and parses it.
pub fn check(running: &[u8], measured: &[u8]) -> Result<Cmdline, CmdlineError> {
    if running != measured {
        return Err(CmdlineError::Differs {
            running: crate::console::printable(running.trim_ascii_end()),
        });
    }
    if measured.len() > LIMIT {
        return Err(CmdlineError::Unreadable);
    }
    let text = std::str::from_utf8(measured).map_err(|_| CmdlineError::Unreadable)?;
    parse(text.strip_suffix('\n').unwrap_or(text))
}

/// Parses our words; the others are the kernel's.
pub fn parse(text: &str) -> Result<Cmdline, CmdlineError> {
    let mut words = Words::default();
    for word in text.split(' ') {
        words.take(word)?;
    }
    words.finish()
}

#[derive(Default)]
struct Words<'a> {
    profile: Option<&'a str>,
    root: Option<&'a str>,
    blocks: Option<&'a str>,
    config: Option<&'a str>,
    state: Option<&'a str>,
    model: Option<&'a str>,
    not_before: Option<&'a str>,
}

impl<'a> Words<'a> {
    fn take(&mut self, word: &'a str) -> Result<(), CmdlineError> {
        let Some(ours) = word.strip_prefix("sealgate.") else {
            return Ok(());
        };
        let unknown = || CmdlineError::Unknown(word.to_owned());
        let (key, value) = ours.split_once('=').ok_or_else(unknown)?;
        let place = match key {
            "profile" => &mut self.profile,
            "root" => &mut self.root,
            "blocks" => &mut self.blocks,
            "config" => &mut self.config,
            "state" => &mut self.state,
            "model" => &mut self.model,
            "not-before" => &mut self.not_before,
            _ => return Err(unknown()),
        };
        match place.replace(value) {
            None => Ok(()),
            Some(_) => Err(CmdlineError::Twice(format!("sealgate.{key}"))),
        }
    }

    fn finish(self) -> Result<Cmdline, CmdlineError> {
        let profile = need(self.profile, "sealgate.profile")?;
        if !is_name(profile) {
            return Err(bad("sealgate.profile", profile));
        }
        let hash = need(self.root, "sealgate.root")?;
        let blocks = need(self.blocks, "sealgate.blocks")?;
        Ok(Cmdline {
            profile: profile.to_owned(),
            root: Verity {
                root_hash: hex32(hash).ok_or_else(|| bad("sealgate.root", hash))?,
                blocks: count(blocks).ok_or_else(|| bad("sealgate.blocks", blocks))?,
            },
            config: match need(self.config, "sealgate.config")? {
                "image" => ConfigSource::Image,
                "disk" => ConfigSource::Disk,
                other => return Err(bad("sealgate.config", other)),
            },
            state: match need(self.state, "sealgate.state")? {
                "none" => StatePlace::Memory,
                "disk" => StatePlace::Disk,
                other => return Err(bad("sealgate.state", other)),
            },
            model: self.model.map(model).transpose()?,
            not_before: self.not_before.map(seconds).transpose()?,
        })
    }
}

fn need<'a>(value: Option<&'a str>, name: &'static str) -> Result<&'a str, CmdlineError> {
    value.ok_or(CmdlineError::Missing(name))
}

fn bad(name: &str, value: &str) -> CmdlineError {
    CmdlineError::Value {
        word: format!("{name}={value}"),
    }
}

fn model(value: &str) -> Result<Verity, CmdlineError> {
    let read = || {
        let (hash, blocks) = value.split_once('/')?;
        Some(Verity {
            root_hash: hex32(hash)?,
            blocks: count(blocks)?,
        })
    };
    read().ok_or_else(|| bad("sealgate.model", value))
}

fn seconds(value: &str) -> Result<u64, CmdlineError> {
    decimal(value).ok_or_else(|| bad("sealgate.not-before", value))
}

fn count(value: &str) -> Option<u64> {
    decimal(value).filter(|blocks| (1..=BLOCKS_LIMIT).contains(blocks))
}

/// Digits only, no sign and no leading zero: one spelling for each number.
fn decimal(value: &str) -> Option<u64> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = value == "0" || !value.starts_with('0');
    (digits && canonical).then(|| value.parse().ok()).flatten()
}

fn is_name(value: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=16).contains(&value.len()) && value.bytes().all(allowed)
}

/// 64 lowercase hex digits.
fn hex32(text: &str) -> Option<[u8; 32]> {
    let text = text.as_bytes();
    if text.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HASH: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn good() -> String {
        format!(
            "console=ttyS0 panic=-1 lockdown=integrity sealgate.profile=gateway sealgate.root={HASH} sealgate.blocks=1234 sealgate.config=disk sealgate.state=none"
        )
    }

    #[test]
    fn reads_every_sealgate_parameter_of_the_command_line() {
        let read = parse(&good()).expect("it is as the contract has it");
        assert_eq!(read.profile, "gateway");
        assert_eq!(read.root.blocks, 1234);
        assert_eq!(read.root.root_hash[..3], [0x00, 0x11, 0x22]);
        assert_eq!(read.config, ConfigSource::Disk);
        assert_eq!(read.state, StatePlace::Memory);
        assert_eq!((read.model, read.not_before), (None, None));
        let more = format!(
            "{} sealgate.model={HASH}/7 sealgate.not-before=1790000000",
            good()
        );
        let read = parse(&more).expect("both are allowed");
        assert_eq!(read.model.expect("it is named").blocks, 7);
        assert_eq!(read.not_before, Some(1_790_000_000));
    }

    #[test]
    fn a_command_line_that_differs_in_one_byte_is_refused_and_shown() {
        let measured = format!("{}\n", good());
        assert!(check(measured.as_bytes(), measured.as_bytes()).is_ok());
        for running in [
            format!("{} single\n", good()),
            good(),
            measured.replace("integrity", "none"),
            measured.replace("panic=-1 ", "panic=-1  "),
            String::new(),
        ] {
            let error = check(running.as_bytes(), measured.as_bytes());
            assert_eq!(
                error,
                Err(CmdlineError::Differs {
                    running: running.trim_end().to_owned()
                })
            );
        }
    }

    #[test]
    fn unknown_repeated_missing_or_malformed_sealgate_parameters_are_refused() {
        let with = |word: &str| parse(&format!("{} {word}", good()));
        assert_eq!(
            with("sealgate.debug=1"),
            Err(CmdlineError::Unknown("sealgate.debug=1".into()))
        );
        assert_eq!(
            with("sealgate.root"),
            Err(CmdlineError::Unknown("sealgate.root".into()))
        );
        assert_eq!(
            with("sealgate.state=disk"),
            Err(CmdlineError::Twice("sealgate.state".into()))
        );
        for word in ["profile", "root", "blocks", "config", "state"] {
            let kept: Vec<String> = good()
                .split(' ')
                .filter(|kept| !kept.starts_with(&format!("sealgate.{word}=")))
                .map(str::to_owned)
                .collect();
            assert!(
                matches!(parse(&kept.join(" ")), Err(CmdlineError::Missing(_))),
                "{word}"
            );
        }
        for (from, to) in [
            ("blocks=1234", "blocks=01234"),
            ("blocks=1234", "blocks=+1"),
            ("blocks=1234", "blocks=0"),
            ("blocks=1234", "blocks=99999999999999999999"),
            ("blocks=1234", "blocks="),
            ("root=0011", "root=001"),
            ("root=0011", "root=00FF"),
            ("config=disk", "config=Disk"),
            ("state=none", "state="),
            ("profile=gateway", "profile=Gate way"),
        ] {
            assert!(parse(&good().replace(from, to)).is_err(), "{to}");
        }
        assert!(with(&format!("sealgate.model={HASH}")).is_err());
        assert!(with("sealgate.not-before=-1").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*", bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
            let _ = parse(&text);
            let _ = check(&bytes, &bytes);
        }

        #[test]
        fn a_command_line_with_any_flipped_bit_is_refused(index in 0usize..200, bit in 0u8..8) {
            let measured = format!("{}\n", good()).into_bytes();
            let mut running = measured.clone();
            let index = index % running.len();
            running[index] ^= 1 << bit;
            let refused = matches!(check(&running, &measured), Err(CmdlineError::Differs { .. }));
            prop_assert!(refused);
        }
    }
}
