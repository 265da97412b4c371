//! Alerts of the few things that an operator must know of at once: a disk that is nearly full, no good backup, websites without
//! events, a clock that is not believed. Once a minute the server looks by the checks of the doctor, which have the one threshold of
//! each; owners of the workspace that runs the server are mailed, and a webhook is told, once when something begins and once when it
//! is over.
//!
//! Who was told is kept in a file of the data directory, and not among the metadata: it is of this machine, and a backup must not
//! bring it to another one. A step is noted after it was told. A process that is killed in between leaves it to the next, so that
//! somebody may hear it twice, with the same id.
//!
//! | file | what is in it |
//! |---|---|
//! | `book.rs` | episodes, whom to tell of which step, and when to try again |
//! | `webhook.rs` | how a webhook is spoken to |

mod book;
mod webhook;

use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use zenovay_domain::{Interval, Role, TimeRange, Timestamp, Website, WebsiteId, Zone};
use zenovay_query::{Answer, Budget, Query, QueryError, Question};
use zenovay_store::StoreError;

pub use self::book::{AlertKind, OVER_AFTER_MS};
use self::book::{Book, Changes, Notice, Sight, Step, Wrong};
pub(crate) use self::webhook::Webhook;
pub use self::webhook::WebhookError;
use crate::causes::with_causes;
use crate::config::{BackupPlace, Config};
use crate::doctor::{self, Check, Finding, Patient, Problem, Seen};
use crate::files;
use crate::http::console::sites::WebsiteState;
use crate::http::envelope::ApiError;
use crate::http::lookups::blocking;
use crate::http::state::AppState;
use crate::mail::Mail;

/// The file in the data directory that has who was told of what.
pub const ALERTS: &str = "zenovay.alerts";

/// The length of that file is a multiple of this, of which some is free, so that more can be written over it where the disk is full.
const ROOM_BYTES: usize = 16_384;

/// How often the server looks.
const INTERVAL: Duration = Duration::from_secs(60);
/// How often it looks at backups in a bucket, where requests cost something.
const BUCKET_EVERY_MS: i64 = 3_600_000;
/// The same while the last look was not well.
const BUCKET_AGAIN_MS: i64 = 5 * 60_000;
/// A place of backups that cannot be read, or a backup that failed, begins an alert after so long: the next try is ten minutes later.
pub const BACKUP_SURE_AFTER_MS: i64 = 15 * 60_000;
/// A website that had events on each of so many days is missed when it has none any more.
const DAYS_WITH_EVENTS: i64 = 7;
const DAY_MS: i64 = 24 * 3_600_000;
/// The most websites that are named.
const WEBSITES_NAMED: usize = 20;
/// The time that the events of a website may take to be counted, and the memory.
const COUNTING: (Duration, usize) = (Duration::from_secs(10), 16 << 20);

/// A way in which somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Mail to the owners.
    Mail,
    /// The webhook.
    Webhook,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 2] = [Self::Mail, Self::Webhook];

    /// The name on the wire and for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
        }
    }
}

/// Why somebody was not told.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The webhook did not take it.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// No owner could be mailed.
    #[error("no owner could be mailed; the log says why")]
    Mail,
    /// The workspace that runs the server has no owner.
    #[error("the oldest workspace has no owner who could be mailed")]
    NoOwner,
    /// It is not known who is to be told.
    #[error("the metadata cannot be read")]
    Metadata(#[from] StoreError),
    /// The thread that was to look ended.
    #[error("a look-up ended")]
    LookUp,
}

/// How a test went over one channel.
#[derive(Debug, Serialize)]
pub struct Tried {
    /// The channel.
    pub channel: Channel,
    /// Whether the test was delivered.
    pub delivered: bool,
    /// Why not.
    pub error: Option<String>,
}

/// The alerts of a server.
#[derive(Debug)]
pub struct Alerts {
    path: PathBuf,
    webhook: Option<Webhook>,
    book: Mutex<Book>,
    /// Whether a website without events is missed, by its last event, so that it is counted once.
    missed: Mutex<HashMap<WebsiteId, (Timestamp, bool)>>,
    backups: Mutex<BackupLooks>,
}

/// How backups were looked at.
#[derive(Debug, Default)]
struct BackupLooks {
    /// When those in a bucket were last.
    bucket_at: Option<Timestamp>,
    /// Since when each look found what the next try may mend.
    doubted_since: Option<Timestamp>,
}

