//! What a block adds up to for each browser, system and country by itself, so that a filter by one of them reads sums and no columns.
//!
//! A block to which nothing is added any more has these beside it, with a list of the profiles that its views have. A question
//! asks its filter about each of them. Whatever the filter is made of: when it says the same of all that have one browser, for each
//! of the browsers, the sums of those that it keeps are the answer.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::rows::{Damaged, Profile, Rows};
use super::tally::{Sums, Tally};
use super::{Result, damaged, distinct, keep, visitors_of};
use crate::store::Row;
use crate::store::together::{Together, Writer};

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS heat_profiles (block INTEGER PRIMARY KEY, profiles BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS heat_cuts (
        id INTEGER PRIMARY KEY, block INTEGER NOT NULL, dimension INTEGER NOT NULL, value TEXT NOT NULL, sums BLOB NOT NULL,
        visitors BLOB NOT NULL
    );
    CREATE INDEX IF NOT EXISTS heat_cuts_by_block ON heat_cuts (block, dimension, value);";

/// Device, browser, version, system and country.
type Values<'a> = [&'a str; 5];
/// Where in [`Values`] the browser, the system and the country are.
const CUT_BY: [u8; 3] = [1, 3, 4];
/// A block with more values of a dimension is not cut by it.
const VALUES_MAX: usize = 256;

fn values(profile: &Profile) -> Values<'_> {
    let Profile { device, browser, browser_version, os, country } = profile;
    [device, browser, browser_version, os, country]
}

/// Cuts a block, of which these are the columns, and `visitors` the different visitors in their order.
pub(super) fn write(transaction: &Transaction<'_>, block: i64, rows: &Rows, visitors: &[u64]) -> Result<()> {
    let profiles: Vec<Values<'_>> = rows.profiles.iter().map(values).collect();
    let mut together = Writer::new();
    for values in &profiles {
        together.add(*values);
    }
    transaction.prepare("INSERT INTO heat_profiles VALUES (?1, ?2)")?.execute(params![block, together.pack()])?;
    let mut insert = transaction
        .prepare("INSERT INTO heat_cuts (block, dimension, value, sums, visitors) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for dimension in CUT_BY {
        let found: BTreeSet<&str> = profiles.iter().map(|values| values[usize::from(dimension)]).collect();
        // With one value alone a filter keeps all or nothing.
        if !(2..=VALUES_MAX).contains(&found.len()) {
            continue;
        }
        for value in found {
            let is_of: Vec<bool> = profiles.iter().map(|values| values[usize::from(dimension)] == value).collect();
            let chosen: Vec<bool> = rows.profile.iter().map(|profile| is_of[usize::from(*profile)]).collect();
            let mut tally = Tally::default();
            tally.add_rows(rows, &chosen);
            let who = rows.visitor.iter().zip(&chosen).filter(|(_, is_chosen)| **is_chosen).map(|(one, _)| *one);
            // A block has fewer visitors than there are numbers of 16 bits.
            let places = distinct(who.collect()).into_iter().filter_map(|one| visitors.binary_search(&one).ok());
            let places = places.flat_map(|place| u16::try_from(place).unwrap_or(u16::MAX).to_le_bytes());
            insert.execute(params![block, dimension, value, tally.pack(), places.collect::<Vec<u8>>()])?;
        }
    }
    Ok(())
}

/// Removes what a block was cut into.
pub(super) fn remove(transaction: &Transaction<'_>, block: i64) -> Result<()> {
    transaction.prepare("DELETE FROM heat_profiles WHERE block = ?1")?.execute([block])?;
    transaction.prepare("DELETE FROM heat_cuts WHERE block = ?1")?.execute([block])?;
    Ok(())
}

/// Cuts a block of a version before, to which nothing is added any more. Tells whether there was one.
pub(super) fn write_any(transaction: &Transaction<'_>) -> Result<bool> {
    let select = "SELECT b.id FROM heat_blocks b WHERE NOT EXISTS (SELECT 1 FROM heat_profiles WHERE block = b.id)
         AND EXISTS (SELECT 1 FROM heat_blocks next WHERE next.page = b.page AND next.class = b.class AND next.id > b.id)
         LIMIT 1";
    let found: Option<i64> = transaction.query_row(select, [], |row| row.get(0)).optional()?;
    let Some(block) = found else { return Ok(false) };
    let rows = keep::rows_of(transaction, block)?;
    write(transaction, block, &rows, &distinct(rows.visitor.clone()))?;
    Ok(true)
}

