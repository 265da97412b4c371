//! What changes the tables: captures as they come, and the removal of what is not kept.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, Transaction, params};
use xxhash_rust::xxh3::xxh3_128;

use super::errors::Status;
use super::maps::{Maps, RawStack, symbolicate};
use super::{Batch, StepError, heatmaps, packed, replays};
use crate::Context;
use crate::record::{Capture, ErrorCapture, Unreadable, VitalsCapture};
use crate::vitals::Vital;
use crate::{Fingerprint, Frame, fingerprint};

/// The most groups of a website: further errors are in one group, [`OTHERS`].
pub(super) const GROUPS_MAX: i64 = 5_000;
/// The most different messages and stacks of a website: of further ones only the type is kept.
pub(super) const VARIANTS_MAX: i64 = 20_000;
/// The fingerprint of errors beyond the bound.
const OTHERS: Fingerprint = Fingerprint(0);
/// The most occurrences of a group of which is kept what the page told and what came before.
const TOLD_MAX: i64 = 200;

type Result<T> = std::result::Result<T, rusqlite::Error>;

/// Applies `batches`, each once.
pub(super) fn apply(
    transaction: &Transaction<'_>,
    batches: &[Batch],
    maps: &mut Maps,
) -> std::result::Result<(), StepError> {
    let (mut heat, mut with_errors) = (BTreeSet::new(), BTreeSet::new());
    for (name, captures) in batches {
        let (run, number) = (name.run.cast_signed(), name.number.cast_signed());
        let last: Option<i64> = transaction
            .prepare("SELECT number FROM applied WHERE run = ?1")?
            .query_row([run], |row| row.get(0))
            .optional()?;
        if last.is_some_and(|last| last >= number) {
            continue;
        }
        transaction
            .prepare("INSERT INTO applied VALUES (?1, ?2) ON CONFLICT (run) DO UPDATE SET number = excluded.number")?
            .execute([run, number])?;
        for (website, bytes) in captures {
            match Capture::unpack(bytes) {
                Ok(Capture::Vitals(vitals)) => add_vitals(transaction, website.as_bytes(), &vitals)?,
                Ok(Capture::Error(error)) => {
                    add_error(transaction, website.as_bytes(), &error, maps)?;
                    with_errors.insert(*website.as_bytes());
                }
                Ok(Capture::Heatmap(told)) => drop(heat.insert(heatmaps::add(transaction, website.as_bytes(), &told)?)),
                Ok(Capture::Replay(chunk)) => replays::add(transaction, website.as_bytes(), &chunk.bounded())?,
                Err(error @ Unreadable::Newer(_)) => return Err(StepError::Unreadable(error)),
                // The log verified that it is what was written: it can only have been written wrong.
                Err(error) => tracing::error!(%website, %error, "a capture is left out"),
            }
        }
    }
    for website in &with_errors {
        packed::pack(transaction, website)?;
    }
    heatmaps::pack(transaction, &heat)?;
    Ok(())
}

/// A value as it is stored: whole tenths of milliseconds, or ten thousandths.
#[expect(clippy::cast_possible_truncation, reason = "values were bounded when they were read")]
pub(super) fn stored(vital: Vital, value: f64) -> i64 {
    (value * scale(vital)).round() as i64
}

/// What a stored value has to be divided by.
pub(super) const fn scale(vital: Vital) -> f64 {
    match vital {
        Vital::Cls => 10_000.0,
        _ => 10.0,
    }
}

