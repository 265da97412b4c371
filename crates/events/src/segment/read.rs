//! Reading one column of one row group.

use std::cell::Cell;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, LazyLock};

use bytes::{Bytes, BytesMut};
use parquet::column::reader::{get_column_reader, get_typed_column_reader};
use parquet::data_type::Int64Type;
use parquet::schema::types::ColumnDescPtr;
use xxhash_rust::xxh3::xxh3_64;
use zenovay_domain::EventKind;

use super::entry::PARQUET_MAGIC;
use super::pages::{PackedPage, Pages, listed};
use super::{
    ChunkMeta, ColumnId, GroupMeta, Segment, SegmentError, StoredDigest, StoredVisits, Tail, VisitsError,
    codes as visitor_codes, hybrid, visits,
};
use crate::intern::empty_string;
use crate::rows::{BaseRows, Ids};

/// What a thread keeps for what it reads next, at most.
const BUFFER_BYTES_MAX: usize = 1 << 20;

thread_local! {
    /// What stands behind row groups is read into it: new memory would be cleared for each of them.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// So are the pages of columns.
    static PAGES: Cell<BytesMut> = Cell::default();
}

/// Rows of a row group: those in a range, or some of them.
#[derive(Debug, Clone)]
pub(crate) struct Rows<'a> {
    range: Range<usize>,
    /// Their places after the beginning of the range, ascending.
    some: Option<&'a [u32]>,
}

impl<'a> Rows<'a> {
    /// All in `range`.
    pub(crate) fn all(range: Range<usize>) -> Self {
        Self { range, some: None }
    }

    /// Those at the places `some` after the beginning of `range`, ascending; all of it when there are none.
    pub(crate) fn some(range: Range<usize>, some: Option<&'a [u32]>) -> Self {
        Self { range, some }
    }

    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        self.some.map_or(self.range.len(), <[u32]>::len)
    }
}

/// The codes of some rows, and what they stand for.
#[derive(Debug, Clone)]
pub(crate) struct Coded {
    pub(crate) codes: Vec<u32>,
    pub(crate) values: Values,
}

impl Coded {
    /// What `rows` rows have in a column that their file does not have.
    fn absent(column: ColumnId, rows: usize) -> Self {
        let values = match column {
            ColumnId::Kind | ColumnId::Dimension(_) => Values::Texts(Texts::Owned(vec![empty_string()])),
            ColumnId::Visitor | ColumnId::Session => Values::Ids(vec![0]),
            _ => Values::Numbers(vec![0]),
        };
        Self { codes: vec![0; rows], values }
    }
}

/// The values of a dictionary.
#[derive(Debug, Clone)]
pub(crate) enum Values {
    Ids(Vec<u64>),
    Numbers(Vec<u32>),
    Texts(Texts),
}

impl Values {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Ids(ids) => ids.len(),
            Self::Numbers(numbers) => numbers.len(),
            Self::Texts(texts) => texts.len(),
        }
    }
}

/// Strings, one after the other in a dictionary page.
#[derive(Debug, Clone)]
pub(crate) enum Texts {
    /// Each string is a span of the page; all spans are UTF-8.
    Page {
        page: Bytes,
        spans: Vec<(u32, u32)>,
    },
    Owned(Vec<Arc<str>>),
}

impl Texts {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Page { spans, .. } => spans.len(),
            Self::Owned(texts) => texts.len(),
        }
    }

    /// The string of `code`, empty for an unknown code.
    pub(crate) fn get(&self, code: u32) -> &str {
        match self {
            Self::Page { page, spans } => spans
                .get(code as usize)
                .and_then(|&(start, len)| page.get(start as usize..(start + len) as usize))
                .and_then(|bytes| std::str::from_utf8(bytes).ok())
                .unwrap_or_default(),
            Self::Owned(texts) => texts.get(code as usize).map_or("", |text| text),
        }
    }
}

/// The codes of some rows, and the strings that they stand for, packed as they are in the file.
pub(crate) struct TextColumn {
    pub(crate) codes: Vec<u32>,
    texts: PendingTexts,
}

enum PendingTexts {
    Packed(PackedPage),
    Unpacked(Values),
}

