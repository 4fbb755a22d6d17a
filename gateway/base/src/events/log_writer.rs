//! Writes the log: a line for each event, in the order of the events.
//!
//! Events of single requests and connections are frequent. Their lines are queued, and a thread writes them [`DELAY`]
//! later. Every other event is written by the thread that emits it, after what is queued, before that thread
//! goes on: warnings, errors and panics are never behind. So a kill loses lines of requests of the last [`DELAY`], and no
//! others.

use std::cell::RefCell;
use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use attest_channel::{Clock, SystemClock};

use super::sink::{EventSink, format, is_logged};
use super::{Event, line};
use crate::lock::lock;

/// How long frequent events wait, so that a busy service writes many lines with one call.
const DELAY: Duration = Duration::from_millis(100);
/// The most lines that wait. More are dropped and counted: the output is blocked.
const CAPACITY: usize = 16_384;
/// A larger buffer is freed once it was written.
const KEPT_BUFFER: usize = 1024 * 1024;

thread_local! {
    /// Where a thread renders a line, so that the lock is held only to append it.
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The log on `W`. Shared by every thread that logs.
pub(super) struct LogWriter<W> {
    // Lines that wait, added by every thread. Held for single operations.
    queue: Mutex<Queue>,
    // Held while the queue is taken and written, so that lines keep their order. Taken before `queue`.
    output: Mutex<Output<W>>,
    // Set once, before the process logs its first request.
    thread: OnceLock<Thread>,
}

#[derive(Default)]
struct Queue {
    text: String,
    lines: usize,
    lost: u64,
}

struct Output<W> {
    writer: W,
    /// Exchanged with the queue's text, so that neither grows again for each batch.
    text: String,
}

impl<W: Write> LogWriter<W> {
    /// Without a thread every event is written at once.
    pub fn new(writer: W) -> Self {
        Self {
            queue: Mutex::default(),
            output: Mutex::new(Output {
                writer,
                text: String::new(),
            }),
            thread: OnceLock::new(),
        }
    }

    /// Adds an event's line. Returns whether the queue was empty before.
    fn queue(&self, event: &Event) -> bool {
        LINE.with_borrow_mut(|line| {
            line.clear();
            push_line(line, event);
            let mut queue = lock(&self.queue);
            if queue.lines >= CAPACITY {
                queue.lost += 1;
                return false;
            }
            queue.lines += 1;
            queue.text.push_str(line);
            queue.lines == 1
        })
    }

    /// Writes everything that is queued now.
    fn write_queued(&self) {
        let mut output = lock(&self.output);
        let Output { writer, text } = &mut *output;
        let lost = {
            let mut queue = lock(&self.queue);
            std::mem::swap(&mut queue.text, text);
            queue.lines = 0;
            std::mem::take(&mut queue.lost)
        };
        if lost > 0 {
            push_line(text, &Event::LogLinesLost { lines: lost });
        }
        // A failing log is no reason to stop serving.
        let _ = writer.write_all(text.as_bytes());
        match text.capacity() > KEPT_BUFFER {
            true => *text = String::new(),
            false => text.clear(),
        }
    }
}

fn push_line(text: &mut String, event: &Event) {
    line::write(text, &event.record(), SystemClock.now(), format());
    text.push('\n');
}

impl<W: Write + Send + 'static> LogWriter<W> {
    /// From now on a thread writes frequent events. If none can be started, they are written at once.
    pub fn write_in_a_thread(self: &Arc<Self>) {
        let log = self.clone();
        let writing = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || {
                loop {
                    // Woken by the first event of a batch.
                    thread::park();
                    thread::sleep(DELAY);
                    log.write_queued();
                }
            });
        if let Ok(writing) = writing {
            let _ = self.thread.set(writing.thread().clone());
        }
    }
}

impl<W: Write + Send + 'static> EventSink for Arc<LogWriter<W>> {
    fn handle(&self, event: &Event) {
        if !is_logged(event.level()) || !event.is_logged_one_by_one() {
            return;
        }
        let is_first = self.queue(event);
        match self.thread.get() {
            Some(thread) if event.is_frequent() => {
                if is_first {
                    thread.unpark();
                }
            }
            _ => self.write_queued(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Endpoint;
    use std::io;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        /// The names of the events in the log.
        fn names(&self) -> Vec<String> {
            let text = String::from_utf8(lock(&self.0).clone()).expect("text");
            let name = |line: &str| line.split(' ').nth(1).map(str::to_owned);
            text.lines().filter_map(name).collect()
        }
    }

    /// A log whose queue nothing writes but the events themselves.
    fn queueing() -> (Arc<LogWriter<Written>>, Written) {
        let written = Written::default();
        let log = Arc::new(LogWriter::new(written.clone()));
        assert!(log.thread.set(thread::current()).is_ok());
        (log, written)
    }

    fn frequent() -> Event {
        Event::RequestFinished {
            usage: Arc::new(crate::events::sink::tests::finished()),
            retention: Some(crate::metering::RowRetention::all_fields()),
        }
    }

    #[test]
    fn frequent_events_wait_until_another_event_writes_them_in_order() {
        let (log, written) = queueing();
        log.handle(&Event::Stopping);
        log.handle(&frequent());
        log.handle(&frequent());
        assert_eq!(written.names(), ["stopping"]);
        log.handle(&Event::CollateralMissing);
        let expected = [
            "stopping",
            "request_finished",
            "request_finished",
            "collateral_missing",
        ];
        assert_eq!(written.names(), expected);
    }

    #[test]
    fn a_thread_writes_frequent_events() {
        let written = Written::default();
        let log = Arc::new(LogWriter::new(written.clone()));
        log.write_in_a_thread();
        log.handle(&frequent());
        while written.names().is_empty() {
            thread::yield_now();
        }
        assert_eq!(written.names(), ["request_finished"]);
    }

    #[test]
    fn events_beyond_the_capacity_are_counted_in_the_log() {
        let (log, written) = queueing();
        for _ in 0..CAPACITY + 3 {
            log.handle(&frequent());
        }
        log.write_queued();
        let names = written.names();
        assert_eq!(names.len(), CAPACITY + 1);
        assert_eq!(names.last().map(String::as_str), Some("log_lines_lost"));
        let text = String::from_utf8(lock(&written.0).clone()).expect("text");
        assert!(
            text.ends_with("log_lines_lost lines=3\n"),
            "{}",
            names.len()
        );
    }

    #[test]
    fn an_event_that_is_not_logged_at_this_level_is_not_queued() {
        let (log, _) = queueing();
        log.handle(&Event::RequestRefused {
            endpoint: Endpoint::Chat,
            status: 401,
            kind: "authentication_error",
        });
        assert_eq!(lock(&log.queue).lines, 0);
    }
}
