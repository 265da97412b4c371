//! Where backups are.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::bucket::{BucketName, BucketPrefix};

/// What an address of a place in a bucket begins with.
const S3: &str = "s3://";

/// Where backups are, or one of them: a directory, or what begins so in an S3-compatible bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum BackupPlace {
    /// A directory.
    Dir(PathBuf),
    /// In a bucket: `s3://BUCKET` or `s3://BUCKET/PREFIX`.
    Bucket(BucketName, Option<BucketPrefix>),
}

/// Why a text is not the place of backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a directory, or s3://BUCKET/PREFIX: the bucket of 3 to 63 lower-case letters, digits, - and ., the prefix of letters, digits, -, _ and ."
)]
pub struct InvalidBackupPlace;

impl BackupPlace {
    /// Where the file or backup `name` of this place is, for people and for programs; without a name, the place itself.
    pub fn at(&self, name: &str) -> PathBuf {
        match self {
            _ if name.is_empty() => PathBuf::from(self.to_string()),
            Self::Dir(dir) => dir.join(name),
            Self::Bucket(..) => PathBuf::from(format!("{self}/{name}")),
        }
    }

    /// The place that this one is in, and its name there; `None` for the whole of a bucket, or of a disk.
    pub fn split(&self) -> Option<(Self, String)> {
        match self {
            Self::Dir(path) => {
                let name = path.file_name()?.to_str()?.to_owned();
                Some((Self::Dir(path.parent()?.to_owned()), name))
            }
            Self::Bucket(bucket, prefix) => {
                let prefix = prefix.as_ref()?.as_str();
                let (above, name) = prefix.rsplit_once('/').map_or((None, prefix), |(above, name)| (Some(above), name));
                Some((Self::Bucket(bucket.clone(), above.and_then(BucketPrefix::read)), name.to_owned()))
            }
        }
    }

    /// The same for who has another working directory.
    ///
    /// # Errors
    /// When the working directory cannot be found.
    pub fn absolute(self) -> std::io::Result<Self> {
        match self {
            Self::Dir(dir) => Ok(Self::Dir(std::path::absolute(dir)?)),
            bucket @ Self::Bucket(..) => Ok(bucket),
        }
    }
}

impl From<PathBuf> for BackupPlace {
    fn from(dir: PathBuf) -> Self {
        Self::Dir(dir)
    }
}

impl From<&Path> for BackupPlace {
    fn from(dir: &Path) -> Self {
        Self::Dir(dir.to_owned())
    }
}

/// Whether `text` looks like an address, as `https://…` or a mistyped `s3:/…` does: nobody means a directory of that name.
fn has_scheme(text: &str) -> bool {
    text.split_once(":/").is_some_and(|(scheme, _)| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(is_part)
    })
}

impl FromStr for BackupPlace {
    type Err = InvalidBackupPlace;

    fn from_str(text: &str) -> Result<Self, InvalidBackupPlace> {
        let Some(rest) = text.strip_prefix(S3) else {
            let is_path = !text.is_empty() && !has_scheme(text);
            return if is_path { Ok(Self::Dir(PathBuf::from(text))) } else { Err(InvalidBackupPlace) };
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let bucket = BucketName::read(bucket).ok_or(InvalidBackupPlace)?;
        let prefix = match prefix.trim_matches('/') {
            "" => None,
            prefix => Some(BucketPrefix::read(prefix).ok_or(InvalidBackupPlace)?),
        };
        Ok(Self::Bucket(bucket, prefix))
    }
}

impl TryFrom<String> for BackupPlace {
    type Error = InvalidBackupPlace;

    fn try_from(text: String) -> Result<Self, InvalidBackupPlace> {
        text.parse()
    }
}

impl From<BackupPlace> for String {
    fn from(place: BackupPlace) -> Self {
        place.to_string()
    }
}

impl fmt::Display for BackupPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dir(dir) => dir.display().fmt(f),
            Self::Bucket(bucket, None) => write!(f, "{S3}{}", bucket.as_str()),
            Self::Bucket(bucket, Some(prefix)) => write!(f, "{S3}{}/{}", bucket.as_str(), prefix.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: keep the `/` at the end, or take what is wrong behind `s3://`, or an address of another kind, for a directory.
    #[test]
    fn a_place_is_a_directory_or_is_in_a_bucket() {
        let place = |text: &str| text.parse::<BackupPlace>();
        for text in ["/mnt/backups", "backups", "s3://zenovay", "s3://zenovay/of/tests", "./s3:/x", "a:b"] {
            assert_eq!(place(text).unwrap().to_string(), text);
        }
        assert_eq!(place("s3://zenovay/a/").unwrap().to_string(), "s3://zenovay/a");
        let others = ["S3://zenovay/a", "s3:/zenovay", "https://example.com/b", "file:///mnt", "gs://zenovay"];
        let wrong = ["", "s3://", "s3://x", "s3:///prefix", "s3://Zenovay", "s3://zenovay/a//b", "s3://zenovay/../b"];
        for wrong in wrong.into_iter().chain(others) {
            assert_eq!(place(wrong), Err(InvalidBackupPlace), "{wrong}");
        }
        let split = |text: &str| place(text).unwrap().split().map(|(above, name)| (above.to_string(), name));
        assert_eq!(split("s3://zenovay/a/backup-1"), Some(("s3://zenovay/a".to_owned(), "backup-1".to_owned())));
        assert_eq!(split("s3://zenovay/backup-1"), Some(("s3://zenovay".to_owned(), "backup-1".to_owned())));
        assert_eq!(split("/mnt/backup-1"), Some(("/mnt".to_owned(), "backup-1".to_owned())));
        assert_eq!(split("s3://zenovay"), None);
        assert_eq!(place("s3://zenovay/a").unwrap().at("lock"), Path::new("s3://zenovay/a/lock"));
    }
}
