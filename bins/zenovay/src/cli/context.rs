//! What the commands on the metadata share.

use std::fmt::Display;
use std::sync::Arc;

use serde_json::{Value, json};
use zenovay_auth::Target;
use zenovay_domain::{Clock, SystemClock, TeamId, Timestamp, UserId, Website};
use zenovay_store::{Metadata, OPERATOR, Store, StoreError};

use super::output::Failure;
use crate::config::Config;
use crate::http::audit::{self, OutsideChange};
use crate::runtime::{ServeError, told_about_metadata};
use crate::{backends, data_dir, upgrade};

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(told_about_metadata(&error))
    }
}

/// Opens the metadata of `config`, which must be there.
pub(super) fn open(config: &Config) -> Result<Arc<dyn Metadata>, Failure> {
    data_dir::secure(&config.data_dir).map_err(Failure::new)?;
    data_dir::expect_metadata(config).map_err(Failure::new)?;
    open_there(config)
}

/// The same of a data directory that was looked at already.
pub(super) fn open_there(config: &Config) -> Result<Arc<dyn Metadata>, Failure> {
    if let Some(path) = config.database_path().filter(|path| !path.exists()) {
        let path = path.display();
        return Err(Failure::new(format_args!("{path} does not exist: start the server or create a user first")));
    }
    open_upgraded(config)
}

/// Opens the metadata of `config`; makes the data directory and an empty database when there is none.
pub(super) fn open_or_create(config: &Config) -> Result<Arc<dyn Metadata>, Failure> {
    data_dir::create(&config.data_dir).map_err(Failure::new)?;
    data_dir::expect_metadata(config).map_err(Failure::new)?;
    open_upgraded(config)
}

/// Opens the metadata of `config`, of which a snapshot is made when an earlier version wrote it.
pub(super) fn open_upgraded(config: &Config) -> Result<Arc<dyn Metadata>, Failure> {
    let prepared = upgrade::prepare_metadata(config).map_err(|error| Failure::new(ServeError::from(error)))?;
    let metadata = backends::open_metadata(config)?;
    if let Some(prepared) = prepared {
        prepared.finish_metadata().map_err(Failure::new)?;
    }
    Ok(metadata)
}

pub(super) fn now() -> Timestamp {
    SystemClock.now()
}

/// Notes in the audit trail that a command changed something.
pub(super) fn record(
    store: &dyn Metadata,
    action: &str,
    target: Target,
    user: Option<UserId>,
    teams: Vec<TeamId>,
    details: &[(&'static str, &dyn Display)],
) -> Result<(), Failure> {
    let details = details.iter().map(|(name, value)| (*name, value.to_string())).collect();
    let change = OutsideChange { action, target, user, teams, details };
    Ok(audit::record_outside(store, OPERATOR, change, now())?)
}

/// The teams of an account, whose owners shall read of changes of it.
pub(super) fn teams_of(store: &dyn Store, user: UserId) -> Result<Vec<TeamId>, Failure> {
    Ok(store.teams_of(user)?.iter().map(|access| access.team.id).collect())
}

/// The id of the account with this address.
pub(super) fn user_id(store: &dyn Store, email: &str) -> Result<UserId, Failure> {
    let user = store.user_by_email(email)?;
    user.map(|user| user.id).ok_or_else(|| Failure::new(format_args!("there is no user {}", email.escape_debug())))
}

/// The team as the commands that change it print it.
pub(super) fn team_json(store: &dyn Store, id: TeamId) -> Result<Value, Failure> {
    let team = store.team(id)?.ok_or(StoreError::NotFound("team"))?;
    Ok(json!({ "id": team.id, "name": team.name, "plan": team.plan, "key_policy": team.key_policy }))
}

/// The website as `website show` prints it.
pub(super) fn website_json(website: &Website) -> Value {
    json!({
        "id": website.id,
        "team_id": website.team_id,
        "user_id": website.user_id,
        "domain": website.domain,
        "name": website.name,
        "tracking_code": website.tracking_code,
        "created_at": website.created_at.to_string(),
        "settings": website.settings,
    })
}

/// The website with this id.
pub(super) fn website(store: &dyn Store, id: zenovay_domain::WebsiteId) -> Result<Website, Failure> {
    Ok(store.website(id)?.ok_or(StoreError::NotFound("website"))?)
}
