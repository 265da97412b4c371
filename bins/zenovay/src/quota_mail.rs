//! Mail to the owners of a team that has used most, and then all, of the events that its plan includes in the month: once for each,
//! whichever process counts.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use zenovay_domain::{Role, TeamId, Timestamp};
use zenovay_store::StoreError;

use crate::http::event_quota::UsedMonth;
use crate::http::lookups::blocking;
use crate::http::state::AppState;

/// How often it is looked whom to tell.
const INTERVAL: Duration = Duration::from_secs(60);
/// What owners are told of, in percent of what the plan includes.
const PERCENTS: [u8; 2] = [100, 80];

/// What is told the owners of a team.
struct News {
    team: TeamId,
    month: Timestamp,
    percent: u8,
    /// What they were told of before.
    before: u8,
    name: String,
    limit: u64,
    owners: Vec<String>,
}

/// Tells owners as long as the server runs.
pub async fn watch(state: Arc<AppState>) {
    let state = web::Data::from(state);
    loop {
        tokio::time::sleep(INTERVAL).await;
        tell(&state).await;
    }
}

/// Tells the owners of each team that has come to another part of its month. What cannot be sent is tried again the next time.
pub async fn tell(state: &web::Data<AppState>) {
    let Some(mail) = state.mail.clone() else { return };
    let all = match blocking(state, find).await {
        Ok(all) => all,
        Err(error) => return tracing::error!(error = error.message(), "it is not known whose month is used up"),
    };
    for News { team, month, percent, before, name, limit, owners } in all {
        let mut is_sent = false;
        for owner in &owners {
            is_sent |= mail.quota(owner, &name, percent, limit).await;
        }
        if !is_sent {
            let again = blocking(state, move |state| state.store.end_telling(team, month, percent, before)).await;
            if again.is_err() {
                tracing::error!(%team, percent, "owners are not told of the use of their month");
            }
        }
    }
}

/// What there is to tell; it counts as told from now on. Blocks.
fn find(state: &AppState) -> Result<Vec<News>, StoreError> {
    let mut all = Vec::new();
    for UsedMonth { team, month, used } in state.event_quotas.used_in(state.clock.reading().steady) {
        let Some(plan) = state.directory.plan(team)? else { continue };
        let Some(limit) = state.plans.limits(plan).events_per_month else { continue };
        let has_come_to = |percent: &u8| u128::from(used) * 100 >= u128::from(limit) * u128::from(*percent);
        let Some(percent) = PERCENTS.into_iter().find(has_come_to) else { continue };
        let Some(before) = state.store.begin_telling(team, month, percent)? else { continue };
        let name = state.store.team(team)?.map_or_else(String::new, |team| team.name);
        let owners = state.store.members(team)?.into_iter().filter(|member| member.role == Role::Owner);
        let owners = owners.map(|owner| owner.email).collect();
        all.push(News { team, month, percent, before, name, limit, owners });
    }
    Ok(all)
}
