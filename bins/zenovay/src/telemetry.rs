//! Logs and metrics.
//!
//! The log goes to stderr, one event a line. Whatever a value contains, a line stays one line, so nobody can write
//! entries of their own into it. A panic is logged by its place alone: its message may quote what a client sent.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use zenovay_domain::{Clock, Dimension, SystemClock};
use zenovay_events::{EventStore, Observer};
use zenovay_redis::AwayReason;

use crate::alerts::{self, AlertKind, Channel};
use crate::bucket;
use crate::config::LogFormat;
use crate::http::long_questions;
use crate::outages::Dependency;
use crate::process_figures;

/// What is written at `level`: who took data out of the server always is. A client of `/mcp` that asks wrongly is told so, which its
/// library calls a warning and is none to whoever runs a server.
fn directives(level: Level) -> String {
    let of_clients = if level >= Level::DEBUG { level } else { Level::ERROR };
    format!("{level},audit=info,actix_server={},rmcp={of_clients}", level.min(Level::WARN))
}

/// Starts the log. Later calls in the same process change nothing.
pub fn start_log(format: LogFormat, level: Level) {
    // What actix says about its threads at `info` helps nobody who runs a server.
    let filter = EnvFilter::new(directives(level));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(OneLine)
        .with_target(false)
        .with_ansi(false)
        // A line that cannot be written is lost. Otherwise that would be told to the same place, where it panics.
        .log_internal_errors(false);
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

/// The same for each route, of which there are many: fewer lines of the page.
pub(crate) const ROUTE_SECONDS: &[f64; 11] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// The metrics of this process, for `/metrics`.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    data_dir: PathBuf,
}

impl Metrics {
    /// The recorder of the process, installed by the first call, and the disk of the directory `data_dir`.
    ///
    /// # Panics
    /// When something else has installed a recorder.
    #[expect(clippy::expect_used, reason = "see Panics: a second recorder is a mistake in the program")]
    pub fn install(data_dir: &Path) -> Self {
        static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
        let handle = HANDLE.get_or_init(|| {
            let handle = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
                .and_then(|builder| {
                    let of_routes = Matcher::Full("zenovay_http_request_duration_seconds".to_owned());
                    builder.set_buckets_for_metric(of_routes, ROUTE_SECONDS)
                })
                .and_then(PrometheusBuilder::install_recorder)
                .expect("no other recorder is installed and the buckets are not empty");
            begin();
            handle
        });
        Self { handle: handle.clone(), data_dir: data_dir.to_owned() }
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
        // There are some from the start, wherever events are.
        let delivery = stats.delivery.unwrap_or_default();
        let waits_ms = delivery.oldest.map_or(0, |oldest| SystemClock.now().millis_since(oldest).max(0));
        let is_reachable = stats.delivery.is_none_or(|delivery| delivery.is_reachable);
        metrics::gauge!("zenovay_spool_batches").set(delivery.batches as f64);
        metrics::gauge!("zenovay_spool_bytes").set(delivery.bytes as f64);
        metrics::gauge!("zenovay_spool_bytes_max").set(delivery.bytes_max as f64);
        metrics::gauge!("zenovay_spool_age_seconds").set(waits_ms as f64 / 1_000.0);
        metrics::gauge!("zenovay_clickhouse_reachable").set(if is_reachable { 1.0 } else { 0.0 });
        process_figures::report();
        process_figures::report_disk(&self.data_dir);
        self.handle.render()
    }

    /// How many tracking requests and batch rows ended with `outcome` and `reason` since the start of the process, as the page
    /// has it.
    pub fn ingest_outcomes(&self) -> Vec<IngestOutcomes> {
        let page = self.handle.render();
        page.lines().filter_map(|line| IngestOutcomes::of(&Sample::read(line)?)).collect()
    }

    /// Moves samples into their buckets. Called now and then, so that memory does not grow while nobody reads.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

/// How many tracking requests and batch rows ended in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestOutcomes {
    /// `stored`, `dropped` or `refused`.
    pub outcome: String,
    /// Why; empty where they were stored.
    pub reason: String,
    /// How many.
    pub count: u64,
}

