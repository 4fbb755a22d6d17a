//! Reading TOML strictly, for files whose misspelt key would be a setting or a check silently left out.
//!
//! A [`Table`] is emptied by the code that knows its keys; what is left over is [unknown](Table::unknown). Each value
//! keeps its place in the text, and [`Problems`] collects everything that is wrong instead of the first error only,
//! with the line. What a problem is called is the reader's business: policies have typed errors, the
//! configuration has sentences.
//!
//! ```
//! use strict_toml::{Problems, Table};
//! let text = "listen = \"[::]:8443\"\nlisten_backlog = 5\n";
//! let mut table = Table::parse(text).unwrap();
//! assert!(table.take("listen").is_some());
//! table.take("listen_backlogs");
//! let problems = Problems::new(text);
//! for unknown in table.unknown() {
//!     problems.add(&unknown.span, unknown.meant);
//! }
//! let found = problems.into_sorted();
//! assert_eq!((found[0].line, found[0].problem), (2, Some("listen_backlogs")));
//! ```

#![warn(unreachable_pub)]

mod problems;
mod spelling;
mod table;
mod typed;

pub use problems::{Located, Problems, line_of};
pub use spelling::nearest;
pub use table::{SyntaxError, Table, Unknown, join_key};
pub use toml::Spanned;
pub use toml::de::{DeTable, DeValue};
pub use typed::from_str;
