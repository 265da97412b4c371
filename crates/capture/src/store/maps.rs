//! Source maps at rest, and what they do to groups: errors are grouped by the functions that people wrote, also when the map comes
//! after the errors.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use xxhash_rust::xxh3::xxh3_64_with_seed;
use zenovay_domain::{Timestamp, WebsiteId};

use super::Captures;
use super::apply::{add_history, group_of, settle};
use super::errors::{GroupId, find, id_of};
use crate::errors::RELEASE_MAX_BYTES;
use crate::stack::cut;
use crate::{CaptureError, Fingerprint, Frame, InvalidSourceMap, SourceLines, SourceMap, fingerprint};

/// The release of what does not say one.
pub(crate) const DEFAULT_RELEASE: &str = "default";
/// What the maps of a website may take, in bytes as they were sent; the oldest give way.
const WEBSITE_MAX_BYTES: i64 = 256 << 20;
/// What maps that were read lately may take in memory, about.
const CACHE_MAX_BYTES: usize = 48 << 20;
/// How many times as long as its JSON a map is in memory, at most, about.
const READ_FACTOR: usize = 3;

/// The most frames of a stack that are shown with the source around them.
const SHOWN_WITH_SOURCE: usize = 20;

/// Seeds fingerprints of groups that people made, which are none of errors.
const SPLIT: u64 = u64::from_le_bytes(*b"by hand.");

type Result<T> = std::result::Result<T, rusqlite::Error>;

/// A map to be kept.
#[derive(Debug, Clone, Copy)]
pub struct NewSourceMap<'a> {
    /// The name of the bundle, such as `app-3f2a.js`.
    pub file_name: &'a str,
    /// The address of the bundle.
    pub file_url: &'a str,
    /// The release that it is of; `default` where pages do not say one.
    pub release: &'a str,
    /// The map, as JSON.
    pub json: &'a str,
}

/// What became of a map.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeptSourceMap {
    /// How many stacks of errors that came before it are readable now.
    pub stacks: u64,
    /// How many groups have other errors than before.
    pub groups: u64,
}

/// A map that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedSourceMap {
    /// Names it among those of its website.
    pub id: i64,
    /// The name of the bundle.
    pub file_name: String,
    /// The address of the bundle.
    pub file_url: String,
    /// The release that it is of; `default` where none was said.
    pub release: String,
    /// The id that the bundler gave the bundle; empty when it gave none.
    pub debug_id: String,
    /// How long the map is, in bytes of its JSON.
    pub bytes: u64,
    /// When it was sent.
    pub added_at: Timestamp,
}

/// Why a map is not kept.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SourceMapError {
    /// It is no source map.
    #[error(transparent)]
    Invalid(#[from] InvalidSourceMap),
    /// It cannot be stored.
    #[error(transparent)]
    Store(#[from] CaptureError),
}

/// The maps that were read lately, the latest last.
#[derive(Default)]
pub(super) struct Maps(Vec<(i64, usize, Arc<SourceMap>)>);

impl Maps {
    fn get(&mut self, connection: &Connection, id: i64) -> Result<Option<Arc<SourceMap>>> {
        if let Some(at) = self.0.iter().position(|(known, ..)| *known == id) {
            let found = self.0.remove(at);
            let map = Arc::clone(&found.2);
            self.0.push(found);
            return Ok(Some(map));
        }
        let json: Option<String> =
            connection.query_row("SELECT map FROM source_maps WHERE id = ?1", [id], |row| row.get(0)).optional()?;
        // It was read when it was sent.
        let Some(map) = json.as_deref().and_then(|json| SourceMap::parse(json.as_bytes()).ok()) else {
            return Ok(None);
        };
        let map = Arc::new(map);
        self.0.push((id, json.map_or(0, |json| json.len()) * READ_FACTOR, Arc::clone(&map)));
        while self.0.len() > 1 && self.0.iter().map(|(_, bytes, _)| bytes).sum::<usize>() > CACHE_MAX_BYTES {
            self.0.remove(0);
        }
        Ok(Some(map))
    }
}

/// The release under which a page's maps are looked for.
fn release_of(release: &str) -> &str {
    if release.is_empty() { DEFAULT_RELEASE } else { release }
}

/// A stack as it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawStack<'a> {
    /// Of which website.
    pub(super) website: &'a [u8; 16],
    /// Of which release; empty when the page did not say.
    pub(super) release: &'a str,
    /// The ids that the bundler gave its files.
    pub(super) debug_ids: &'a [(String, String)],
    /// Its frames.
    pub(super) frames: &'a [Frame],
}

