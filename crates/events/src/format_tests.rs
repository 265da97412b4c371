//! Files and logs of other versions: what they do not have reads as empty, what is not known of them is refused in words.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use parquet::file::reader::{FileReader, SerializedFileReader};
use serde::Serialize;
use tempfile::TempDir;
use zenovay_domain::{Dimension, Event, EventFlags, EventKind, ManualClock, SessionId, TimeRange, Timestamp};
use zenovay_domain::{VisitorId, WebsiteId};
use zenovay_query::engine::columns_needed;
use zenovay_query::{Budget, Condition, Field, Filter, GroupBy, Metric, Operator, Query, Question, oracle};

use crate::codec::checksum;
use crate::log::{CatalogChange, Log, Opened, Purpose};
use crate::segment::{
    BlockMeta, ChunkMeta, ColumnId, Columns, DigestMeta, Retain, Segment, SegmentMeta, Target,
    checksum as entry_checksum, decode_meta, encode_meta, file_name, set_version_of_visits, temporary_name, write,
};
use crate::{EmbeddedConfig, EmbeddedStore, EventStore, NewEvent, OpenError, RecordKind, repair, verify};

const MINUTE_MS: i64 = 60_000;
/// Dimensions and a number that the old file of these tests was written without: the last, and others between.
const ADDED: [ColumnId; 4] = [
    ColumnId::ScrollPercent,
    ColumnId::Dimension(Dimension::Source),
    ColumnId::Dimension(Dimension::OsVersion),
    ColumnId::Dimension(Dimension::Language),
];

fn website() -> WebsiteId {
    WebsiteId::from_random_bytes([1; 16])
}

fn open(dir: &Path, scan_rows_max: usize) -> EmbeddedStore {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
    let config = EmbeddedConfig::new(dir).with(|config| {
        config.group_rows = 128;
        config.merge_fan_in = 2;
        config.scan_rows_max = scan_rows_max;
        (config.query_threads, config.query_thread_rows) = (2, 1);
    });
    EmbeddedStore::open(config, clock).unwrap()
}

/// Merges what is due, of which the store's own thread may have done a part.
fn merge_all(store: &EmbeddedStore) {
    assert!((0..3).any(|_| !store.merge().unwrap()), "a file is written anew once");
}

/// A pageview a minute, of sessions of seven, with a value in every dimension, and some heartbeats.
fn events(numbers: std::ops::Range<u64>) -> Vec<Event> {
    let event = |number: u64| {
        let kind = if number % 11 == 3 { EventKind::Heartbeat } else { EventKind::Pageview };
        let at = Timestamp::from_millis(number.cast_signed() * MINUTE_MS);
        let mut event = Event::new(kind, at, VisitorId(number / 7 % 20), SessionId(number / 7));
        event.flags = EventFlags::COOKIELESS;
        event.engagement_ms = 1_000;
        event.scroll_percent = 50;
        for &dimension in Dimension::ALL {
            event.dimensions.set(dimension, &format!("/{dimension}/{}", number % 5));
        }
        event
    };
    numbers.map(event).collect()
}

fn append(store: &EmbeddedStore, events: &[Event]) {
    let new = |event: &Event| NewEvent::new(website(), event.at, event.clone());
    assert!(store.append(events.iter().map(new).collect()).wait().is_ok());
}

/// Writes the last segment of the store in `dir` anew, as `change` makes of what is known of it and of what is to be written. Its visitors
/// get codes as if no segment was there but those that are `registered`; none when nobody knows which are.
pub(crate) fn rewrite_last(
    dir: &Path,
    registered: Option<&[Arc<Segment>]>,
    change: impl FnOnce(&mut SegmentMeta, &mut Target<'_>),
) -> SegmentMeta {
    let Opened { log, named, next_segment, .. } = Log::open(dir, Purpose::Serve).unwrap();
    let folder = dir.join("segments");
    let mut old = named.segments.into_iter().max_by_key(|segment| segment.position).unwrap();
    let path = folder.join(temporary_name(next_segment));
    let mut target = Target {
        path: &path,
        store: named.store,
        id: next_segment,
        position: old.position,
        origin: old.origin.clone(),
        columns: Columns::default(),
        group_rows: 128,
        group_bytes: 8 << 20,
    };
    change(&mut old, &mut target);
    let id = old.id;
    let written = write(target, &[&Segment::new(&folder, old)], Retain::All, registered, &|| false).unwrap().unwrap();
    let change = CatalogChange { add: vec![written.clone()], remove: vec![id], ..CatalogChange::default() };
    assert!(log.register(&change).is_ok());
    written
}

/// Writes the only segment of the store in `dir` anew, without the columns of [`ADDED`].
fn leave_out_columns(dir: &Path) -> SegmentMeta {
    rewrite_last(dir, None, |_, target| {
        target.columns = Columns::new(ColumnId::all().filter(|column| !ADDED.contains(column)));
    })
}

/// The events of `events` as a file without the columns of [`ADDED`] has them.
fn without_columns(events: Vec<Event>) -> Vec<Event> {
    let without = |mut event: Event| {
        for column in ADDED {
            match column {
                ColumnId::Dimension(dimension) => event.dimensions.set(dimension, ""),
                _ => event.scroll_percent = 0,
            }
        }
        event
    };
    events.into_iter().map(without).collect()
}

fn ever() -> TimeRange {
    TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(1 << 50))
}