impl Alerts {
    /// The alerts of a server with the settings `config`, as the last one left them.
    pub fn open(config: &Config) -> Self {
        let path = config.data_dir.join(ALERTS);
        let book = read(&path).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), error, "who was told of alerts is not known: they are told again");
            Book::default()
        });
        Self {
            path,
            webhook: Webhook::of(config),
            book: Mutex::new(book),
            missed: Mutex::default(),
            backups: Mutex::default(),
        }
    }

    /// Writes down who was told of what. Blocks.
    ///
    /// # Errors
    /// When it cannot be written; then it is known until the process ends.
    pub fn save(&self) -> io::Result<()> {
        let text = serde_json::to_vec(&*self.book.lock())?;
        // What is told may be that the disk is full, and then there is room for no other file.
        files::replace(&self.path, &padded(text.clone(), ROOM_BYTES))
            .or_else(|error| write_over(&self.path, text, error))
    }

    /// Why the last delivery over `channel` failed, if it did.
    pub fn trouble(&self, channel: Channel) -> Option<String> {
        self.book.lock().trouble(channel).map(str::to_owned)
    }
}

/// `text` with spaces after it, which are no part of it, up to a whole number of `bytes`, of which a quarter at least is room for more.
fn padded(mut text: Vec<u8>, bytes: usize) -> Vec<u8> {
    let length = ((text.len() + bytes / 4) / bytes + 1) * bytes;
    text.resize(length, b' ');
    text
}

/// Writes `text` over what is in the file at `path`, which stays as long as it is: that takes no room.
///
/// # Errors
/// `error`, why it was not written otherwise, when it is longer, or when that fails, too.
fn write_over(path: &Path, text: Vec<u8>, error: io::Error) -> io::Result<()> {
    let written = || -> io::Result<bool> {
        let file = OpenOptions::new().write(true).open(path)?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        if text.len() > length {
            return Ok(false);
        }
        let mut text = text;
        text.resize(length, b' ');
        file.write_all_at(&text, 0)?;
        file.sync_all().map(|()| true)
    };
    if matches!(written(), Ok(true)) { Ok(()) } else { Err(error) }
}

fn read(path: &Path) -> Result<Book, String> {
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| error.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Book::default()),
        Err(error) => Err(error.to_string()),
    }
}

/// Looks and tells as long as the server runs.
pub async fn watch(state: Arc<AppState>) {
    let state = web::Data::from(state);
    loop {
        tokio::time::sleep(INTERVAL).await;
        look(&state).await;
    }
}

/// Looks once, and tells whoever is to be told.
pub async fn look(state: &web::Data<AppState>) {
    let looked = blocking(state, |state| {
        note(state, &find(state));
        Ok(())
    });
    if let Err(error) = looked.await {
        tracing::error!(error = error.message(), "alerts cannot be looked for, and are the next time");
    }
    for way in ways(state) {
        tell(state, &way).await;
    }
}

/// A channel with what it needs.
enum Way {
    Mail(Arc<Mail>),
    Webhook(Webhook),
}

impl Way {
    const fn channel(&self) -> Channel {
        match self {
            Self::Mail(_) => Channel::Mail,
            Self::Webhook(_) => Channel::Webhook,
        }
    }
}

/// The ways in which somebody is told.
fn ways(state: &AppState) -> Vec<Way> {
    let mail = state.mail.clone().map(Way::Mail);
    mail.into_iter().chain(state.alerts.webhook.clone().map(Way::Webhook)).collect()
}

fn channels(state: &AppState) -> Vec<Channel> {
    ways(state).iter().map(Way::channel).collect()
}

/// Writes down what was found, and says in the log and the metrics what changed. Blocks.
fn note(state: &AppState, sights: &[Sight]) {
    let now = state.clock.reading().steady;
    let Changes { began, ended, given_up } = state.alerts.book.lock().note(sights, now, &channels(state));
    for (kind, wrong) in &began {
        let (alert, website) = (kind.as_str(), wrong.website.map(tracing::field::display));
        tracing::warn!(alert, website, what = wrong.what, seen = wrong.seen, "an alert begins");
    }
    for (kind, wrong) in &ended {
        let (alert, website) = (kind.as_str(), wrong.website.map(tracing::field::display));
        tracing::info!(alert, website, "an alert is over");
    }
    if given_up > 0 {
        tracing::error!(given_up, "alerts were over a week ago, and could not be told");
    }
    for kind in AlertKind::ALL {
        metrics::gauge!("zenovay_alerts", "kind" => kind.as_str()).set(state.alerts.book.lock().open(kind) as f64);
    }
    if !(began.is_empty() && ended.is_empty() && given_up == 0) {
        save(state);
    }
}

