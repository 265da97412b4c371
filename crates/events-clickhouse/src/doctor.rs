//! Finding out whether servers do what is relied on, on the servers themselves: what cannot be tested without them.

use std::thread::sleep;
use std::time::Instant;

use clickhouse::Row;
use serde::Deserialize;
use zenovay_domain::{Event, EventKind, SessionId, TimeRange, Timestamp, VisitorId, WebsiteId};
use zenovay_events::NewEvent;

use crate::sql::{Text, uuid};
use crate::tables::LOOK;
use crate::{Config, OpenError, ServerError, Tables};

/// What was looked at, and what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Examined {
    /// The name of the check, with the server where there are several.
    pub check: String,
    /// Whether all is well.
    pub is_well: bool,
    /// What was seen, in words.
    pub seen: String,
}

/// The oldest version that was run, and the one that is tested.
const VERSION_MIN: (u32, u32) = (26, 7);
const VERSION_TESTED: &str = "26.9";
/// As many visitors are written through all shards: none is left without one by chance.
const VISITORS: u64 = 64;

#[derive(Debug, Row, Deserialize)]
struct Table {
    engine: String,
    made_by: String,
}

#[derive(Debug, Row, Deserialize)]
struct Cluster {
    shards: u32,
    is_replicated_by_servers: u8,
    copies: u64,
}

/// Looks at the servers of `config`: their versions, tables and cluster; writes some rows of `website`, which is nobody's, each batch twice,
/// through each of the servers; and removes them. Makes no tables. Blocks, for some seconds.
///
/// # Errors
/// When the configuration cannot be, or no thread can be started. What servers do wrong is among what was seen.
pub fn examine(config: Config, website: WebsiteId) -> Result<Vec<Examined>, OpenError> {
    let doctor = Doctor { tables: Tables::new(config)?, website };
    let mut all = Vec::new();
    let mut note = |check: String, seen: Result<String, String>| {
        let is_well = seen.is_ok();
        let (Ok(seen) | Err(seen)) = seen;
        all.push(Examined { check, is_well, seen });
        is_well
    };
    let servers = doctor.config().shards.clone();
    let mut can_write = true;
    for (shard, url) in servers.iter().enumerate() {
        can_write &= note(format!("version of {url}"), doctor.version(shard));
        can_write &= note(format!("table of {url}"), doctor.table(shard));
    }
    if let Some(name) = &doctor.config().cluster {
        can_write &= note(format!("cluster {name}"), doctor.cluster(name));
    }
    // What is written must be removed again: nothing is written where that may not be.
    if can_write && let Err(why) = doctor.tables.delete_website(website) {
        note("erasure".to_owned(), Err(format!("{}; nothing was written to be erased", told(&why))));
        can_write = false;
    }
    if can_write {
        for (shard, url) in servers.iter().enumerate() {
            note(format!("a batch twice through {url}"), doctor.write_twice(shard));
        }
        note("a batch twice through all shards".to_owned(), doctor.write_to_all());
        note("erasure".to_owned(), doctor.erase());
    }
    Ok(all)
}

struct Doctor {
    tables: Tables,
    website: WebsiteId,
}

fn told(error: &ServerError) -> String {
    error.to_string()
}

impl Doctor {
    fn config(&self) -> &Config {
        self.tables.config()
    }

    fn version(&self, shard: usize) -> Result<String, String> {
        let version: Vec<String> = self.tables.rows_of(shard, "SELECT version()").map_err(|error| told(&error))?;
        let version = version.into_iter().next().unwrap_or_default();
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
        let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if found < VERSION_MIN {
            return Err(format!("{version}; {}.{} is the oldest that was tried", VERSION_MIN.0, VERSION_MIN.1));
        }
        Ok(if version.starts_with(VERSION_TESTED) { version } else { format!("{version}; {VERSION_TESTED} is tested") })
    }

    fn table(&self, shard: usize) -> Result<String, String> {
        let asked = format!(
            "SELECT engine, create_table_query AS made_by FROM system.tables WHERE database = {} AND name = 'events'",
            Text(&self.config().database)
        );
        let found: Vec<Table> = self.tables.rows_of(shard, &asked).map_err(|error| told(&error))?;
        let Some(Table { engine, made_by }) = found.into_iter().next() else {
            return Err("there is none: the first server of zenovay makes it".to_owned());
        };
        if self.config().engine.is_some() != engine.starts_with("Replicated") {
            return Err(format!("its engine is {engine}, which is not what events_url says"));
        }
        if !engine.ends_with("MergeTree") {
            return Err(format!("its engine is {engine}"));
        }
        let window = made_by.split("deduplication_window = ").nth(1).unwrap_or_default();
        let window: u64 = window.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().parse().unwrap_or(0);
        // With replicas the servers have a window of their own.
        if window == 0 && !engine.starts_with("Replicated") {
            return Err("it does not remember batches: non_replicated_deduplication_window is not set".to_owned());
        }
        Ok(engine)
    }

