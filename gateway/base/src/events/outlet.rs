//! The one way out of the process for events.
//!
//! An event travels through `tracing` as a typed value, not as text with a name: the layer takes the value out by its
//! type, which nobody else can make. A library's event, whatever its target and its fields are called, has no such
//! value and comes to nothing. Libraries' callsites are switched off altogether, so that they are not even evaluated.

use std::fmt;
use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU8, Ordering};

use tracing::field::{Field, Visit};
use tracing::subscriber::{Interest, Subscriber};
use tracing::{Metadata, event};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::Registry;

use super::{Event, Format, Level, line};
use attest_channel::Clock;
use attest_channel::SystemClock;

/// The target of our events, and of no others.
const TARGET: &str = "sealgate::events";

static FORMAT: AtomicU8 = AtomicU8::new(Format::Text as u8);
static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);

/// Who is told of events.
pub trait Listener: Send + Sync + 'static {
    fn hear(&self, event: &Event);
}

/// Opens the log on standard error, once for the process, and lets `also` listen; later calls do what [`tune`] does.
///
/// A program that has a subscriber of its own keeps it, and may add an [`Outlet`] to it.
pub fn open(format: Format, level: Level, also: Option<impl Listener>) {
    tune(format, level);
    let subscriber = Registry::default()
        .with(Outlet(Lines::to(io::stderr())))
        .with(also.map(Outlet));
    // There is one already where services share a process, as in tests.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// How lines look, and how quiet an event may be to be told, from now on.
pub fn tune(format: Format, level: Level) {
    FORMAT.store(format as u8, Ordering::Relaxed);
    LEVEL.store(level as u8, Ordering::Relaxed);
}

fn format() -> Format {
    if FORMAT.load(Ordering::Relaxed) == Format::Json as u8 {
        Format::Json
    } else {
        Format::Text
    }
}

fn is_told(level: Level) -> bool {
    level as u8 <= LEVEL.load(Ordering::Relaxed)
}

/// An event on its way through `tracing`. It poses as an error since that is the one kind of typed value that
/// `tracing` carries.
#[derive(Debug)]
struct Carried(Event);

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.record().name())
    }
}

impl std::error::Error for Carried {}

pub(super) fn hand_over(event: Event) {
    let level = event.level();
    let carried = Carried(event);
    let carried: &(dyn std::error::Error + 'static) = &carried;
    match level {
        Level::Error => event!(target: TARGET, tracing::Level::ERROR, carried),
        Level::Warn => event!(target: TARGET, tracing::Level::WARN, carried),
        Level::Info => event!(target: TARGET, tracing::Level::INFO, carried),
        Level::Debug => event!(target: TARGET, tracing::Level::DEBUG, carried),
        Level::Trace => event!(target: TARGET, tracing::Level::TRACE, carried),
    }
}

/// A layer that lets our events out to a listener, and drops everything else.
pub struct Outlet<L>(pub L);

impl<S: Subscriber, L: Listener> Layer<S> for Outlet<L> {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.target() == TARGET {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == TARGET
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        event.record(&mut Finding(&self.0));
    }
}

/// Looks among a `tracing` event's fields for one of ours, by its type.
struct Finding<'a, L>(&'a L);

impl<L: Listener> Visit for Finding<'_, L> {
    fn record_error(&mut self, _: &Field, value: &(dyn std::error::Error + 'static)) {
        if let Some(Carried(event)) = value.downcast_ref() {
            self.0.hear(event);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// The log: a line for each event that is loud enough.
pub struct Lines<W> {
    to: Mutex<W>,
}

impl<W: Write> Lines<W> {
    pub fn to(writer: W) -> Self {
        Self {
            to: Mutex::new(writer),
        }
    }
}

impl<W: Write + Send + 'static> Listener for Lines<W> {
    fn hear(&self, event: &Event) {
        if !is_told(event.level()) || !event.is_to_be_told() {
            return;
        }
        let mut line = line::render(&event.record(), SystemClock.now(), format());
        line.push('\n');
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        // A log that cannot be written to is not a reason to stop serving.
        let _ = to.write_all(line.as_bytes());
    }
}

#[cfg(test)]
mod tests;
