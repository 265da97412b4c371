//! Objects of any length. Of one that is written or read no more than [`PIECE_BYTES`] are in memory at a time.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, Bytes};
use futures_util::{StreamExt, TryStreamExt};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use tokio::sync::mpsc::{self, Receiver};

use super::{Bucket, Trouble, pass_on};
use crate::files::{CopyError, Way, fill};

/// What is sent at a time. Of a longer object the parts are sent one after the other.
const PIECE_BYTES: usize = 8 << 20;
/// The most parts that an object may have: of one that is longer than 80 GB the parts are longer.
const PARTS_MAX: u64 = 10_000;
/// How many objects are deleted in one go, in bounded time.
const DELETED: usize = 20;

/// Whether there is no object of that name: the bucket answered, and says so.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

impl Bucket {
    /// What is told of a request about one object.
    fn of_object(&self, trouble: Trouble) -> io::Error {
        match trouble {
            Trouble::Missing(problem) if !problem.contains("NoSuchBucket") => {
                io::Error::new(io::ErrorKind::NotFound, format!("{} has no such object", self.name))
            }
            trouble => io::Error::other(self.trouble(trouble)),
        }
    }

    /// Writes an object that is in memory, in the place of what is there.
    ///
    /// # Errors
    /// When it cannot be written; what was there stays.
    fn put_object(&self, name: &str, bytes: Vec<u8>) -> io::Result<()> {
        let (store, path) = (Arc::clone(&self.store), self.path(name));
        let done = self.ask("put", async move { store.put(&path, PutPayload::from(bytes)).await });
        // What is missing where something is written is the bucket.
        done.map(drop).map_err(|trouble| io::Error::other(self.trouble(trouble)))
    }

    /// Writes an object of `length` bytes from `from`, in the place of what is there. It is there whole, or not at all.
    ///
    /// # Errors
    /// [`CopyError`]; what was there stays.
    pub(crate) fn send_object(
        &self,
        name: &str,
        from: &mut dyn Read,
        length: u64,
        way: &Way<'_>,
    ) -> Result<(), CopyError> {
        let piece_bytes = PIECE_BYTES.max(usize::try_from(length.div_ceil(PARTS_MAX)).unwrap_or(usize::MAX));
        let mut piece = || {
            way.go_on()?;
            let mut piece = vec![0; piece_bytes];
            let read = fill(from, &mut piece).map_err(CopyError::Read)?;
            piece.truncate(read);
            Ok::<_, CopyError>(piece)
        };
        let first = piece()?;
        if first.len() < piece_bytes {
            return self.put_object(name, first).map_err(CopyError::Write);
        }
        let path = self.path(name);
        let (store, of) = (Arc::clone(&self.store), path.clone());
        let begun = self.ask("put", async move { store.create_multipart(&of).await });
        let id = begun.map_err(|trouble| self.unwritten(trouble))?;
        let sent = self.send_parts(&path, &id, first, &mut piece, way);
        if sent.is_err() {
            // What was sent is of no use; the bucket keeps it, unseen, when this is not heard.
            let store = Arc::clone(&self.store);
            drop(self.ask("put", async move { store.abort_multipart(&path, &id).await }));
        }
        sent
    }

    /// Sends `next` and all that `piece` gives after it, and makes an object of it.
    fn send_parts(
        &self,
        path: &Path,
        id: &str,
        mut next: Vec<u8>,
        piece: &mut dyn FnMut() -> Result<Vec<u8>, CopyError>,
        way: &Way<'_>,
    ) -> Result<(), CopyError> {
        let mut parts = Vec::new();
        while !next.is_empty() {
            let started = Instant::now();
            let (store, path, id, number) = (Arc::clone(&self.store), path.clone(), id.to_owned(), parts.len());
            let payload = PutPayload::from(next);
            let part = self.ask("put", async move { store.put_part(&path, &id, number, payload).await });
            parts.push(part.map_err(|trouble| self.unwritten(trouble))?);
            way.pause(started);
            next = piece()?;
        }
        let (store, path, id) = (Arc::clone(&self.store), path.clone(), id.to_owned());
        let done = self.ask("put", async move { store.complete_multipart(&path, &id, parts).await });
        done.map(drop).map_err(|trouble| self.unwritten(trouble))
    }

