//! Mail to the owners of a team that has used most, and then all, of the events that its plan includes in the month: once for each,
//! whichever process counts. What was told stands in the store, and so does what is used: a process that ends in between takes no
//! mail along.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use zenovay_domain::{Role, TeamId, Timestamp};
use zenovay_store::StoreError;

use crate::http::envelope::ApiError;
use crate::http::event_quota::{self, UsedMonth};
use crate::http::lookups::blocking;
use crate::http::state::AppState;
use crate::http::turns::Asking;

/// How often it is looked whom to tell.
const INTERVAL: Duration = Duration::from_secs(60);
/// How often every team is looked at: each so many times. In between it is those that this process has counted.
const ALL_EACH: u64 = 60;
/// What owners are told of, in percent of what the plan includes.
const PERCENTS: [u8; 2] = [100, 80];

/// What is told the owners of a team.
struct News {
    team: TeamId,
    month: Timestamp,
    percent: u8,
    name: String,
    limit: u64,
    owners: Vec<String>,
}

/// Tells owners as long as the server runs.
pub async fn watch(state: Arc<AppState>) {
    let state = web::Data::from(state);
    for round in 0_u64.. {
        tokio::time::sleep(INTERVAL).await;
        // At first, too: what an earlier process counted and did not tell. One of several servers looks at all teams.
        if round.is_multiple_of(ALL_EACH) && state.claim.leads() { tell_all(&state).await } else { tell(&state).await }
    }
}

/// Tells the owners of each team that has come to another part of its month, by what this process has counted. What cannot be sent
/// is tried again the next time.
pub async fn tell(state: &web::Data<AppState>) {
    let used = state.event_quotas.used_in(state.clock.reading().steady);
    send(state, used).await;
}

/// The same by what is stored: also of teams whose events another process counted, or none since it was started.
pub async fn tell_all(state: &web::Data<AppState>) {
    if state.mail.is_none() {
        return;
    }
    match used_by_all(state).await {
        Ok(used) => send(state, used).await,
        Err(error) => tracing::error!(error = error.message(), "it is not known whose month is used up"),
    }
}

/// What is used of the present month of every team that has something to be told of yet.
async fn used_by_all(state: &web::Data<AppState>) -> Result<Vec<UsedMonth>, ApiError> {
    let month = state.clock.reading().steady;
    let teams = blocking(state, move |state| {
        let mut teams = Vec::new();
        for team in state.store.teams()? {
            let is_limited = state.plans.limits(team.plan).events_per_month.is_some();
            if is_limited && state.store.event_month(team.id, month)?.told < PERCENTS[0] {
                teams.push(team.id);
            }
        }
        Ok::<_, StoreError>(teams)
    });
    let mut all = Vec::new();
    for team in teams.await? {
        match event_quota::used(state, team, month, Asking { website: None, key: None }).await {
            Ok(used) => all.push(UsedMonth { team, month, used }),
            Err(error) => tracing::error!(%team, error = error.message(), "the events of a month cannot be counted"),
        }
    }
    Ok(all)
}

async fn send(state: &web::Data<AppState>, used: Vec<UsedMonth>) {
    let Some(mail) = state.mail.clone() else { return };
    let now = state.clock.reading().steady;
    let all = match blocking(state, move |state| find(state, used, now)).await {
        Ok(all) => all,
        Err(error) => return tracing::error!(error = error.message(), "it is not known whose month is used up"),
    };
    for News { team, month, percent, name, limit, owners } in all {
        let mut is_sent = false;
        for owner in &owners {
            is_sent |= mail.quota(owner, &name, percent, limit).await;
        }
        let told = is_sent.then_some(percent);
        if blocking(state, move |state| state.store.end_telling(team, month, told)).await.is_err() {
            tracing::error!(%team, percent, is_sent, "what owners were told of is not noted: they are told again");
        }
    }
}

/// What there is to tell, which is for the caller to do from now on. Blocks.
fn find(state: &AppState, used: Vec<UsedMonth>, now: Timestamp) -> Result<Vec<News>, StoreError> {
    let mut all = Vec::new();
    for UsedMonth { team, month, used } in used {
        let Some(plan) = state.directory.plan(team)? else { continue };
        let Some(limit) = state.plans.limits(plan).events_per_month else { continue };
        let has_come_to = |percent: &u8| u128::from(used) * 100 >= u128::from(limit) * u128::from(*percent);
        let Some(percent) = PERCENTS.into_iter().find(has_come_to) else { continue };
        if !state.store.begin_telling(team, month, percent, now)? {
            continue;
        }
        let name = state.store.team(team)?.map_or_else(String::new, |team| team.name);
        let owners = state.store.members(team)?.into_iter().filter(|member| member.role == Role::Owner);
        let owners = owners.map(|owner| owner.email).collect();
        all.push(News { team, month, percent, name, limit, owners });
    }
    Ok(all)
}
