//! What comes in: the server itself, proxies, addresses, refusals, bots, websites.

use std::collections::HashMap;

use zenovay_domain::{HostRefusal, Timestamp, Website, WebsiteId, parse_host};

use super::{HITS_MIN, Patient, Problem, Seen, counted, per_cent, reading, some};
use crate::causes::with_causes;
use crate::http::console::hub::RefusedHost;
use crate::http::console::sites::WebsiteState;
use crate::http::latest_hits::{HitsSeen, Way};
use crate::telemetry::IngestOutcomes;

/// One address is suspicious when so many browsers have it.
const AGENTS_MIN: u64 = 3;
/// So many hits with an unknown code are no mistake of one visitor.
const UNKNOWN_MIN: u64 = 10;

const HOUR_MS: i64 = 3_600_000;

pub(super) fn server(patient: &Patient<'_>) -> Seen {
    let directory = patient.config.data_dir.display();
    if let Some(error) = patient.metadata_error {
        return Seen::problem(Problem::MetadataUnreadable, format!("{error}."));
    }
    let Some(server) = patient.server else {
        return if patient.is_held {
            Seen::problem(Problem::NoAnswer, format!("{directory}; what the server alone knows is not checked."))
        } else {
            Seen::problem(Problem::NoServer, format!("{directory}; no event arrives."))
        };
    };
    let url = &server.issuer;
    let stats = server.events.stats();
    if !stats.writable
        && let Some(delivery) = stats.delivery.filter(|delivery| delivery.bytes >= delivery.bytes_max)
    {
        let words = format!("{} of {} bytes; {url} answers hits with 503.", delivery.bytes, delivery.bytes_max);
        return Seen::problem(Problem::SpoolFull, words);
    }
    if !stats.writable {
        return Seen::problem(Problem::NotWritable, format!("the server at {url} answers them with 503."));
    }
    if let Err(error) = server.store.data_version() {
        return Seen::problem(Problem::MetadataUnreadable, format!("{}.", with_causes(&error)));
    }
    let version = env!("CARGO_PKG_VERSION");
    let waiting = counted(stats.queue_depth, "event");
    Seen::ok(format!("Version {version} at {url} since {}; {waiting} wait for the disk.", server.started_at))
}

pub(super) fn proxy_headers(patient: &Patient<'_>) -> Seen {
    let Some(server) = patient.server else { return Seen::without_server() };
    let is_everybody = server.trusted_proxies.iter().any(|network| network.prefix_len() == 0);
    if is_everybody {
        return Seen::problem(Problem::EverybodyTrusted, "one of the ranges has all of them in it.");
    }
    judge_proxies(&server.latest_hits.seen(), !server.trusted_proxies.is_empty())
}

fn judge_proxies(seen: &HitsSeen, has_proxies: bool) -> Seen {
    let hits = counted(seen.hits, "hit");
    let many = |way| seen.hits >= HITS_MIN && seen.by(way) * 2 >= seen.hits;
    if many(Way::NotTrusted) {
        let words =
            format!("{} of the last {hits} have X-Forwarded-For, which is not believed.", seen.by(Way::NotTrusted));
        return Seen::problem(Problem::ProxyNotTrusted, words);
    }
    if many(Way::OtherHeader) {
        let words = format!("{} of the last {hits} have one, and no X-Forwarded-For.", seen.by(Way::OtherHeader));
        return Seen::problem(Problem::ProxyOtherHeader, words);
    }
    if many(Way::NotNamed) {
        let words =
            format!("{} of the last {hits} come from a trusted proxy that names nobody.", seen.by(Way::NotNamed));
        return Seen::problem(Problem::ProxySaysNothing, words);
    }
    if has_proxies && seen.hits >= HITS_MIN && seen.by(Way::Direct) == seen.hits {
        return Seen::problem(Problem::ProxyUnused, format!("the last {hits} come from elsewhere."));
    }
    match (seen.hits, has_proxies) {
        (0, _) => Seen::not_checked("No hit has come since the server was started."),
        (_, true) => Seen::ok(format!("{} of the last {hits} came through a trusted proxy.", seen.by(Way::Forwarded))),
        (_, false) => Seen::ok(format!("{} of the last {hits} came without a proxy.", seen.by(Way::Direct))),
    }
}

pub(super) fn visitor_addresses(patient: &Patient<'_>) -> Seen {
    let Some(server) = patient.server else { return Seen::without_server() };
    judge_addresses(&server.latest_hits.seen())
}

