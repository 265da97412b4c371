//! Limits that several servers count together, in Redis.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use zenovay_domain::KeyId;
use zenovay_limits::Counts;
use zenovay_redis::{AwayReason, Before, Fallback, Observer, Redis, RedisCounts, RedisUrl};

use crate::config::Config;
use crate::http::address_limit::{AddressClass, AddressLimits};
use crate::http::state::AppState;
use crate::runtime::ServeError;

/// The file with the names of the servers that were there last.
const NODES: &str = "zenovay.nodes";
/// No more of it is read: a server has some 30 bytes.
const NODES_MAX_BYTES: usize = 64 << 10;

/// The limits of a server, counted in Redis.
pub struct SharedLimits {
    redis: Redis,
}

impl SharedLimits {
    /// Connects to the Redis of `config`, if it names one. `is_first`: nobody ever used the installation. A server that cannot be reached
    /// yet is looked for.
    ///
    /// # Errors
    /// [`ServeError::Redis`] when it refuses what is asked of it.
    pub fn open(config: &Config, is_first: bool) -> Result<Option<Self>, ServeError> {
        let Some(url) = &config.redis_url else { return Ok(None) };
        if RedisUrl::is_in_plain(url) {
            tracing::warn!(
                "what is sent to the server of redis_url goes over the network without TLS, where others may read and change it: write rediss://"
            );
        }
        let path = config.data_dir.join(NODES);
        let nodes = read(&path);
        let before = match &nodes {
            _ if is_first => Before::Nothing,
            Some(nodes) => Before::Run(nodes),
            None => Before::Others,
        };
        let redis = Redis::open(url, before, Watch { path })?;
        Ok(Some(Self { redis }))
    }

    /// The server of Redis.
    pub fn server(&self) -> &Redis {
        &self.redis
    }

    /// Has `state` count its limits there.
    pub fn count_in(&self, state: &mut AppState) {
        let keys = |name| -> Arc<dyn Counts<KeyId>> {
            let write = |key: &KeyId, bytes: &mut Vec<u8>| bytes.extend(key.as_u128().to_be_bytes());
            Arc::new(RedisCounts::of_ids(&self.redis, name, Fallback::Exact, write))
        };
        state.keys = keys("key");
        state.refused_keys = keys("refused_key");
        state.addresses = Arc::new(AddressLimits::new(&state.config, |class| {
            let (name, fallback) = match class {
                AddressClass::Tracking => ("tracking", Fallback::Share),
                AddressClass::Public => ("public", Fallback::Share),
                AddressClass::Auth => ("auth", Fallback::Strict),
                AddressClass::Clients => ("clients", Fallback::Strict),
                AddressClass::Tokens => ("tokens", Fallback::Strict),
            };
            Arc::new(RedisCounts::of_networks(&self.redis, name, fallback, class.max_bytes()))
        }));
        state.redis = Some(self.redis.clone());
        tell(&self.redis);
    }

    /// Tells the other servers that this one counts nothing any more.
    pub fn stop(self) {
        self.redis.stop();
    }
}

/// What was written last; nothing is as good as no file, and a server that runs for the first time after others waits for a minute.
fn read(path: &Path) -> Option<String> {
    let nodes = fs::read(path).ok().filter(|bytes| bytes.len() <= NODES_MAX_BYTES)?;
    String::from_utf8(nodes).ok()
}

/// Says on the page of metrics how Redis is. To be called now and then.
pub fn tell(redis: &Redis) {
    let status = redis.status();
    metrics::gauge!("zenovay_redis_available").set(if status.away.is_none() { 1.0 } else { 0.0 });
    metrics::gauge!("zenovay_redis_servers").set(status.nodes);
    metrics::gauge!("zenovay_redis_parts").set(status.share);
}

/// Tells of Redis in the log and the metrics, and keeps the names of the servers.
struct Watch {
    path: PathBuf,
}

impl Watch {
    fn keep(&self, nodes: &str) -> std::io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(&format!("{NODES}.")).tempfile_in(directory)?;
        file.write_all(nodes.as_bytes())?;
        file.persist(&self.path)?;
        Ok(())
    }
}

impl Observer for Watch {
    fn away(&self, reason: AwayReason, cause: &str) {
        metrics::gauge!("zenovay_redis_available").set(0.0);
        metrics::counter!("zenovay_redis_losses_total", "reason" => reason.as_str()).increment(1);
        tracing::error!(
            reason = reason.as_str(),
            cause,
            "Redis is of no use: each server goes by its part of the limits; requests with API keys wait for the next minute"
        );
    }

    fn back(&self, time: Duration) {
        metrics::gauge!("zenovay_redis_available").set(1.0);
        tracing::info!(seconds = time.as_secs(), "Redis counts the limits again");
    }

    fn forgot(&self) {
        tracing::warn!(
            "Redis lost what it had counted; requests with API keys wait until it has counted for a whole minute"
        );
    }

    fn nodes(&self, nodes: &str) {
        if let Err(error) = self.keep(nodes) {
            tracing::warn!(%error, "the names of the other servers cannot be kept");
        }
    }

    fn persists(&self, persists: bool) {
        if persists {
            tracing::warn!(
                "the Redis server writes what it holds to a disk, where counts of visitors' networks stay longer than they should: set save \"\" \
                 and appendonly no"
            );
        }
    }
}
