//! `/api/errors/:websiteId/sourcemaps`: the source maps that a website has. How they are sent is in [`super::error_groups`].

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zenovay_capture::ListedSourceMap;
use zenovay_store::StoreError;

use super::{Console, NoContent};
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{EditErrors, ReadErrors};
use crate::http::lookups::off_the_worker;
use crate::http::state::AppState;
use crate::http::values::Instant;

/// The source maps of a website.
#[derive(Debug, Serialize, ToSchema)]
pub struct SourceMaps {
    /// The newest first.
    source_maps: Vec<ShownSourceMap>,
}

/// A source map.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownSourceMap {
    /// Names it among those of its website.
    #[schema(examples(12))]
    id: i64,
    /// The name of the bundle.
    #[schema(examples("app-3f2a.js"))]
    file_name: String,
    /// The address of the bundle.
    #[schema(examples("https://example.com/assets/app-3f2a.js"))]
    file_url: String,
    /// The release that it is of; `default` where none was said.
    #[schema(examples("2.14.0"))]
    release: String,
    /// The id that the bundler gave the bundle; empty when it gave none.
    #[schema(examples("9dcb8d65-d5e0-484f-805c-b443811bf2e9"))]
    debug_id: String,
    /// How long the map is, in bytes.
    #[schema(examples(482_113))]
    bytes: u64,
    /// When it was sent.
    added_at: Instant,
}

impl From<ListedSourceMap> for ShownSourceMap {
    fn from(map: ListedSourceMap) -> Self {
        Self {
            id: map.id,
            file_name: map.file_name,
            file_url: map.file_url,
            release: map.release,
            debug_id: map.debug_id,
            bytes: map.bytes,
            added_at: Instant(map.added_at),
        }
    }
}

/// The source maps of a website, the newest first.
pub async fn list(reader: Console<ReadErrors>, state: web::Data<AppState>) -> Result<Success<SourceMaps>, ApiError> {
    let (website, now) = (reader.resource.id, state.clock.now());
    let maps = off_the_worker(&state, move |state| state.captures.source_maps(website)).await?;
    Ok(Success::new(SourceMaps { source_maps: maps.into_iter().map(ShownSourceMap::from).collect() }, now))
}

/// The source map that a path names.
#[derive(Debug, Deserialize)]
pub struct SourceMapPath {
    source_map_id: String,
}

/// Removes a source map. Stacks that were read with it stay as they are.
pub async fn delete(
    key: Console<EditErrors>,
    state: web::Data<AppState>,
    path: web::Path<SourceMapPath>,
) -> Result<NoContent, ApiError> {
    let unknown = || ApiError::from(StoreError::NotFound("source map"));
    let (website, id) = (key.resource.id, path.source_map_id.parse().map_err(|_| unknown())?);
    let store = key.store(&state);
    let deleted = off_the_worker(&state, move |state| {
        store.check_standing()?;
        Ok::<_, ApiError>(state.captures.delete_source_map(website, id)?)
    });
    if deleted.await? { Ok(NoContent) } else { Err(unknown()) }
}
