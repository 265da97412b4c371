//! What a backup says of itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zenovay_domain::WebsiteId;

use super::BackupError;
use super::place::{Place, read_whole};

/// The name of the file. A backup without it is not finished.
pub(crate) const MANIFEST: &str = "manifest.json";
/// The version of the format of backups that have everything.
const FORMAT: u64 = 1;
/// That of backups without the events, and the last that this program reads.
const FORMAT_WITHOUT_EVENTS: u64 = 2;

/// Where the events are that a backup does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// The name of the ClickHouse database.
    pub clickhouse: String,
    /// How many events and heartbeats it had about when the backup was made; `None` when it could not be asked.
    pub rows: Option<u64>,
    /// How many batches were on their way there, which are in the backup of nobody.
    pub waiting: u64,
}

impl Elsewhere {
    /// What the backup does not have, for people.
    pub fn words(&self) -> Vec<String> {
        let Self { clickhouse, rows, waiting } = self;
        let rows = rows.map_or_else(|| "it could not be asked how many".to_owned(), |rows| format!("{rows} rows"));
        let mut words =
            vec![format!("the events in the ClickHouse database {clickhouse} ({rows}), which its own means back up")];
        if *waiting > 0 {
            words.push(format!("{waiting} batches of events on their way there"));
        }
        words
    }
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Where it is in a data directory, such as `segments/0000000000000001.parquet`.
    pub name: String,
    /// Where it is in the directory of backups, or in the bucket.
    pub stored: String,
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
}

/// How much there was of a website.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebsiteTotals {
    /// Which.
    pub id: WebsiteId,
    /// Events and heartbeats.
    pub rows: u64,
    /// The time of the first.
    pub first_at: String,
    /// The time of the last.
    pub last_at: String,
}

/// How many chunks of recordings there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BlobTotals {
    /// How many.
    pub count: u64,
    /// Their length.
    pub bytes: u64,
}

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the format of backups.
    pub format: u64,
    /// The version of the program that made it.
    pub version: String,
    /// The versions of what is stored: of events, captures and metadata.
    pub formats: BTreeMap<String, String>,
    /// The moment that it is of.
    pub created_at: String,
    /// The id of the store of events.
    pub store: String,
    /// Events and heartbeats.
    pub rows: u64,
    /// The same by website.
    pub websites: Vec<WebsiteTotals>,
    /// Rows of each table, by database.
    pub tables: BTreeMap<String, BTreeMap<String, u64>>,
    /// Chunks of recordings.
    pub recordings: BlobTotals,
    /// The files that are in this backup alone.
    pub files: Vec<StoredFile>,
    /// The files with sealed events, which backups share.
    pub segments: Vec<StoredFile>,
    /// What was damaged or gone when it was made.
    pub damaged: Vec<String>,
    /// Where the events are, when they are not in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<Elsewhere>,
}

/// The version, which is read before anything else.
#[derive(Deserialize)]
struct Version {
    format: u64,
}

impl Manifest {
    /// The version that is written.
    pub(super) fn format(elsewhere: Option<&Elsewhere>) -> u64 {
        if elsewhere.is_some() { FORMAT_WITHOUT_EVENTS } else { FORMAT }
    }

    /// Reads the manifest of the backup `name` in `place`.
    pub(super) fn read(place: &dyn Place, name: &str) -> Result<Self, BackupError> {
        let backup = place.address().at(name);
        let path = backup.join(MANIFEST);
        let bytes = read_whole(place, &format!("{name}/{MANIFEST}")).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::NotFound => BackupError::NoBackup(backup.clone()),
            _ => BackupError::io(&path, cause),
        })?;
        let damaged = |problem: String| BackupError::Damaged { path: path.clone(), problem };
        let Version { format } = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if format > FORMAT_WITHOUT_EVENTS {
            return Err(BackupError::Newer { path: backup, format, read: FORMAT_WITHOUT_EVENTS });
        }
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let rows: u64 = manifest.websites.iter().map(|site| site.rows).sum();
        if rows != manifest.rows {
            return Err(damaged(format!("it says {} rows, and those of its websites are {rows}", manifest.rows)));
        }
        // What is read is written somewhere by its name.
        let is_plain = |name: &str| {
            let path = Path::new(name);
            !name.is_empty() && path.components().all(|part| matches!(part, std::path::Component::Normal(_)))
        };
        let mut files = manifest.files.iter().chain(&manifest.segments);
        if let Some(file) = files.find(|file| !is_plain(&file.name) || !is_plain(&file.stored)) {
            return Err(damaged(format!("it names a file {:?} in {:?}", file.name, file.stored)));
        }
        Ok(manifest)
    }
}

/// A finished backup that cannot be read as one.
#[derive(Debug, Clone)]
pub struct Unreadable {
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

/// A finished backup.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Where it is: its folder, or what its objects begin with.
    pub path: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
}