impl IngestOutcomes {
    fn of(sample: &Sample<'_>) -> Option<Self> {
        let label = |name| sample.label(name).map(str::to_owned);
        let is_it = sample.name == "zenovay_ingest_outcomes_total";
        is_it.then_some(Self {
            outcome: label("outcome")?,
            reason: label("reason")?,
            count: sample.value.parse().ok()?,
        })
    }
}

/// A line of the page of metrics that has a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample<'a> {
    /// The name of the metric; of a histogram with what the line is of it.
    pub(crate) name: &'a str,
    labels: &'a str,
    /// The number, as it is written.
    pub(crate) value: &'a str,
}

impl<'a> Sample<'a> {
    /// Reads a line; `None` for comments and empty lines.
    pub(crate) fn read(line: &'a str) -> Option<Self> {
        let (what, value) = line.trim().rsplit_once(' ').filter(|_| !line.starts_with('#'))?;
        let (name, labels) = match what.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}')?),
            None => (what, ""),
        };
        Some(Self { name, labels, value })
    }

    /// The value of the label `name`. No value of a label has a comma or a quote in it.
    pub(crate) fn label(&self, name: &str) -> Option<&'a str> {
        let mut labels = self.labels.split(',').filter_map(|label| label.split_once('='));
        labels.find(|(label, _)| *label == name).map(|(_, value)| value.trim_matches('"'))
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

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows.
    Counter,
    /// A figure of the moment.
    Gauge,
    /// Durations in seconds.
    Histogram,
}

