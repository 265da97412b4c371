//! The names of visitors where several servers share them: the secret of the installation is in PostgreSQL, the salts of days are in Redis.

use std::io;

use zenovay_domain::Timestamp;
use zenovay_ingest::{DailySalt, FileSalts, SaltStore, Secret, VisitorHasher};
use zenovay_redis::{Redis, RedisSalts};

use crate::backends;
use crate::config::Config;

/// The file of a server that was alone in this data directory.
const FILE: &str = "salts";

const DAY_MS: i64 = 24 * 3_600_000;

/// Names visitors as all servers of `config` do. Where this is the first of them, and was alone before, it goes on with its names.
///
/// # Errors
/// When the secret cannot be read or kept, or the file of before cannot be used.
pub fn hasher(config: &Config, redis: &Redis, now: Timestamp) -> io::Result<VisitorHasher> {
    let file = if config.data_dir.join(FILE).exists() { Some(FileSalts::open(&config.data_dir)?) } else { None };
    let before = file.as_ref().map(|file| file.installation(Secret::new(rand::random()))).transpose()?;
    let store = {
        let (config, before) = (config.clone(), before.clone());
        RedisSalts::new(redis, move |drawn| {
            let fresh = before.as_ref().unwrap_or(&drawn);
            backends::shared_secret(&config, fresh.as_bytes()).map(Secret::new).map_err(io::Error::other)
        })
    };
    if let (Some(file), Some(before)) = (file, before) {
        let today = now.as_millis().div_euclid(DAY_MS);
        let is_first = store.installation(before.clone())? == before;
        for DailySalt { day, salt, .. } in file.keep_only(today..=today)? {
            if is_first {
                store.get_or_create(day, salt)?;
            }
        }
        // Nobody destroys them there when their day is over: no day is that one.
        file.keep_only(i64::MIN..=i64::MIN)?;
    }
    VisitorHasher::new(store, now)
}