    fn cluster(&self, name: &str) -> Result<String, String> {
        let asked = format!(
            "SELECT max(shard_num) AS shards, min(internal_replication) AS is_replicated_by_servers, count() AS copies \
             FROM system.clusters WHERE cluster = {}",
            Text(name)
        );
        let found: Vec<Cluster> = self.tables.rows_of(0, &asked).map_err(|error| told(&error))?;
        let named = self.config().shards.len();
        match found.into_iter().next() {
            Some(Cluster { shards, .. }) if shards as usize != named => {
                Err(format!("it has {shards} shards, and events_url names {named}: one server of each, in their order"))
            }
            Some(Cluster { is_replicated_by_servers: 0, copies, .. }) if copies > named as u64 => Err(
                "internal_replication is not true: each copy would be written by itself, and differ after a failure"
                    .to_owned(),
            ),
            Some(Cluster { shards, copies, .. }) => Ok(format!("{shards} shards, {copies} servers")),
            None => Err("the first server does not know it".to_owned()),
        }
    }

    /// Writes a row to a server itself, twice with one token.
    fn write_twice(&self, shard: usize) -> Result<String, String> {
        let (database, website) = (&self.config().database, uuid(self.website));
        let before = self.count(shard)?;
        let insert = format!(
            "INSERT INTO {database}.events (website, at, visitor, session, arrival) VALUES ({website}, 0, {shard}, {shard}, 0)"
        );
        let token = format!("doctor-{}-{shard}", self.website);
        for _ in 0..2 {
            let options = [("insert_deduplication_token", token.as_str()), ("async_insert", "0")];
            self.tables.execute(shard, &insert, &options).map_err(|error| told(&error))?;
        }
        match self.count(shard)? - before {
            1 => Ok("stored once".to_owned()),
            rows => Err(format!("stored {rows} times: a delivery of unknown fate would be counted twice")),
        }
    }

    /// Writes a row of each of many visitors through the table over all shards, twice.
    fn write_to_all(&self) -> Result<String, String> {
        let servers = self.config().shards.len();
        let before = (0..servers).map(|shard| self.count(shard)).collect::<Result<Vec<u64>, String>>()?;
        let event = |visitor| {
            let at = Timestamp::from_millis(0);
            let event = Event::new(EventKind::Pageview, at, VisitorId(visitor), SessionId(visitor));
            NewEvent::new(self.website, at, event)
        };
        let events: Vec<NewEvent> = (0..VISITORS).map(event).collect();
        for _ in 0..2 {
            self.tables.write(&format!("doctor-{}", self.website), 1, &events).map_err(|error| told(&error))?;
        }
        let after = (0..servers).map(|shard| self.count(shard)).collect::<Result<Vec<u64>, String>>()?;
        let written: Vec<u64> = before.iter().zip(&after).map(|(before, after)| after - before).collect();
        match written.iter().sum::<u64>() {
            rows if rows != VISITORS => Err(format!("{rows} of {VISITORS} rows are stored: {written:?} by shard")),
            _ if written.contains(&0) => Err(format!("a shard got nothing: {written:?}")),
            _ => Ok(format!("stored once, {written:?} by shard")),
        }
    }

    fn erase(&self) -> Result<String, String> {
        let left = |why: &dyn std::fmt::Display| format!("{why}; rows of the website {} are left", self.website);
        self.tables.delete_website(self.website).map_err(|error| left(&error))?;
        let until = Instant::now() + self.tables.patience();
        loop {
            let left = (0..self.config().shards.len()).map(|shard| self.count(shard)).sum::<Result<u64, String>>()?;
            if left == 0 {
                let all = self.tables.count(self.website, TimeRange::ALL).map_err(|error| error.to_string())?;
                return if all == 0 { Ok("nothing is left".to_owned()) } else { Err(format!("{all} rows are left")) };
            }
            if Instant::now() >= until {
                return Err(format!("{left} rows are left of website {}", self.website));
            }
            sleep(LOOK);
        }
    }

    fn count(&self, shard: usize) -> Result<u64, String> {
        let (database, website) = (&self.config().database, uuid(self.website));
        let asked = format!("SELECT count() FROM {database}.events WHERE website = {website}");
        let rows: Vec<u64> = self.tables.rows_of(shard, &asked).map_err(|error| told(&error))?;
        rows.first().copied().ok_or_else(|| "it does not count".to_owned())
    }
}
