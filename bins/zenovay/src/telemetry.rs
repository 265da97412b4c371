//! Logs and metrics.
//!
//! The log goes to stderr, one event a line. Whatever a value contains, a line stays one line, so nobody can write
//! entries of their own into it. A panic is logged by its place alone: its message may quote what a client sent.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use zenovay_events::{EventStore, Observer};

use crate::config::LogFormat;

/// Starts the log. Later calls in the same process change nothing.
pub fn start_log(format: LogFormat, level: Level) {
    // What actix says about its threads at `info` helps nobody who runs a server.
    let filter = EnvFilter::new(format!("{level},actix_server={}", level.min(Level::WARN)));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(OneLine).with_target(false).with_ansi(false);
    let started = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
    };
    if started.is_err() {
        return;
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        tracing::error!(place, thread = thread.name().unwrap_or("unnamed"), "panic");
    }));
}

/// Writes each event with its control characters escaped, but for the line feed at its end.
#[derive(Debug, Clone, Copy)]
struct OneLine;

impl<'a> MakeWriter<'a> for OneLine {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

impl Write for OneLine {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        // The formatter hands over a whole event at once.
        io::stderr().lock().write_all(&one_line(event))?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

fn one_line(event: &[u8]) -> Vec<u8> {
    let (body, end) = event.strip_suffix(b"\n").map_or((event, &b""[..]), |body| (body, &b"\n"[..]));
    let mut line = Vec::with_capacity(event.len());
    for &byte in body {
        if byte.is_ascii_control() {
            line.extend(byte.escape_ascii());
        } else {
            line.push(byte);
        }
    }
    line.extend_from_slice(end);
    line
}

/// From 0.1 ms, a point read, to 30 s, the longest query.
const SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.004, 0.006, 0.008, 0.012, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0, 30.0,
];

/// The metrics of this process, for `/metrics`.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// The recorder of the process; installed by the first call.
    ///
    /// # Panics
    /// When something else has installed a recorder.
    pub fn install() -> Self {
        static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
        let handle = HANDLE.get_or_init(|| {
            let handle = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
                .and_then(PrometheusBuilder::install_recorder)
                .expect("no other recorder is installed and the buckets are not empty");
            describe();
            handle
        });
        Self(handle.clone())
    }

    /// The page in Prometheus' text format, with the figures of `events` of this moment.
    pub fn render(&self, events: &dyn EventStore) -> String {
        let stats = events.stats();
        for (name, value) in [
            ("zenovay_write_queue_depth", stats.queue_depth),
            ("zenovay_head_rows", stats.head_rows),
            ("zenovay_segments", stats.segments),
            ("zenovay_segment_rows", stats.segment_rows),
            ("zenovay_segment_bytes", stats.segment_bytes),
            ("zenovay_damaged_segments", stats.damaged_segments),
            ("zenovay_cache_bytes", stats.cache_bytes),
            ("zenovay_writable", u64::from(stats.writable)),
        ] {
            metrics::gauge!(name).set(value as f64);
        }
        self.0.render()
    }

    /// Moves samples into their buckets. Called now and then, so that memory does not grow while nobody reads.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

/// Reports what the event store does.
#[derive(Debug, Clone, Copy)]
pub struct StoreObserver;

impl Observer for StoreObserver {
    fn committed(&self, events: usize, time: Duration) {
        metrics::counter!("zenovay_committed_events_total").increment(events as u64);
        metrics::histogram!("zenovay_commit_duration_seconds").record(time);
    }

    fn sealed(&self, rows: u64, time: Duration) {
        metrics::histogram!("zenovay_seal_duration_seconds").record(time);
        tracing::info!(rows, duration_ms = millis(time), "sealed");
    }

    fn merged(&self, rows: u64, time: Duration) {
        metrics::histogram!("zenovay_merge_duration_seconds").record(time);
        tracing::info!(rows, duration_ms = millis(time), "merged");
    }
}

/// Whole milliseconds, for the log.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn describe() {
    describe_counter!(
        "zenovay_ingest_outcomes_total",
        "Tracking requests and batch rows by outcome (stored, dropped, refused) and reason; each is counted once."
    );
    describe_counter!("zenovay_committed_events_total", "Events and heartbeats made durable.");
    describe_counter!(
        "zenovay_ingest_clock_corrected_total",
        "Events whose own time was not believed: the arrival time stands."
    );
    describe_counter!(
        "zenovay_folded_strings_total",
        "Strings stored as (other) because their column had too many different ones that day, by column."
    );
    describe_histogram!("zenovay_commit_duration_seconds", Unit::Seconds, "Time of one commit of the event log.");
    describe_histogram!("zenovay_seal_duration_seconds", Unit::Seconds, "Time to seal the head into a segment.");
    describe_histogram!("zenovay_merge_duration_seconds", Unit::Seconds, "Time to merge segments into one.");
    describe_histogram!(
        "zenovay_query_duration_seconds",
        Unit::Seconds,
        "Time of one query of the event store, by kind."
    );
    describe_counter!("zenovay_limit_refusals_total", "Requests refused by a limit, by limit.");
    describe_counter!("zenovay_http_requests_total", "Requests by route pattern and class of status.");
    describe_histogram!("zenovay_http_request_duration_seconds", Unit::Seconds, "Time of a request by route pattern.");
    describe_gauge!("zenovay_write_queue_depth", "Appends that wait for the writer.");
    describe_gauge!("zenovay_head_rows", "Events and heartbeats in memory, not sealed yet.");
    describe_gauge!("zenovay_segments", "Segment files.");
    describe_gauge!("zenovay_segment_rows", "Rows in segment files.");
    describe_gauge!("zenovay_segment_bytes", Unit::Bytes, "Size of the segment files.");
    describe_gauge!("zenovay_damaged_segments", "Segment files that are known to be damaged.");
    describe_gauge!("zenovay_cache_bytes", Unit::Bytes, "Decoded columns held in memory.");
    describe_gauge!("zenovay_writable", "1 when events can be stored now, otherwise 0.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_it_contains() {
        assert_eq!(one_line(b"a\nINFO forged\x1b[31m\r\n"), b"a\\nINFO forged\\x1b[31m\\r\n");
        assert_eq!(one_line("caf\u{e9}\n".as_bytes()), "caf\u{e9}\n".as_bytes());
        assert_eq!(one_line(b""), b"");
    }
}
