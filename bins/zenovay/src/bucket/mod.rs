//! Recordings, and backups, in an S3-compatible bucket. Requests are made on a thread of their own, each in a bounded time; whoever waits for one is
//! never a worker that answers requests.
//!
//! | file | what is in it |
//! |---|---|
//! | `settings.rs` | which bucket, where it is and with which key |
//! | `objects.rs` | objects of any length, which are never in memory whole: what backups are made of |
//! | `wire.rs` | how a bucket is spoken to |

mod objects;
mod settings;
mod wire;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use zenovay_capture::{BLOB_MAX_BYTES, BlobError, BlobName, Blobs, FoundBlob};

pub(crate) use self::objects::is_missing;
use self::settings::Settings;
use self::wire::Wire;
use crate::config::{BucketName, BucketPrefix, Config};
use crate::tls::{authorities, trusting};

/// How often a request is made again that was not answered, or by an error of the server.
const RETRIES: usize = 2;
/// The first pause before that, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How many objects of a list wait to be looked at.
const LISTED: usize = 64;
/// What the name of an object begins with that was written to see whether the bucket takes one; a number comes after it.
const PROBE: &str = "zenovay-probe-";
/// What of an answer is told at most, in characters.
const TOLD_MAX: usize = 200;

/// Why the bucket cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BucketError {
    /// Its settings do not go together.
    #[error("{0}")]
    Settings(String),
    /// It answers, and will not do what is needed whoever waits.
    #[error("{name}: {problem}")]
    Refused {
        /// The bucket.
        name: String,
        /// What it says.
        problem: String,
    },
    /// It does not answer, or not well.
    #[error("{name} cannot be reached: {problem}")]
    Unreachable {
        /// The bucket.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The machine gives no thread.
    #[error("no thread for it: {0}")]
    Thread(std::io::Error),
}

/// A bucket.
pub struct Bucket {
    store: Arc<AmazonS3>,
    prefix: String,
    within: Duration,
    /// For people: its name and where it is.
    name: String,
    /// Whether its requests are counted, as those to the bucket of recordings.
    is_counted: bool,
    requests: Handle,
    /// The thread ends when it is dropped.
    _stop: oneshot::Sender<()>,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the store, which has the key.
        f.debug_struct("Bucket").field("name", &self.name).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Why a request came to nothing.
enum Trouble {
    /// There is no such object, or no such bucket.
    Missing(String),
    /// The answer says no.
    Refused(String),
    /// There is no answer, or that of a server that is not well.
    Failed(String),
    /// It took too long.
    Slow,
}

impl Bucket {
    /// The bucket of recordings of `config`, which may have none. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`BucketError::Settings`], [`BucketError::Thread`].
    pub fn open(config: &Config) -> Result<Option<Self>, BucketError> {
        Ok(match Settings::of_recordings(config)? {
            Some(settings) => Some(Self { is_counted: true, ..Self::at(settings)? }),
            None => None,
        })
    }

    /// The bucket `bucket`, as `config` says that backups reach it, with names that begin with `prefix`. No request takes longer than
    /// `within`, if that is given. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`BucketError::Settings`], [`BucketError::Thread`].
    pub fn of_backups(
        config: &Config,
        bucket: &BucketName,
        prefix: Option<&BucketPrefix>,
        within: Option<Duration>,
    ) -> Result<Self, BucketError> {
        let mut settings = Settings::of_backups(config, bucket, prefix)?;
        settings.within = within.map_or(settings.within, |within| within.min(settings.within));
        Self::at(settings)
    }

    fn at(settings: Settings) -> Result<Self, BucketError> {
        let Settings { bucket, prefix, endpoint, region, is_in_host, is_http_anywhere, http_setting, key, within } =
            settings;
        let (key_id, secret) = key;
        let address = match endpoint.split_once("://") {
            Some((scheme, host)) if is_in_host => format!("{scheme}://{bucket}.{host}"),
            _ => endpoint.clone(),
        };
        let tls = trusting(authorities()).ok_or_else(|| BucketError::Settings("TLS cannot be used".to_owned()))?;
        let (init_backoff, max_backoff) = PAUSES;
        let store = AmazonS3Builder::new()
            .with_bucket_name(&bucket)
            .with_region(region)
            .with_endpoint(address)
            .with_virtual_hosted_style_request(is_in_host)
            .with_access_key_id(key_id)
            .with_secret_access_key(secret)
            // One request an object is what every server of this kind knows.
            .with_disable_bulk_delete(true)
            .with_retry(RetryConfig {
                backoff: BackoffConfig { init_backoff, max_backoff, base: 2.0 },
                max_retries: RETRIES,
                retry_timeout: within,
            })
            .with_http_connector(Wire::new(tls, is_http_anywhere, http_setting))
            .build()
            .map_err(|error| BucketError::Settings(error.to_string()))?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(BucketError::Thread)?;
        let requests = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let work = move || drop(runtime.block_on(stopped));
        std::thread::Builder::new().name("bucket".to_owned()).spawn(work).map_err(BucketError::Thread)?;
        Ok(Self {
            store: Arc::new(store),
            prefix,
            within,
            name: format!("bucket {bucket} at {endpoint}"),
            is_counted: false,
            requests,
            _stop: stop,
        })
    }