/// Questions about every dimension, with and without conditions on it.
fn queries() -> Vec<Query> {
    let ask = |filter: Filter, question: Question| Query::new(ever(), question).filter(filter);
    let mut queries = vec![ask(Filter::default(), Question::Overview)];
    for &dimension in Dimension::ALL {
        let field = Field::Dimension(dimension);
        for value in ["", "/language/1"] {
            let (field, values) = (field.clone(), vec![value.to_owned()]);
            let condition = Condition::new(field, Operator::Is, values);
            queries.push(ask(Filter::Is(condition), Question::Overview));
        }
        let group = GroupBy::by(field).metrics([Metric::Sessions]).limit(100);
        queries.push(ask(Filter::default(), Question::Breakdown(group)));
    }
    queries
}

fn assert_answers(store: &EmbeddedStore, stored: &[Event], when: &str) {
    for query in queries() {
        let answer = store.query(website(), &query, &Budget::unlimited());
        assert_eq!(answer, Ok(oracle::answer(stored, &query)), "{when}: {query:?} reads {:?}", columns_needed(&query));
    }
}

/// Sabotage: let `Segment::read` or `Segment::read_texts` refuse a column that the file does not have.
#[test]
fn a_column_that_a_file_does_not_have_reads_as_empty_in_queries_merges_and_checks() {
    for scan_rows_max in [0, 1 << 20] {
        let dir = TempDir::new().unwrap();
        let store = open(dir.path(), scan_rows_max);
        append(&store, &events(0..300));
        store.seal().unwrap();
        drop(store);
        let old = leave_out_columns(dir.path());
        assert!(old.groups.len() > 1, "one website has row groups, and digests, of its own");
        let mut stored = without_columns(events(0..300));

        let store = open(dir.path(), scan_rows_max);
        let file = fs::File::open(dir.path().join("segments").join(file_name(old.id))).unwrap();
        let schema = SerializedFileReader::new(file).unwrap().metadata().file_metadata().schema_descr_ptr();
        let names: Vec<_> = schema.columns().iter().map(|column| column.name().to_owned()).collect();
        assert!(names.len() == old.columns.len() && !names.contains(&"language".to_owned()), "{names:?}");
        assert_answers(&store, &stored, "alone");
        let (texts, campaign) = (store.recent_sessions(Timestamp::from_millis(0)), "/utm_source/0");
        assert!(texts.iter().any(|session| session.campaign.starts_with(campaign)));

        append(&store, &events(300..600));
        stored.extend(events(300..600));
        assert_answers(&store, &stored, "beside a head that has them");
        store.seal().unwrap();
        assert_answers(&store, &stored, "beside a file that has them");
        append(&store, &events(600..900));
        stored.extend(events(600..900));
        store.seal().unwrap();
        drop(store);
        assert_eq!(verify(dir.path()).unwrap().damages, Vec::<String>::new());
        assert!(!repair(dir.path()).unwrap().is_changed);

        let store = open(dir.path(), scan_rows_max);
        while store.merge().unwrap() {}
        assert_answers(&store, &stored, "merged");
        store.erase_visitor(website(), VisitorId(3)).unwrap();
        stored.retain(|event| event.visitor != VisitorId(3));
        assert_answers(&store, &stored, "without a visitor");
        assert_eq!(store.damages(), Vec::<String>::new());
        drop(store);
        let Opened { named, log, .. } = Log::open(dir.path(), Purpose::Look).unwrap();
        let has_all = |segment: &SegmentMeta| segment.columns == Columns::default();
        assert!(named.segments.iter().all(has_all), "what a merge writes has every column");
        drop(log);
        assert_eq!(verify(dir.path()).unwrap().damages, Vec::<String>::new());

        // A catalog that is lost is rebuilt from such files, too.
        fs::remove_file(dir.path().join("events.db")).unwrap();
        assert!(repair(dir.path()).unwrap().is_changed);
        assert_answers(&open(dir.path(), scan_rows_max), &stored, "repaired");
    }
}

