//! The settings of events that are in ClickHouse.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Url, form_urlencoded};

/// Where events are in ClickHouse, with the password in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventsUrl {
    /// The HTTP interface of one server of each shard.
    servers: Vec<Url>,
    database: String,
    user: String,
    password: String,
    cluster: Option<String>,
    is_replicated: bool,
}

/// What a URL must be.
const RULE: &str = "must be clickhouse://USER:PASSWORD@HOST:8123/DATABASE, or with one server of each shard \
                    clickhouse://USER:PASSWORD@HOST1:8123,HOST2:8123/DATABASE?cluster=NAME, with characters such as @ : / in the password as \
                    %40 %3A %2F";

/// The port of the HTTP interface.
const PORT: u16 = 8_123;

impl EventsUrl {
    /// Reads a URL. What is said of one that cannot be used repeats nothing of it.
    #[cfg(feature = "clickhouse")]
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let read = Self::parse(text)?;
        read.config().check().map_err(|error| error.to_string())?;
        Ok(read)
    }

    /// Refuses every URL.
    #[cfg(not(feature = "clickhouse"))]
    pub(super) fn read(text: &str) -> Result<Self, String> {
        Self::parse(text)?;
        Err("this zenovay was built without ClickHouse: build it with `--features clickhouse`, or use a package"
            .to_owned())
    }

    fn parse(text: &str) -> Result<Self, String> {
        let rule = || RULE.to_owned();
        let rest = text.strip_prefix("clickhouse://").ok_or_else(rule)?;
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = address.split_once('/').ok_or_else(rule)?;
        let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        // A character that is not written as it has to be would end something else.
        if [user, password].iter().any(|text| text.contains(['@', ':', '/', '?', '#'])) || database.contains(['/', '#'])
        {
            return Err(rule());
        }
        let server = |host: &str| {
            let url = Url::parse(&format!("http://{host}")).ok().filter(|url| url.has_host() && url.path() == "/");
            let mut url = url.filter(|url| url.username().is_empty() && url.query().is_none()).ok_or_else(rule)?;
            // 80, which `Url` leaves out, is said by nobody.
            if !host.rsplit(']').next().unwrap_or_default().contains(':') {
                url.set_port(Some(PORT)).map_err(|()| rule())?;
            }
            Ok::<Url, String>(url)
        };
        let servers = hosts.split(',').map(server).collect::<Result<_, _>>()?;
        let mut url = Self {
            servers,
            database: database.to_owned(),
            user: if user.is_empty() { "default".to_owned() } else { decoded(user) },
            password: decoded(password),
            cluster: None,
            is_replicated: false,
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match (&*name, &*value) {
                ("cluster", name) => url.cluster = Some(name.to_owned()),
                ("replicated", "yes") => url.is_replicated = true,
                ("replicated", "no") => url.is_replicated = false,
                _ => return Err("behind ? may stand cluster=NAME and replicated=yes".to_owned()),
            }
        }
        if url.servers.len() > 1 && url.cluster.is_none() {
            return Err("several servers are the shards of a cluster: add ?cluster=NAME".to_owned());
        }
        Ok(url)
    }

    /// What the store of events is opened with.
    #[cfg(feature = "clickhouse")]
    pub fn config(&self) -> zenovay_events_clickhouse::Config {
        use zenovay_events_clickhouse::Config;
        let servers = self.servers.iter().map(|url| url.as_str().trim_end_matches('/'));
        let mut config = Config::of_cluster("", servers).database(&self.database).user(&self.user, &self.password);
        config.cluster.clone_from(&self.cluster);
        if self.is_replicated {
            let database = &self.database;
            let path = format!("/clickhouse/tables/{{shard}}/{database}/events");
            config.engine = Some(format!("ReplicatedMergeTree('{path}', '{{replica}}')"));
        }
        config
    }

    /// The name of the database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Whether a password is in it.
    pub fn has_password(&self) -> bool {
        !self.password.is_empty()
    }

    /// Whether what is sent goes over a network that is not this machine: never over TLS.
    pub fn is_in_plain(&self) -> bool {
        let is_here = |url: &Url| match url.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
            None => false,
        };
        !self.servers.iter().all(is_here)
    }

    /// The URL without the password.
    pub fn shown(&self) -> String {
        self.written(if self.has_password() { ":***" } else { "" })
    }

    /// The URL with `password` behind the user.
    fn written(&self, password: &str) -> String {
        let hosts: Vec<&str> =
            self.servers.iter().map(|url| url.as_str().trim_start_matches("http://").trim_end_matches('/')).collect();
        let user = encoded(&self.user);
        let cluster = self.cluster.as_ref().map(|name| format!("cluster={name}"));
        let replicated = self.is_replicated.then(|| "replicated=yes".to_owned());
        let query = [cluster, replicated].into_iter().flatten().collect::<Vec<_>>().join("&");
        let mark = if query.is_empty() { "" } else { "?" };
        format!("clickhouse://{user}{password}@{}/{}{mark}{query}", hosts.join(","), self.database)
    }
}

impl TryFrom<String> for EventsUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::read(&text)
    }
}

/// With the password, for another process of the same user.
impl From<EventsUrl> for String {
    fn from(url: EventsUrl) -> Self {
        url.written(&format!(":{}", encoded(&url.password)))
    }
}

/// `text` with `%` where it has to be.
fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// What is written with `%`.
fn decoded(text: &str) -> String {
    let form = format!("={}", text.replace('+', "%2B").replace('&', "%26"));
    form_urlencoded::parse(form.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

impl fmt::Debug for EventsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// When events that go to ClickHouse are acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventsAck {
    /// When they are on the disk of this machine.
    Spooled,
    /// When ClickHouse has them.
    Stored,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: show the password, decode `+` as a space, or take the first server for all of them.
    #[test]
    fn a_url_is_read_and_its_password_is_not_shown() {
        let one = EventsUrl::parse("clickhouse://app:se%40cr+et@10.0.0.7/zenovay").unwrap();
        assert_eq!((one.user.as_str(), one.password.as_str()), ("app", "se@cr+et"));
        assert_eq!(one.servers[0].as_str(), "http://10.0.0.7:8123/");
        assert_eq!(one.shown(), "clickhouse://app:***@10.0.0.7:8123/zenovay");
        assert!(one.is_in_plain() && format!("{one:?}") == one.shown());
        assert_eq!(EventsUrl::parse(&String::from(one.clone())), Ok(one));
        let two = "clickhouse://default@[::1]:18123,localhost:18124/z?cluster=c&replicated=yes";
        let two = EventsUrl::parse(two).unwrap();
        assert_eq!(two.shown(), "clickhouse://default@[::1]:18123,localhost:18124/z?cluster=c&replicated=yes");
        assert!(!two.is_in_plain() && !two.has_password());
    }

    /// Sabotage: say what stands where the user does.
    #[test]
    fn a_refused_url_does_not_tell_its_password() {
        for url in [
            "http://app:secret@host/z",
            "clickhouse://app:secret@host",
            "clickhouse://app:sec/ret@host/z",
            "clickhouse://app:secret@host:port/z",
            "clickhouse://app:secret@a,b/z",
            "clickhouse://app:secret@a/z?x=secret",
            "clickhouse://app:secret@a/z/y",
            "clickhouse://app:secret@/z",
        ] {
            let why = EventsUrl::parse(url).unwrap_err();
            assert!(!why.contains("secret") && !why.contains("sec/"), "{url}: {why}");
        }
    }
}