    fn unwritten(&self, trouble: Trouble) -> CopyError {
        // What is missing where something is written is the bucket.
        CopyError::Write(io::Error::other(self.trouble(trouble)))
    }

    /// Reads an object from its beginning to its end.
    ///
    /// # Errors
    /// When there is none ([`is_missing`]), or the bucket does not answer; what is read says so, too.
    pub(crate) fn object(&self, name: &str) -> io::Result<ObjectReader<'_>> {
        let (store, path, within) = (Arc::clone(&self.store), self.path(name), self.within);
        let begun =
            self.ask("get", async move { store.get(&path).await }).map_err(|trouble| self.of_object(trouble))?;
        let (send, received) = mpsc::channel(1);
        self.requests.spawn(pass_on(begun.into_stream(), send, within));
        Ok(ObjectReader { bucket: self, received, piece: Bytes::new() })
    }

    /// Calls `see` with the name and the length of all objects whose names begin with `first`.
    ///
    /// # Errors
    /// When the bucket does not answer, and what `see` says.
    pub(crate) fn objects(&self, first: &str, see: &mut dyn FnMut(&str, u64) -> io::Result<()>) -> io::Result<()> {
        let prefix = format!("{}{first}", self.prefix);
        let mut page_token = None;
        loop {
            let (store, prefix) = (Arc::clone(&self.store), prefix.clone());
            let options = PaginatedListOptions { page_token, ..PaginatedListOptions::default() };
            let listed = self.ask("list", async move {
                let prefix = Some(prefix.as_str()).filter(|prefix| !prefix.is_empty());
                store.list_paginated(prefix, options).await
            });
            let page = listed.map_err(|trouble| io::Error::other(self.trouble(trouble)))?;
            for object in &page.result.objects {
                if let Some(name) = object.location.as_ref().strip_prefix(self.prefix.as_str()) {
                    see(name, object.size)?;
                }
            }
            page_token = page.page_token;
            if page_token.is_none() {
                return Ok(());
            }
        }
    }

    /// Deletes objects; those that are not there are gone already.
    ///
    /// # Errors
    /// When the bucket does not answer, or says no; some may be gone then.
    pub(crate) fn delete_objects(&self, names: &[String]) -> io::Result<()> {
        for names in names.chunks(DELETED) {
            let paths: Vec<_> = names.iter().map(|name| Ok(self.path(name))).collect();
            let store = Arc::clone(&self.store);
            let done = self.ask("delete", async move {
                let deleted = store.delete_stream(futures_util::stream::iter(paths).boxed());
                let is_gone = |error: &object_store::Error| matches!(error, object_store::Error::NotFound { .. });
                let others = deleted.filter(|done| {
                    let is_other = !done.as_ref().is_err_and(is_gone);
                    futures_util::future::ready(is_other)
                });
                others.try_for_each(|_| futures_util::future::ok(())).await
            });
            done.map_err(|trouble| io::Error::other(self.trouble(trouble)))?;
        }
        Ok(())
    }
}

/// What an object has, from its beginning to its end.
pub(crate) struct ObjectReader<'a> {
    bucket: &'a Bucket,
    received: Receiver<Result<Bytes, Trouble>>,
    piece: Bytes,
}

impl Read for ObjectReader<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.received.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.piece = piece.map_err(|trouble| self.bucket.of_object(trouble))?,
            }
        }
        let length = to.len().min(self.piece.len());
        to[..length].copy_from_slice(&self.piece[..length]);
        self.piece.advance(length);
        Ok(length)
    }
}
