//! Public links to dashboards.

use std::fmt;

use zenovay_auth::{PasswordHash, SecretDigest};
use zenovay_domain::{ShareId, Timestamp, WebsiteId};

use crate::Result;

/// The most public links of a website.
pub const SHARES_MAX: usize = 50;

/// A public link to the dashboard of a website: read only.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Share {
    /// Its id, by which it is managed; it opens nothing.
    pub id: ShareId,
    /// The website.
    pub website: WebsiteId,
    /// The digest of the secret that opens it.
    pub digest: SecretDigest,
    /// The name people see, 1 to 100 characters.
    pub name: String,
    /// The hash of the password that is asked for, if one is.
    pub password: Option<PasswordHash>,
    /// Whether pages of other websites may show it in a frame.
    pub may_be_embedded: bool,
    /// When it was created.
    pub created_at: Timestamp,
}

impl Share {
    /// A link without a password, which no page of another website may show.
    pub fn new(id: ShareId, website: WebsiteId, digest: SecretDigest, name: String, created_at: Timestamp) -> Self {
        Self { id, website, digest, name, password: None, may_be_embedded: false, created_at }
    }
}

impl fmt::Debug for Share {
    /// Without the digests.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("id", &self.id).field("website", &self.website).finish_non_exhaustive()
    }
}

/// Public links. They go with their website.
pub trait ShareStore: Send + Sync {
    /// Adds a link.
    ///
    /// # Errors
    ///
    /// `NotFound("website")`, `Invalid` for a name that cannot be one and when the website has [`SHARES_MAX`] links.
    fn create_share(&self, share: &Share) -> Result<()>;

    /// The links of a website, the oldest first.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn shares(&self, website: WebsiteId) -> Result<Vec<Share>>;

    /// The link whose secret has this digest.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn share_by_digest(&self, digest: &SecretDigest) -> Result<Option<Share>>;

    /// Ends a link of a website.
    ///
    /// # Errors
    ///
    /// `NotFound("share")`.
    fn delete_share(&self, website: WebsiteId, id: ShareId) -> Result<()>;
}