    /// Whether the object `name` is one of [`probe`](Self::probe), which a key that may not delete leaves behind.
    pub(crate) fn is_probe(name: &str) -> bool {
        name.strip_prefix(PROBE)
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    }

    /// Writes, reads and deletes a small object.
    ///
    /// # Errors
    /// [`BucketError::Refused`], [`BucketError::Unreachable`].
    pub fn probe(&self) -> Result<(), BucketError> {
        // Of this process, so that two servers that start do not meet.
        let path = Path::from(format!("{}{PROBE}{}", self.prefix, std::process::id()));
        let store = Arc::clone(&self.store);
        let done = self.ask("probe", async move {
            store.put(&path, PutPayload::from_static(b"zenovay")).await?;
            store.get(&path).await?.bytes().await?;
            match store.delete(&path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                done => done,
            }
        });
        done.map_err(|trouble| self.trouble(trouble))
    }

    /// What is told of `trouble` where no object can be missing.
    fn trouble(&self, trouble: Trouble) -> BucketError {
        let name = self.name.clone();
        match trouble {
            Trouble::Missing(_) => BucketError::Refused { name, problem: "there is no such bucket".to_owned() },
            Trouble::Refused(problem) => BucketError::Refused { name, problem },
            Trouble::Failed(problem) => BucketError::Unreachable { name, problem },
            Trouble::Slow => BucketError::Unreachable { name, problem: self.too_slow() },
        }
    }

    fn too_slow(&self) -> String {
        format!("no answer within {} seconds", self.within.as_secs())
    }

    fn path(&self, name: &str) -> Path {
        Path::from(format!("{}{name}", self.prefix))
    }

    /// What `work` comes to on the thread of requests, in bounded time.
    fn ask<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> Result<T, Trouble> {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        let within = self.within;
        self.requests.spawn(async move { drop(answer.send(timeout(within, work).await)) });
        let done = match answered.recv() {
            Ok(Ok(done)) => done.map_err(|error| trouble(&error)),
            Ok(Err(_elapsed)) => Err(Trouble::Slow),
            Err(_stopped) => Err(Trouble::Failed("the server stops".to_owned())),
        };
        self.count(operation, done.as_ref().err());
        done
    }

    /// Counts a request by what came of it.
    fn count(&self, operation: &'static str, trouble: Option<&Trouble>) {
        if self.is_counted {
            count(operation, trouble);
        }
    }

    fn failed(&self, name: &str, trouble: Trouble) -> BlobError {
        let name = name.to_owned();
        match trouble {
            Trouble::Missing(_) => BlobError::Missing { name },
            Trouble::Refused(problem) | Trouble::Failed(problem) => {
                BlobError::Unavailable { name, problem: format!("{}: {problem}", self.name) }
            }
            Trouble::Slow => BlobError::Unavailable { name, problem: format!("{}: {}", self.name, self.too_slow()) },
        }
    }

    fn delete_named(&self, name: &str) -> Result<(), BlobError> {
        let (store, path) = (Arc::clone(&self.store), self.path(name));
        match self.ask("delete", async move { store.delete(&path).await }) {
            Ok(()) | Err(Trouble::Missing(_)) => Ok(()),
            Err(trouble) => Err(self.failed(name, trouble)),
        }
    }
}

/// Counts a request by what came of it.
fn count(operation: &'static str, trouble: Option<&Trouble>) {
    let outcome = match trouble {
        None => "ok",
        Some(Trouble::Missing(_)) => "missing",
        Some(Trouble::Refused(_)) => "refused",
        Some(Trouble::Failed(_)) => "failed",
        Some(Trouble::Slow) => "too_slow",
    };
    requests(operation, outcome).increment(1);
}

/// What is asked of a bucket, as the label `operation` of `zenovay_replay_bucket_requests_total`.
pub(crate) const OPERATIONS: [&str; 6] = ["put", "get", "get_part", "delete", "list", "probe"];
/// What comes of it, as the label `outcome`.
pub(crate) const OUTCOMES: [&str; 5] = ["ok", "missing", "refused", "failed", "too_slow"];

/// How many requests of a kind came to this.
pub(crate) fn requests(operation: &'static str, outcome: &'static str) -> metrics::Counter {
    metrics::counter!("zenovay_replay_bucket_requests_total", "operation" => operation, "outcome" => outcome)
}

fn trouble(error: &object_store::Error) -> Trouble {
    let told = told(error);
    match error {
        object_store::Error::NotFound { .. } => Trouble::Missing(told),
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            Trouble::Refused(told)
        }
        // What of the answers has no name of its own is told in words alone.
        _ if told.starts_with("429") || told.starts_with("408") => Trouble::Failed(told),
        _ if told.starts_with('4') || told.contains("incorrectly configured region") => Trouble::Refused(told),
        _ => Trouble::Failed(told),
    }
}