/// The map of the bundle of each frame.
fn maps_of(connection: &Connection, maps: &mut Maps, stack: RawStack<'_>) -> Result<Vec<Option<Arc<SourceMap>>>> {
    let RawStack { website, release, debug_ids, frames } = stack;
    let is_any: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM source_maps WHERE website = ?1)",
        params![website],
        |row| row.get(0),
    )?;
    if !is_any {
        return Ok(vec![None; frames.len()]);
    }
    let mut of_frames: Vec<Option<Arc<SourceMap>>> = Vec::with_capacity(frames.len());
    // By the id that the bundler gave, or by release and address, or by release and name.
    let mut find = connection.prepare(
        "SELECT id FROM source_maps WHERE website = ?1 AND ((?2 <> '' AND debug_id = ?2)
             OR (release IN (?3, ?4) AND (url = ?5 OR name = ?6)))
             ORDER BY (debug_id = ?2 AND ?2 <> '') DESC, (release = ?3) DESC, (url = ?5) DESC, id DESC LIMIT 1",
    )?;
    for frame in frames {
        if frame.file.is_empty() || frame.line == 0 {
            of_frames.push(None);
            continue;
        }
        let debug_id = debug_ids.iter().find(|(file, _)| *file == frame.file).map_or("", |(_, id)| id);
        let name = frame.file.rsplit('/').next().unwrap_or("");
        let id: Option<i64> = find
            .query_row(params![website, debug_id, release_of(release), DEFAULT_RELEASE, frame.file, name], |row| {
                row.get(0)
            })
            .optional()?;
        of_frames.push(match id {
            Some(id) => maps.get(connection, id)?,
            None => None,
        });
    }
    Ok(of_frames)
}

/// The source around each frame of a bundle that is of the app, as far as there are maps that have it: of the innermost ones.
pub(super) fn sources(
    connection: &Connection,
    maps: &mut Maps,
    stack: RawStack<'_>,
) -> Result<Vec<Option<SourceLines>>> {
    let shown = &stack.frames[..stack.frames.len().min(SHOWN_WITH_SOURCE)];
    let of_frames = maps_of(connection, maps, RawStack { frames: shown, ..stack })?;
    Ok(shown.iter().zip(of_frames).map(|(frame, map)| map?.around(frame)).collect())
}

/// The frames as frames of the sources, as far as there are maps of them; `None` without any.
pub(super) fn symbolicate(connection: &Connection, maps: &mut Maps, stack: RawStack<'_>) -> Result<Option<Vec<Frame>>> {
    let frames = stack.frames;
    let of_frames = maps_of(connection, maps, stack)?;
    if of_frames.iter().all(Option::is_none) {
        return Ok(None);
    }
    let mut is_changed = false;
    let mapped = frames.iter().enumerate().map(|(at, frame)| {
        let caller = of_frames.get(at + 1).and_then(Option::as_deref).zip(frames.get(at + 1));
        let found = of_frames[at].as_ref().and_then(|map| map.frame(frame, caller));
        is_changed |= found.is_some();
        found.unwrap_or_else(|| frame.clone())
    });
    let mapped: Vec<Frame> = mapped.collect();
    Ok(is_changed.then_some(mapped))
}

impl Captures {
    /// Keeps a source map of `website`, in the place of one of the same release and address, and groups anew what came before it
    /// and is of its bundle. A new group has the status of the one that its errors were in.
    ///
    /// # Errors
    /// When it is no source map, or cannot be stored.
    pub fn add_source_map(
        &self,
        website: WebsiteId,
        new: NewSourceMap<'_>,
        now: Timestamp,
    ) -> std::result::Result<KeptSourceMap, SourceMapError> {
        let map = SourceMap::parse(new.json.as_bytes())?;
        self.catch_up()?;
        let debug_id = map.debug_id().unwrap_or("").to_owned();
        drop(map);
        let url = cut(new.file_url.split(['?', '#']).next().unwrap_or(""), 1_000);
        let release = release_of(cut(new.release, RELEASE_MAX_BYTES));
        let maps = Arc::clone(&self.shared.maps);
        let kept = self.write(|transaction| {
            let website = website.as_bytes();
            transaction.execute(
                "INSERT OR REPLACE INTO source_maps (website, release, url, name, debug_id, map, at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![website, release, url, new.file_name, debug_id, new.json, now.as_millis()],
            )?;
            make_room(transaction, website)?;
            let added = Added { url, name: new.file_name, release, debug_id: &debug_id };
            regroup(transaction, &mut maps.lock(), website, added, now)
        });
        Ok(kept?)
    }
}