/// Every metric of the server: its name, what it is, and one sentence. `docs/operations.md` explains each. A counter or
/// histogram that has no labels exists from the start, with zero; those with labels are begun where their labels are
/// known, when the recorder is installed.
pub const METRICS: &[(&str, MetricKind, &str)] = &[
    (
        "zenovay_ingest_outcomes_total",
        MetricKind::Counter,
        "Tracking requests and batch rows by outcome (stored, dropped, refused) and reason; each is counted once.",
    ),
    (
        "zenovay_ingest_mended_total",
        MetricKind::Counter,
        "Events that are stored although something in them was cut, replaced or left out, by what it was.",
    ),
    (
        "zenovay_ingest_clock_corrected_total",
        MetricKind::Counter,
        "Events whose own time was not believed: the arrival time stands.",
    ),
    ("zenovay_committed_events_total", MetricKind::Counter, "Events and heartbeats made durable."),
    (
        "zenovay_exports_total",
        MetricKind::Counter,
        "Manifests and parts of exports that were answered, by kind: with traits of people, or events without them.",
    ),
    (
        "zenovay_folded_strings_total",
        MetricKind::Counter,
        "Strings stored as (other) because their column had too many different ones that day, by column.",
    ),
    ("zenovay_commit_duration_seconds", MetricKind::Histogram, "Time of one commit of the event log."),
    ("zenovay_seal_duration_seconds", MetricKind::Histogram, "Time to write recent events into a segment file."),
    ("zenovay_merge_duration_seconds", MetricKind::Histogram, "Time to merge segment files into one."),
    ("zenovay_query_duration_seconds", MetricKind::Histogram, "Time of one query of the event store, by kind."),
    (
        "zenovay_long_questions_total",
        MetricKind::Counter,
        "Questions of the console that were not answered at once, by how they ended.",
    ),
    (
        "zenovay_long_questions",
        MetricKind::Gauge,
        "Questions of the console that go on without their request, or whose answer waits.",
    ),
    (
        "zenovay_slow_questions_total",
        MetricKind::Counter,
        "Questions of the event store that took longer than half a second, their wait for a turn included.",
    ),
    ("zenovay_long_answer_bytes", MetricKind::Gauge, "Size of the answers that wait to be fetched, in bytes."),
    (
        "zenovay_access_refusals_total",
        MetricKind::Counter,
        "Requests that were not let in by a route that asks who is calling, by reason.",
    ),
    ("zenovay_sign_ins_total", MetricKind::Counter, "Tries to sign in, by outcome."),
    ("zenovay_oauth_exchanges_total", MetricKind::Counter, "Requests of MCP clients for tokens, by outcome."),
    (
        "zenovay_oauth_client_documents_total",
        MetricKind::Counter,
        "Metadata documents of MCP clients that were asked for, by outcome.",
    ),
    ("zenovay_limit_refusals_total", MetricKind::Counter, "Requests refused by a limit, by limit."),
    (
        "zenovay_limit_unavailable_total",
        MetricKind::Counter,
        "Requests refused because a limit could not be checked, by limit.",
    ),
    (
        "zenovay_outage_refusals_total",
        MetricKind::Counter,
        "Requests refused because the metadata or the events could not be asked, by dependency.",
    ),
    (
        "zenovay_redis_available",
        MetricKind::Gauge,
        "0 while Redis is away and each server goes by its part of the limits, otherwise 1.",
    ),
    ("zenovay_redis_losses_total", MetricKind::Counter, "How often Redis was found to be of no use, by reason."),
    ("zenovay_redis_servers", MetricKind::Gauge, "How many servers count their limits together."),
    (
        "zenovay_redis_parts",
        MetricKind::Gauge,
        "Of each limit this server has one part of so many while Redis is away; 0 for none.",
    ),
    ("zenovay_leads", MetricKind::Gauge, "1 when this server does what one of several does, otherwise 0."),
    (
        "zenovay_http_refusals_total",
        MetricKind::Counter,
        "Connections ended by what the client did or did not do, by reason; they are not requests.",
    ),
    ("zenovay_open_connections", MetricKind::Gauge, "Connections of the main address."),
    ("zenovay_http_requests_total", MetricKind::Counter, "Requests by route pattern and class of status."),
    ("zenovay_http_request_duration_seconds", MetricKind::Histogram, "Time of a request by route pattern."),
    (
        "zenovay_clock_trusted",
        MetricKind::Gauge,
        "1 while the clock is believed, otherwise 0: nothing is hidden or removed then.",
    ),
    (
        "zenovay_clock_doubts_total",
        MetricKind::Counter,
        "Times that the clock was not believed, because it stepped or was far off at the start.",
    ),
    (
        "zenovay_retention_hidden_rows_total",
        MetricKind::Counter,
        "Events and heartbeats hidden because the plan keeps them no longer.",
    ),
    (
        "zenovay_retention_shown_rows_total",
        MetricKind::Counter,
        "Hidden events and heartbeats shown again because more is kept.",
    ),
    ("zenovay_retention_removed_rows_total", MetricKind::Counter, "Hidden events and heartbeats removed for good."),
    (
        "zenovay_retention_large_removals_total",
        MetricKind::Counter,
        "Removals that waited for a day because they were more than a tenth of a website.",
    ),
    (
        "zenovay_replay_bucket_requests_total",
        MetricKind::Counter,
        "Requests to the bucket of recordings by operation and outcome.",
    ),
    ("zenovay_replay_waiting_bytes", MetricKind::Gauge, "Size of the chunks of recordings that are in no object yet."),
    ("zenovay_replays_merged_total", MetricKind::Counter, "Recordings whose chunks became one object."),
    ("zenovay_visitor_erasures_total", MetricKind::Counter, "Visitors erased on request."),
    ("zenovay_visitor_exports_total", MetricKind::Counter, "Visitors exported on request."),
    ("zenovay_backups_total", MetricKind::Counter, "Backups that were made or failed, by outcome."),
    ("zenovay_backup_duration_seconds", MetricKind::Histogram, "Time to make a backup."),
    (
        "zenovay_backup_copied_bytes_total",
        MetricKind::Counter,
        "Bytes copied for backups; what earlier backups have is not copied again.",
    ),
    (
        "zenovay_last_backup_timestamp_seconds",
        MetricKind::Gauge,
        "When the newest backup was made, in seconds since 1970; 0 when none is known.",
    ),
    ("zenovay_alerts", MetricKind::Gauge, "Alerts that go on, by kind."),
    (
        "zenovay_alert_deliveries_total",
        MetricKind::Counter,
        "Alerts and tests that were sent to somebody, by channel and outcome.",
    ),
    ("zenovay_write_queue_depth", MetricKind::Gauge, "Appends that wait for the writer."),
    ("zenovay_head_rows", MetricKind::Gauge, "Events and heartbeats in memory that are not in a segment file yet."),
    ("zenovay_segments", MetricKind::Gauge, "Segment files."),
    ("zenovay_segment_rows", MetricKind::Gauge, "Rows in segment files."),
    ("zenovay_segment_bytes", MetricKind::Gauge, "Size of the segment files in bytes."),
    ("zenovay_damaged_segments", MetricKind::Gauge, "Segment files that are known to be damaged."),
    ("zenovay_cache_bytes", MetricKind::Gauge, "Decoded columns held in memory, in bytes."),
    ("zenovay_spool_batches", MetricKind::Gauge, "Batches of events that wait to be delivered to ClickHouse."),
    ("zenovay_spool_bytes", MetricKind::Gauge, "Size of what waits for ClickHouse, and of idempotency keys, in bytes."),
    ("zenovay_spool_bytes_max", MetricKind::Gauge, "The setting spool_bytes: with so much, events are refused."),
    ("zenovay_spool_age_seconds", MetricKind::Gauge, "How long the oldest event waits for ClickHouse, in seconds."),
    (
        "zenovay_clickhouse_reachable",
        MetricKind::Gauge,
        "1 when ClickHouse took what it was sent last, or events are not there, otherwise 0.",
    ),
    ("zenovay_writable", MetricKind::Gauge, "1 when events can be stored now, otherwise 0."),
    (
        "zenovay_disk_free_bytes",
        MetricKind::Gauge,
        "Space left for the server on the disk of the data directory, in bytes.",
    ),
    ("zenovay_disk_size_bytes", MetricKind::Gauge, "Size of the disk of the data directory, in bytes."),
    ("zenovay_build_info", MetricKind::Gauge, "1, with the version of the program as a label."),
    ("process_resident_memory_bytes", MetricKind::Gauge, "Memory that the process occupies, in bytes."),
    ("process_virtual_memory_bytes", MetricKind::Gauge, "Address space of the process, in bytes."),
    ("process_cpu_seconds_total", MetricKind::Counter, "Processor time that the process took, in whole seconds."),
    ("process_start_time_seconds", MetricKind::Gauge, "When the process started, in seconds since 1970."),
    ("process_open_fds", MetricKind::Gauge, "Files, sockets and pipes that the process has open."),
    ("process_max_fds", MetricKind::Gauge, "How many it may have open."),
    ("process_threads", MetricKind::Gauge, "Threads of the process."),
];

