//! Where the servers are.

use std::fmt;
use std::time::Duration;

use crate::OpenError;

/// The servers, and how they are spoken to.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// The address of the HTTP interface of one server of each shard, such as `http://10.0.0.7:8123`, in the order of the cluster.
    /// The first one is asked all questions.
    pub shards: Vec<String>,
    /// The name of the cluster in the configuration of the servers; `None` when there is one server. Each server of it must be
    /// allowed to ask the others.
    pub cluster: Option<String>,
    /// The database, which is made when it is not there: letters, digits and `_`, not beginning with a digit.
    pub database: String,
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// The engine of the table of events. `None` is `MergeTree`, which keeps one copy of each shard; with replicas it is
    /// `ReplicatedMergeTree('…', '…')`.
    pub engine: Option<String>,
    /// How long a server may take for what is not a question: a batch of events, a change of the schema.
    pub patience: Duration,
}

impl Config {
    /// One server, user `default` without a password, database `zenovay`, with 30 s for what is not a question.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            shards: vec![url.into()],
            cluster: None,
            database: "zenovay".to_owned(),
            user: "default".to_owned(),
            password: String::new(),
            engine: None,
            patience: Duration::from_secs(30),
        }
    }

    /// The same with one server of each shard of the cluster that is called `name`, in its order.
    pub fn of_cluster(name: impl Into<String>, shards: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let shards = shards.into_iter().map(Into::into).collect();
        Self { shards, cluster: Some(name.into()), ..Self::new("") }
    }

    /// In this database.
    #[must_use]
    pub fn database(self, database: impl Into<String>) -> Self {
        Self { database: database.into(), ..self }
    }

    /// As this user.
    #[must_use]
    pub fn user(self, user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: password.into(), ..self }
    }

    /// Whether it can be; asks no server.
    ///
    /// # Errors
    /// [`OpenError::Config`] when it cannot be.
    pub fn check(&self) -> Result<(), OpenError> {
        let fault = |field, problem| Err(OpenError::Config { field, problem });
        if self.shards.is_empty() {
            return fault("shards", "must name a server");
        }
        if self.shards.len() > 1 && self.cluster.is_none() {
            return fault("cluster", "must be named when there are several shards");
        }
        if !self.shards.iter().all(|url| url.starts_with("http://")) {
            return fault("shards", "must be addresses that begin with http://");
        }
        let is_name = |name: &str| {
            let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
            !name.is_empty() && name.chars().all(is_letter) && !name.starts_with(|first: char| first.is_ascii_digit())
        };
        if !is_name(&self.database) {
            return fault("database", "must be letters, digits and _, and not begin with a digit");
        }
        if !self.cluster.iter().all(|name| is_name(name)) {
            return fault("cluster", "must be letters, digits and _, and not begin with a digit");
        }
        Ok(())
    }
}

/// Without the password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("shards", &self.shards)
            .field("cluster", &self.cluster)
            .field("database", &self.database)
            .field("user", &self.user)
            .field("engine", &self.engine)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_told_by_name() {
        let field = |config: Config| match config.check() {
            Err(OpenError::Config { field, .. }) => Some(field),
            _ => None,
        };
        let one = Config::new("http://127.0.0.1:8123");
        assert_eq!(field(one.clone()), None);
        assert_eq!(field(one.clone().database("a; DROP TABLE b")), Some("database"));
        assert_eq!(field(Config::of_cluster("c'", ["http://a"])), Some("cluster"));
        assert_eq!(field(Config::of_cluster("c", [] as [&str; 0])), Some("shards"));
        assert_eq!(field(Config::new("https://a")), Some("shards"));
        assert_eq!(
            field(Config { shards: vec!["http://a".into(), "http://b".into()], ..one.clone() }),
            Some("cluster")
        );
        assert!(!format!("{:?}", one.user("app", "hunter2")).contains("hunter2"));
    }
}