fn add_vitals(transaction: &Transaction<'_>, website: &[u8; 16], capture: &VitalsCapture) -> Result<()> {
    let VitalsCapture { context, view, values, connection } = capture;
    let [lcp, cls, inp, fcp, ttfb] = std::array::from_fn(|at| values[at].map(|value| stored(Vital::ALL[at], value)));
    let Context { at_ms, visitor, session, path, device, browser, browser_version, os, country } = context;
    // What comes later of a view knows more; what it does not say again is kept, and it is of the time of the first.
    transaction
        .prepare(
            "INSERT INTO vitals VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
             ON CONFLICT (website, view) DO UPDATE SET
                lcp = coalesce(excluded.lcp, lcp), cls = coalesce(excluded.cls, cls), inp = coalesce(excluded.inp, inp),
                fcp = coalesce(excluded.fcp, fcp), ttfb = coalesce(excluded.ttfb, ttfb)",
        )?
        .execute(params![
            website,
            view.cast_signed(),
            at_ms,
            visitor.cast_signed(),
            session.cast_signed(),
            path,
            device,
            browser,
            browser_version,
            os,
            country,
            connection,
            lcp,
            cls,
            inp,
            fcp,
            ttfb
        ])?;
    Ok(())
}

fn add_error(transaction: &Transaction<'_>, website: &[u8; 16], error: &ErrorCapture, maps: &mut Maps) -> Result<()> {
    let (variant, group) = variant_of(transaction, website, error, maps)?;
    let Context { at_ms, visitor, session, path, device, browser, browser_version, os, country } = &error.context;
    let is_told = !error.properties.is_empty() || !error.breadcrumbs.is_empty();
    if is_told && count_told(transaction, variant)? >= TOLD_MAX {
        // The oldest gives way.
        transaction.prepare(FORGET_OLDEST)?.execute([variant])?;
    }
    let told = is_told.then(|| serde_json::json!([error.properties, error.breadcrumbs]).to_string());
    transaction
        .prepare(
            "INSERT INTO occurrences (website, variant, at, visitor, session, count, path, device, browser, browser_version,
                os, country, told) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            website,
            variant,
            at_ms,
            visitor.cast_signed(),
            session.cast_signed(),
            error.count,
            path,
            device,
            browser,
            browser_version,
            os,
            country,
            told
        ])?;
    let is_new = transaction
        .prepare("INSERT OR IGNORE INTO group_visitors VALUES (?1, ?2)")?
        .execute([group, visitor.cast_signed()])?;
    transaction
        .prepare(
            "UPDATE groups SET occurrences = occurrences + ?2, visitors = visitors + ?3, first_at = min(first_at, ?4),
                last_at = max(last_at, ?4) WHERE id = ?1",
        )?
        .execute(params![group, error.count, i64::from(is_new > 0), at_ms])?;
    // A regression: it was resolved, and happened again.
    let reopened = transaction
        .prepare("UPDATE groups SET status = ?2, changed_at = ?3 WHERE id = ?1 AND status = ?4 AND changed_at < ?3")?
        .execute(params![group, Status::Unresolved as i64, at_ms, Status::Resolved as i64])?;
    if reopened > 0 {
        add_history(transaction, group, *at_ms, "came_back", "", &error.release)?;
    }
    Ok(())
}

/// Of how many occurrences of a variant, up to the bound, it is kept what the page told. An index has these alone: without it each error
/// would take longer than the one before.
fn count_told(transaction: &Transaction<'_>, variant: i64) -> Result<i64> {
    transaction.prepare(TOLD)?.query_row([variant, TOLD_MAX], |row| row.get(0))
}

const TOLD: &str = "SELECT count(*) FROM (SELECT 1 FROM occurrences WHERE variant = ?1 AND told IS NOT NULL LIMIT ?2)";
/// Forgets what was told with the oldest occurrence of a variant of which that is kept.
const FORGET_OLDEST: &str = "UPDATE occurrences SET told = NULL WHERE id =
    (SELECT id FROM occurrences WHERE variant = ?1 AND told IS NOT NULL ORDER BY at LIMIT 1)";