/// A file whose lost catalog is rebuilt says itself which columns it has.
#[test]
fn a_file_without_columns_says_so_when_its_catalog_is_lost() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path(), 0);
    append(&store, &events(0..300));
    store.seal().unwrap();
    drop(store);
    leave_out_columns(dir.path());
    drop(open(dir.path(), 0));
    fs::remove_file(dir.path().join("events.db")).unwrap();
    assert!(repair(dir.path()).unwrap().is_changed);
    assert_answers(&open(dir.path(), 0), &without_columns(events(0..300)), "repaired");
}

/// Makes a store with a segment and an event in the log, and changes its database by `change`.
fn changed(change: impl FnOnce(&rusqlite::Connection)) -> TempDir {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path(), 0);
    append(&store, &events(0..3));
    store.seal().unwrap();
    append(&store, &events(3..4));
    drop(store);
    let connection = rusqlite::Connection::open(dir.path().join("events.db")).unwrap();
    change(&connection);
    // Everything in one file, so that it can be compared.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).unwrap();
    drop(connection);
    dir
}

/// Opening, verifying and repairing all refuse with `words`, and change nothing that is stored.
fn assert_refused(dir: &Path, words: &str) {
    let rows = || -> Vec<(i64, Vec<u8>)> {
        let connection = rusqlite::Connection::open(dir.join("events.db")).unwrap();
        let select = "SELECT seq, payload FROM batches UNION ALL SELECT id, meta FROM segments ORDER BY 1, 2";
        let mut statement = connection.prepare(select).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    let before = rows();
    let config = EmbeddedConfig::new(dir);
    let opened = EmbeddedStore::open(config, Arc::new(ManualClock::new(Timestamp::from_millis(0))));
    let errors = [
        opened.map(drop).unwrap_err().to_string(),
        verify(dir).unwrap_err().to_string(),
        repair(dir).unwrap_err().to_string(),
    ];
    for error in errors {
        assert!(error.contains("written by a later version of zenovay") && error.contains(words), "{error}");
    }
    assert_eq!(rows(), before);
}

/// Replaces the last batch by one of `version` with these records.
fn with_batch(version: u8, records: &[u8]) -> TempDir {
    changed(|connection| {
        let payload = [&[version][..], &checksum(version, records).to_le_bytes(), records].concat();
        let last = "UPDATE batches SET payload = ?1 WHERE seq = (SELECT max(seq) FROM batches)";
        assert_eq!(connection.execute(last, [payload]).unwrap(), 1);
    })
}

/// Sabotage: pass by a record of an unknown kind, or call it damaged.
#[test]
fn records_of_a_later_version_are_refused_in_words_and_not_lost() {
    let unknown = [&[7][..], &3_u32.to_le_bytes(), &3_u32.to_le_bytes(), b"abc"].concat();
    assert!(RecordKind::ALL.iter().all(|kind| *kind as u8 != 7));
    let dir = with_batch(2, &unknown);
    assert_refused(dir.path(), "batch 2 of events.db has records of kind 7, which this version does not know");
    let dir = with_batch(3, b"anything");
    assert_refused(dir.path(), "batch 2 of events.db has version 3, this version reads 1 to 2");
}

/// Replaces the entry of the only segment.
fn with_entry(entry: impl FnOnce(SegmentMeta) -> Vec<u8>) -> TempDir {
    changed(|connection| {
        let blob: Vec<u8> = connection.query_row("SELECT meta FROM segments", [], |row| row.get(0)).unwrap();
        let blob = entry(crate::segment::decode_meta(&blob).unwrap());
        assert_eq!(connection.execute("UPDATE segments SET meta = ?1", [blob]).unwrap(), 1);
    })
}

/// Sabotage: call an entry of a later version damaged.
#[test]
fn segments_of_a_later_version_are_refused_in_words() {
    let seal = |version: u8, body: &[u8]| {
        [&[version][..], &crate::segment::checksum(version, body).to_le_bytes(), body].concat()
    };
    let dir = with_entry(|_| seal(9, b"anything"));
    assert_refused(dir.path(), "segment 0000000000000001 has version 9, this version reads 2 to 6");
    let dir = with_entry(|meta| {
        let version = encode_meta(&meta).unwrap()[0];
        let mut names: Vec<&str> = meta.columns.iter().map(ColumnId::name).collect();
        names[9] = "element";
        seal(version, &postcard::to_stdvec(&(names, &meta)).unwrap())
    });
    let words = "segment 0000000000000001 has a column \"element\", which this version does not know";
    assert_refused(dir.path(), words);
}

/// A version whose checksum is not its own may be a flipped bit: it is named, and can be repaired like other damage.
#[test]
fn a_version_that_does_not_fit_its_checksum_is_named_and_can_be_repaired() {
    let open_error = |dir: &Path| {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        EmbeddedStore::open(EmbeddedConfig::new(dir), clock).map(drop).unwrap_err()
    };
    let dir = with_entry(|meta| [&[9][..], &encode_meta(&meta).unwrap()[1..]].concat());
    let error = open_error(dir.path());
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("says version 9, while this version reads 2 to 6"), "{error}");
    assert!(repair(dir.path()).unwrap().is_changed);
    assert_answers(&open(dir.path(), 0), &events(0..4), "repaired");

    let dir = changed(|connection| {
        let last = "SELECT payload FROM batches ORDER BY seq DESC LIMIT 1";
        let mut payload: Vec<u8> = connection.query_row(last, [], |row| row.get(0)).unwrap();
        payload[0] = 9;
        let last = "UPDATE batches SET payload = ?1 WHERE seq = (SELECT max(seq) FROM batches)";
        assert_eq!(connection.execute(last, [payload]).unwrap(), 1);
    });
    let error = open_error(dir.path());
    assert!(error.to_string().contains("says version 9, while this version reads 1 to 2"), "{error}");
    assert!(repair(dir.path()).unwrap().lost[0].contains("1 batches"));
    assert_answers(&open(dir.path(), 0), &events(0..3), "repaired");
}