impl TextColumn {
    pub(crate) fn unpacked(codes: Vec<u32>, values: Values) -> Self {
        Self { codes, texts: PendingTexts::Unpacked(values) }
    }

    /// How many different strings there are.
    pub(crate) fn len(&self) -> usize {
        match &self.texts {
            PendingTexts::Packed(page) => page.meta.values as usize,
            PendingTexts::Unpacked(values) => values.len(),
        }
    }

    /// Hands each string with its code to `take`, one at a time: however long they are together, one is held.
    pub(crate) fn each(&self, mut take: impl FnMut(u32, &str)) -> std::io::Result<()> {
        let page = match &self.texts {
            PendingTexts::Packed(page) => page,
            PendingTexts::Unpacked(Values::Texts(texts)) => {
                (0..).take(texts.len()).for_each(|code| take(code, texts.get(code)));
                return Ok(());
            }
            PendingTexts::Unpacked(_) => return Err(std::io::ErrorKind::InvalidData.into()),
        };
        let mut rest = page.reader()?.take(page.meta.unpacked_bytes.into());
        let mut text = Vec::new();
        for code in 0..page.meta.values {
            let mut length = [0; 4];
            rest.read_exact(&mut length)?;
            let length = u64::from(u32::from_le_bytes(length));
            text.clear();
            if rest.by_ref().take(length).read_to_end(&mut text)? as u64 != length {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            take(code, std::str::from_utf8(&text).map_err(std::io::Error::other)?);
        }
        Ok(())
    }
}

impl Segment {
    /// The times of the rows `rows` of a row group.
    pub(crate) fn read_at(&self, group: u32, rows: Range<usize>) -> Result<Vec<i64>, SegmentError> {
        let chunk = self.chunk(group, ColumnId::At)?.ok_or_else(|| self.error("has no times"))?;
        let pages = self.pages(ColumnId::At, chunk)?;
        times(pages, rows).map_err(|what| self.damaged(group, ColumnId::At, &what))
    }

    /// The codes of the rows `rows` of a row group, and its whole dictionary. Pages without such rows stay packed. Every
    /// code has a value. Of a column that the file does not have all values are empty.
    pub(crate) fn read(&self, group: u32, column: ColumnId, rows: Range<usize>) -> Result<Coded, SegmentError> {
        self.read_some(group, column, &Rows::all(rows))
    }

    /// The same of some rows.
    pub(crate) fn read_some(&self, group: u32, column: ColumnId, rows: &Rows<'_>) -> Result<Coded, SegmentError> {
        let Some(chunk) = self.chunk(group, column)? else { return Ok(Coded::absent(column, rows.len())) };
        self.with_pages(column, chunk, |pages| {
            coded(pages, column, rows, self.group_rows(group)).map_err(|what| self.damaged(group, column, &what))
        })
    }

    /// The places after the beginning of `rows` of those that have a string in a column, with their codes and the whole dictionary.
    pub(crate) fn read_with_text(
        &self,
        group: u32,
        column: ColumnId,
        rows: Range<usize>,
    ) -> Result<(Vec<u32>, Coded), SegmentError> {
        let Some(chunk) = self.chunk(group, column)? else { return Ok((Vec::new(), Coded::absent(column, 0))) };
        self.with_pages(column, chunk, |mut pages| {
            with_text(&mut pages, column, rows, self.group_rows(group))
                .map_err(|what| self.damaged(group, column, &what))
        })
    }

    /// The columns of the rows `rows` of a row group that every query reads. Calls `look` between them: each takes as long as a
    /// query may go on without a look at its budget.
    pub(crate) fn read_base<E: From<SegmentError>>(
        &self,
        group: u32,
        rows: Range<usize>,
        look: impl Fn() -> Result<(), E>,
    ) -> Result<(BaseRows, Ids), E> {
        let at = self.read_at(group, rows.clone())?;
        look()?;
        let kind = self.read_kinds(group, &Rows::all(rows.clone()))?;
        look()?;
        let ids = |column| match self.read(group, column, rows.clone())? {
            Coded { codes, values: Values::Ids(ids) } => Ok((codes, ids)),
            _ => Err(self.error("ids are not numbers")),
        };
        let (visitor, visitors) = ids(ColumnId::Visitor)?;
        look()?;
        let (session, sessions) = ids(ColumnId::Session)?;
        look()?;
        let engagement = self.read(group, ColumnId::EngagementMs, rows)?;
        let Values::Numbers(numbers) = &engagement.values else {
            return Err(self.error("column `engagement_ms` has no numbers").into());
        };
        let engagement_ms = look_up(&engagement.codes, numbers);
        Ok((BaseRows { at, kind, visitor, session, engagement_ms }, Ids { visitors, sessions }))
    }

