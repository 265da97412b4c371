//! `GET /usage`: what the key may do and has used. The shape of the second generation of documents, with the members of
//! the first beside it (SPEC B4).

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;
use zenovay_domain::{Interval, TimeRange, Timestamp, Zone};

use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{Authorized, ReadUsage};
use crate::http::lookups::blocking;
use crate::http::state::AppState;
use crate::http::values::{Id, Instant, KeyKindName, PlanName, ScopeName};

/// The key, its usage, its limits, and what its websites collected this month.
pub async fn usage(key: Authorized<ReadUsage>, state: web::Data<AppState>) -> Result<Success<KeyAccount>, ApiError> {
    let now = state.clock.now();
    let credential = key.caller.credential.clone();
    let websites = blocking(&state, move |state| state.store.reachable_websites(&credential, &state.plans)).await?;
    let month = TimeRange::new(month_start(now), now.plus_millis(1));
    let ids: Vec<_> = websites.iter().map(|website| website.id).collect();
    let (pageviews, events) = state
        .queries
        .run(key.asking(), move |ask| {
            let mut sums = (0_u64, 0_u64);
            for id in ids {
                let totals = ask.overview(id, month)?;
                sums = (sums.0.saturating_add(totals.pageviews), sums.1.saturating_add(totals.events));
            }
            Ok(sums)
        })
        .await?;

    let (credential, used) = (&key.caller.credential, &key.caller.usage);
    let limits = state.plans.limits(key.caller.plan);
    let one_website = credential.website_ids.as_deref().and_then(|ids| if let [id] = ids { Some(*id) } else { None });
    let data = KeyAccount {
        api_key: KeyFacts {
            id: credential.key_id.into(),
            name: credential.name.clone(),
            kind: KeyKindName(credential.kind),
            permission: match credential.website_ids {
                Some(_) => KeyPermission::SiteAccess,
                None => KeyPermission::FullAccess,
            },
            website_id: one_website.map(Id::from),
            scopes: credential.scopes.iter().map(ScopeName).collect(),
            team_ids: credential.team_ids.as_ref().map(|ids| ids.iter().copied().map(Id::from).collect()),
        },
        usage: RequestsUsed {
            monthly_requests: used.month_used,
            monthly_limit: used.month_limit,
            monthly_remaining: used.month_limit.saturating_sub(used.month_used),
            monthly_reset_at: Instant(used.month_reset),
            total_requests: used.total,
            websites: websites.len(),
            pageviews_this_month: pageviews,
            events_this_month: events,
        },
        rate_limits: RateLimits { requests_per_minute: limits.requests_per_minute },
        subscription: Subscription { tier: PlanName(key.caller.plan) },
        limits: PlanNumbers {
            websites: limits.websites,
            pageviews_per_month: limits.events_per_month,
            events_per_month: limits.events_per_month,
        },
        plan: PlanName(key.caller.plan),
        period: Period { start: Instant(month_start(now)), end: Instant(used.month_reset) },
    };
    Ok(Success::new(data, now))
}

/// A key, what it has used, and what it may use.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyAccount {
    api_key: KeyFacts,
    usage: RequestsUsed,
    rate_limits: RateLimits,
    subscription: Subscription,
    limits: PlanNumbers,
    /// The plan whose limits apply.
    plan: PlanName,
    period: Period,
}

/// A key; not its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyFacts {
    /// Its id.
    id: Id,
    /// The name people see.
    #[schema(examples("Dashboard"))]
    name: String,
    /// Whether it acts for a person or for a team.
    kind: KeyKindName,
    /// Whether it is held to some websites.
    permission: KeyPermission,
    /// The one website that it is held to; null when there is none or there are several.
    #[schema(required = true)]
    website_id: Option<Id>,
    /// What it may do.
    scopes: Vec<ScopeName>,
    /// The teams that it is held to; null for all teams of its owner.
    #[schema(required = true)]
    team_ids: Option<Vec<Id>>,
}

/// Whether a key is held to some websites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyPermission {
    /// It reaches every website of its teams.
    FullAccess,
    /// It is held to some websites.
    SiteAccess,
}

/// The requests of a key this month, and what its websites collected.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequestsUsed {
    /// Requests counted this month, this one included.
    #[schema(examples(4521))]
    monthly_requests: u64,
    /// Requests a month.
    #[schema(examples(10000))]
    monthly_limit: u64,
    /// What is left of them.
    #[schema(examples(5479))]
    monthly_remaining: u64,
    /// When the next month begins.
    monthly_reset_at: Instant,
    /// Requests since the key was made.
    #[schema(examples(30118))]
    total_requests: u64,
    /// Websites that the key reaches.
    #[schema(examples(3))]
    websites: usize,
    /// Pageviews of these websites this month.
    #[schema(examples(12800))]
    pageviews_this_month: u64,
    /// Events of these websites this month, pageviews included.
    #[schema(examples(15240))]
    events_this_month: u64,
}

/// The limits of a key for each minute.
#[derive(Debug, Serialize, ToSchema)]
pub struct RateLimits {
    /// Requests a minute.
    #[schema(examples(30))]
    requests_per_minute: u32,
}

/// The plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct Subscription {
    /// The plan whose limits apply.
    tier: PlanName,
}

/// What the plan includes.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanNumbers {
    /// Websites; null without a limit.
    #[schema(required = true, examples(10))]
    websites: Option<u32>,
    /// The same as `events_per_month`.
    #[schema(required = true, examples(100000))]
    pageviews_per_month: Option<u64>,
    /// Events a month; null without a limit.
    #[schema(required = true, examples(100000))]
    events_per_month: Option<u64>,
}

/// The month that is counted, in UTC.
#[derive(Debug, Serialize, ToSchema)]
pub struct Period {
    /// Its first instant.
    start: Instant,
    /// The first instant of the next.
    end: Instant,
}

/// 00:00 UTC of the first of the month of `now`.
pub(in crate::http) fn month_start(now: Timestamp) -> Timestamp {
    let month = Zone::utc().buckets(TimeRange::new(now, now.plus_millis(1)), Interval::Month, 1);
    month.first().map_or(now, |month| month.from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_starts_at_its_first_midnight_in_utc() {
        let last = Timestamp::from_millis(1_782_863_999_999);
        assert_eq!(last.to_string(), "2026-06-30T23:59:59.999Z");
        assert_eq!(month_start(last).to_string(), "2026-06-01T00:00:00.000Z");
        assert_eq!(month_start(last.plus_millis(1)).to_string(), "2026-07-01T00:00:00.000Z");
    }
}
