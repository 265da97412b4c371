//! `GET /usage`: what the key may do and has used. The shape of the second generation of documents, with the members of
//! the first beside it (SPEC B4).

use actix_web::{HttpResponse, web};
use chrono::{Datelike, NaiveTime};
use serde_json::json;
use zenovay_domain::{Scope, TimeRange, Timestamp};
use zenovay_store::WebsiteStore;

use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{Authorized, ReadUsage};
use crate::state::AppState;

/// The key, its usage, its limits, and what its websites collected this month.
pub async fn usage(key: Authorized<ReadUsage>, state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let websites = {
        let (state, credential) = (state.clone(), key.credential.clone());
        web::block(move || state.store.reachable_websites(&credential))
            .await
            .map_err(|_panicked| ApiError::internal())??
    };
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

    let (credential, used) = (&key.credential, &key.usage);
    let limits = state.plans.limits(key.plan);
    let one_website =
        credential.website_ids.as_deref().and_then(|ids| if let [id] = ids { Some(id.to_string()) } else { None });
    let permission = if credential.website_ids.is_some() { "site_access" } else { "full_access" };
    let data = json!({
        "api_key": {
            "id": credential.key_id.to_string(),
            "name": credential.name,
            "kind": credential.kind.as_str(),
            "permission": permission,
            "website_id": one_website,
            "scopes": credential.scopes.iter().map(Scope::as_str).collect::<Vec<_>>(),
            "team_ids": credential.team_ids.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect::<Vec<_>>()),
        },
        "usage": {
            "monthly_requests": used.month_used,
            "monthly_limit": used.month_limit,
            "monthly_remaining": used.month_limit.saturating_sub(used.month_used),
            "monthly_reset_at": used.month_reset.to_string(),
            "total_requests": used.total,
            "websites": websites.len(),
            "pageviews_this_month": pageviews,
            "events_this_month": events,
        },
        "rate_limits": { "requests_per_minute": limits.requests_per_minute },
        "subscription": { "tier": key.plan.as_str() },
        "limits": {
            "websites": limits.websites,
            "pageviews_per_month": limits.events_per_month,
            "events_per_month": limits.events_per_month,
        },
        "plan": key.plan.as_str(),
        "period": { "start": month_start(now).to_string(), "end": used.month_reset.to_string() },
    });
    Ok(Success::new(data, now).into_response())
}

/// 00:00 UTC of the first of the month of `now`.
fn month_start(now: Timestamp) -> Timestamp {
    let today = now.to_utc();
    let first = today.date_naive().with_day(1).unwrap_or(today.date_naive());
    Timestamp::from(first.and_time(NaiveTime::MIN).and_utc())
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
