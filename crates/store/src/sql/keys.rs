use diesel::dsl::exists;
use diesel::prelude::*;
use zenovay_auth::{Credential, KeyDigest, KeyDraft, KeyKind, Membership, TeamAccess, may_create_key, may_edit_key};
use zenovay_domain::{KeyId, Role, TeamId, Timestamp, UserId, WebsiteId};

use super::failed::Done;
use super::people::end_invitations_of_key;
use super::rows::{KeyRow, decode, id_list};
use super::teams::load_team;
use super::{Conn, SqlStore};
use crate::month::month_of;
use crate::schema::{api_keys, key_usage, memberships, teams, users};
use crate::{KeyEdit, KeyRecord, KeyStore, NewKey, Result, StoreError};

/// The memberships of a user, each with the plan and the key policy of its team.
pub(super) fn teams_of(conn: &mut Conn, user: UserId) -> Done<Vec<(TeamAccess, Membership)>> {
    type Row = (String, String, String, String, Option<i64>);
    let rows: Vec<Row> = memberships::table
        .inner_join(teams::table)
        .filter(memberships::user_id.eq(user.to_string()))
        .order((memberships::created_at, memberships::team_id))
        .select((
            memberships::team_id,
            memberships::role,
            teams::plan,
            teams::key_policy,
            memberships::admits_keys_since,
        ))
        .load(conn)?;
    let team = |(id, role, plan, policy, since): Row| {
        let team_id = decode("memberships", "team_id", &id, &id)?;
        let role = decode("memberships", "role", &format!("{id} {user}"), &role)?;
        let plan = decode("teams", "plan", &id, &plan)?;
        let key_policy = decode("teams", "key_policy", &id, &policy)?;
        let membership = Membership::new(team_id, role, key_policy).admitting_since(since.map(Timestamp::from_millis));
        Ok((TeamAccess::new(team_id, plan, role), membership))
    };
    Ok(rows.into_iter().map(team).collect::<Result<_>>()?)
}

/// The memberships that decide about a key of this kind: those of the owner of a personal key, those of whoever manages a
/// workspace key, or what the operator of the server stands for.
fn deciding_memberships(conn: &mut Conn, kind: KeyKind, managed_by: Option<UserId>) -> Done<Vec<Membership>> {
    let memberships = |conn: &mut Conn, user: UserId| {
        if diesel::select(exists(users::table.find(user.to_string()))).get_result(conn)? {
            Ok(teams_of(conn, user)?.into_iter().map(|(_, membership)| membership).collect())
        } else {
            Err(StoreError::NotFound("user").into())
        }
    };
    match (kind, managed_by) {
        (KeyKind::Personal(owner), _) => memberships(conn, owner),
        (KeyKind::Workspace(_), Some(user)) => memberships(conn, user),
        (KeyKind::Workspace(team_id), None) => {
            let team = load_team(conn, team_id)?.ok_or(StoreError::NotFound("team"))?;
            Ok(vec![Membership::new(team_id, Role::Owner, team.key_policy)])
        }
    }
}

/// The key as a draft, with the team of each website. A website that is gone is `NotFound`.
fn draft(
    conn: &mut Conn,
    name: &str,
    kind: KeyKind,
    scopes: zenovay_domain::Scopes,
    team_ids: Option<Vec<TeamId>>,
    website_ids: Option<&[WebsiteId]>,
) -> Done<KeyDraft> {
    for id in team_ids.iter().flatten() {
        load_team(conn, *id)?.ok_or(StoreError::NotFound("team"))?;
    }
    let mut with_team = |id: &WebsiteId| {
        let website = super::websites::load_website(conn, *id)?.ok_or(StoreError::NotFound("website"))?;
        Ok((*id, website.team_id))
    };
    let website_ids = website_ids.map(|ids| ids.iter().map(&mut with_team).collect::<Done<_>>()).transpose()?;
    let mut draft = KeyDraft::new(name.to_owned(), kind, scopes);
    (draft.team_ids, draft.website_ids) = (team_ids, website_ids);
    Ok(draft)
}

fn load_record(conn: &mut Conn, id: KeyId) -> Done<Option<KeyRecord>> {
    let row = api_keys::table.find(id.to_string()).select(KeyRow::as_select()).first(conn).optional()?;
    let Some(row) = row else { return Ok(None) };
    let used = key_usage::table.find(id.to_string()).select(key_usage::last_used_at).first(conn).optional()?;
    Ok(Some(row.record(used.flatten())?))
}

