//! The setting that names a PostgreSQL database.

use std::fmt;

/// The URL of a PostgreSQL database, with the password in it.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

/// The parameters of a URL that are secret.
const SECRET: [&str; 2] = ["password", "sslpassword"];

impl PostgresUrl {
    /// Reads a URL. What is said of one that cannot be used repeats nothing of it.
    #[cfg(feature = "postgres")]
    pub(super) fn read(text: &str) -> Result<Self, String> {
        match zenovay_store::check_postgres_url(text) {
            Ok(()) => Ok(Self(text.to_owned())),
            Err(zenovay_store::StoreError::Invalid { reason, .. }) => Err(reason),
            Err(other) => Err(other.to_string()),
        }
    }

    /// Refuses every URL.
    #[cfg(not(feature = "postgres"))]
    pub(super) fn read(_text: &str) -> Result<Self, String> {
        Err("this zenovay was built without PostgreSQL: build it with `--features postgres`, or use a package"
            .to_owned())
    }

    /// The URL with the password in it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a password is in it.
    pub fn has_password(&self) -> bool {
        self.shown() != self.0
    }

    /// Whether what is sent may go over a network that is not this machine without TLS. TLS that is only taken where it is offered, as by
    /// default, is none: who is on the way can take the offer away.
    pub fn is_in_plain(&self) -> bool {
        let (address, query) = self.0.split_once('?').unwrap_or((&self.0, ""));
        let parameter = |wanted: &str| {
            url::form_urlencoded::parse(query.as_bytes())
                .filter(|(name, _)| name == wanted)
                .map(|(_, value)| value)
                .last()
        };
        let authority = address.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
        let of_address = authority.rsplit('@').next().unwrap_or_default();
        let hosts = parameter("host").unwrap_or_else(|| of_address.into());
        let is_here = |host: &str| {
            let name = if host.starts_with('[') { host.split(']').next() } else { host.split(':').next() };
            let name = name.unwrap_or_default().trim_start_matches('[');
            let is_loopback = name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
            name.is_empty() || name.starts_with('/') || name.eq_ignore_ascii_case("localhost") || is_loopback
        };
        let is_required =
            parameter("sslmode").is_some_and(|mode| matches!(&*mode, "require" | "verify-ca" | "verify-full"));
        !is_required && !hosts.split(',').all(is_here)
    }

    /// The same without the passwords.
    pub fn shown(&self) -> String {
        let (address, query) = self.0.split_once('?').unwrap_or((&self.0, ""));
        let (scheme, rest) = address.split_once("://").unwrap_or(("postgres", address));
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let authority = match authority.rsplit_once('@') {
            Some((user, host)) => match user.split_once(':') {
                Some((name, _)) => format!("{name}:***@{host}"),
                None => authority.to_owned(),
            },
            None => authority.to_owned(),
        };
        let parameter = |given: &str| match given.split_once('=') {
            Some((name, _)) if SECRET.contains(&name) || name.contains('%') => format!("{name}=***"),
            _ => given.to_owned(),
        };
        let query = query.split('&').map(parameter).collect::<Vec<_>>().join("&");
        let mark = if self.0.contains('?') { "?" } else { "" };
        format!("{scheme}://{authority}{path}{mark}{query}")
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: take an offer of TLS for TLS, or every host for this machine.
    #[test]
    fn what_goes_over_a_network_goes_over_tls() {
        let is_in_plain = |url: &str| PostgresUrl(url.to_owned()).is_in_plain();
        for url in [
            "postgres://ann:secret@db.example:5432/z",
            "postgres://db.example/z?sslmode=prefer",
            "postgres:///z?host=/run,db.example",
            "postgres://[2001:db8::1]:5432/z",
            "postgres://10.0.0.7",
        ] {
            assert!(is_in_plain(url), "{url}");
        }
        for url in [
            "postgres://ann:secret@db.example/z?sslmode=verify-full",
            "postgres://localhost:5432/z",
            "postgres://ann@[::1]:5432/z",
            "postgres://127.0.0.1/z",
            "postgres://ann:s:t@/z?host=/run",
            "postgresql:///z",
        ] {
            assert!(!is_in_plain(url), "{url}");
        }
    }

    /// Sabotage: show what stands behind the last `:`, or forget the parameters.
    #[test]
    fn no_password_is_shown() {
        for (url, shown) in [
            (
                "postgres://ann:se:cr@et@db.example:5432/z?sslmode=require",
                "postgres://ann:***@db.example:5432/z?sslmode=require",
            ),
            ("postgres://ann:secret@/z?host=/run", "postgres://ann:***@/z?host=/run"),
            (
                "postgres://db/z?user=ann&password=secret&sslpassword=secret",
                "postgres://db/z?user=ann&password=***&sslpassword=***",
            ),
            ("postgres://ann@db.example/z", "postgres://ann@db.example/z"),
            ("postgresql:///z", "postgresql:///z"),
        ] {
            let read = PostgresUrl(url.to_owned());
            assert_eq!((read.shown().as_str(), format!("{read:?}").as_str()), (shown, shown));
            assert_eq!(read.has_password(), shown.contains("***"), "{url}");
        }
    }
}
