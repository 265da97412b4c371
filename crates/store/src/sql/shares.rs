use diesel::prelude::*;
use zenovay_auth::{PasswordHash, SecretDigest};
use zenovay_domain::{ShareId, Timestamp, WebsiteId};

use super::failed::Done;
use super::rows::{check_name, damaged, decode};
use super::websites::load_website;
use super::{Conn, SqlStore};
use crate::schema::shares;
use crate::{Result, SHARES_MAX, Share, ShareStore, StoreError};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = shares)]
struct ShareRow {
    id: String,
    website_id: String,
    digest: Vec<u8>,
    name: String,
    password_hash: Option<String>,
    may_be_embedded: bool,
    created_at: i64,
}

impl TryFrom<ShareRow> for Share {
    type Error = StoreError;

    fn try_from(row: ShareRow) -> Result<Self> {
        let digest = row.digest.try_into().map_err(|_| damaged("shares", "digest", &row.id))?;
        Ok(Self {
            id: decode("shares", "id", &row.id, &row.id)?,
            website: decode("shares", "website_id", &row.id, &row.website_id)?,
            digest: SecretDigest::from_bytes(digest),
            name: row.name,
            password: row.password_hash.map(PasswordHash::from_stored),
            may_be_embedded: row.may_be_embedded,
            created_at: Timestamp::from_millis(row.created_at),
        })
    }
}

fn load_shares(conn: &mut Conn, website: WebsiteId) -> Done<Vec<Share>> {
    let rows = shares::table
        .filter(shares::website_id.eq(website.to_string()))
        .order((shares::created_at, shares::id))
        .select(ShareRow::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(Share::try_from).collect::<Result<_>>()?)
}

impl ShareStore for SqlStore {
    fn create_share(&self, share: &Share) -> Result<()> {
        check_name(&share.name)?;
        let row = ShareRow {
            id: share.id.to_string(),
            website_id: share.website.to_string(),
            digest: share.digest.as_bytes().to_vec(),
            name: share.name.clone(),
            password_hash: share.password.as_ref().map(|hash| hash.as_str().to_owned()),
            may_be_embedded: share.may_be_embedded,
            created_at: share.created_at.as_millis(),
        };
        self.write(|conn| {
            load_website(conn, share.website)?.ok_or(StoreError::NotFound("website"))?;
            if load_shares(conn, share.website)?.len() >= SHARES_MAX {
                let reason = format!("a website has at most {SHARES_MAX} public links");
                return Err(StoreError::Invalid { field: "name", reason }.into());
            }
            diesel::insert_into(shares::table).values(row).execute(conn)?;
            Ok(())
        })
    }

    fn shares(&self, website: WebsiteId) -> Result<Vec<Share>> {
        self.ask(|conn| load_shares(conn, website))
    }

    fn share_by_digest(&self, digest: &SecretDigest) -> Result<Option<Share>> {
        let row = self.ask(|conn| {
            let row =
                shares::table.filter(shares::digest.eq(digest.as_bytes().as_slice())).select(ShareRow::as_select());
            Ok(row.first(conn).optional()?)
        })?;
        row.map(Share::try_from).transpose()
    }

    fn delete_share(&self, website: WebsiteId, id: ShareId) -> Result<()> {
        self.write(|conn| {
            let of_website = shares::table.find(id.to_string()).filter(shares::website_id.eq(website.to_string()));
            match diesel::delete(of_website).execute(conn)? {
                0 => Err(StoreError::NotFound("share").into()),
                _ => Ok(()),
            }
        })
    }
}