/// Adds a line to the history of a group.
pub(super) fn add_history(
    transaction: &Transaction<'_>,
    group: i64,
    at_ms: i64,
    what: &str,
    who: &str,
    release: &str,
) -> Result<()> {
    transaction
        .prepare("INSERT INTO history (grp, at, what, who, release) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![group, at_ms, what, who, release])?;
    Ok(())
}

/// The variant that `error` is of, and its group; made when they are new.
fn variant_of(
    transaction: &Transaction<'_>,
    website: &[u8; 16],
    error: &ErrorCapture,
    maps: &mut Maps,
) -> Result<(i64, i64)> {
    let frames = serde_json::to_string(&error.frames).unwrap_or_default();
    if let Some(found) = find_variant(transaction, website, &digest_of(error, &frames))? {
        return Ok(found);
    }
    if count(transaction, "variants", website)? < VARIANTS_MAX {
        let ErrorCapture { kind, message, release, debug_ids, .. } = error;
        let mapped = symbolicate(transaction, maps, RawStack { website, release, debug_ids, frames: &error.frames })?;
        let told = fingerprint(kind, message, mapped.as_deref().unwrap_or(&error.frames));
        let group = group_of(transaction, website, told, error.context.at_ms, None)?;
        return add_variant(transaction, website, error, &frames, mapped.as_deref(), group);
    }
    let bare = ErrorCapture { kind: "Error".to_owned(), message: "(other)".to_owned(), ..ErrorCapture::default() };
    match find_variant(transaction, website, &digest_of(&bare, "[]"))? {
        Some(found) => Ok(found),
        None => {
            let group = group_of(transaction, website, OTHERS, error.context.at_ms, None)?;
            add_variant(transaction, website, &bare, "[]", None, group)
        }
    }
}

/// How many rows of `website` there are.
fn count(transaction: &Transaction<'_>, table: &str, website: &[u8; 16]) -> Result<i64> {
    let select = format!("SELECT count(*) FROM {table} WHERE website = ?1");
    transaction.query_row(&select, params![website], |row| row.get(0))
}

fn digest_of(error: &ErrorCapture, frames: &str) -> [u8; 16] {
    let told = [&error.kind, &error.message, frames, &error.source, &error.release].map(|part| part.as_bytes());
    let mut bytes = Vec::with_capacity(told.iter().map(|part| part.len() + 8).sum());
    for part in told {
        bytes.extend((part.len() as u64).to_le_bytes());
        bytes.extend(part);
    }
    xxh3_128(&bytes).to_le_bytes()
}

fn find_variant(transaction: &Transaction<'_>, website: &[u8; 16], digest: &[u8; 16]) -> Result<Option<(i64, i64)>> {
    transaction
        .prepare("SELECT id, grp FROM variants WHERE website = ?1 AND digest = ?2")?
        .query_row(params![website, digest], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// The group of errors with the fingerprint `told`. A new one has the status and the history of the group `like`. When there are too
/// many, it is the one of all others.
pub(super) fn group_of(
    transaction: &Transaction<'_>,
    website: &[u8; 16],
    told: Fingerprint,
    at_ms: i64,
    like: Option<i64>,
) -> Result<i64> {
    let mut find = transaction.prepare(
        "SELECT grp FROM aliases WHERE website = ?1 AND fingerprint = ?2
             UNION ALL SELECT id FROM groups WHERE website = ?1 AND fingerprint = ?2 LIMIT 1",
    )?;
    let mut found = |told: Fingerprint| -> Result<Option<i64>> {
        find.query_row(params![website, told.0.cast_signed()], |row| row.get(0)).optional()
    };
    if let Some(group) = found(told)? {
        return Ok(group);
    }
    let is_full = count(transaction, "groups", website)? >= GROUPS_MAX;
    let told = if is_full { OTHERS } else { told };
    if is_full && let Some(group) = found(OTHERS)? {
        return Ok(group);
    }
    let uuid = xxh3_128(&[&website[..], &told.0.to_le_bytes()].concat()).to_le_bytes();
    transaction
        .prepare(
            "INSERT INTO groups (uuid, website, fingerprint, status, occurrences, visitors, first_at, last_at, changed_at)
                SELECT ?1, ?2, ?3, coalesce((SELECT status FROM groups WHERE id = ?6), ?4), 0, 0, ?5, ?5,
                    coalesce((SELECT changed_at FROM groups WHERE id = ?6), ?5)",
        )?
        .execute(params![uuid, website, told.0.cast_signed(), Status::Unresolved as i64, at_ms, like])?;
    let group = transaction.last_insert_rowid();
    transaction.execute(
        "INSERT INTO history (grp, at, what, who, release) SELECT ?1, at, what, who, release FROM history WHERE grp = ?2",
        params![group, like],
    )?;
    Ok(group)
}

fn add_variant(
    transaction: &Transaction<'_>,
    website: &[u8; 16],
    error: &ErrorCapture,
    frames: &str,
    mapped: Option<&[Frame]>,
    group: i64,
) -> Result<(i64, i64)> {
    let mapped = mapped.map(|frames| serde_json::to_string(frames).unwrap_or_default());
    let debug_ids = serde_json::to_string(&error.debug_ids).unwrap_or_default();
    transaction
        .prepare(
            "INSERT INTO variants (website, digest, grp, kind, message, frames, source, release, debug_ids, mapped)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            website,
            digest_of(error, frames),
            group,
            error.kind,
            error.message,
            frames,
            error.source,
            error.release,
            debug_ids,
            mapped
        ])?;
    Ok((transaction.last_insert_rowid(), group))
}

/// Whether there is something of `website` from `from_ms` on that is before `before_ms`.
pub(super) fn has_between(
    connection: &rusqlite::Connection,
    website: &[u8; 16],
    from_ms: i64,
    before_ms: i64,
) -> Result<bool> {
    let is_any: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM vitals WHERE website = ?1 AND at >= ?2 AND at < ?3)
             OR EXISTS (SELECT 1 FROM occurrences WHERE website = ?1 AND at >= ?2 AND at < ?3)",
        params![website, from_ms, before_ms],
        |row| row.get(0),
    )?;
    Ok(is_any
        || heatmaps::has_between(connection, website, from_ms, before_ms)?
        || replays::has_between(connection, website, from_ms, before_ms)?)
}