fn save(state: &AppState) {
    if let Err(error) = state.alerts.save() {
        tracing::error!(%error, "who was told of alerts cannot be written down: after a restart they are told again");
    }
}

/// What is wrong at this moment. Blocks.
fn find(state: &AppState) -> [Sight; AlertKind::ALL.len()] {
    let patient = Patient::of(state, None);
    let disk = doctor::look(&patient, Check::Disk);
    let is_full = disk.problem == Some(Problem::DiskFull);
    let is_low = is_full || disk.problem == Some(Problem::DiskLow);
    let of_disk = |problem, is_so: bool| {
        let is_known = disk.finding != Finding::NotChecked;
        is_known.then(|| is_so.then(|| wrong(problem, &disk.words)).into_iter().collect())
    };
    let clock = doctor::look(&patient, Check::Clock);
    AlertKind::ALL.map(|kind| {
        let wrong = match kind {
            AlertKind::DiskLow => of_disk(Problem::DiskLow, is_low),
            AlertKind::DiskFull => of_disk(Problem::DiskFull, is_full),
            AlertKind::Backup => of_backup(state, &patient),
            // Of several servers one tells of websites; each tells of its own disk and clock.
            AlertKind::NoEvents if !state.claim.leads() => None,
            AlertKind::NoEvents => without_events(state),
            AlertKind::Clock => all_of(&clock),
        };
        Sight { kind, wrong }
    })
}

fn wrong(problem: Problem, words: &str) -> Wrong {
    let (what, remedy) = (problem.when().to_owned(), problem.remedy().to_owned());
    Wrong { website: None, what, seen: words.to_owned(), remedy }
}

/// Whatever a check found; `None` when it could not look.
fn all_of(seen: &Seen) -> Option<Vec<Wrong>> {
    let is_known = seen.finding != Finding::NotChecked;
    is_known.then(|| seen.problem.map(|problem| wrong(problem, &seen.words)).into_iter().collect())
}

fn of_backup(state: &AppState, patient: &Patient<'_>) -> Option<Vec<Wrong>> {
    let Some(place) = &patient.config.backup_dir else { return Some(Vec::new()) };
    let now = state.clock.reading().steady;
    let mut looks = state.alerts.backups.lock();
    let failed = state.backups.last_failure(place).filter(|_| matches!(place, BackupPlace::Bucket(..)));
    let seen = if let Some(why) = failed {
        Seen::problem(Problem::BackupFailed, format!("{why}."))
    } else {
        if let BackupPlace::Bucket(..) = place {
            let pause_ms = if looks.doubted_since.is_some() { BUCKET_AGAIN_MS } else { BUCKET_EVERY_MS };
            if looks.bucket_at.is_some_and(|at| now.millis_since(at) < pause_ms) {
                return None;
            }
            looks.bucket_at = Some(now);
        }
        doctor::look(patient, Check::Backup)
    };
    if let Some(Problem::BackupUnreadable | Problem::BackupFailed) = seen.problem {
        let since = *looks.doubted_since.get_or_insert(now);
        if now.millis_since(since) < BACKUP_SURE_AFTER_MS {
            return None;
        }
    } else {
        looks.doubted_since = None;
    }
    match seen.problem {
        // It is meant so, or may be.
        Some(Problem::BackupSameDisk) => Some(Vec::new()),
        // The one that is being made may be what is missing.
        Some(Problem::BackupMissing | Problem::BackupFailed) if state.backups.is_running() => None,
        _ => all_of(&seen),
    }
}

