//! Which bucket, where it is, and with which key.

use std::path::PathBuf;
use std::time::Duration;

use super::BucketError;
use crate::config::{BucketAddress, BucketHttp, BucketName, BucketPrefix, Config, Secret};

/// What a bucket is reached by.
pub(super) struct Settings {
    pub(super) bucket: String,
    /// What the names of objects begin with: nothing, or what ends with `/`.
    pub(super) prefix: String,
    /// A URL without a `/` at its end.
    pub(super) endpoint: String,
    pub(super) region: String,
    /// Whether the name of the bucket stands in the host.
    pub(super) is_in_host: bool,
    pub(super) is_http_anywhere: bool,
    /// The setting that says so.
    pub(super) http_setting: &'static str,
    /// Its id and its secret.
    pub(super) key: (String, String),
    /// The longest time of a request.
    pub(super) within: Duration,
}

impl Settings {
    /// Of the bucket of recordings, when there is one.
    pub(super) fn of_recordings(config: &Config) -> Result<Option<Self>, BucketError> {
        let Some(bucket) = &config.replay_bucket else {
            let lonely = [
                ("replay_bucket_endpoint", config.replay_bucket_endpoint.is_some()),
                ("replay_bucket_prefix", config.replay_bucket_prefix.is_some()),
                ("replay_bucket_key_id", config.replay_bucket_key_id.is_some()),
                ("replay_bucket_secret", config.replay_bucket_secret.is_some()),
                ("replay_bucket_secret_file", config.replay_bucket_secret_file.is_some()),
            ];
            return match lonely.into_iter().find(|(_, is_set)| *is_set) {
                Some((name, _)) => Err(BucketError::Settings(format!("{name} is set, and replay_bucket is not"))),
                None => Ok(None),
            };
        };
        let endpoint = endpoint(config.replay_bucket_endpoint.as_ref(), &config.replay_bucket_region);
        Ok(Some(Self {
            bucket: bucket.as_str().to_owned(),
            prefix: prefix(config.replay_bucket_prefix.as_ref()),
            endpoint,
            region: config.replay_bucket_region.clone(),
            is_in_host: config.replay_bucket_address == BucketAddress::Host,
            is_http_anywhere: config.replay_bucket_http == BucketHttp::Anywhere,
            http_setting: "replay_bucket_http",
            key: key_of_recordings(config)?,
            within: Duration::from_secs(config.replay_bucket_timeout_seconds.get()),
        }))
    }

    /// Of the bucket `bucket` of backups. What has no setting of its own is as for recordings.
    pub(super) fn of_backups(
        config: &Config,
        bucket: &BucketName,
        of: Option<&BucketPrefix>,
    ) -> Result<Self, BucketError> {
        let region = config.backup_bucket_region.as_ref().unwrap_or(&config.replay_bucket_region).clone();
        let url = config.backup_bucket_endpoint.as_ref().or(config.replay_bucket_endpoint.as_ref());
        let address = config.backup_bucket_address.unwrap_or(config.replay_bucket_address);
        let http = config.backup_bucket_http.unwrap_or(config.replay_bucket_http);
        let seconds = config.backup_bucket_timeout_seconds.unwrap_or(config.replay_bucket_timeout_seconds);
        let key = match &config.backup_bucket_key_id {
            None if config.backup_bucket_secret.is_none()
                && config.backup_bucket_secret_file.is_none()
                && config.replay_bucket_key_id.is_some() =>
            {
                key_of_recordings(config)?
            }
            id => {
                let secret = config.backup_bucket_secret.as_ref();
                let file = config.backup_bucket_secret_file.as_ref();
                key("backup_bucket", &format!("s3://{}", bucket.as_str()), id.as_ref(), secret, file)?
            }
        };
        Ok(Self {
            bucket: bucket.as_str().to_owned(),
            prefix: prefix(of),
            endpoint: endpoint(url, &region),
            region,
            is_in_host: address == BucketAddress::Host,
            is_http_anywhere: http == BucketHttp::Anywhere,
            http_setting: "backup_bucket_http",
            key,
            within: Duration::from_secs(seconds.get()),
        })
    }
}

fn prefix(prefix: Option<&BucketPrefix>) -> String {
    prefix.map_or_else(String::new, |prefix| format!("{}/", prefix.as_str()))
}

fn endpoint(url: Option<&url::Url>, region: &str) -> String {
    url.map_or_else(
        || format!("https://s3.{region}.amazonaws.com"),
        |url| url.as_str().trim_end_matches('/').to_owned(),
    )
}

fn key_of_recordings(config: &Config) -> Result<(String, String), BucketError> {
    key(
        "replay_bucket",
        "replay_bucket",
        config.replay_bucket_key_id.as_ref(),
        config.replay_bucket_secret.as_ref(),
        config.replay_bucket_secret_file.as_ref(),
    )
}

/// The id of a key, and its secret, from settings that begin with `of`. `who` needs them.
fn key(
    of: &str,
    who: &str,
    id: Option<&String>,
    secret: Option<&Secret>,
    file: Option<&PathBuf>,
) -> Result<(String, String), BucketError> {
    let wrong = |words: String| Err(BucketError::Settings(words));
    let Some(id) = id else { return wrong(format!("{who} needs {of}_key_id")) };
    let secret = match (secret, file) {
        (Some(_), Some(_)) => return wrong(format!("{of}_secret and {of}_secret_file are both set")),
        (None, None) => return wrong(format!("{who} needs {of}_secret or {of}_secret_file")),
        (Some(secret), None) => secret.expose().to_owned(),
        (None, Some(file)) => {
            let read = std::fs::read_to_string(file);
            let secret = read.map_err(|error| BucketError::Settings(format!("{}: {error}", file.display())))?;
            secret.trim().to_owned()
        }
    };
    if secret.is_empty() { wrong(format!("{of}_secret_file is empty")) } else { Ok((id.clone(), secret)) }
}