/// The catalog is lost, and the file itself is of a later version: a repair leaves both alone.
#[test]
fn a_file_of_a_later_version_is_not_set_aside() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path(), 0);
    append(&store, &events(0..3));
    store.seal().unwrap();
    drop(store);
    let path = dir.path().join("segments").join(file_name(1));
    let mut bytes = fs::read(&path).unwrap();
    // The entry begins with its version and a checksum; the trailer behind it has its length.
    let trailer = bytes.windows(8).rposition(|window| window == b"ZNVYSEG1").unwrap();
    let length = u64::from_le_bytes(bytes[trailer + 24..trailer + 32].try_into().unwrap()) as usize;
    let body = bytes[trailer - length + 9..trailer].to_vec();
    bytes[trailer - length] = 9;
    bytes[trailer - length + 1..trailer - length + 9]
        .copy_from_slice(&crate::segment::checksum(9, &body).to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    fs::remove_file(dir.path().join("events.db")).unwrap();
    let error = repair(dir.path()).unwrap_err().to_string();
    assert!(error.contains("segments/0000000000000001.parquet has version 9, this version reads 2 to 6"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert!(matches!(Log::open(dir.path(), Purpose::Look), Err(OpenError::NoCatalog { .. })));
}

/// The store of 904fc4c has a catalog of version 2, digests of version 1 and files without pages: what is read of it is read
/// again after it was written anew. Sabotage: raise the oldest version of `entry.rs`, or list no pages of old files.
#[test]
fn a_segment_of_904fc4c_is_read_and_written_anew() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("segments")).unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/digests-904fc4c");
    for (name, place) in [("events.db", "events.db"), ("0000000000000001.parquet", "segments/0000000000000001.parquet")]
    {
        fs::copy(fixture.join(name), dir.path().join(place)).unwrap();
    }
    assert_eq!(verify(dir.path()).unwrap().damages, Vec::<String>::new());
    let store = open(dir.path(), 0);
    let overview = Query::new(ever(), Question::Overview);
    let answer = store.query(website(), &overview, &Budget::unlimited()).unwrap();
    assert!(store.merge().unwrap(), "it is written anew");
    assert!(!store.merge().unwrap(), "once");
    assert_eq!(store.query(website(), &overview, &Budget::unlimited()), Ok(answer));
    drop(store);
    let Opened { named, log, .. } = Log::open(dir.path(), Purpose::Look).unwrap();
    assert!(!named.segments[0].is_old() && !named.segments[0].lacks_codes() && named.segments[0].rows > 1_000);
    drop(log);
    assert_eq!(verify(dir.path()).unwrap().damages, Vec::<String>::new());
}