fn judge_addresses(seen: &HitsSeen) -> Seen {
    let HitsSeen { hits, addresses, agents, .. } = *seen;
    if hits == 0 {
        return Seen::not_checked("No hit has come since the server was started.");
    }
    let words = format!(
        "{} of the last {} by {}.",
        counted(addresses, "address"),
        counted(hits, "hit"),
        counted(agents, "browser")
    );
    if hits >= HITS_MIN && addresses == 1 && agents >= AGENTS_MIN {
        return Seen::problem(Problem::OneAddress, words);
    }
    Seen::ok(words)
}

pub(super) fn refused_hosts(patient: &Patient<'_>) -> Seen {
    let Some(server) = patient.server else { return Seen::without_server() };
    let now = reading(patient).now;
    let all = server.metrics.ingest_outcomes().iter().map(|one| one.count).sum();
    judge_hosts(&server.live.refused_by_all(now), all, since(server.started_at, now))
}

/// `all` is the number of hits.
fn judge_hosts(refused: &[(WebsiteId, RefusedHost)], all: u64, since: Timestamp) -> Seen {
    // What is no host is a file or an application, and nothing can let it in.
    let of = |kind: HostRefusal| {
        refused.iter().filter(move |(_, host)| host.refusal == kind && parse_host(&host.host).is_ok())
    };
    let told = |kind| {
        let words = of(kind)
            .map(|(website, host)| format!("{} at the website {website} ({})", host.host, counted(host.events, "hit")));
        some(&words.collect::<Vec<String>>())
    };
    let foreign: u64 = of(HostRefusal::Foreign).map(|(_, host)| host.events).sum();
    let words = format!("{}, of {}.", told(HostRefusal::Foreign), counted(all, "hit"));
    if foreign > 0 && foreign * 10 >= all {
        return Seen::problem(Problem::HostRefused, words);
    }
    if foreign > 0 {
        return Seen::problem(Problem::OtherHostRefused, words);
    }
    if of(HostRefusal::Local).next().is_some() {
        return Seen::problem(Problem::LocalHostRefused, format!("{}.", told(HostRefusal::Local)));
    }
    Seen::ok(format!("None since {since}."))
}

/// The later one of the start and a day ago.
fn since(started_at: Timestamp, now: Timestamp) -> Timestamp {
    started_at.max(now.plus_millis(-24 * HOUR_MS))
}

pub(super) fn refused_events(patient: &Patient<'_>) -> Seen {
    let Some(server) = patient.server else { return Seen::without_server() };
    judge_outcomes(&server.metrics.ingest_outcomes(), server.started_at)
}

fn judge_outcomes(outcomes: &[IngestOutcomes], since: Timestamp) -> Seen {
    /// Refusals that are the fault of the server.
    const LOST: [&str; 6] =
        ["queue_full", "disk_full", "store_unavailable", "overloaded", "limiter_unavailable", "internal"];
    let count = |outcome: &str, reason: &str| {
        let found = outcomes.iter().find(|one| one.outcome == outcome && one.reason == reason);
        found.map_or(0, |one| one.count)
    };
    let all: u64 = outcomes.iter().map(|one| one.count).sum();
    let lost: Vec<String> = LOST
        .iter()
        .map(|reason| (reason, count("refused", reason)))
        .filter(|(_, lost)| *lost > 0)
        .map(|(reason, lost)| format!("{lost} {reason}"))
        .collect();
    let of = counted(all, "hit");
    if !lost.is_empty() {
        return Seen::problem(Problem::EventsLost, format!("{} of {of} since {since}.", lost.join(", ")));
    }
    let quota = count("dropped", "quota_exceeded") + count("refused", "quota_exceeded");
    if quota > 0 {
        return Seen::problem(Problem::QuotaUsedUp, format!("{quota} of {of} since {since}."));
    }
    let unknown = count("refused", "unknown_tracking_code");
    if unknown >= UNKNOWN_MIN && unknown * 100 >= all {
        return Seen::problem(Problem::UnknownCode, format!("{unknown} of {of} since {since}."));
    }
    let limited = count("refused", "rate_limited");
    if all >= HITS_MIN && limited * 10 >= all {
        return Seen::problem(Problem::RateLimited, format!("{limited} of {of} since {since}."));
    }
    let refusals = || outcomes.iter().filter(|one| one.outcome == "refused");
    let refused: u64 = refusals().map(|one| one.count).sum();
    if all >= HITS_MIN && refused * 2 > all {
        let most = refusals()
            .max_by_key(|one| one.count)
            .map_or_else(String::new, |most| format!("{} {}", most.count, most.reason));
        return Seen::problem(Problem::MostRefused, format!("{refused} of {of} since {since}, most of them: {most}."));
    }
    Seen::ok(format!("{refused} of {of} since {since} were refused, none by a fault of the server."))
}