/// What a filter chooses of a block.
pub(super) enum Choice {
    All,
    Nothing,
    /// What the block was cut into by this dimension, of these values.
    Cuts(u8, Vec<String>),
    /// What only its columns tell.
    Some,
}

/// What of the block `block` of the page `path` is chosen by a filter that says so of each profile.
pub(super) fn choose(
    connection: &Connection,
    block: i64,
    path: &str,
    keeps: impl Fn(&Row<'_>) -> bool,
) -> Result<Choice> {
    let mut select = connection.prepare("SELECT profiles FROM heat_profiles WHERE block = ?1")?;
    let mut found = select.query([block])?;
    let Some(found) = found.next()? else { return Ok(Choice::Some) };
    let (profiles, _) = Together::<5>::read(found.get_ref(0)?.as_blob()?).ok_or_else(|| damaged(Damaged))?;
    let keeps = |[device, browser, browser_version, os, country]: Values<'_>| {
        keeps(&Row { path, device, browser, browser_version, os, country })
    };
    let kept: Vec<bool> = profiles.all().map(keeps).collect();
    if kept.iter().all(|is_kept| *is_kept) {
        return Ok(Choice::All);
    }
    if !kept.contains(&true) {
        return Ok(Choice::Nothing);
    }
    for dimension in CUT_BY {
        let mut by_value: BTreeMap<u32, bool> = BTreeMap::new();
        let mut told =
            profiles.places().iter().zip(&kept).map(|(places, is_kept)| (places[usize::from(dimension)], *is_kept));
        let is_alike = told.all(|(value, is_kept)| *by_value.entry(value).or_insert(is_kept) == is_kept);
        if is_alike && by_value.len() <= VALUES_MAX {
            let kept = by_value.into_iter().filter(|(_, is_kept)| *is_kept);
            return Ok(Choice::Cuts(dimension, kept.map(|(place, _)| profiles.value(place).to_owned()).collect()));
        }
    }
    Ok(Choice::Some)
}

/// Calls `each` with what the block was cut into by `dimension` of each of `values`: the sums, and the visitors in their order.
pub(super) fn visit(
    connection: &Connection,
    block: i64,
    dimension: u8,
    values: &[String],
    mut each: impl FnMut(&Sums, &[u64]) -> Result<()>,
) -> Result<()> {
    let mut visitors = connection.prepare("SELECT visitors FROM heat_blocks WHERE id = ?1")?;
    let visitors: Vec<u64> =
        visitors.query_row([block], |row| Ok(visitors_of(row.get_ref(0)?.as_blob()?).collect()))?;
    let mut select = connection
        .prepare("SELECT sums, visitors FROM heat_cuts WHERE block = ?1 AND dimension = ?2 AND value = ?3")?;
    for value in values {
        select.query_row(params![block, dimension, value], |row| {
            let sums = Sums::unpack(row.get_ref(0)?.as_blob()?).ok_or_else(|| damaged(Damaged))?;
            let places = row.get_ref(1)?.as_blob()?.as_chunks().0;
            let who = places.iter().filter_map(|place| visitors.get(usize::from(u16::from_le_bytes(*place))).copied());
            each(&sums, &who.collect::<Vec<u64>>())
        })?;
    }
    Ok(())
}

/// Removes what the blocks of `website` were cut into.
pub(super) fn delete_website(transaction: &Transaction<'_>, website: &[u8; 16]) -> Result<()> {
    for table in ["heat_profiles", "heat_cuts"] {
        let delete = format!(
            "DELETE FROM {table} WHERE block IN (SELECT b.id FROM heat_blocks b JOIN heat_pages p ON p.id = b.page
                 WHERE p.website = ?1)"
        );
        transaction.execute(&delete, params![website])?;
    }
    Ok(())
}