/// The credential behind a digest, as it is in the snapshot of `conn`.
fn load_credential(conn: &mut Conn, digest: &KeyDigest) -> Done<Option<Credential>> {
    let row = api_keys::table
        .filter(api_keys::digest.eq(digest.as_bytes().as_slice()))
        .select(KeyRow::as_select())
        .first(conn)
        .optional()?;
    let Some(row) = row else { return Ok(None) };
    let key = row.record(None)?;
    // The index found the digest by comparing bytes; this comparison takes the same time wherever they differ.
    if key.digest != *digest {
        return Ok(None);
    }
    let teams = match key.kind {
        KeyKind::Personal(owner) => teams_of(conn, owner)?
            .into_iter()
            .filter(|(_, membership)| membership.admits(key.created_at))
            .map(|(access, _)| access)
            .collect(),
        KeyKind::Workspace(team_id) => {
            load_team(conn, team_id)?.map(|team| TeamAccess::new(team_id, team.plan, Role::Admin)).into_iter().collect()
        }
    };
    let mut credential = Credential::new(key.id, key.kind, key.scopes);
    credential.name = key.name;
    (credential.team_ids, credential.website_ids) = (key.team_ids, key.website_ids);
    credential.revoked = key.revoked_at.is_some();
    credential.teams = teams;
    Ok(Some(credential))
}

/// How many keys of `user` that are not revoked can reach `team`, which admits those that were created since `since`.
pub(super) fn keys_reaching(conn: &mut Conn, team: TeamId, user: UserId, since: Option<i64>) -> Done<u64> {
    let rows = api_keys::table
        .filter(api_keys::user_id.eq(user.to_string()).and(api_keys::revoked_at.is_null()))
        .filter(api_keys::created_at.ge(since.unwrap_or(i64::MIN)))
        .select(KeyRow::as_select())
        .load(conn)?;
    let mut keys = 0;
    for row in rows {
        keys += u64::from(row.team_ids()?.is_none_or(|ids| ids.contains(&team)));
    }
    Ok(keys)
}

/// After `user` left `team`: drops it from the keys that name it, and revokes those that name no other.
pub(super) fn drop_team_from_keys(conn: &mut Conn, team: TeamId, user: UserId, now: Timestamp) -> Done<()> {
    let rows = api_keys::table
        .filter(api_keys::user_id.eq(user.to_string()).and(api_keys::revoked_at.is_null()))
        .select(KeyRow::as_select())
        .load(conn)?;
    for row in rows {
        let Some(mut ids) = row.team_ids()?.filter(|ids| ids.contains(&team)) else { continue };
        ids.retain(|id| *id != team);
        let revoked_at = ids.is_empty().then_some(now.as_millis());
        diesel::update(api_keys::table.find(&row.id))
            .set((api_keys::team_ids.eq(id_list(&ids)), api_keys::revoked_at.eq(revoked_at)))
            .execute(conn)?;
    }
    Ok(())
}

/// After a website was deleted: drops it from the keys that name it, and revokes those that name no other.
pub(super) fn drop_website_from_keys(conn: &mut Conn, website: WebsiteId, now: Timestamp) -> Done<()> {
    let rows = api_keys::table
        .filter(api_keys::website_ids.is_not_null().and(api_keys::revoked_at.is_null()))
        .select(KeyRow::as_select())
        .load(conn)?;
    for row in rows {
        let Some(mut ids) = row.website_ids()?.filter(|ids| ids.contains(&website)) else { continue };
        ids.retain(|id| *id != website);
        let revoked_at = ids.is_empty().then_some(now.as_millis());
        diesel::update(api_keys::table.find(&row.id))
            .set((api_keys::website_ids.eq(id_list(&ids)), api_keys::revoked_at.eq(revoked_at)))
            .execute(conn)?;
    }
    Ok(())
}

fn deduplicated<T: Ord + Copy>(ids: &Option<Vec<T>>) -> Option<Vec<T>> {
    ids.as_ref().map(|ids| ids.iter().copied().collect::<std::collections::BTreeSet<_>>().into_iter().collect())
}

