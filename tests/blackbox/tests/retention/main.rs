//! Retention as an operator, a tenant and an auditor use it: on the command line, in files, and with the stock `age`.

mod administered;
mod content;
mod disk;
mod failing;
mod killed;
mod load;
mod names;
mod operated;
mod policies;
mod story;
mod time;