/// Describes every metric and begins those whose labels are known, so that each is on the page from the start: an alert on
/// the first increase of a counter needs the zero before it.
fn begin() {
    for &(name, kind, help) in METRICS {
        let has_labels = LABELLED.contains(&name);
        match kind {
            MetricKind::Counter => {
                describe_counter!(name, help);
                if !has_labels {
                    metrics::counter!(name).absolute(0);
                }
            }
            MetricKind::Gauge => describe_gauge!(name, help),
            MetricKind::Histogram => {
                describe_histogram!(name, Unit::Seconds, help);
                if !has_labels {
                    let _ = metrics::histogram!(name);
                }
            }
        }
    }
    for column in Dimension::ALL {
        metrics::counter!("zenovay_folded_strings_total", "column" => column.as_str()).absolute(0);
    }
    for limit in Limit::ALL {
        limit.refusals().absolute(0);
        limit.failures().absolute(0);
    }
    for ending in Ending::ALL {
        ending.counter().absolute(0);
    }
    for end in long_questions::ends() {
        metrics::counter!("zenovay_long_questions_total", "end" => end).absolute(0);
    }
    for operation in bucket::OPERATIONS {
        for outcome in bucket::OUTCOMES {
            bucket::requests(operation, outcome).absolute(0);
        }
    }
    for gauge in ["zenovay_long_questions", "zenovay_long_answer_bytes", "zenovay_replay_waiting_bytes"] {
        metrics::gauge!(gauge).set(0.0);
    }
    for dependency in Dependency::ALL {
        dependency.refusals().absolute(0);
    }
    for gauge in ["zenovay_redis_available", "zenovay_redis_servers", "zenovay_redis_parts", "zenovay_leads"] {
        metrics::gauge!(gauge).set(1.0);
    }
    for reason in AwayReason::ALL {
        metrics::counter!("zenovay_redis_losses_total", "reason" => reason.as_str()).absolute(0);
    }
    for outcome in ["made", "failed"] {
        metrics::counter!("zenovay_backups_total", "outcome" => outcome).absolute(0);
    }
    metrics::gauge!("zenovay_last_backup_timestamp_seconds").set(0.0);
    for kind in AlertKind::ALL {
        metrics::gauge!("zenovay_alerts", "kind" => kind.as_str()).set(0.0);
    }
    for channel in Channel::ALL {
        for outcome in alerts::OUTCOMES {
            alerts::deliveries(channel, outcome).absolute(0);
        }
    }
    for kind in QUERY_KINDS {
        let _ = metrics::histogram!("zenovay_query_duration_seconds", "kind" => kind);
    }
    // Until somebody looks.
    metrics::gauge!("zenovay_clock_trusted").set(1.0);
    metrics::gauge!("zenovay_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// The kinds of queries, as the label `kind` of `zenovay_query_duration_seconds`.
const QUERY_KINDS: [&str; 5] = ["breakdown", "live", "overview", "series", "visitors"];

/// The metrics that have labels.
const LABELLED: &[&str] = &[
    "zenovay_alert_deliveries_total",
    "zenovay_access_refusals_total",
    "zenovay_backups_total",
    "zenovay_exports_total",
    "zenovay_folded_strings_total",
    "zenovay_http_refusals_total",
    "zenovay_ingest_outcomes_total",
    "zenovay_ingest_mended_total",
    "zenovay_query_duration_seconds",
    "zenovay_long_questions_total",
    "zenovay_limit_refusals_total",
    "zenovay_limit_unavailable_total",
    "zenovay_http_requests_total",
    "zenovay_http_request_duration_seconds",
    "zenovay_oauth_client_documents_total",
    "zenovay_oauth_exchanges_total",
    "zenovay_outage_refusals_total",
    "zenovay_redis_losses_total",
    "zenovay_replay_bucket_requests_total",
    "zenovay_sign_ins_total",
];

/// Why a connection was ended for what its client did or did not do, as the label `reason` of
/// `zenovay_http_refusals_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// What came is not a request.
    BadHead,
    /// The head of a request was too large.
    HeadTooLarge,
    /// The head of a request took too long.
    HeadTooSlow,
    /// The chunks of a body were not valid, and nobody else answered.
    BadChunks,
    /// The address had as many connections as it may.
    TooManyConnections,
    /// The client did not take its answer.
    AnswerNotTaken,
}

impl Ending {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::BadHead,
        Self::HeadTooLarge,
        Self::HeadTooSlow,
        Self::BadChunks,
        Self::TooManyConnections,
        Self::AnswerNotTaken,
    ];

    /// The value of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadHead => "bad_head",
            Self::HeadTooLarge => "head_too_large",
            Self::HeadTooSlow => "head_too_slow",
            Self::BadChunks => "bad_chunks",
            Self::TooManyConnections => "too_many_connections",
            Self::AnswerNotTaken => "answer_not_taken",
        }
    }

    /// Counts a connection that ended so.
    pub fn happened(self) {
        self.counter().increment(1);
    }

    fn counter(self) -> metrics::Counter {
        metrics::counter!("zenovay_http_refusals_total", "reason" => self.as_str())
    }
}