    /// The kinds of the rows `rows` of a row group.
    pub(crate) fn read_kinds(&self, group: u32, rows: &Rows<'_>) -> Result<Vec<u8>, SegmentError> {
        let Coded { codes, values: Values::Texts(names) } = self.read_some(group, ColumnId::Kind, rows)? else {
            return Err(self.error("column `event_type` has no names"));
        };
        kinds(&codes, &names).map_err(|what| self.error(what))
    }

    /// The codes of all rows of a row group in a column of strings. Every code has a string.
    pub(crate) fn read_texts(&self, group: u32, column: ColumnId) -> Result<TextColumn, SegmentError> {
        let rows = self.group_rows(group);
        let Some(chunk) = self.chunk(group, column)? else {
            let Coded { codes, values } = Coded::absent(column, rows);
            return Ok(TextColumn::unpacked(codes, values));
        };
        let damaged = |what: &str| self.damaged(group, column, what);
        let mut pages = self.pages(column, chunk)?;
        let page = pages.next_packed().ok_or_else(|| damaged("has no dictionary"))?;
        let codes =
            codes(&mut pages, &Rows::all(0..rows), rows, page.meta.values as usize).map_err(|what| damaged(&what))?;
        Ok(TextColumn { codes, texts: PendingTexts::Packed(page) })
    }

    /// The codes of the rows `rows` of a row group without what they stand for. Every code has a value.
    pub(crate) fn read_row_codes(
        &self,
        group: u32,
        column: ColumnId,
        rows: &Rows<'_>,
    ) -> Result<Vec<u32>, SegmentError> {
        let Some(chunk) = self.chunk(group, column)? else { return Ok(vec![0; rows.len()]) };
        let damaged = |what: &str| self.damaged(group, column, what);
        self.with_pages(column, chunk, |mut pages| {
            let page = pages.next_packed().ok_or_else(|| damaged("has no dictionary"))?;
            codes(&mut pages, rows, self.group_rows(group), page.meta.values as usize).map_err(|what| damaged(&what))
        })
    }

    /// How long the dictionary of a column is when it is unpacked: of strings about what they take in memory.
    pub(crate) fn unpacked_bytes(&self, group: u32, column: ColumnId) -> Result<usize, SegmentError> {
        let Some(chunk) = self.chunk(group, column)? else { return Ok(0) };
        if chunk.dictionary_bytes == 0 {
            return Ok(0);
        }
        let first = match chunk.pages.first() {
            Some(page) => page.unpacked_bytes,
            // The file of an earlier version is read for it, until it is written anew.
            None => {
                let bytes = Bytes::from(self.bytes(chunk.offset, chunk.bytes, chunk.hash)?);
                let dictionary = bytes.slice(..chunk.dictionary_bytes as usize);
                let pages = listed(column, &dictionary, true).map_err(|error| self.error(error))?;
                pages.first().map_or(0, |page| page.unpacked_bytes)
            }
        };
        Ok(first as usize)
    }

    fn damaged(&self, group: u32, column: ColumnId, what: &str) -> SegmentError {
        self.error(format_args!("column {:?} of row group {group}: {what}", column.name()))
    }