impl Captures {
    /// The source maps of `website`, the newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn source_maps(&self, website: WebsiteId) -> std::result::Result<Vec<ListedSourceMap>, CaptureError> {
        self.read(|connection| {
            let mut maps = connection.prepare(
                "SELECT id, name, url, release, debug_id, length(CAST(map AS BLOB)), at FROM source_maps WHERE website = ?1
                     ORDER BY id DESC",
            )?;
            let rows = maps.query_map(params![website.as_bytes()], |row| {
                Ok(ListedSourceMap {
                    id: row.get(0)?,
                    file_name: row.get(1)?,
                    file_url: row.get(2)?,
                    release: row.get(3)?,
                    debug_id: row.get(4)?,
                    bytes: row.get::<_, i64>(5)?.cast_unsigned(),
                    added_at: Timestamp::from_millis(row.get(6)?),
                })
            })?;
            rows.collect()
        })
    }

    /// Removes the source map `id` of `website`. Stacks that were read with it stay as they are. `false` when there is no such map.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn delete_source_map(&self, website: WebsiteId, id: i64) -> std::result::Result<bool, CaptureError> {
        self.write(|transaction| {
            let deleted = transaction
                .execute("DELETE FROM source_maps WHERE id = ?1 AND website = ?2", params![id, website.as_bytes()])?;
            Ok(deleted > 0)
        })
    }
}

/// Removes the oldest maps of `website` while they are too long together; the newest stays.
fn make_room(transaction: &Transaction<'_>, website: &[u8; 16]) -> Result<()> {
    let mut sizes =
        transaction.prepare("SELECT id, length(map) FROM source_maps WHERE website = ?1 ORDER BY id DESC")?;
    let rows = sizes.query_map(params![website], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sizes: Vec<(i64, i64)> = rows.collect::<Result<_>>()?;
    let mut total = 0;
    for (place, (id, bytes)) in sizes.into_iter().enumerate() {
        total += bytes;
        if place > 0 && total > WEBSITE_MAX_BYTES {
            transaction.execute("DELETE FROM source_maps WHERE id = ?1", [id])?;
        }
    }
    Ok(())
}

/// A variant that may be of a bundle.
struct Candidate {
    id: i64,
    group: i64,
    kind: String,
    message: String,
    release: String,
    frames: Vec<Frame>,
    debug_ids: Vec<(String, String)>,
}

/// By what stacks are told to be of a map that was added.
#[derive(Debug, Clone, Copy)]
struct Added<'a> {
    url: &'a str,
    name: &'a str,
    release: &'a str,
    debug_id: &'a str,
}

impl Added<'_> {
    /// Whether a stack may be read with it, of this release and with these ids of bundles.
    fn is_of(&self, release: &str, debug_ids: &[(String, String)]) -> bool {
        let has_id = !self.debug_id.is_empty() && debug_ids.iter().any(|(_, id)| id == self.debug_id);
        has_id || [DEFAULT_RELEASE, release_of(release)].contains(&self.release)
    }
}