/// A limit that refuses requests, as the label `limit` of `zenovay_limit_refusals_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Tracking requests per address.
    AddressTracking,
    /// Captures of one kind per address.
    AddressCapture,
    /// Captures of one kind per visit.
    SessionCapture,
    /// Captures of one kind per website.
    WebsiteCapture,
    /// Requests per address to the public endpoints.
    AddressPublic,
    /// Requests with an invalid key per address.
    AddressAuth,
    /// Programs per address that want to become known at `/mcp`.
    AddressClients,
    /// Requests for tokens of a client address.
    AddressTokens,
    /// Requests per key and minute.
    KeyMinute,
    /// Requests per key and month.
    KeyMonth,
    /// Questions of assistants per account and day.
    AssistantDay,
    /// Invitations that are mailed, per team, inviter and invited address, and hour.
    InvitationMails,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Self; 12] = [
        Self::AddressTracking,
        Self::AddressCapture,
        Self::SessionCapture,
        Self::WebsiteCapture,
        Self::AddressPublic,
        Self::AddressAuth,
        Self::AddressClients,
        Self::AddressTokens,
        Self::KeyMinute,
        Self::KeyMonth,
        Self::AssistantDay,
        Self::InvitationMails,
    ];

    /// Counts a request that this limit refused.
    pub fn refused(self) {
        self.refusals().increment(1);
    }

    /// Counts a request that was refused because this limit could not be checked.
    pub fn could_not_tell(self) {
        self.failures().increment(1);
    }

    fn refusals(self) -> metrics::Counter {
        metrics::counter!("zenovay_limit_refusals_total", "limit" => self.as_str())
    }

    fn failures(self) -> metrics::Counter {
        metrics::counter!("zenovay_limit_unavailable_total", "limit" => self.as_str())
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::AddressTracking => "address_tracking",
            Self::AddressCapture => "address_capture",
            Self::SessionCapture => "session_capture",
            Self::WebsiteCapture => "website_capture",
            Self::AddressPublic => "address_public",
            Self::AddressAuth => "address_auth",
            Self::AddressClients => "address_clients",
            Self::AddressTokens => "address_tokens",
            Self::KeyMinute => "key_minute",
            Self::KeyMonth => "key_month",
            Self::AssistantDay => "assistant_day",
            Self::InvitationMails => "invitation_mails",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_took_data_is_written_at_every_level() {
        let written = Written::default();
        let writer = written.clone();
        let log = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(directives(Level::ERROR)))
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(log, || {
            tracing::info!(target: "audit", "audit: data was exported");
            tracing::info!("something else");
        });
        let log = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(log.contains("data was exported") && !log.contains("something else"), "{log}");
    }

    /// Sabotage: write what the library of the protocol warns of.
    #[test]
    fn what_clients_ask_wrongly_is_no_warning() {
        for (level, is_written) in [(Level::WARN, false), (Level::INFO, false), (Level::DEBUG, true)] {
            let written = Written::default();
            let writer = written.clone();
            let log = tracing_subscriber::fmt()
                .with_env_filter(EnvFilter::new(directives(level)))
                .with_writer(move || writer.clone())
                .finish();
            tracing::subscriber::with_default(log, || tracing::warn!(target: "rmcp::service", "response error"));
            let log = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
            assert_eq!(log.contains("response error"), is_written, "{level}: {log}");
        }
    }

    #[test]
    fn outcomes_are_read_from_their_lines() {
        let read = |line| Some(IngestOutcomes::of(&Sample::read(line)?)?).map(|of| (of.outcome, of.reason, of.count));
        let expected = Some(("dropped".to_owned(), "bot".to_owned(), 7));
        assert_eq!(read(r#"zenovay_ingest_outcomes_total{outcome="dropped",reason="bot"} 7"#), expected);
        assert_eq!(read(r#"zenovay_ingest_outcomes_total{reason="bot",outcome="dropped"} 7"#), expected);
        assert_eq!(read(r#"zenovay_sign_ins_total{reason="bot",outcome="dropped"} 7"#), None);
        assert_eq!((read("zenovay_ingest_outcomes_total 7"), read("")), (None, None));
    }

    /// Sabotage: look for the end of the labels at the first brace.
    #[test]
    fn lines_of_the_page_are_read() {
        let route = r#"zenovay_http_requests_total{route="/e/{code}",status="2xx"} 12"#;
        let read = Sample::read(route).unwrap();
        assert_eq!((read.name, read.value), ("zenovay_http_requests_total", "12"));
        assert_eq!(
            [read.label("route"), read.label("status"), read.label("le")],
            [Some("/e/{code}"), Some("2xx"), None]
        );
        assert_eq!(
            Sample::read("zenovay_writable 1").map(|read| (read.name, read.value)),
            Some(("zenovay_writable", "1"))
        );
        assert_eq!(Sample::read("# HELP zenovay_writable 1 when events can be stored now, otherwise 0"), None);
        assert_eq!((Sample::read(""), Sample::read("x{ 1")), (None, None));
    }

    #[test]
    fn an_event_is_one_line_whatever_it_contains() {
        assert_eq!(one_line(b"a\nINFO forged\x1b[31m\r\n"), b"a\\nINFO forged\\x1b[31m\\r\n");
        assert_eq!(one_line("caf\u{e9}\n".as_bytes()), "caf\u{e9}\n".as_bytes());
        assert_eq!(one_line(b""), b"");
    }
}
