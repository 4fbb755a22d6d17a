//! The `tracing` layer through which events leave the process.
//!
//! An event passes through `tracing` as a typed value, not as text: the layer extracts the value by its type, which is
//! private to this module. A library's event has no such value, whatever its target and fields are called, and is
//! dropped. Libraries' callsites are disabled, so that their arguments are not evaluated either.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tracing::field::{Field, Visit};
use tracing::subscriber::{Interest, Subscriber};
use tracing::{Metadata, event};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::Registry;

use super::log_writer::LogWriter;
use super::{Event, Format, Level};

/// The target of our events, and of no others.
const TARGET: &str = "sealgate::events";

/// The active format, a [`Format`] as a number. A reload changes it while other threads log: a line with the previous
/// setting does no harm, so relaxed order is enough.
static FORMAT: AtomicU8 = AtomicU8::new(Format::Text as u8);
/// The lowest level that is logged, changed and read likewise.
static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);

/// A receiver of events.
pub trait EventSink: Send + Sync + 'static {
    fn handle(&self, event: &Event);
}

/// Installs the log on standard error and the sink `also`, once for the process. Later calls only set format and level.
///
/// If the program has a `tracing` subscriber already, that one stays.
pub fn install(format: Format, level: Level, also: Option<impl EventSink>) {
    set_format_and_level(format, level);
    let log = Arc::new(LogWriter::new(io::stderr()));
    let subscriber = Registry::default()
        .with(EventLayer(log.clone()))
        .with(also.map(EventLayer));
    // Fails if there is a subscriber already: several services in one process, as in tests.
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        log.write_in_a_thread();
    }
}

/// Sets the format of log lines and the lowest level that is logged.
pub fn set_format_and_level(format: Format, level: Level) {
    FORMAT.store(format as u8, Ordering::Relaxed);
    LEVEL.store(level as u8, Ordering::Relaxed);
}

pub(super) fn format() -> Format {
    if FORMAT.load(Ordering::Relaxed) == Format::Json as u8 {
        Format::Json
    } else {
        Format::Text
    }
}

pub(super) fn is_logged(level: Level) -> bool {
    level as u8 <= LEVEL.load(Ordering::Relaxed)
}

/// An event inside a `tracing` event. It implements `Error` because that is the only kind of typed value that `tracing`
/// transports.
#[derive(Debug)]
struct TypedEvent(Event);

impl fmt::Display for TypedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.record().name())
    }
}

impl std::error::Error for TypedEvent {}

pub(super) fn dispatch(event: Event) {
    let level = event.level();
    let carried = TypedEvent(event);
    let carried: &(dyn std::error::Error + 'static) = &carried;
    match level {
        Level::Error => event!(target: TARGET, tracing::Level::ERROR, carried),
        Level::Warn => event!(target: TARGET, tracing::Level::WARN, carried),
        Level::Info => event!(target: TARGET, tracing::Level::INFO, carried),
        Level::Debug => event!(target: TARGET, tracing::Level::DEBUG, carried),
        Level::Trace => event!(target: TARGET, tracing::Level::TRACE, carried),
    }
}

/// A layer that passes our events to a sink and drops everything else.
pub(super) struct EventLayer<L>(pub L);

impl<S: Subscriber, L: EventSink> Layer<S> for EventLayer<L> {
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
        event.record(&mut FieldVisitor(&self.0));
    }
}

/// Finds our event among the fields of a `tracing` event, by its type.
struct FieldVisitor<'a, L>(&'a L);

impl<L: EventSink> Visit for FieldVisitor<'_, L> {
    fn record_error(&mut self, _: &Field, value: &(dyn std::error::Error + 'static)) {
        if let Some(TypedEvent(event)) = value.downcast_ref() {
            self.0.handle(event);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

#[cfg(test)]
pub(super) mod tests;