/// The websites that had events every day and have none any more; `None` when it cannot be told.
fn without_events(state: &AppState) -> Option<Vec<Wrong>> {
    let websites = state.store.websites();
    let websites =
        websites.inspect_err(|error| tracing::error!(%error, "it is not known which websites have no events"));
    let websites = websites.ok()?;
    let ids: HashSet<WebsiteId> = websites.iter().map(|website| website.id).collect();
    let gone = state.alerts.book.lock().keep_websites(|id| ids.contains(&id));
    if gone > 0 {
        save(state);
    }
    let reading = state.clock.reading();
    if !reading.trusted {
        return None;
    }
    let silent: Vec<(&Website, TimeRange)> = websites
        .iter()
        .filter_map(|website| Some((website, state.events.span(website.id)?)))
        .filter(|(website, span)| WebsiteState::of(website, Some(*span), reading.now) == WebsiteState::Silent)
        .collect();
    let mut missed = state.alerts.missed.lock();
    missed.retain(|id, (last, _)| silent.iter().any(|(website, span)| website.id == *id && span.to == *last));
    for (website, span) in &silent {
        if missed.contains_key(&website.id) {
            continue;
        }
        match had_events_every_day(state, website.id, *span) {
            Ok(is_missed) => {
                missed.insert(website.id, (span.to, is_missed));
            }
            Err(error) => {
                tracing::warn!(website = %website.id, %error, "it is not known whether a website had events every day");
                return None;
            }
        }
    }
    let is_missed = |website: &Website| missed.get(&website.id).is_some_and(|(_, is_missed)| *is_missed);
    let missed = silent.iter().filter(|(website, _)| is_missed(website)).map(|(website, _)| Wrong {
        website: Some(website.id),
        what: format!("a website had events on each of {DAYS_WITH_EVENTS} days, and none for two days"),
        seen: String::new(),
        remedy: Problem::Silent.remedy().to_owned(),
    });
    Some(missed.collect())
}

/// Whether each of the last days of `span` had an event, that of the last one included. Blocks.
fn had_events_every_day(state: &AppState, website: WebsiteId, span: TimeRange) -> Result<bool, QueryError> {
    let last_day = span.to.plus_millis(-1).as_millis().div_euclid(DAY_MS);
    let day = |day: i64| Timestamp::from_millis(day.saturating_mul(DAY_MS));
    let days = TimeRange::new(day(last_day + 1 - DAYS_WITH_EVENTS), day(last_day + 1));
    let question = Question::Series { interval: Interval::Day, zone: Zone::utc() };
    let (time, memory_bytes) = COUNTING;
    let budget = Budget::new(time, memory_bytes);
    let series = state.events.query(website, &Query::new(days, question), &budget).and_then(Answer::into_series)?;
    Ok(series.points.iter().all(|point| point.metrics.events > 0))
}

/// Tells of everything that is to be told in one way, until there is nothing more or it fails.
async fn tell(state: &web::Data<AppState>, way: &Way) {
    let (alerts, channel) = (&state.alerts, way.channel());
    loop {
        let now = state.clock.reading().steady;
        let Some(notice) = alerts.book.lock().due(channel, now) else { return };
        let message = match Message::of(state, &notice).await {
            Ok(message) => message,
            Err(error) => return tracing::error!(error = error.message(), "it is not known what an alert is about"),
        };
        let sent = send(state, way, &message).await;
        if let Err(error) = sent {
            let (alert, error, channel_name) = (notice.id(), with_causes(&error), channel.as_str());
            tracing::error!(alert, error, channel = channel_name, "an alert is not delivered, and is tried again");
            return alerts.book.lock().failed(channel, now, error);
        }
        alerts.book.lock().told(channel, &notice, &channels(state));
        // It is never an error: what cannot be written is in the log.
        let _ = blocking(state, |state| {
            save(state);
            Ok(())
        })
        .await;
    }
}

/// What comes of deliveries, as the label `outcome` of `zenovay_alert_deliveries_total`.
pub(crate) const OUTCOMES: [&str; 2] = ["delivered", "failed"];

/// How many deliveries over a channel came to this.
pub(crate) fn deliveries(channel: Channel, outcome: &'static str) -> metrics::Counter {
    metrics::counter!("zenovay_alert_deliveries_total", "channel" => channel.as_str(), "outcome" => outcome)
}

/// Sends a test over every channel, whatever failed before.
pub async fn test(state: &web::Data<AppState>) -> Vec<Tried> {
    let mut tried = Vec::new();
    let message = Message::test(state);
    for way in ways(state) {
        let (channel, sent) = (way.channel(), send(state, &way, &message).await);
        let error = sent.err().map(|error| with_causes(&error));
        let mut book = state.alerts.book.lock();
        match &error {
            None => book.works(channel),
            Some(error) => book.failed(channel, state.clock.reading().steady, error.clone()),
        }
        tried.push(Tried { channel, delivered: error.is_none(), error });
    }
    tried
}

/// Tells somebody, and counts it.
async fn send(state: &web::Data<AppState>, way: &Way, message: &Message) -> Result<(), DeliveryError> {
    let sent = match way {
        Way::Webhook(webhook) => webhook.post(message.json.to_string().into_bytes()).await.map_err(DeliveryError::from),
        Way::Mail(mail) => send_mails(state, mail, message).await,
    };
    let outcome = if sent.is_ok() { "delivered" } else { "failed" };
    deliveries(way.channel(), outcome).increment(1);
    sent
}