    /// The ids of a row group, each once, by their codes. With a digest only the dictionary page is read. In a row group
    /// that websites share they are those of all.
    pub(crate) fn read_ids(&self, group: u32, column: ColumnId) -> Result<Vec<u64>, SegmentError> {
        let meta = self.meta.groups.get(group as usize).ok_or_else(|| self.error("has no such row group"))?;
        let chunk = self.chunk(group, column)?.ok_or_else(|| self.error("has no ids"))?;
        let mut pages = match meta.digest {
            Some(digest) => {
                let hash = if column == ColumnId::Visitor { digest.visitors_hash } else { digest.sessions_hash };
                let pages = chunk.pages.get(..1).unwrap_or_default().to_vec();
                self.pages(column, &ChunkMeta { bytes: chunk.dictionary_bytes, pages, hash, ..*chunk })?
            }
            None => self.pages(column, chunk)?,
        };
        match first_dictionary(column, &mut pages).map_err(|what| self.damaged(group, column, &what))? {
            Values::Ids(ids) => Ok(ids),
            _ => Err(self.error("ids are not numbers")),
        }
    }

    /// The digest of a row group; `None` when it has none that this version can read, so that its rows must do.
    pub(crate) fn read_digest(&self, group: u32) -> Result<Option<StoredDigest>, SegmentError> {
        let Some(meta) = self.meta.groups.get(group as usize).and_then(|group| group.digest) else { return Ok(None) };
        self.with_bytes((meta.offset, meta.bytes, meta.hash), |bytes| {
            StoredDigest::decode(bytes).map_err(|error| self.error(error))
        })
    }

