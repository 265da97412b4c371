use diesel::dsl::exists;
use diesel::prelude::*;
use zenovay_auth::{
    PasswordHash, SESSION_IDLE_MS, SESSION_MAX_MS, SecretDigest, SessionTimes, SignInStage, TeamAccess,
};
use zenovay_domain::{SignInId, Timestamp, UserId};

use super::super::failed::Done;
use super::super::keys::teams_of;
use super::super::rows::{UserRow, damaged, decode};
use super::super::teams::require_user;
use super::super::{Conn, SqlStore, in_write_transaction};
use super::{failures, links, teams};
use crate::people_schema::{backup_codes, one_time_links, passkeys, second_factors, sessions};
use crate::schema::users;
use crate::{
    AGENT_MAX_BYTES, HALF_WAY_MAX, LinkPurpose, NewSession, Result, SESSIONS_MAX, Session, SignInGround, SignInMeans,
    SignInStore, StoreError, UsedSession, User,
};

/// The time of last use is written at most this often.
const SEEN_EVERY_MS: i64 = 60_000;

#[derive(Queryable, Selectable)]
#[diesel(table_name = sessions)]
struct SessionRow {
    id: String,
    user_id: String,
    digest: Vec<u8>,
    stage: String,
    agent: String,
    created_at: i64,
    last_seen_at: i64,
    rotated_at: i64,
    confirmed_at: Option<i64>,
}

impl SessionRow {
    fn session(&self) -> Result<Session> {
        let stage = SignInStage::ALL.into_iter().find(|stage| stage.as_str() == self.stage);
        Ok(Session {
            id: decode("sessions", "id", &self.id, &self.id)?,
            user_id: decode("sessions", "user_id", &self.id, &self.user_id)?,
            stage: stage.ok_or_else(|| damaged("sessions", "stage", &self.id))?,
            agent: self.agent.clone(),
            times: SessionTimes::new(
                Timestamp::from_millis(self.created_at),
                Timestamp::from_millis(self.last_seen_at),
                Timestamp::from_millis(self.rotated_at),
                self.confirmed_at.map(Timestamp::from_millis),
            ),
        })
    }
}

/// What to write after a session was used.
enum Note {
    Nothing,
    /// It was used, for the first time with its present secret when so.
    Seen {
        is_confirmed: bool,
    },
    /// It is over.
    End,
}

/// Whether there is such a complete session still.
pub(super) fn goes_on(conn: &mut Conn, id: SignInId) -> Done<bool> {
    let complete = sessions::table.find(id.to_string()).filter(sessions::stage.eq(SignInStage::Complete.as_str()));
    Ok(diesel::select(exists(complete)).get_result(conn)?)
}

/// Refuses a session whose ground is gone: somebody changed the password, or ended the sign-in, since it was looked at.
fn check_ground(conn: &mut Conn, session: &NewSession<'_>) -> Done<()> {
    let user = session.user_id.to_string();
    let holds = match session.ground {
        SignInGround::Given => true,
        SignInGround::Password(hash) => {
            let same = users::table.find(&user).filter(users::password_hash.eq(hash.as_str()));
            diesel::select(exists(same)).get_result(conn)?
        }
        // Used up: of two answers to it at the same time one is the sign-in.
        SignInGround::HalfWay(id) => {
            let half_way = sessions::user_id.eq(&user).and(sessions::stage.eq(SignInStage::SecondFactor.as_str()));
            diesel::delete(sessions::table.find(id.to_string()).filter(half_way)).execute(conn)? == 1
        }
    };
    if holds { Ok(()) } else { Err(StoreError::SignedOut.into()) }
}

fn bytes(digest: &SecretDigest) -> &[u8] {
    digest.as_bytes().as_slice()
}

/// The beginning of `agent` that is kept.
fn cut(agent: &str) -> &str {
    let mut end = agent.len().min(AGENT_MAX_BYTES);
    while !agent.is_char_boundary(end) {
        end -= 1;
    }
    &agent[..end]
}