/// Removes what is of `website` from before `before_ms`.
pub(super) fn remove_before(transaction: &Transaction<'_>, website: &[u8; 16], before_ms: i64) -> Result<u64> {
    let removed =
        transaction.execute("DELETE FROM vitals WHERE website = ?1 AND at < ?2", params![website, before_ms])?;
    let groups = groups_of(transaction, "o.at < ?2", website, before_ms)?;
    packed::remove_before(transaction, website, before_ms)?;
    let errors =
        transaction.execute("DELETE FROM occurrences WHERE website = ?1 AND at < ?2", params![website, before_ms])?;
    settle(transaction, website, &groups)?;
    Ok((removed + errors) as u64
        + heatmaps::remove_before(transaction, website, before_ms)?
        + replays::remove_before(transaction, website, before_ms)?)
}

/// Removes what is of `visitor`.
pub(super) fn erase_visitor(transaction: &Transaction<'_>, website: &[u8; 16], visitor: i64) -> Result<u64> {
    let removed =
        transaction.execute("DELETE FROM vitals WHERE website = ?1 AND visitor = ?2", params![website, visitor])?;
    let groups = groups_of(transaction, "o.visitor = ?2", website, visitor)?;
    packed::erase_visitor(transaction, website, visitor)?;
    let errors = transaction
        .execute("DELETE FROM occurrences WHERE website = ?1 AND visitor = ?2", params![website, visitor])?;
    settle(transaction, website, &groups)?;
    Ok((removed + errors) as u64
        + heatmaps::erase_visitor(transaction, website, visitor)?
        + replays::erase_visitor(transaction, website, visitor)?)
}

