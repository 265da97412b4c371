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

/// The address of a database.
#[derive(Clone)]
pub(super) struct Address {
    /// For libpq.
    pub(super) url: String,
    pub(super) ends: Ends,
}

/// What the far end of a connection to the database may be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    /// Names of servers, and directories of their sockets; none when they are not known.
    pub(super) hosts: Vec<String>,
    /// Ports of TCP; none when they are not known.
    pub(super) ports: Vec<u16>,
}

impl Ends {
    /// Whether it may be a socket of this machine with this path, or name.
    pub(super) fn may_be_local(&self, path: &str) -> bool {
        let is_it = |host: &String| match host.strip_prefix('@') {
            Some(name) => path.starts_with(name),
            None => host.is_empty() || host.starts_with('/') && path.starts_with(host.as_str()),
        };
        path.rsplit('/').next().is_some_and(|name| name.starts_with(".s.PGSQL."))
            && (self.hosts.is_empty() || self.hosts.iter().any(is_it))
    }
}

/// Reads a URL.
///
/// # Errors
/// `Invalid` for anything but `postgres://user:password@host:port/database?…`, and for a wait for connections without an end. It does not
/// repeat what was given.
pub(super) fn address(url: &str) -> Result<Address> {
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
    let given = |name: &str| url.query_pairs().find(|(given, _)| given == name).map(|(_, value)| value.into_owned());
    let is_given = |name: &str| given(name).is_some();
    if given("connect_timeout").is_some_and(|seconds| seconds.parse::<u32>().unwrap_or(0) == 0) {
        return Err(invalid("connect_timeout is no number of seconds above 0"));
    }
    let ends = ends(&url, &given);
    let added: Vec<String> =
        DEFAULTS.iter().filter(|(name, _)| !is_given(name)).map(|(name, value)| format!("{name}={value}")).collect();
    let query = url.query().filter(|query| !query.is_empty()).map(|query| format!("{query}&")).unwrap_or_default();
    url.set_query(Some(&format!("{query}{}", added.join("&"))));
    Ok(Address { url: url.into(), ends })
}

/// What libpq takes for the far end: what stands behind `?`, before it, or in its environment.
fn ends(url: &Url, given: &dyn Fn(&str) -> Option<String>) -> Ends {
    let of_machine = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if given("service").is_some() || of_machine("PGSERVICE").is_some() {
        return Ends { hosts: Vec::new(), ports: Vec::new() };
    }
    let hosts = given("host").or_else(|| url.host_str().map(str::to_owned)).filter(|hosts| !hosts.is_empty());
    let hosts = hosts.map_or_else(Vec::new, |hosts| hosts.split(',').map(str::to_owned).collect());
    let written = given("port").or_else(|| url.port().map(|port| port.to_string())).or_else(|| of_machine("PGPORT"));
    // One that is left out is the usual one.
    let ports = written.unwrap_or_default();
    Ends { hosts, ports: ports.split(',').map(|port| port.parse().unwrap_or(5_432)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_bounded_unless_the_url_bounds_them() {
        let address = |url: &str| super::address(url).map(|address| address.url);
        let by_socket = address("postgresql:///zenovay?host=/run/postgresql").unwrap();
        let as_somebody = address("postgresql://ann:a@/zenovay?host=/run/postgresql").unwrap();
        assert!(address("postgres://db.example/z?connect_timeout=0").is_err(), "it would wait without an end");
        // What libpq would read otherwise is written so that it cannot.
        assert!(address("postgres://ann:a@b@db.example/z").unwrap().starts_with("postgres://ann:a%40b@db.example/z?"));
        let address =
            address("postgres://ann:a%40b@db.example:5433/zenovay?sslmode=require&connect_timeout=9").unwrap();
        assert!(
            address.starts_with("postgres://ann:a%40b@db.example:5433/zenovay?sslmode=require&connect_timeout=9&"),
            "{address}"
        );
        assert!(!address.contains("connect_timeout=5") && address.contains("tcp_user_timeout=10000"), "{address}");
        assert!(by_socket.starts_with("postgresql:///zenovay?host=/run/postgresql&application_name="), "{by_socket}");
        assert!(as_somebody.starts_with("postgresql://ann:a@localhost/zenovay?host=/run/postgresql&"), "{as_somebody}");
    }

    /// Sabotage: look at what stands before `?` alone.
    #[test]
    fn the_far_end_is_what_libpq_takes() {
        let cases: [(&str, &[&str], &[u16], bool); 6] = [
            ("postgres://db.example/z", &["db.example"], &[5_432], false),
            ("postgres://db.example:6432/z", &["db.example"], &[6_432], false),
            ("postgres://a@/z?host=/run/postgresql&port=5433", &["/run/postgresql"], &[5_433], true),
            ("postgres://a@/z?host=one,two&port=5432,5433", &["one", "two"], &[5_432, 5_433], false),
            ("postgres:///z", &[], &[5_432], true),
            ("postgres://db.example/z?service=zenovay", &[], &[], true),
        ];
        for (url, hosts, ports, may_be_local) in cases {
            let ends = address(url).unwrap().ends;
            let hosts = hosts.iter().map(|&host| host.to_owned()).collect();
            assert_eq!(ends, Ends { hosts, ports: ports.to_vec() }, "{url}");
            assert_eq!(ends.may_be_local("/run/postgresql/.s.PGSQL.5433"), may_be_local, "{url}");
            assert!(!ends.may_be_local("/run/postgresql/other"));
        }
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
            let error = address(url).map(drop).unwrap_err();
            assert!(matches!(error, StoreError::Invalid { field: "url", .. }), "{url}");
            let text = format!("{error} {error:?}");
            assert!(!text.contains("secret") && !text.contains("sec/") && !text.contains("ret@"), "{text}");
        }
    }
}