/// Ends all sessions of `user` but `keep`; how many complete ones that were.
pub(super) fn end_all(conn: &mut Conn, user: UserId, keep: Option<SignInId>) -> Done<usize> {
    let keep = keep.map(|id| id.to_string()).unwrap_or_default();
    let of_user = sessions::table.filter(sessions::user_id.eq(user.to_string()).and(sessions::id.ne(&keep)));
    let half_way = of_user.clone().filter(sessions::stage.eq(SignInStage::SecondFactor.as_str()));
    diesel::delete(half_way).execute(conn)?;
    Ok(diesel::delete(of_user).execute(conn)?)
}

/// Sets the password and takes everything back that the earlier one opened, but the session `keep`.
pub(in super::super) fn set_password(
    conn: &mut Conn,
    user: UserId,
    hash: &PasswordHash,
    keep: Option<SignInId>,
) -> Done<()> {
    let row = users::table.find(user.to_string());
    if diesel::update(row).set(users::password_hash.eq(hash.as_str())).execute(conn)? != 1 {
        return Err(StoreError::NotFound("user").into());
    }
    end_all(conn, user, keep)?;
    super::super::grants::end_all(conn, user)?;
    diesel::delete(one_time_links::table.filter(one_time_links::user_id.eq(user.to_string()))).execute(conn)?;
    Ok(())
}

/// The session with this secret, whether it was the present one, and what is to be written.
fn find(conn: &mut Conn, digest: &SecretDigest, now: Timestamp) -> Done<Option<(Session, bool, Note)>> {
    let secret = bytes(digest);
    let row = sessions::table
        .filter(sessions::digest.eq(secret).or(sessions::previous_digest.eq(secret)))
        .select(SessionRow::as_select())
        .first(conn)
        .optional()?;
    let Some(row) = row else { return Ok(None) };
    let session = row.session()?;
    let stored: [u8; 32] = row.digest.as_slice().try_into().map_err(|_| damaged("sessions", "digest", &row.id))?;
    // The index compared bytes; this takes the same time wherever they differ.
    let is_present = SecretDigest::from_bytes(stored) == *digest;
    let is_copy = !is_present && !session.times.admits_previous_secret(now);
    let note = if is_copy || session.times.is_over(session.stage, now) {
        Note::End
    } else {
        let is_confirmed = is_present && session.times.confirmed_at.is_none();
        let is_stale = now.millis_since(session.times.last_seen_at) >= SEEN_EVERY_MS;
        if is_confirmed || is_stale { Note::Seen { is_confirmed } } else { Note::Nothing }
    };
    Ok(Some((session, is_present, note)))
}

impl SignInStore for SqlStore {
    fn begin_session(&self, session: &NewSession<'_>, now: Timestamp) -> Result<()> {
        self.write(|conn| {
            require_user(conn, session.user_id)?;
            check_ground(conn, session)?;
            let (id, user, at) = (session.id.to_string(), session.user_id.to_string(), now.as_millis());
            diesel::insert_into(sessions::table)
                .values((
                    sessions::id.eq(&id),
                    sessions::user_id.eq(&user),
                    sessions::digest.eq(bytes(&session.digest)),
                    sessions::stage.eq(session.stage.as_str()),
                    sessions::agent.eq(cut(session.agent)),
                    sessions::created_at.eq(at),
                    sessions::last_seen_at.eq(at),
                    sessions::rotated_at.eq(at),
                ))
                .execute(conn)?;
            // Whoever knows the password alone ends no session of somebody who is signed in.
            let most = match session.stage {
                SignInStage::Complete => SESSIONS_MAX,
                SignInStage::SecondFactor => HALF_WAY_MAX,
            };
            let alike = sessions::user_id.eq(&user).and(sessions::stage.eq(session.stage.as_str()));
            let beyond: Vec<String> = sessions::table
                .filter(alike.and(sessions::id.ne(&id)))
                .order((sessions::last_seen_at.desc(), sessions::id))
                .offset(i64::try_from(most - 1).unwrap_or(i64::MAX))
                .limit(i64::MAX)
                .select(sessions::id)
                .load(conn)?;
            diesel::delete(sessions::table.filter(sessions::id.eq_any(beyond))).execute(conn)?;
            Ok(())
        })
    }

