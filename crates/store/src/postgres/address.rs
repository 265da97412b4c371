//! Where the database is. What libpq is given is written anew from the parts of a URL: what it says about an address that it does
//! not understand may contain a piece of the password.

use url::Url;

use crate::{Result, StoreError};

/// What libpq is told unless the URL says otherwise: how long a connection may take, and when one on which nothing comes back is
/// given up, so that a machine that is gone is an error and not a wait without end.
const DEFAULTS: [(&str, &str); 6] = [
    ("application_name", "zenovay"),
    ("connect_timeout", "5"),
    ("keepalives_idle", "5"),
    ("keepalives_interval", "2"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
];

/// The address for libpq.
///
/// # Errors
/// `Invalid` for anything but `postgres://user:password@host:port/database?…`. It does not repeat what was given.
pub(super) fn address(url: &str) -> Result<String> {
    let invalid = |problem: &str| StoreError::Invalid {
        field: "url",
        reason: format!(
            "{problem}; write postgres://user:password@host:5432/database, with characters such as @ : / in the password as %40 %3A %2F"
        ),
    };
    let mut url = match Url::parse(url) {
        // Where a socket is named behind `?`, nothing need stand behind the `@`.
        Err(url::ParseError::EmptyHost) if url.contains("?host=") || url.contains("&host=") => {
            Url::parse(&url.replacen("@/", "@localhost/", 1))
        }
        parsed => parsed,
    }
    .map_err(|error| invalid(&error.to_string()))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(invalid("it does not begin with postgres://"));
    }
    if url.cannot_be_a_base() || url.fragment().is_some() {
        return Err(invalid("it is not the URL of a database"));
    }
    if url.path().trim_start_matches('/').contains(['/', '@']) {
        return Err(invalid("the name of the database contains a / or an @"));
    }
    let is_given = |name: &str| url.query_pairs().any(|(given, _)| given == name);
    let added: Vec<String> =
        DEFAULTS.iter().filter(|(name, _)| !is_given(name)).map(|(name, value)| format!("{name}={value}")).collect();
    let query = url.query().filter(|query| !query.is_empty()).map(|query| format!("{query}&")).unwrap_or_default();
    url.set_query(Some(&format!("{query}{}", added.join("&"))));
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_bounded_unless_the_url_bounds_them() {
        let address =
            address("postgres://ann:a%40b@db.example:5433/zenovay?sslmode=require&connect_timeout=9").unwrap();
        assert!(
            address.starts_with("postgres://ann:a%40b@db.example:5433/zenovay?sslmode=require&connect_timeout=9&"),
            "{address}"
        );
        assert!(!address.contains("connect_timeout=5") && address.contains("tcp_user_timeout=10000"), "{address}");
        let by_socket = super::address("postgresql:///zenovay?host=/run/postgresql").unwrap();
        assert!(by_socket.starts_with("postgresql:///zenovay?host=/run/postgresql&application_name="), "{by_socket}");
        let as_somebody = super::address("postgresql://ann:a@/zenovay?host=/run/postgresql").unwrap();
        assert!(as_somebody.starts_with("postgresql://ann:a@localhost/zenovay?host=/run/postgresql&"), "{as_somebody}");
        // What libpq would read otherwise is written so that it cannot.
        assert!(
            super::address("postgres://ann:a@b@db.example/z")
                .unwrap()
                .starts_with("postgres://ann:a%40b@db.example/z?")
        );
    }

    /// Sabotage: hand the URL over as it is, or repeat it in the refusal.
    #[test]
    fn a_refused_url_does_not_tell_its_password() {
        let refused = [
            "postgres://ann:sec/ret@db.example/z",
            "postgres://ann:secret@db.example:port/z",
            "mysql://ann:secret@db.example/z",
            "ann:secret@db.example",
            "postgres://ann:secret@db.example/a/b",
            "postgres://ann:5/secret@db.example",
            "postgres://ann:secret@db.example/z#x",
            "",
        ];
        for url in refused {
            let error = address(url).unwrap_err();
            assert!(matches!(error, StoreError::Invalid { field: "url", .. }), "{url}");
            let text = format!("{error} {error:?}");
            assert!(!text.contains("secret") && !text.contains("sec/") && !text.contains("ret@"), "{text}");
        }
    }
}