    /// Hands the sessions of a row group to `take`; `None` when they do not stand in the file, or a later version wrote them.
    pub(crate) fn with_visits<T>(
        &self,
        group: u32,
        take: impl FnOnce(&StoredVisits<'_>) -> Result<T, SegmentError>,
    ) -> Result<Option<T>, SegmentError> {
        let Some(meta) = self.meta.groups.get(group as usize).and_then(|group| group.visits) else { return Ok(None) };
        let mut beginning = vec![0; meta.bytes.min(visits::BEGINNING_BYTES) as usize];
        self.file()?.read_exact_at(&mut beginning, meta.offset).map_err(|error| self.unreadable(error))?;
        let of_visits = |error| self.of_visits(error);
        match beginning.first().map(|&version| visits::is_whole(version)) {
            Some(Some(false)) => {
                let fetch = |(offset, bytes, hash): (u32, u32, u64),
                             take: &mut dyn FnMut(&[u8]) -> Result<(), VisitsError>| {
                    let place = (meta.offset + u64::from(offset), bytes, hash);
                    Ok(self.with_bytes(place, |bytes| take(bytes).map_err(of_visits))?)
                };
                let known = StoredVisits::of_columns(&beginning, (meta.offset, meta.bytes), &fetch);
                known.map_err(of_visits)?.as_ref().map(take).transpose()
            }
            // Which later version it is may be damage.
            Some(None) => self.with_bytes((meta.offset, meta.bytes, meta.hash), |_| Ok(None)),
            _ => self.with_bytes((meta.offset, meta.bytes, meta.hash), |bytes| {
                StoredVisits::of_whole(bytes).map_err(of_visits)?.as_ref().map(take).transpose()
            }),
        }
    }

    /// Whether an earlier version wrote the sessions of its row groups, so that it is written anew when there is time. The first byte of
    /// the first ones tells: one program writes a file.
    pub(crate) fn has_old_visits(&self) -> bool {
        *self.has_old_visits.get_or_init(|| {
            let Some(meta) = self.meta.groups.iter().find_map(|group| group.visits) else { return false };
            let mut version = [0];
            let read = self
                .file()
                .and_then(|file| file.read_exact_at(&mut version, meta.offset).map_err(|error| self.unreadable(error)));
            read.is_ok() && visits::is_old(version[0])
        })
    }

    /// What is wrong with visits.
    pub(crate) fn of_visits(&self, error: VisitsError) -> SegmentError {
        match error {
            VisitsError::Segment(error) => error,
            error => self.error(error),
        }
    }

    /// The codes of the visitors of a row group, in the order of their ids; `None` when they have none.
    pub(crate) fn read_codes(&self, group: u32) -> Result<Option<Vec<u32>>, SegmentError> {
        let Some(meta) = self.codes_of(group) else { return Ok(None) };
        let visitors = self.unpacked_bytes(group, ColumnId::Visitor)? / size_of::<u64>();
        self.with_bytes((meta.offset, meta.bytes, meta.hash), |bytes| {
            visitor_codes::decode(bytes, visitors, meta.end).map(Some).map_err(|what| self.error(what))
        })
    }

    /// The strings of a column of a row group, without its rows; `None` when the file does not have the column. Only the dictionary page
    /// is read when its `hash` is known.
    pub(crate) fn read_strings(
        &self,
        group: u32,
        column: ColumnId,
        hash: Option<u64>,
    ) -> Result<Option<Texts>, SegmentError> {
        let Some(chunk) = self.chunk(group, column)? else { return Ok(None) };
        let mut pages = match hash {
            Some(hash) => {
                let pages = chunk.pages.get(..1).unwrap_or_default().to_vec();
                self.pages(column, &ChunkMeta { bytes: chunk.dictionary_bytes, pages, hash, ..*chunk })?
            }
            None => self.pages(column, chunk)?,
        };
        match first_dictionary(column, &mut pages).map_err(|what| self.damaged(group, column, &what))? {
            Values::Texts(texts) => Ok(Some(texts)),
            _ => Err(self.error("texts are numbers")),
        }
    }

    pub(crate) fn group_rows(&self, group: u32) -> usize {
        self.meta.groups.get(group as usize).map_or(0, |group| group.rows as usize)
    }

    /// Reads every byte of the file, and every column of every row group as queries would.
    pub(crate) fn verify(&self) -> Result<(), SegmentError> {
        for group in (0..).take(self.meta.groups.len()) {
            self.verify_group(group)?;
            self.read_codes(group)?;
        }
        self.verify_tail()
    }

    /// Reads every column of a row group as queries would, but for the codes of visitors: what they say can be found again.
    pub(crate) fn verify_group(&self, group: u32) -> Result<(), SegmentError> {
        let rows = 0..self.group_rows(group);
        for column in ColumnId::all() {
            match column {
                // Not decoded by queries either; its checksum is compared all the same.
                ColumnId::Website => {
                    let chunk = self.chunk(group, column)?.ok_or_else(|| self.error("has no websites"))?;
                    self.bytes(chunk.offset, chunk.bytes, chunk.hash).map(drop)?;
                }
                ColumnId::At => self.read_at(group, rows.clone()).map(drop)?,
                _ => self.read(group, column, rows.clone()).map(drop)?,
            }
        }
        if self.read_digest(group)?.is_some() {
            self.read_ids(group, ColumnId::Visitor)?;
            self.read_ids(group, ColumnId::Session)?;
        }
        let Some(meta) = self.meta.groups.get(group as usize).and_then(|group| group.visits) else { return Ok(()) };
        self.with_bytes((meta.offset, meta.bytes, meta.hash), |_| Ok(()))?;
        self.with_visits(group, |visits| visits.verify().map_err(|error| self.of_visits(error)))?;
        Ok(())
    }

    /// Compares every byte of the file with its checksum, without decoding anything.
    pub(crate) fn verify_bytes(&self) -> Result<(), SegmentError> {
        for part in self.meta.groups.iter().flat_map(GroupMeta::parts) {
            self.bytes(part.offset, part.bytes, part.hash)?;
        }
        self.verify_tail()
    }

    /// Reads what no query reads: both ends of the file.
    pub(crate) fn verify_tail(&self) -> Result<(), SegmentError> {
        let file = self.file()?;
        let mut magic = [0; 4];
        file.read_exact_at(&mut magic, 0).map_err(|error| self.unreadable(error))?;
        if magic != *PARQUET_MAGIC {
            return Err(self.error("does not begin as a Parquet file"));
        }
        let Some(tail) = self.meta.tail else { return Ok(()) };
        let found = Tail::read(&file, tail.offset, self.meta.bytes).map_err(|error| self.unreadable(error))?;
        if found != tail {
            return Err(
                self.error("damaged in its footer: other programs may not open it, zenovay's answers are right")
            );
        }
        Ok(())
    }

    /// What the catalog says of a column in a row group; `None` when the file does not have the column.
    fn chunk(&self, group: u32, column: ColumnId) -> Result<Option<&ChunkMeta>, SegmentError> {
        let meta = self.meta.groups.get(group as usize).ok_or_else(|| self.error("has no such row group"))?;
        Ok(self.meta.columns.place(column).and_then(|place| meta.chunks.get(place)))
    }

    /// The bytes at a place, when they are those that were written.
    fn bytes(&self, offset: u64, count: u32, hash: u64) -> Result<Vec<u8>, SegmentError> {
        let mut bytes = vec![0; count as usize];
        self.fill(&mut bytes, offset, hash)?;
        Ok(bytes)
    }

    /// Hands the bytes at a place (where they begin, how many they are, and their hash) to `take`, when they are those that were written.
    fn with_bytes<T>(
        &self,
        (offset, count, hash): (u64, u32, u64),
        take: impl FnOnce(&[u8]) -> Result<T, SegmentError>,
    ) -> Result<T, SegmentError> {
        // Nobody else has it, also when `take` reads.
        let mut buffer = BUFFER.take();
        let count = count as usize;
        if buffer.len() < count {
            buffer.resize(count, 0);
        }
        let bytes = &mut buffer[..count];
        let taken = self.fill(bytes, offset, hash).and_then(|()| take(bytes));
        if buffer.len() <= BUFFER_BYTES_MAX {
            BUFFER.set(buffer);
        }
        taken
    }

    fn fill(&self, bytes: &mut [u8], offset: u64, hash: u64) -> Result<(), SegmentError> {
        self.file()?.read_exact_at(bytes, offset).map_err(|error| self.unreadable(error))?;
        if xxh3_64(bytes) != hash {
            let place = offset..offset + bytes.len() as u64;
            return Err(self.error(format_args!("damaged in bytes {place:?}")));
        }
        Ok(())
    }

    /// Hands the pages of `chunk`, which is a chunk of `column`, to `take`, when its bytes are those that were written. Memory is used again
    /// when nothing of the pages is kept.
    fn with_pages<T>(
        &self,
        column: ColumnId,
        chunk: &ChunkMeta,
        take: impl FnOnce(Pages) -> Result<T, SegmentError>,
    ) -> Result<T, SegmentError> {
        // Files of earlier versions are read until they are written anew.
        if chunk.pages.is_empty() {
            return take(self.pages(column, chunk)?);
        }
        // Nobody else has it, also when `take` reads.
        let mut buffer = PAGES.take();
        let count = chunk.bytes as usize;
        if buffer.len() < count {
            buffer.resize(count, 0);
        }
        let filled = self.fill(&mut buffer[..count], chunk.offset, chunk.hash);
        let buffer = buffer.freeze();
        let taken = filled.and_then(|()| take(Pages::new(buffer.slice(..count), chunk.pages.clone())));
        if buffer.len() <= BUFFER_BYTES_MAX
            && let Ok(buffer) = buffer.try_into_mut()
        {
            PAGES.set(buffer);
        }
        taken
    }

    /// The pages of `chunk`, which is a chunk of `column` or its beginning, when its bytes are those that were written.
    fn pages(&self, column: ColumnId, chunk: &ChunkMeta) -> Result<Pages, SegmentError> {
        let bytes = Bytes::from(self.bytes(chunk.offset, chunk.bytes, chunk.hash)?);
        let pages = if chunk.pages.is_empty() {
            listed(column, &bytes, chunk.dictionary_bytes > 0).map_err(|error| self.error(error))?
        } else {
            chunk.pages.clone()
        };
        Ok(Pages::new(bytes, pages))
    }
}

/// How the library reads the column of times.
static TIMES: LazyLock<Result<ColumnDescPtr, String>> =
    LazyLock::new(|| ColumnId::At.descriptor().map_err(|error| error.to_string()));

/// The times of the rows `rows` in the pages of their column.
pub(crate) fn times(pages: Pages, rows: Range<usize>) -> Result<Vec<i64>, String> {
    let descriptor = TIMES.clone()?;
    let mut reader = get_typed_column_reader::<Int64Type>(get_column_reader(descriptor, Box::new(pages)));
    let mut values = Vec::with_capacity(rows.end);
    while values.len() < rows.end {
        let (records, ..) =
            reader.read_records(rows.end - values.len(), None, None, &mut values).map_err(|error| error.to_string())?;
        if records == 0 {
            return Err("ends early".to_owned());
        }
    }
    values.drain(..rows.start);
    Ok(values)
}

/// The codes of `rows` in the pages of a column of a row group of `group_rows` rows, and the dictionary.
pub(crate) fn coded(mut pages: Pages, column: ColumnId, rows: &Rows<'_>, group_rows: usize) -> Result<Coded, String> {
    let values = first_dictionary(column, &mut pages)?;
    let codes = codes(&mut pages, rows, group_rows, values.len())?;
    Ok(Coded { codes, values })
}

/// The codes of `rows` in the pages behind a dictionary of `values` values; each is one of it.
fn codes(pages: &mut Pages, rows: &Rows<'_>, group_rows: usize, values: usize) -> Result<Vec<u32>, String> {
    let codes = match rows.some {
        None => codes_between(pages, rows.range.clone(), group_rows)?,
        Some(some) => codes_at(pages, rows.range.start, some, group_rows)?,
    };
    // The highest first: that is a loop without a way out, of many codes at a time.
    let highest = codes.iter().fold(0, |highest, &code| code.max(highest));
    if codes.len() != rows.len() || (!codes.is_empty() && highest as usize >= values) {
        return Err("does not fit its rows".to_owned());
    }
    Ok(codes)
}

/// The places after the beginning of `rows` of those that have a string in the pages of a column, with their codes and the dictionary.
fn with_text(
    pages: &mut Pages,
    column: ColumnId,
    rows: Range<usize>,
    group_rows: usize,
) -> Result<(Vec<u32>, Coded), String> {
    let values = first_dictionary(column, pages)?;
    let Values::Texts(texts) = &values else { return Err("has no strings".to_owned()) };
    let empty = (0..).take(texts.len()).find(|&code| texts.get(code).is_empty());
    let Some(empty) = empty else {
        let coded = codes(pages, &Rows::all(rows.clone()), group_rows, values.len())?;
        return Ok(((0..).take(rows.len()).collect(), Coded { codes: coded, values }));
    };
    let (mut places, mut codes, mut page_start) = (Vec::new(), Vec::new(), 0);
    while page_start < rows.end {
        let Some(page) = pages.next_packed() else { return Err("ends early".to_owned()) };
        let count = (page.meta.values as usize).min(group_rows);
        let page_end = page_start + count;
        if page_end > rows.start {
            let unpacked = page.unpack().ok_or("has a damaged page")?;
            let (&width, packed) = unpacked.split_first().ok_or("has an empty page")?;
            let first = u32::try_from(page_start).map_err(|error| error.to_string())?;
            hybrid::decode_others(packed, width, count, empty, first, (&mut places, &mut codes))
                .map_err(|_| "has malformed codes")?;
        }
        page_start = page_end;
    }
    let start = places.partition_point(|&place| (place as usize) < rows.start);
    let end = places.partition_point(|&place| (place as usize) < rows.end);
    let codes = codes[start..end].to_vec();
    if codes.iter().copied().max().is_some_and(|highest| highest as usize >= values.len()) {
        return Err("does not fit its rows".to_owned());
    }
    let first = u32::try_from(rows.start).map_err(|error| error.to_string())?;
    let places = places[start..end].iter().map(|place| place - first).collect();
    Ok((places, Coded { codes, values }))
}

/// The codes of the rows at the places `some` after `first`. Pages without any of them stay packed.
fn codes_at(pages: &mut Pages, first: usize, some: &[u32], group_rows: usize) -> Result<Vec<u32>, String> {
    let mut codes = Vec::with_capacity(some.len());
    let (mut rest, mut page_start) = (some, 0);
    while let Some(&next) = rest.first() {
        let Some(page) = pages.next_packed() else { return Err("ends early".to_owned()) };
        let count = (page.meta.values as usize).min(group_rows);
        let page_end = page_start + count;
        if first + next as usize >= page_end {
            page_start = page_end;
            continue;
        }
        let (here, behind) = rest.split_at(rest.partition_point(|&place| first + (place as usize) < page_end));
        let unpacked = page.unpack().ok_or("has a damaged page")?;
        let (&width, packed) = unpacked.split_first().ok_or("has an empty page")?;
        let places = here.iter().map(|&place| (first + place as usize).saturating_sub(page_start));
        hybrid::decode_at(packed, width, count, places, &mut codes).map_err(|_| "has malformed codes")?;
        (rest, page_start) = (behind, page_end);
    }
    Ok(codes)
}

/// The codes of the rows `rows`.
fn codes_between(pages: &mut Pages, rows: Range<usize>, group_rows: usize) -> Result<Vec<u32>, String> {
    let mut codes = Vec::with_capacity(rows.len());
    let mut page_start = 0;
    while page_start < rows.end {
        let Some(page) = pages.next_packed() else { return Err("ends early".to_owned()) };
        // No page has more rows than its row group.
        let count = (page.meta.values as usize).min(group_rows);
        let page_end = page_start + count;
        if page_end <= rows.start {
            page_start = page_end;
            continue;
        }
        let unpacked = page.unpack().ok_or("has a damaged page")?;
        let (&width, packed) = unpacked.split_first().ok_or("has an empty page")?;
        let first = codes.len();
        hybrid::decode(packed, width, count, &mut codes).map_err(|_| "has malformed codes")?;
        if page_end > rows.end {
            codes.truncate(first + count.saturating_sub(page_end - rows.end));
        }
        if page_start < rows.start {
            codes.drain(first..(first + rows.start - page_start).min(codes.len()));
        }
        page_start = page_end;
    }
    Ok(codes)
}

/// The values of a column's dictionary page, which comes first.
fn first_dictionary(column: ColumnId, pages: &mut Pages) -> Result<Values, String> {
    let page = pages.next_packed().ok_or("has no dictionary")?;
    let values = page.unpack().and_then(|bytes| dictionary(column, &bytes, page.meta.values as usize));
    values.ok_or_else(|| "has a bad dictionary".to_owned())
}

/// The values of a PLAIN dictionary page.
pub(crate) fn dictionary(column: ColumnId, page: &Bytes, count: usize) -> Option<Values> {
    match column {
        ColumnId::Visitor | ColumnId::Session => {
            let ids: Vec<u64> = page.as_chunks::<8>().0.iter().map(|&id| u64::from_le_bytes(id)).collect();
            (ids.len() == count).then_some(Values::Ids(ids))
        }
        ColumnId::Flags | ColumnId::EngagementMs | ColumnId::ScrollPercent => {
            let numbers: Vec<u32> = page.as_chunks::<4>().0.iter().map(|&n| u32::from_le_bytes(n)).collect();
            (numbers.len() == count).then_some(Values::Numbers(numbers))
        }
        ColumnId::Kind | ColumnId::Dimension(_) => {
            let mut spans = Vec::with_capacity(count.min(page.len() / 4));
            let mut rest = 0;
            for _ in 0..count {
                let len = u32::from_le_bytes(*page.get(rest..)?.first_chunk::<4>()?);
                let start = rest + 4;
                rest = start + len as usize;
                std::str::from_utf8(page.get(start..rest)?).ok()?;
                spans.push((u32::try_from(start).ok()?, len));
            }
            Some(Values::Texts(Texts::Page { page: page.clone(), spans }))
        }
        // Never read back: the catalog knows whose rows are whose.
        ColumnId::Website | ColumnId::At => None,
    }
}

/// The kinds of rows whose `codes` stand for `names` of kinds.
pub(super) fn kinds(codes: &[u32], names: &Texts) -> Result<Vec<u8>, String> {
    let kind = |name: &str| EventKind::ALL.iter().find(|kind| kind.as_str() == name).map(|&kind| kind as u8);
    let named = (0..).take(names.len()).map(|code| names.get(code));
    let kinds: Vec<u8> =
        named.map(|name| kind(name).ok_or_else(|| format!("unknown event type {name:?}"))).collect::<Result<_, _>>()?;
    Ok(look_up(codes, &kinds))
}

/// The values of `codes`.
fn look_up<T: Copy>(codes: &[u32], values: &[T]) -> Vec<T> {
    // Many row groups have pageviews only, and no engagement.
    match values {
        [value] => vec![*value; codes.len()],
        _ => codes.iter().map(|&code| values[code as usize]).collect(),
    }
}