/// The groups of `website` with occurrences of which `condition` is true.
fn groups_of(transaction: &Transaction<'_>, condition: &str, website: &[u8; 16], value: i64) -> Result<Vec<i64>> {
    let select = format!(
        "SELECT DISTINCT v.grp FROM occurrences o JOIN variants v ON v.id = o.variant WHERE o.website = ?1 AND {condition}"
    );
    transaction.prepare(&select)?.query_map(params![website, value], |row| row.get(0))?.collect()
}

/// Counts `groups` anew, of which occurrences were removed or moved, and removes what has none any more.
pub(super) fn settle(transaction: &Transaction<'_>, website: &[u8; 16], groups: &[i64]) -> Result<()> {
    for &group in groups {
        transaction.execute(
            "DELETE FROM variants WHERE grp = ?1 AND NOT EXISTS (SELECT 1 FROM occurrences WHERE variant = variants.id)",
            [group],
        )?;
        transaction.execute("DELETE FROM group_visitors WHERE grp = ?1", [group])?;
        transaction.execute(
            "INSERT OR IGNORE INTO group_visitors SELECT ?1, visitor FROM occurrences
                WHERE variant IN (SELECT id FROM variants WHERE grp = ?1)",
            [group],
        )?;
        let (count, first, last): (Option<i64>, Option<i64>, Option<i64>) = transaction.query_row(
            "SELECT sum(count), min(at), max(at) FROM occurrences WHERE variant IN (SELECT id FROM variants WHERE grp = ?1)",
            [group],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        match count {
            None => {
                transaction.execute("DELETE FROM history WHERE grp = ?1", [group])?;
                transaction.execute("DELETE FROM aliases WHERE grp = ?1", [group])?;
                transaction.execute("DELETE FROM groups WHERE id = ?1 AND website = ?2", params![group, website])?;
            }
            Some(count) => {
                transaction.execute(
                    "UPDATE groups SET occurrences = ?2, first_at = ?3, last_at = ?4,
                        visitors = (SELECT count(*) FROM group_visitors WHERE grp = ?1) WHERE id = ?1",
                    params![group, count, first, last],
                )?;
            }
        }
    }
    Ok(())
}

/// Removes everything of `website`.
pub(super) fn delete_website(transaction: &Transaction<'_>, website: &[u8; 16]) -> Result<u64> {
    let mut removed = 0;
    for table in ["history", "group_visitors"] {
        let delete = format!("DELETE FROM {table} WHERE grp IN (SELECT id FROM groups WHERE website = ?1)");
        removed += transaction.execute(&delete, params![website])?;
    }
    for table in ["vitals", "occurrences", "variants", "groups", "aliases", "source_maps", "hidden"] {
        removed += transaction.execute(&format!("DELETE FROM {table} WHERE website = ?1"), params![website])?;
    }
    packed::delete_website(transaction, website)?;
    Ok(removed as u64
        + heatmaps::delete_website(transaction, website)?
        + replays::delete_website(transaction, website)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: take away the index, and each error of a kind costs more than the one before.
    #[test]
    fn what_was_told_is_counted_without_looking_at_all_occurrences() {
        let directory = tempfile::tempdir().unwrap();
        drop(crate::Captures::open(directory.path()).unwrap());
        let connection = rusqlite::Connection::open(directory.path().join("captures.db")).unwrap();
        for statement in [TOLD, FORGET_OLDEST] {
            let explain = format!("EXPLAIN QUERY PLAN {}", statement.replace("?1", "1").replace("?2", "2"));
            let mut steps = connection.prepare(&explain).unwrap();
            let steps: Vec<String> =
                steps.query_map([], |row| row.get(3)).unwrap().collect::<std::result::Result<_, _>>().unwrap();
            assert!(steps.iter().any(|step| step.contains("INDEX occurrences_told")), "{steps:?}");
        }
    }
}
