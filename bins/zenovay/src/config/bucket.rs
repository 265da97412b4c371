//! Settings about the buckets that recordings and backups are kept in.

/// The name of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketName(String);

impl BucketName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name that `text` is: 3 to 63 small letters, digits, `-` and `.`, with a letter or digit at each end.
    pub(super) fn read(text: &str) -> Option<Self> {
        let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_one = (3..=63).contains(&text.len())
            && text.bytes().all(|byte| is_letter(byte) || matches!(byte, b'-' | b'.'))
            && text.bytes().next().is_some_and(is_letter)
            && text.bytes().next_back().is_some_and(is_letter)
            && !text.contains("..");
        is_one.then(|| Self(text.to_owned()))
    }
}

/// What the names of all objects begin with: parts with `/` between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketPrefix(String);

impl BucketPrefix {
    /// The prefix, without a `/` at either end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The prefix that `text` is: letters, digits, `-`, `_` and `.`, with `/` between parts.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.trim_matches('/');
        let is_part = |part: &str| {
            let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            !matches!(part, "" | "." | "..") && part.bytes().all(is_letter)
        };
        (text.len() <= 200 && text.split('/').all(is_part)).then(|| Self(text.to_owned()))
    }
}

/// A string that nobody is to see.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(super) String);

impl Secret {
    /// The string.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Where in an address the name of a bucket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketAddress {
    /// In the path: `https://s3.example.com/BUCKET/…`.
    Path,
    /// In the host: `https://BUCKET.s3.example.com/…`.
    Host,
}

/// Whether a bucket may be spoken to without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketHttp {
    /// On this machine and at private addresses alone.
    Private,
    /// Anywhere.
    Anywhere,
}