pub(super) fn bots(patient: &Patient<'_>) -> Seen {
    let Some(server) = patient.server else { return Seen::without_server() };
    let outcomes = server.metrics.ingest_outcomes();
    let count = |wanted: &dyn Fn(&IngestOutcomes) -> bool| -> u64 {
        outcomes.iter().filter(|one| wanted(one)).map(|one| one.count).sum()
    };
    let (bots, stored) = (count(&|one| one.reason == "bot"), count(&|one| one.outcome == "stored"));
    let most = if is_mostly_bots(bots, stored) { most_dropped(patient) } else { None };
    judge_bots(bots, stored, most)
}

const fn is_mostly_bots(bots: u64, stored: u64) -> bool {
    bots + stored >= HITS_MIN && bots > stored
}

fn judge_bots(bots: u64, stored: u64, most: Option<(String, u64)>) -> Seen {
    let words = format!("{} left out, {stored} stored ({} %).", counted(bots, "hit"), per_cent(bots, bots + stored));
    if !is_mostly_bots(bots, stored) {
        return Seen::ok(words);
    }
    let most = most.map_or_else(String::new, |(domain, hits)| format!(" Most of 30 days at {domain}: {hits}."));
    Seen::problem(Problem::ManyBots, words + &most)
}

/// The website of which the most hits were left out in the last 30 days.
fn most_dropped(patient: &Patient<'_>) -> Option<(String, u64)> {
    let (metadata, now) = (patient.metadata?, reading(patient).now);
    let dropped = metadata.websites().ok()?.into_iter().filter_map(|website| {
        let hits = metadata.dropped_agents(website.id, now).ok()?.iter().map(|agent| agent.hits).sum::<u64>();
        Some((format!("{} ({})", website.domain, website.id), hits))
    });
    dropped.max_by_key(|(_, hits)| *hits).filter(|(_, hits)| *hits > 0)
}

pub(super) fn websites(patient: &Patient<'_>) -> Seen {
    let (Some(server), Some(metadata)) = (patient.server, patient.metadata) else { return Seen::without_server() };
    let websites = match metadata.websites() {
        Ok(websites) => websites,
        Err(error) => return Seen::not_checked(format!("The websites cannot be read: {error}.")),
    };
    if server.events.stats().delivery.is_some_and(|delivery| !delivery.is_reachable) {
        return Seen::not_checked("ClickHouse does not tell when they had their last events, see `segments`.");
    }
    let now = reading(patient).now;
    let state = |website: &Website| WebsiteState::of(website, server.events.span(website.id), now);
    let states: HashMap<WebsiteId, WebsiteState> =
        websites.iter().map(|website| (website.id, state(website))).collect();
    judge_websites(&websites, |id| states.get(&id).copied().unwrap_or(WebsiteState::NoEvents))
}