/// Reads the stacks of `website` anew that are of the map `added`, and puts them into the groups that they belong to.
fn regroup(
    transaction: &Transaction<'_>,
    maps: &mut Maps,
    website: &[u8; 16],
    added: Added<'_>,
    now: Timestamp,
) -> Result<KeptSourceMap> {
    let Added { url, name, debug_id, .. } = added;
    let mut of_bundle = transaction.prepare(
        "SELECT id, grp, kind, message, release, frames, debug_ids FROM variants WHERE website = ?1 AND pinned = 0
             AND (instr(frames, ?2) > 0 OR instr(frames, ?3) > 0 OR (?4 <> '' AND instr(debug_ids, ?4) > 0))",
    )?;
    // As they stand in JSON.
    let quoted = |text: &str| serde_json::Value::from(text).to_string().trim_matches('"').to_owned();
    let rows =
        of_bundle.query_map(params![website, quoted(url), format!("/{}", quoted(name)), quoted(debug_id)], |row| {
            Ok(Candidate {
                id: row.get(0)?,
                group: row.get(1)?,
                kind: row.get(2)?,
                message: row.get(3)?,
                release: row.get(4)?,
                frames: serde_json::from_str(&row.get::<_, String>(5)?).unwrap_or_default(),
                debug_ids: serde_json::from_str(&row.get::<_, String>(6)?).unwrap_or_default(),
            })
        })?;
    let candidates: Vec<Candidate> = rows.collect::<Result<_>>()?;
    let mut kept = KeptSourceMap::default();
    let mut touched = Vec::new();
    for variant in candidates {
        let Candidate { id, group, kind, message, release, frames, debug_ids } = variant;
        if !added.is_of(&release, &debug_ids) {
            continue;
        }
        let stack = RawStack { website, release: &release, debug_ids: &debug_ids, frames: &frames };
        let Some(mapped) = symbolicate(transaction, maps, stack)? else { continue };
        kept.stacks += 1;
        let told = fingerprint(&kind, &message, &mapped);
        let text = serde_json::to_string(&mapped).unwrap_or_default();
        let other = group_of(transaction, website, told, now.as_millis(), Some(group))?;
        transaction.execute("UPDATE variants SET mapped = ?2, grp = ?3 WHERE id = ?1", params![id, text, other])?;
        if other != group {
            touched.extend([group, other]);
        }
    }
    touched.sort_unstable();
    touched.dedup();
    kept.groups = touched.len() as u64;
    settle(transaction, website, &touched)?;
    Ok(kept)
}

impl Captures {
    /// Puts the errors of the groups `from` of `website` into the group `into`, where equal errors go from now on, too. `None` when
    /// one of them is not there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn merge_error_groups(
        &self,
        website: WebsiteId,
        into: GroupId,
        from: &[GroupId],
        who: &str,
        now: Timestamp,
    ) -> std::result::Result<Option<()>, CaptureError> {
        self.catch_up()?;
        self.write(|transaction| {
            let website = website.as_bytes();
            let Some((target, _)) = find(transaction, website, into)? else { return Ok(None) };
            let mut others = Vec::new();
            for id in from {
                match find(transaction, website, *id)? {
                    Some((number, _)) if number == target => {}
                    Some((number, group)) => others.push((number, group.fingerprint)),
                    None => return Ok(None),
                }
            }
            for (number, told) in &others {
                transaction.execute("UPDATE variants SET grp = ?2, pinned = 1 WHERE grp = ?1", [*number, target])?;
                transaction.execute("UPDATE aliases SET grp = ?2 WHERE grp = ?1", [*number, target])?;
                transaction.execute(
                    "INSERT OR REPLACE INTO aliases VALUES (?1, ?2, ?3)",
                    params![website, told.0.cast_signed(), target],
                )?;
                add_history(transaction, target, now.as_millis(), "merged", who, "")?;
            }
            let mut numbers: Vec<i64> = others.iter().map(|(number, _)| *number).collect();
            numbers.push(target);
            settle(transaction, website, &numbers)?;
            Ok(Some(()))
        })
    }

    /// Takes the stacks `variants` out of the group `id` of `website` and makes a group of their own of them, which later errors with
    /// the same stacks join. Gives the new group; `None` when the group is not there, has no such stack, or has no others.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn split_error_group(
        &self,
        website: WebsiteId,
        id: GroupId,
        variants: &[i64],
        who: &str,
        now: Timestamp,
    ) -> std::result::Result<Option<GroupId>, CaptureError> {
        self.catch_up()?;
        self.write(|transaction| {
            let website = website.as_bytes();
            let Some((number, _)) = find(transaction, website, id)? else { return Ok(None) };
            let all: Vec<i64> = transaction
                .prepare("SELECT id FROM variants WHERE grp = ?1")?
                .query_map([number], |row| row.get(0))?
                .collect::<Result<_>>()?;
            let are_some = !variants.is_empty() && variants.iter().all(|variant| all.contains(variant));
            if !are_some || all.iter().all(|variant| variants.contains(variant)) {
                return Ok(None);
            }
            // Of what nothing else is: the stacks that are taken out.
            let mut told = variants.to_vec();
            told.sort_unstable();
            let told = Fingerprint(xxh3_64_with_seed(format!("{told:?} of {number}").as_bytes(), SPLIT));
            let other = group_of(transaction, website, told, now.as_millis(), Some(number))?;
            for variant in variants {
                transaction.execute("UPDATE variants SET grp = ?2, pinned = 1 WHERE id = ?1", [*variant, other])?;
            }
            add_history(transaction, other, now.as_millis(), "split", who, "")?;
            settle(transaction, website, &[number, other])?;
            id_of(transaction, other).map(Some)
        })
    }
}