/// Catalogs of version 4, of a file without visits, and of version 5, of one whose visitors have no codes. Sabotage: read entries of
/// one version as those of another, or take no such file for an old one.
#[test]
fn entries_of_earlier_versions_are_read_and_their_files_written_anew() {
    #[derive(Serialize)]
    struct FourthGroup<'a>(u32, &'a [ChunkMeta], Option<DigestMeta>);
    #[derive(Serialize)]
    struct FifthGroup<'a>(u32, &'a [ChunkMeta], Option<DigestMeta>, Option<BlockMeta>);
    for version in [4, 5] {
        let dir = TempDir::new().unwrap();
        let store = open(dir.path(), 0);
        append(&store, &events(0..300));
        store.seal().unwrap();
        // Also if the merging thread had a look while it was sealed.
        while store.merge().unwrap() {}
        drop(store);
        let connection = rusqlite::Connection::open(dir.path().join("events.db")).unwrap();
        let new: Vec<u8> = connection.query_row("SELECT meta FROM segments", [], |row| row.get(0)).unwrap();
        let meta = decode_meta(&new).unwrap();
        assert!(!meta.is_old() && !meta.lacks_codes() && meta.groups.iter().all(|group| group.codes.is_some()));
        let names: Vec<&str> = meta.columns.iter().map(ColumnId::name).collect();
        let groups = meta.groups.iter();
        let body = if version == 4 {
            let groups: Vec<_> = groups.map(|group| FourthGroup(group.rows, &group.chunks, group.digest)).collect();
            let members = (meta.id, meta.position, meta.rows, meta.bytes, groups, &meta.sites, &meta.origin, meta.tail);
            postcard::to_stdvec(&(names, members)).unwrap()
        } else {
            let groups: Vec<_> =
                groups.map(|group| FifthGroup(group.rows, &group.chunks, group.digest, group.visits)).collect();
            let members = (meta.id, meta.position, meta.rows, meta.bytes, groups, &meta.sites, &meta.origin, meta.tail);
            postcard::to_stdvec(&(names, members)).unwrap()
        };
        let old = [&[version][..], &entry_checksum(version, &body).to_le_bytes(), &body].concat();
        connection.execute("UPDATE segments SET meta = ?1", [&old]).unwrap();
        drop(connection);
        let known = decode_meta(&old).unwrap();
        assert!(known.columns == meta.columns && known.groups.iter().all(|group| group.codes.is_none()));
        assert_eq!((known.is_old(), known.lacks_codes()), (version == 4, version == 5));
        let have_visits = known.groups.iter().all(|group| group.visits.is_some());
        assert_eq!(have_visits, version == 5);

        assert_eq!(verify(dir.path()).unwrap().damages, Vec::<String>::new());
        let store = open(dir.path(), 0);
        assert_answers(&store, &events(0..300), "as it was written");
        merge_all(&store);
        assert_answers(&store, &events(0..300), "written anew");
        drop(store);
        let Opened { named, .. } = Log::open(dir.path(), Purpose::Look).unwrap();
        assert_ne!(named.segments[0].id, meta.id, "it is written anew");
        assert!(!named.segments[0].is_old() && !named.segments[0].lacks_codes());
    }
}

/// Visits of version 2, and of a version that is not known yet. Sabotage: take no such file for an old one, or one of a later version for
/// damaged.
#[test]
fn visits_of_other_versions_are_read_or_passed_by() {
    for (version, is_written_anew) in [(2, true), (200, false)] {
        let dir = TempDir::new().unwrap();
        let store = open(dir.path(), 0);
        append(&store, &events(0..300));
        store.seal().unwrap();
        while store.merge().unwrap() {}
        drop(store);
        let connection = rusqlite::Connection::open(dir.path().join("events.db")).unwrap();
        let new: Vec<u8> = connection.query_row("SELECT meta FROM segments", [], |row| row.get(0)).unwrap();
        let mut meta = decode_meta(&new).unwrap();
        let path = dir.path().join("segments").join(file_name(meta.id));
        let mut file = fs::read(&path).unwrap();
        for visits in meta.groups.iter_mut().filter_map(|group| group.visits.as_mut()) {
            let block = &mut file[visits.offset as usize..][..visits.bytes as usize];
            assert_eq!(block[0], 3);
            set_version_of_visits(block, visits.offset, version);
            visits.hash = xxhash_rust::xxh3::xxh3_64(block);
        }
        fs::write(&path, file).unwrap();
        connection.execute("UPDATE segments SET meta = ?1", [encode_meta(&meta).unwrap()]).unwrap();
        drop(connection);

        assert_eq!(verify(dir.path()).unwrap().damages, Vec::<String>::new());
        let store = open(dir.path(), 0);
        assert_answers(&store, &events(0..300), "as it was written");
        merge_all(&store);
        assert_answers(&store, &events(0..300), "written anew");
        drop(store);
        let Opened { named, .. } = Log::open(dir.path(), Purpose::Look).unwrap();
        assert_eq!(named.segments[0].id != meta.id, is_written_anew, "version {version}");
    }
}