    fn use_session(&self, digest: &SecretDigest, now: Timestamp) -> Result<Option<UsedSession>> {
        type Found = (Session, bool, Note, User, Vec<TeamAccess>);
        let found: Option<Found> = self.read(|conn| {
            let Some((session, is_present, note)) = find(conn, digest, now)? else { return Ok(None) };
            let row = users::table.find(session.user_id.to_string()).select(UserRow::as_select()).first(conn)?;
            let teams = teams_of(conn, session.user_id)?.into_iter().map(|(access, _)| access).collect();
            Ok(Some((session, is_present, note, User::try_from(row)?, teams)))
        })?;
        let Some((session, is_present_secret, note, user, teams)) = found else { return Ok(None) };
        let row = sessions::table.find(session.id.to_string());
        let at = now.as_millis();
        match note {
            Note::Nothing => {}
            Note::End => {
                self.write_urgently(|conn| Ok(diesel::delete(row.clone()).execute(conn)?))?;
                return Ok(None);
            }
            // Not worth a flush of the disk.
            Note::Seen { is_confirmed } => self.count(|conn| {
                in_write_transaction(conn, |conn| {
                    diesel::update(row.clone()).set(sessions::last_seen_at.eq(at)).execute(conn)?;
                    if is_confirmed {
                        let present = row.filter(sessions::digest.eq(bytes(digest)));
                        diesel::update(present).set(sessions::confirmed_at.eq(at)).execute(conn)?;
                    }
                    Ok(())
                })
            })?,
        }
        Ok(Some(UsedSession { session, is_present_secret, user, teams }))
    }

    fn rotate_session(
        &self,
        id: SignInId,
        present: &SecretDigest,
        next: &SecretDigest,
        now: Timestamp,
    ) -> Result<bool> {
        self.write(|conn| {
            let row = sessions::table.find(id.to_string()).filter(sessions::digest.eq(bytes(present)));
            let rotated = diesel::update(row)
                .set((
                    sessions::digest.eq(bytes(next)),
                    sessions::previous_digest.eq(bytes(present)),
                    sessions::rotated_at.eq(now.as_millis()),
                    sessions::confirmed_at.eq(None::<i64>),
                ))
                .execute(conn)?;
            Ok(rotated == 1)
        })
    }

    fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>> {
        let rows: Vec<SessionRow> = self.ask(|conn| {
            let of_user = sessions::user_id.eq(user.to_string());
            let rows = sessions::table
                .filter(of_user.and(sessions::stage.eq(SignInStage::Complete.as_str())))
                .order((sessions::last_seen_at.desc(), sessions::created_at.desc(), sessions::id))
                .select(SessionRow::as_select());
            Ok(rows.load(conn)?)
        })?;
        let all: Vec<Session> = rows.iter().map(SessionRow::session).collect::<Result<_>>()?;
        Ok(all.into_iter().filter(|session| !session.times.is_over(session.stage, now)).collect())
    }

    fn end_session(&self, user: UserId, id: SignInId) -> Result<bool> {
        self.write_urgently(|conn| {
            let row = sessions::table.find(id.to_string()).filter(sessions::user_id.eq(user.to_string()));
            Ok(diesel::delete(row).execute(conn)? == 1)
        })
    }

    fn end_sessions(&self, user: UserId, keep: Option<SignInId>) -> Result<usize> {
        self.write_urgently(|conn| end_all(conn, user, keep))
    }

    fn change_password(&self, user: UserId, hash: &PasswordHash, keep: Option<SignInId>) -> Result<()> {
        self.write(|conn| set_password(conn, user, hash, keep))
    }

