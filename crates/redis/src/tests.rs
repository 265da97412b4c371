//! Tests on a real Redis server.

mod cap;
mod faults;
mod model;
mod repeated;
mod suite;
mod visitors;

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::keeper::{Before, Observer, Redis, Times};
use crate::testing::Server;
use crate::{AwayReason, RedisUrl};

/// The server of all tests. What is static is never dropped: the system closes its standard input.
static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

/// For how long something is waited for, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(30);

/// Hears nothing.
struct Deaf;

impl Observer for Deaf {
    fn away(&self, _: AwayReason, _: &str) {}
    fn back(&self, _: Duration) {}
    fn forgot(&self) {}
    fn nodes(&self, _: &str) {}
    fn persists(&self, _: bool) {}
}

/// The beginning of the names of keys that nobody else has.
fn prefix() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    format!("{}:", MADE.fetch_add(1, Ordering::Relaxed))
}

/// A node whose time is `at`, without a thread.
fn node(server: &Server, prefix: &str, at: &Arc<AtomicI64>) -> Redis {
    node_after(Before::Nothing, server, prefix, at)
}

fn node_after(before: Before<'_>, server: &Server, prefix: &str, at: &Arc<AtomicI64>) -> Redis {
    node_at(&server.url(), before, prefix, at)
}

fn node_at(url: &str, before: Before<'_>, prefix: &str, at: &Arc<AtomicI64>) -> Redis {
    let url = RedisUrl::read(url).unwrap();
    Redis::new(PATIENCE, &url, prefix.to_owned(), Times::Moved(Arc::clone(at)), before, Box::new(Deaf)).unwrap()
}

/// What the server answers.
fn answer<T: redis::FromRedisValue>(server: &Server, words: &[&str]) -> T {
    let mut connection = RedisUrl::read(&server.url()).unwrap().client().unwrap().get_connection().unwrap();
    redis::cmd(words[0]).arg(&words[1..]).query(&mut connection).unwrap()
}
