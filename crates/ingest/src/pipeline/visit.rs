//! Step: whose record it is, and in which visit.

use std::net::IpAddr;

use zenovay_domain::{EventFlags, Timestamp, VisitorId, WebsiteId, WebsiteRules};

use super::privacy::Privacy;
use crate::agent::AgentDigest;
use crate::arrival::{Arrival, Sender};
use crate::hit::CommonFields;
use crate::identity::VisitorHasher;
use crate::marks::Marks;
use crate::sessions::{Activity, Client, Sessions, Step, Visit};
use crate::{Refusal, RefusalReason};

/// What this step needs to know of a record.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) arrival: &'a Arrival<'a>,
    pub(super) common: &'a CommonFields<'a>,
    pub(super) agent: &'a AgentDigest,
    pub(super) privacy: Privacy,
    pub(super) at: Timestamp,
}

/// Whose a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) visit: Visit,
    pub(super) flags: EventFlags,
    /// The digest of the key under which the record is stored once.
    pub(super) idempotency_key: Option<[u8; 16]>,
}

/// Names the visitor and the visit. `None` for a heartbeat of a visit that there is not.
///
/// # Errors
/// When the salt of the day, or the open visits, cannot be had.
pub(super) fn identify(
    hasher: &VisitorHasher,
    sessions: &Sessions,
    subject: Subject<'_>,
    (activity, marks): (Activity, Marks),
    rules: &WebsiteRules,
) -> Result<Option<Identity>, Refusal> {
    let Subject { arrival, common, privacy, at, .. } = subject;
    let step = Step { activity, at, received_at: arrival.steady_at, day: rules.zone().civil_day(at), marks };
    let (site, names) = (rules.website(), hasher.names());
    let client = Client { names: &names, site, session_id: &common.session_id };
    let may_be_known = !privacy.is_opted_out;
    let visit = match (arrival.sender, common.visitor_id.as_deref()) {
        (Sender::KeyHolder(_), id) => sessions.known(&client, id.unwrap_or(""), false, step)?,
        (Sender::Anybody(_), Some(id)) if may_be_known && !common.cookieless && !rules.settings().cookieless => {
            sessions.known(&client, id, true, step)?
        }
        (Sender::Anybody(address), _) => {
            sessions.unnamed(&client, common.cookieless, may_be_known, step, |before| {
                daily_visitor(hasher, sessions, subject, (rules.website(), address), before)
            })?
        }
    };
    Ok(visit.map(|visit| {
        let key = common.idempotency_key.as_deref();
        let idempotency_key = match arrival.sender {
            Sender::KeyHolder(_) => key.map(|key| names.idempotency_key(site, key)),
            Sender::Anybody(_) => key.map(|id| names.event_id(visit.visitor, id)),
        };
        Identity { visit, flags: flags(arrival.sender, privacy, visit), idempotency_key }
    }))
}

fn flags(sender: Sender, privacy: Privacy, visit: Visit) -> EventFlags {
    let mut flags = EventFlags::default();
    if sender.has_key() {
        return flags.with(EventFlags::SERVER_SENT);
    }
    if privacy.is_opted_out {
        flags = flags.with(EventFlags::GPC_OPTED_OUT);
    }
    if !visit.is_known {
        flags = flags.with(EventFlags::COOKIELESS);
    }
    flags
}

/// The visitor by today's salt, or by yesterday's while the session that it named goes on over midnight: one that the
/// server stitches, or that of the visitor `before`.
fn daily_visitor(
    hasher: &VisitorHasher,
    sessions: &Sessions,
    Subject { arrival, agent, at, .. }: Subject<'_>,
    (site, address): (WebsiteId, IpAddr),
    before: Option<VisitorId>,
) -> Result<VisitorId, Refusal> {
    let named = hasher.daily_visitor(site, address, agent, arrival.steady_at);
    let (today, yesterday) = named.map_err(|error| {
        let words = "The daily salt cannot be written; try again soon";
        Refusal::new(RefusalReason::StoreUnavailable, words).because(error)
    })?;
    match yesterday {
        Some(yesterday) if before == Some(yesterday) || sessions.is_active(yesterday, at)? => Ok(yesterday),
        _ => Ok(today),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemorySessions;
    use crate::pipeline::tests::{arrival, at, row};
    use crate::rules::tests::rules;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use std::borrow::Cow;
    use zenovay_domain::WebsiteSettings;

    /// Whose a record with the visitor id `id` is, and of which kind its key is.
    fn identity(id: Option<&str>, arrival: &Arrival<'_>, is_opted_out: bool, cookieless: bool) -> Identity {
        let hasher = VisitorHasher::with_rng(crate::MemorySalts::default(), at(0), StdRng::seed_from_u64(1)).unwrap();
        let common = CommonFields {
            session_id: Cow::Borrowed("session-1"),
            visitor_id: id.map(Cow::Borrowed),
            idempotency_key: Some(Cow::Borrowed("key")),
            ..CommonFields::default()
        };
        let (agent, privacy) = ([7; 16], Privacy { is_opted_out });
        let subject = Subject { arrival, common: &common, agent: &agent, privacy, at: at(0) };
        let rules = rules(WebsiteSettings::default().with(|s| s.cookieless = cookieless));
        let activity = (Activity::Pageview, Marks::default());
        identify(&hasher, &Sessions::new(MemorySessions::default()), subject, activity, &rules).unwrap().unwrap()
    }

    /// Sabotage: name a visitor who opted out by the id.
    #[test]
    fn an_id_names_the_visitor_where_website_and_visitor_allow_it() {
        let by_id = identity(Some("v"), &arrival(), false, false);
        assert_eq!((by_id.visit.is_known, by_id.flags), (true, EventFlags::default()));
        let by_address = identity(None, &arrival(), false, false);
        assert_eq!((by_address.visit.is_known, by_address.flags), (false, EventFlags::COOKIELESS));
        assert_eq!(identity(Some("v"), &arrival(), false, true), by_address, "the website is cookieless");
        let opted_out = identity(Some("v"), &arrival(), true, false);
        assert_eq!(opted_out.visit, by_address.visit);
        assert_eq!(opted_out.flags, EventFlags::COOKIELESS.with(EventFlags::GPC_OPTED_OUT));
    }

    #[test]
    fn the_holder_of_a_key_names_visitors_and_idempotency_keys_of_its_own() {
        let by_row = identity(Some("v"), &row(), false, true);
        let by_page = identity(Some("v"), &arrival(), false, false);
        assert_eq!((by_row.visit, by_row.flags), (by_page.visit, EventFlags::SERVER_SENT));
        assert_ne!(by_row.idempotency_key, by_page.idempotency_key);
    }
}