    fn rehash_password(&self, user: UserId, from: &PasswordHash, to: &PasswordHash) -> Result<bool> {
        self.write(|conn| {
            let same = users::table.find(user.to_string()).filter(users::password_hash.eq(from.as_str()));
            Ok(diesel::update(same).set(users::password_hash.eq(to.as_str())).execute(conn)? == 1)
        })
    }

    fn sign_in_means(&self, user: UserId) -> Result<SignInMeans> {
        let id = user.to_string();
        self.read(|conn| {
            let enabled = second_factors::table.find(&id).filter(second_factors::enabled_at.is_not_null());
            let has_codes = diesel::select(exists(enabled)).get_result(conn)?;
            let codes: i64 = backup_codes::table.filter(backup_codes::user_id.eq(&id)).count().get_result(conn)?;
            let keys: i64 = passkeys::table.filter(passkeys::user_id.eq(&id)).count().get_result(conn)?;
            let count = |rows: i64| usize::try_from(rows).unwrap_or_default();
            Ok(SignInMeans { has_codes, backup_codes: count(codes), passkeys: count(keys) })
        })
    }

    fn failures(&self, subject: &SecretDigest, now: Timestamp) -> Result<Option<(u32, Timestamp)>> {
        self.ask(|conn| failures::load(conn, subject, now))
    }

    fn note_failure(&self, subject: &SecretDigest, now: Timestamp) -> Result<u32> {
        self.count(|conn| in_write_transaction(conn, |conn| failures::note(conn, subject, now)))
    }

    fn forget_failures(&self, subject: &SecretDigest) -> Result<()> {
        self.count(|conn| failures::forget(conn, subject))
    }

    fn create_link(
        &self,
        user: UserId,
        purpose: LinkPurpose,
        digest: &SecretDigest,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<()> {
        self.write(|conn| links::create(conn, user, purpose, digest, now, expires_at))
    }

    fn has_link(&self, purpose: LinkPurpose, now: Timestamp) -> Result<bool> {
        self.ask(|conn| links::exists(conn, purpose, now))
    }

    fn use_reset_link(&self, digest: &SecretDigest, hash: &PasswordHash, now: Timestamp) -> Result<Option<UserId>> {
        self.write(|conn| {
            let user = links::holder(conn, LinkPurpose::Reset, digest, now)?;
            user.map(|user| set_password(conn, user, hash, None).map(|()| user)).transpose()
        })
    }

    fn use_welcome_link(
        &self,
        digest: &SecretDigest,
        email: &str,
        name: &str,
        hash: &PasswordHash,
        now: Timestamp,
    ) -> Result<Option<UserId>> {
        self.write(|conn| {
            let Some(user) = links::holder(conn, LinkPurpose::Welcome, digest, now)? else { return Ok(None) };
            super::account::rename(conn, user, Some(email), Some(name))?;
            set_password(conn, user, hash, None)?;
            Ok(Some(user))
        })
    }

    fn use_sign_in_link(&self, digest: &SecretDigest, now: Timestamp) -> Result<Option<UserId>> {
        self.write(|conn| {
            let user = links::holder(conn, LinkPurpose::SignIn, digest, now)?;
            links::take_back(conn, digest)?;
            Ok(user)
        })
    }

    fn forget_what_is_over(&self, now: Timestamp) -> Result<()> {
        self.write(|conn| {
            let half_way = SignInStage::SecondFactor.as_str();
            let old = sessions::created_at
                .le(now.plus_millis(-SESSION_MAX_MS).as_millis())
                .or(sessions::last_seen_at.le(now.plus_millis(-SESSION_IDLE_MS).as_millis()));
            let unfinished = sessions::stage
                .eq(half_way)
                .and(sessions::created_at.le(now.plus_millis(-zenovay_auth::SECOND_FACTOR_MS).as_millis()));
            diesel::delete(sessions::table.filter(old)).execute(conn)?;
            diesel::delete(sessions::table.filter(unfinished)).execute(conn)?;
            links::forget(conn, now)?;
            teams::forget(conn, now)?;
            failures::forget_old(conn, now)
        })?;
        self.empty_log();
        Ok(())
    }
}