/// What is wrong, from the innermost cause: the status and what the server says, or why there is no answer.
fn told(error: &object_store::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    let text = text.split_once("status code: ").map_or(text.as_str(), |(_, status)| status);
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once("</")?.0)
    };
    let words = match (element("Code"), element("Message")) {
        (Some(code), message) => {
            let status = text.split(':').next().unwrap_or_default();
            format!("{status}: {code}: {}", message.unwrap_or_default())
        }
        _ => text.to_owned(),
    };
    words.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(TOLD_MAX).collect()
}

/// Sends on what a bucket sends, each piece within this time, to its end or to what goes wrong first.
async fn pass_on<T>(
    mut pieces: impl Stream<Item = object_store::Result<T>> + Unpin,
    to: mpsc::Sender<Result<T, Trouble>>,
    within: Duration,
) {
    loop {
        let next = match timeout(within, pieces.next()).await {
            Ok(Some(next)) => next.map_err(|error| trouble(&error)),
            Ok(None) => return,
            Err(_elapsed) => Err(Trouble::Slow),
        };
        let is_last = next.is_err();
        if to.send(next).await.is_err() || is_last {
            return;
        }
    }
}

impl Blobs for Bucket {
    fn put(&self, name: &BlobName, bytes: &[u8]) -> Result<(), BlobError> {
        let (store, path) = (Arc::clone(&self.store), self.path(name.as_str()));
        let payload = PutPayload::from(bytes.to_vec());
        let done = self.ask("put", async move { store.put(&path, payload).await });
        match done {
            Ok(_) => Ok(()),
            // What is missing where something is written is the bucket.
            Err(Trouble::Missing(problem)) => Err(self.failed(name.as_str(), Trouble::Refused(problem))),
            Err(trouble) => Err(self.failed(name.as_str(), trouble)),
        }
    }

    fn get(&self, name: &BlobName) -> Result<Vec<u8>, BlobError> {
        let (store, path) = (Arc::clone(&self.store), self.path(name.as_str()));
        let done = self.ask("get", async move {
            let found = store.get(&path).await?;
            let is_short = found.meta.size <= BLOB_MAX_BYTES as u64;
            Ok(if is_short { Some(found.bytes().await?) } else { None })
        });
        let bytes = done.map_err(|trouble| self.failed(name.as_str(), trouble))?;
        let too_long = || BlobError::Unavailable { name: name.to_string(), problem: "it is too long".to_owned() };
        bytes.map(Vec::from).ok_or_else(too_long)
    }

    fn get_part(&self, name: &BlobName, from: u64, length: u64) -> Result<Vec<u8>, BlobError> {
        let unavailable =
            |problem: &str| BlobError::Unavailable { name: name.to_string(), problem: problem.to_owned() };
        if length > BLOB_MAX_BYTES as u64 {
            return Err(unavailable("it is too long"));
        }
        let (store, path) = (Arc::clone(&self.store), self.path(name.as_str()));
        let range = from..from.saturating_add(length);
        let done = self.ask("get_part", async move { store.get_range(&path, range).await });
        let bytes = done.map_err(|trouble| self.failed(name.as_str(), trouble))?;
        if bytes.len() as u64 == length { Ok(bytes.into()) } else { Err(unavailable("it is too short")) }
    }

    fn delete(&self, name: &BlobName) -> Result<(), BlobError> {
        self.delete_named(name.as_str())
    }

    fn delete_found(&self, found: &FoundBlob) -> Result<(), BlobError> {
        self.delete_named(&found.name)
    }

    fn list(&self, first: &str, see: &mut dyn FnMut(FoundBlob) -> bool) -> Result<(), BlobError> {
        let (found, mut listed) = mpsc::channel(LISTED);
        self.requests.spawn(pass_on(self.store.list(Some(&self.path(first))), found, self.within));
        while let Some(next) = listed.blocking_recv() {
            let object = next.map_err(|trouble| {
                self.count("list", Some(&trouble));
                self.failed(first, trouble)
            })?;
            let Some(name) = object.location.as_ref().strip_prefix(self.prefix.as_str()) else { continue };
            if !see(FoundBlob::new(name.to_owned(), object.last_modified.timestamp_millis())) {
                break;
            }
        }
        self.count("list", None);
        Ok(())
    }
}