fn judge_websites(websites: &[Website], state: impl Fn(WebsiteId) -> WebsiteState) -> Seen {
    if websites.is_empty() {
        return Seen::problem(Problem::NoWebsite, "there is nothing to count.");
    }
    let all = counted(websites.len() as u64, "website");
    for (wanted, problem) in [
        (WebsiteState::Silent, Problem::Silent),
        (WebsiteState::NoEvents, Problem::NoEvents),
        (WebsiteState::Paused, Problem::Paused),
    ] {
        let of_state = websites.iter().filter(|website| state(website.id) == wanted);
        let names: Vec<String> = of_state.map(|website| website.domain.clone()).collect();
        if !names.is_empty() {
            return Seen::problem(problem, format!("{} of {all}: {}.", names.len(), some(&names)));
        }
    }
    Seen::ok(format!("{all}, each with an event in the last two days."))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::http::latest_hits::LatestHits;

    fn hits(ways: &[(usize, Way)]) -> HitsSeen {
        let hits = LatestHits::default();
        for (count, way) in ways {
            (0..*count).for_each(|_| hits.note(IpAddr::from([192, 0, 2, 1]), None, *way));
        }
        hits.seen()
    }

    /// Sabotage: judge by a single hit, or take the headers of a stranger for those of a proxy.
    #[test]
    fn a_proxy_is_known_by_half_of_the_hits() {
        let problem = |ways: &[(usize, Way)], has_proxies| judge_proxies(&hits(ways), has_proxies).problem;
        assert_eq!(problem(&[], true), None);
        assert_eq!(problem(&[(19, Way::NotTrusted)], false), None, "too few");
        assert_eq!(problem(&[(10, Way::NotTrusted), (10, Way::Direct)], false), Some(Problem::ProxyNotTrusted));
        assert_eq!(problem(&[(9, Way::NotTrusted), (11, Way::Direct)], false), None, "some send it themselves");
        assert_eq!(problem(&[(20, Way::OtherHeader)], false), Some(Problem::ProxyOtherHeader));
        assert_eq!(problem(&[(20, Way::NotNamed)], true), Some(Problem::ProxySaysNothing));
        assert_eq!(problem(&[(20, Way::Direct)], true), Some(Problem::ProxyUnused));
        assert_eq!(problem(&[(20, Way::Direct)], false), None);
        assert_eq!(problem(&[(1, Way::Forwarded), (20, Way::Direct)], true), None);
    }

    /// Sabotage: leave the browsers out, and somebody who tries their own website out is a fault.
    #[test]
    fn one_address_of_several_browsers_is_a_proxy() {
        let problem = |addresses: u8, agents: u8, count: u8| {
            let hits = LatestHits::default();
            for n in 0..count {
                hits.note(IpAddr::from([192, 0, 2, n % addresses]), Some(&[n % agents]), Way::Direct);
            }
            judge_addresses(&hits.seen()).problem
        };
        assert_eq!(problem(1, 3, 20), Some(Problem::OneAddress));
        assert_eq!((problem(1, 3, 19), problem(1, 2, 40), problem(2, 3, 40)), (None, None, None));
    }

    /// Sabotage: count refusals of one kind for another.
    #[test]
    fn refusals_are_told_by_what_can_be_done_about_them() {
        let outcome = |outcome: &str, reason: &str, count| IngestOutcomes {
            outcome: outcome.to_owned(),
            reason: reason.to_owned(),
            count,
        };
        let problem = |more: &[IngestOutcomes]| {
            let all = [&[outcome("stored", "", 50), outcome("refused", "invalid_json", 5)], more].concat();
            judge_outcomes(&all, Timestamp::from_millis(0)).problem
        };
        assert_eq!(problem(&[]), None);
        assert_eq!(problem(&[outcome("refused", "disk_full", 1)]), Some(Problem::EventsLost));
        assert_eq!(problem(&[outcome("dropped", "quota_exceeded", 1)]), Some(Problem::QuotaUsedUp));
        assert_eq!(problem(&[outcome("refused", "unknown_tracking_code", 10)]), Some(Problem::UnknownCode));
        assert_eq!(problem(&[outcome("refused", "unknown_tracking_code", 9)]), None);
        let busy = outcome("stored", "more", 10_000);
        assert_eq!(problem(&[outcome("refused", "unknown_tracking_code", 100), busy]), None, "somebody tries codes");
        assert_eq!(problem(&[outcome("refused", "rate_limited", 7)]), Some(Problem::RateLimited));
        assert_eq!(problem(&[outcome("refused", "rate_limited", 5)]), None);
        assert_eq!(problem(&[outcome("refused", "invalid_field", 46)]), Some(Problem::MostRefused));
        assert_eq!(problem(&[outcome("refused", "invalid_field", 45)]), None);
    }

    /// Sabotage: count local hosts for foreign ones, or be alarmed by a single copy of a page.
    #[test]
    fn hosts_that_are_refused_are_a_worry_when_they_are_many() {
        let (id, now) = (WebsiteId::from_random_bytes([1; 16]), Timestamp::from_millis(0));
        let refused =
            |host: &str, refusal, events| (id, RefusedHost { host: host.into(), refusal, events, last_at: now });
        let problem = |refused: &[(WebsiteId, RefusedHost)], all| judge_hosts(refused, all, now).problem;
        assert_eq!(problem(&[], 100), None);
        let few = [refused("a.example", HostRefusal::Foreign, 5), refused("b.example", HostRefusal::Foreign, 4)];
        assert_eq!(problem(&few, 100), Some(Problem::OtherHostRefused));
        assert_eq!(problem(&few, 90), Some(Problem::HostRefused));
        assert_eq!(problem(&[refused("localhost", HostRefusal::Local, 50)], 50), Some(Problem::LocalHostRefused));
        assert_eq!(problem(&[refused("no host", HostRefusal::Foreign, 50)], 50), None, "nothing can let it in");
    }

    #[test]
    fn more_bots_than_people_are_told_with_their_website() {
        assert_eq!(judge_bots(20, 20, None).problem, None);
        assert_eq!(judge_bots(19, 0, None).problem, None, "too few");
        let seen = judge_bots(21, 20, Some(("shop.example".to_owned(), 9)));
        assert_eq!(seen.problem, Some(Problem::ManyBots));
        assert!(seen.words.contains("shop.example: 9"), "{}", seen.words);
    }
}