async fn send_mails(state: &web::Data<AppState>, mail: &Mail, message: &Message) -> Result<(), DeliveryError> {
    let theirs = state.clone();
    let owners = web::block(move || owners(&theirs)).await.map_err(|_panicked| DeliveryError::LookUp)??;
    if owners.is_empty() {
        return Err(DeliveryError::NoOwner);
    }
    let mut is_sent = false;
    for owner in &owners {
        is_sent |= mail.alert(owner, &message.subject, &message.text).await;
    }
    if is_sent { Ok(()) } else { Err(DeliveryError::Mail) }
}

/// The addresses of those who run the server: the owners of the oldest workspace. Blocks.
fn owners(state: &AppState) -> Result<Vec<String>, StoreError> {
    let Some(team) = state.store.operators()? else { return Ok(Vec::new()) };
    let owners = state.store.members(team)?.into_iter().filter(|member| member.role == Role::Owner);
    Ok(owners.map(|owner| owner.email).collect())
}

/// A notice in words.
struct Message {
    subject: String,
    text: String,
    json: serde_json::Value,
}

impl Message {
    async fn of(state: &web::Data<AppState>, notice: &Notice) -> Result<Self, ApiError> {
        let ids = notice.websites.clone();
        let domains = blocking(state, move |state| {
            let mut named = Vec::new();
            for id in ids.into_iter().take(WEBSITES_NAMED) {
                named.extend(state.store.website(id)?.map(|website| (id, website.domain)));
            }
            Ok(named)
        });
        Ok(Self::new(state, notice, &domains.await?))
    }

    fn new(state: &AppState, notice: &Notice, websites: &[(WebsiteId, String)]) -> Self {
        let Notice { kind, step, since, ended_at, wrong, websites: all, .. } = notice;
        let names: Vec<String> = websites.iter().map(|(_, domain)| domain.clone()).collect();
        let more = match all.len().saturating_sub(names.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let seen = if all.is_empty() { wrong.seen.clone() } else { format!("{}{more}.", names.join(", ")) };
        let message = doctor::sentence(&wrong.what, &seen);
        let is_over = *step == Step::Ended;
        let subject = if is_over { format!("Over: {}", title(*kind)) } else { format!("Alert: {}", title(*kind)) };
        let url = &state.issuer;
        let text = match ended_at.filter(|_| is_over) {
            Some(ended_at) => format!(
                "An alert of the server at {url} is over since {ended_at}. It began at {since}.\n\nWhat it was about:\n\n{message}\n"
            ),
            None => format!(
                "An alert of the server at {url}, since {since}:\n\n{message}\n\nWhat to do:\n\n{}\n\n\
                 Its health: {url}/settings/server\n\nThere is one more mail, when it is over.\n",
                wrong.remedy
            ),
        };
        let websites: Vec<_> = websites.iter().map(|(id, domain)| json!({ "id": id, "domain": domain })).collect();
        let json = json!({
            "id": notice.id(),
            "kind": kind.as_str(),
            "state": if is_over { "ended" } else { "began" },
            "since": since.to_string(),
            "ended_at": ended_at.map(|at| at.to_string()),
            "sent_at": state.clock.reading().steady.to_string(),
            "message": message,
            "remedy": wrong.remedy,
            "websites": websites,
            "server": url,
        });
        Self { subject, text, json }
    }

    fn test(state: &AppState) -> Self {
        let (now, url) = (state.clock.reading().steady, &state.issuer);
        let message = "This is a test: somebody asked the server to send it, and nothing is wrong.";
        let json = json!({
            "id": format!("test-{}", now.as_millis()),
            "kind": "test",
            "state": "test",
            "since": now.to_string(),
            "ended_at": null,
            "sent_at": now.to_string(),
            "message": message,
            "remedy": "Nothing is to be done.",
            "websites": [],
            "server": url,
        });
        Self { subject: "A test of alerts".to_owned(), text: format!("{message}\n\nThe server: {url}\n"), json }
    }
}

/// What an alert is about, for the subject of a mail.
const fn title(kind: AlertKind) -> &'static str {
    match kind {
        AlertKind::DiskLow => "the disk is nearly full",
        AlertKind::DiskFull => "the disk is full",
        AlertKind::Backup => "there is no good backup",
        AlertKind::NoEvents => "no events arrive",
        AlertKind::Clock => "the clock is wrong",
    }
}