impl KeyStore for SqlStore {
    fn create_key(&self, key: &NewKey<'_>, now: Timestamp) -> Result<KeyRecord> {
        let team_ids = deduplicated(&key.team_ids);
        let website_ids = deduplicated(&key.website_ids);
        let (user_id, team_id) = match key.kind {
            KeyKind::Personal(user) => (Some(user.to_string()), None),
            KeyKind::Workspace(team) => (None, Some(team.to_string())),
        };
        self.write(|conn| {
            let memberships = deciding_memberships(conn, key.kind, key.created_by)?;
            let draft = draft(conn, key.name, key.kind, key.scopes, team_ids.clone(), website_ids.as_deref())?;
            may_create_key(&draft, &memberships)?;
            let row = KeyRow {
                id: key.id.to_string(),
                digest: key.token.digest().as_bytes().to_vec(),
                prefix: key.token.prefix().to_owned(),
                name: key.name.to_owned(),
                user_id,
                team_id,
                scopes: key.scopes.to_string(),
                team_ids: team_ids.as_deref().map(id_list),
                website_ids: website_ids.as_deref().map(id_list),
                created_at: now.as_millis(),
                revoked_at: None,
            };
            let taken = exists(api_keys::table.filter(api_keys::digest.eq(&row.digest)));
            if diesel::select(taken).get_result(conn)? {
                return Err(StoreError::Conflict("key").into());
            }
            diesel::insert_into(api_keys::table).values(row).execute(conn)?;
            diesel::insert_into(key_usage::table)
                .values((
                    key_usage::key_id.eq(key.id.to_string()),
                    key_usage::month.eq(month_of(now)),
                    key_usage::monthly_used.eq(0),
                    key_usage::total_used.eq(0),
                ))
                .execute(conn)?;
            Ok(load_record(conn, key.id)?.ok_or(StoreError::NotFound("key"))?)
        })
    }

    fn key(&self, id: KeyId) -> Result<Option<KeyRecord>> {
        self.read(|conn| load_record(conn, id))
    }

    fn keys(&self) -> Result<Vec<KeyRecord>> {
        self.read(|conn| {
            let rows =
                api_keys::table.order((api_keys::created_at, api_keys::id)).select(KeyRow::as_select()).load(conn)?;
            let used: Vec<(String, Option<i64>)> =
                key_usage::table.select((key_usage::key_id, key_usage::last_used_at)).load(conn)?;
            let used: std::collections::HashMap<_, _> = used.into_iter().collect();
            let record = |row: KeyRow| {
                let last_used_at = used.get(&row.id).copied().flatten();
                row.record(last_used_at)
            };
            Ok(rows.into_iter().map(record).collect::<Result<_>>()?)
        })
    }

    fn edit_key(&self, id: KeyId, edit: &KeyEdit) -> Result<KeyRecord> {
        self.write(|conn| {
            let key = load_record(conn, id)?.ok_or(StoreError::NotFound("key"))?;
            if key.revoked_at.is_some() {
                return Err(StoreError::KeyRevoked.into());
            }
            let name = edit.name.as_ref().unwrap_or(&key.name);
            let scopes = edit.scopes.unwrap_or(key.scopes);
            let team_ids = edit.team_ids.as_ref().map_or_else(|| key.team_ids.clone(), deduplicated);
            let website_ids = edit.website_ids.as_ref().map_or_else(|| key.website_ids.clone(), deduplicated);
            let memberships = deciding_memberships(conn, key.kind, None)?;
            let current =
                draft(conn, &key.name, key.kind, key.scopes, key.team_ids.clone(), key.website_ids.as_deref())?;
            let wanted = draft(conn, name, key.kind, scopes, team_ids.clone(), website_ids.as_deref())?;
            may_edit_key(&current, &wanted, &memberships, key.created_at)?;
            end_invitations_of_key(conn, id, scopes, team_ids.as_deref())?;
            diesel::update(api_keys::table.find(id.to_string()))
                .set((
                    api_keys::name.eq(name),
                    api_keys::scopes.eq(scopes.to_string()),
                    api_keys::team_ids.eq(team_ids.as_deref().map(id_list)),
                    api_keys::website_ids.eq(website_ids.as_deref().map(id_list)),
                ))
                .execute(conn)?;
            Ok(load_record(conn, id)?.ok_or(StoreError::NotFound("key"))?)
        })
    }

    fn revoke_key(&self, id: KeyId, now: Timestamp) -> Result<()> {
        self.write_urgently(|conn| {
            let key = load_record(conn, id)?.ok_or(StoreError::NotFound("key"))?;
            if key.revoked_at.is_none() {
                diesel::update(api_keys::table.find(id.to_string()))
                    .set(api_keys::revoked_at.eq(now.as_millis()))
                    .execute(conn)?;
            }
            Ok(())
        })
    }

    fn credential(&self, digest: &KeyDigest) -> Result<Option<Credential>> {
        self.read(|conn| load_credential(conn, digest))
    }

    fn valid_keys(&self, limit: usize) -> Result<Vec<KeyDigest>> {
        let rows: Vec<Vec<u8>> = self.ask(|conn| {
            let rows = api_keys::table
                .filter(api_keys::revoked_at.is_null())
                .order(api_keys::created_at.desc())
                .limit(i64::try_from(limit).unwrap_or(i64::MAX))
                .select(api_keys::digest);
            Ok(rows.load(conn)?)
        })?;
        // A digest of another length does not belong to any key: whoever looks its row up is told that it is damaged.
        Ok(rows.iter().filter_map(|row| row.as_slice().try_into().ok()).map(KeyDigest::from_bytes).collect())
    }
}
