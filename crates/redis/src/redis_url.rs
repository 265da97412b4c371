//! Where a Redis server is.

use std::fmt;

use url::Url;

/// The URL of a Redis or Valkey server, with the password in it: `redis://`, `rediss://` (TLS) or `unix://`.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(Url);

/// Why a URL does not name a Redis server. Repeats nothing of it, for there may be a password in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRedisUrl {
    /// It is no URL.
    #[error("it is not a URL; characters such as @ and / in a password are written as %40 and %2F")]
    NotAUrl,
    /// It is the URL of something else.
    #[error("it has to begin with redis://, rediss:// (TLS) or unix:// (the path of a socket)")]
    Scheme,
    /// It asks for TLS without certificates.
    #[error("certificates are always checked: write nothing behind #")]
    Insecure,
    /// The client cannot read it.
    #[error("it does not name a server: redis://USER:PASSWORD@HOST:PORT/NUMBER, or unix:///PATH?db=NUMBER")]
    Unreadable,
}

impl RedisUrl {
    /// Reads a URL: `redis://USER:PASSWORD@HOST:PORT/NUMBER`, `rediss://…` over TLS, or
    /// `unix:///PATH?db=NUMBER&user=USER&pass=PASSWORD`. What is left out is the default of Redis.
    ///
    /// # Errors
    /// When it is not the URL of a server.
    pub fn read(text: &str) -> Result<Self, InvalidRedisUrl> {
        let url = Url::parse(text).map_err(|_| InvalidRedisUrl::NotAUrl)?;
        if !matches!(url.scheme(), "redis" | "rediss" | "unix") {
            return Err(InvalidRedisUrl::Scheme);
        }
        if url.fragment().is_some() {
            return Err(InvalidRedisUrl::Insecure);
        }
        let read = Self(url);
        read.client().map_err(|_| InvalidRedisUrl::Unreadable)?;
        Ok(read)
    }

    pub(crate) fn client(&self) -> redis::RedisResult<redis::Client> {
        redis::Client::open(self.0.clone())
    }

    /// Whether a password is in it.
    pub fn has_password(&self) -> bool {
        self.0.password().is_some() || self.0.query_pairs().any(|(name, _)| name == "pass")
    }

    /// Whether what is sent may go over a network that is not this machine without TLS.
    pub fn is_in_plain(&self) -> bool {
        let is_here = match self.0.host() {
            None => true,
            Some(url::Host::Domain(name)) => {
                // Of a scheme that is none of the web's, an address is a name.
                name.eq_ignore_ascii_case("localhost")
                    || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
            }
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
        };
        self.0.scheme() == "redis" && !is_here
    }

    /// The same without the password.
    pub fn shown(&self) -> String {
        let mut shown = self.0.clone();
        if shown.password().is_some() {
            // Refused only where there is no host, and then there is no password.
            let _ = shown.set_password(Some("***"));
        }
        if self.has_password() && shown.query().is_some() {
            let hide = |(name, value): (_, _)| if name == "pass" { (name, "***".into()) } else { (name, value) };
            let pairs: Vec<(std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)> =
                self.0.query_pairs().map(hide).collect();
            shown.query_pairs_mut().clear().extend_pairs(pairs);
        }
        shown.into()
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: show what is behind `pass=`.
    #[test]
    fn no_password_is_shown() {
        for (url, shown) in [
            ("redis://ann:se%40cret@db.example:6380/3", "redis://ann:***@db.example:6380/3"),
            ("rediss://:secret@db.example", "rediss://:***@db.example"),
            ("unix:///run/redis.sock?db=2&pass=secret&user=ann", "unix:///run/redis.sock?db=2&pass=***&user=ann"),
            ("redis://db.example", "redis://db.example"),
        ] {
            let read = RedisUrl::read(url).unwrap();
            assert_eq!((read.shown().as_str(), format!("{read:?}").as_str()), (shown, shown));
            assert_eq!(read.has_password(), shown.contains("***"), "{url}");
        }
    }

    #[test]
    fn what_goes_over_a_network_goes_over_tls() {
        let is_in_plain = |url: &str| RedisUrl::read(url).unwrap().is_in_plain();
        assert!(["redis://10.0.0.7", "redis://db.example:1/0", "redis://[2001:db8::1]"].into_iter().all(is_in_plain));
        for url in ["rediss://10.0.0.7", "redis://127.0.0.1:1", "redis://localhost", "redis://[::1]", "unix:///r"] {
            assert!(!is_in_plain(url), "{url}");
        }
    }

    #[test]
    fn other_urls_are_refused_without_a_word_of_them() {
        for (url, error) in [
            ("postgres://ann:secret@db/z", InvalidRedisUrl::Scheme),
            ("redis//secret", InvalidRedisUrl::NotAUrl),
            ("rediss://db#insecure", InvalidRedisUrl::Insecure),
            ("redis://db/secret", InvalidRedisUrl::Unreadable),
        ] {
            assert_eq!(RedisUrl::read(url), Err(error), "{url}");
            assert!(!error.to_string().contains("secret"));
        }
    }
}
