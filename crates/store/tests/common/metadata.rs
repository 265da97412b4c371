//! What every store of a server's metadata must do beside the suites of the crate: status, and the months of events.

use StatusState::{Degraded, Operational};
use zenovay_auth::PasswordHash;
use zenovay_domain::{
    IncidentId, IncidentPhase, Plan, PlanTable, StatusComponent, StatusState, TeamId, Timestamp, TrackingCode, UserId,
    WebsiteId,
};
use zenovay_store::conformance::Harness;
use zenovay_store::{
    EventMonthStore, INCIDENT_UPDATES_MAX, INCIDENTS_MAX, Incident, IncidentUpdate, Metadata, NewWebsite, StatusChecks,
    StatusSpan, StatusStore, StoreError, TELLING_MS, Team, TeamStore, User, WebsiteStore,
};

/// Makes a `#[test]` of every rule for the harness that `$make` makes.
macro_rules! metadata_tests {
    ($make:expr) => {
        metadata_tests! { $make;
            checks_become_spans,
            what_is_old_is_forgotten_but_for_the_last_before,
            incidents_are_bounded,
            what_owners_are_told_is_for_one_to_tell_until_it_is_told,
            events_that_were_erased_stay_in_their_months,
        }
    };
    ($make:expr; $($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                $crate::metadata::$name(&$make);
            }
        )*
    };
}

pub(crate) use metadata_tests;

/// 2026-06-13T00:00:00.000Z.
const NOW: Timestamp = Timestamp::from_millis(1_781_308_800_000);

/// A team of one with a website.
fn team_with_website(store: &impl Metadata) -> TeamId {
    let (user, team) = (UserId::from_random_bytes([1; 16]), TeamId::from_random_bytes([1; 16]));
    let hash = PasswordHash::from_stored(String::new());
    store.create_user(&User::new(user, "p@example.com", "P", hash, NOW)).unwrap();
    store.create_team(&Team::new(team, "Team", Plan::Pro, NOW), user).unwrap();
    let code = TrackingCode::from_random_bytes([1; 11]);
    let new = NewWebsite::new(WebsiteId::from_random_bytes([1; 16]), team, "example.com", code);
    store.create_website(&new, &PlanTable::default(), NOW).unwrap();
    team
}

const MINUTE_MS: i64 = 60_000;

fn after(minutes: i64) -> Timestamp {
    NOW.plus_millis(minutes * MINUTE_MS)
}

fn check(store: &impl StatusStore, minute: i64, state: StatusState) {
    let checks = StatusChecks::new(after(minute), vec![(StatusComponent::Api, state)]);
    store.record_status(&[checks], None).unwrap();
}

fn spans(store: &impl StatusStore) -> Vec<(StatusState, i64, i64)> {
    let minutes = |at: Timestamp| at.millis_since(NOW) / MINUTE_MS;
    let short = |span: &StatusSpan| (span.state, minutes(span.from), minutes(span.until));
    store.status_spans().unwrap().iter().map(short).collect()
}

/// Sabotage: let a span grow over a gap, or keep what a wrong clock said.
pub(crate) fn checks_become_spans<H: Harness<Store: Metadata>>(harness: &H) {
    let store = harness.open();
    (0..3).for_each(|minute| check(&store, minute, Operational));
    (3..5).for_each(|minute| check(&store, minute, Degraded));
    assert_eq!(spans(&store), [(Operational, 0, 3), (Degraded, 3, 4)]);
    check(&store, 60, Degraded);
    check(&store, 61, Degraded);
    assert_eq!(spans(&store), [(Operational, 0, 3), (Degraded, 3, 4), (Degraded, 60, 61)]);
    // The clock goes back by less than a gap, and then by much more.
    check(&store, 60, Degraded);
    assert_eq!(spans(&store)[2], (Degraded, 60, 61));
    check(&store, 10, Operational);
    assert_eq!(spans(&store), [(Operational, 0, 3), (Degraded, 3, 4), (Operational, 10, 10)]);
    check(&store, 2, Operational);
    check(&store, 3, Operational);
    assert_eq!(spans(&store), [(Operational, 0, 3)]);
}

pub(crate) fn what_is_old_is_forgotten_but_for_the_last_before<H: Harness<Store: Metadata>>(harness: &H) {
    let store = harness.open();
    for minute in [0, 10, 20, 30] {
        check(&store, minute, Operational);
    }
    store.record_status(&[], Some(after(25))).unwrap();
    assert_eq!(spans(&store), [(Operational, 20, 20), (Operational, 30, 30)]);
    store.record_status(&[], Some(after(100))).unwrap();
    assert_eq!(spans(&store), [(Operational, 30, 30)]);
}

fn incident(n: u128, minute: i64) -> Incident {
    let first = IncidentUpdate::new(after(minute), IncidentPhase::Noticed, "It is slow.");
    let id = IncidentId::from_bytes(n.to_be_bytes());
    Incident::new(id, "Slow", Degraded, vec![StatusComponent::Api], first)
}

pub(crate) fn incidents_are_bounded<H: Harness<Store: Metadata>>(harness: &H) {
    let store = harness.open();
    for n in 0..INCIDENTS_MAX as i64 {
        store.create_incident(&incident(n as u128, n)).unwrap();
    }
    let one_more = incident(u128::MAX, 10_000);
    assert!(matches!(store.create_incident(&one_more), Err(StoreError::Invalid { field: "title", .. })));
    let over = incident(7, 0).id;
    store.update_incident(over, &IncidentUpdate::new(after(9_000), IncidentPhase::Resolved, "Over.")).unwrap();
    store.create_incident(&one_more).unwrap();
    let all = store.incidents().unwrap();
    assert_eq!((all.len(), &all[0]), (INCIDENTS_MAX, &one_more));
    assert!(all.iter().all(|one| one.id != over), "the one that is over made room");
    for n in 1..INCIDENT_UPDATES_MAX {
        let update = IncidentUpdate::new(after(n as i64), IncidentPhase::Watching, "…");
        store.update_incident(one_more.id, &update).unwrap();
    }
    let update = IncidentUpdate::new(after(0), IncidentPhase::Watching, "…");
    assert!(matches!(store.update_incident(one_more.id, &update), Err(StoreError::Invalid { .. })));
    store.record_status(&[], Some(after(100_000))).unwrap();
    assert_eq!(store.incidents().unwrap().len(), INCIDENTS_MAX, "those that go on stay");
}

/// Sabotage: let two tell, tell for ever, or forget what was told.
pub(crate) fn what_owners_are_told_is_for_one_to_tell_until_it_is_told<H: Harness<Store: Metadata>>(harness: &H) {
    let (store, other) = (harness.open(), harness.open());
    let team = team_with_website(&store);
    let told = || store.event_month(team, NOW).unwrap().told;
    assert!(store.begin_telling(team, NOW, 80, NOW).unwrap());
    assert_eq!(told(), 0, "not yet");
    let almost = NOW.plus_millis(TELLING_MS - 1);
    assert!(
        !other.begin_telling(team, NOW, 80, almost).unwrap() && !other.begin_telling(team, NOW, 100, almost).unwrap()
    );
    // Whoever began is dead.
    let later = NOW.plus_millis(TELLING_MS);
    assert!(other.begin_telling(team, NOW, 80, later).unwrap());
    other.end_telling(team, NOW, None).unwrap();
    assert!(store.begin_telling(team, NOW, 80, later).unwrap(), "it failed: at once");
    store.end_telling(team, NOW, Some(80)).unwrap();
    assert_eq!(told(), 80);
    assert!(!other.begin_telling(team, NOW, 80, later).unwrap());
    assert!(other.begin_telling(team, NOW, 100, later).unwrap());
    other.end_telling(team, NOW, Some(100)).unwrap();
    other.end_telling(team, NOW, Some(80)).unwrap();
    assert_eq!(told(), 100);
    // A clock that was wrong holds nobody up.
    let next = NOW.plus_millis(31 * 86_400_000);
    assert!(store.begin_telling(team, next, 80, next.plus_millis(86_400_000)).unwrap());
    assert!(store.begin_telling(team, next, 80, next).unwrap());
    store.delete_team(team, NOW).unwrap();
    assert!(!store.begin_telling(team, NOW.plus_millis(62 * 86_400_000), 80, next).unwrap());
}

/// Sabotage: count all in the month of the erasure.
pub(crate) fn events_that_were_erased_stay_in_their_months<H: Harness<Store: Metadata>>(harness: &H) {
    let store = harness.open();
    let (team, website) = (team_with_website(&store), WebsiteId::from_random_bytes([1; 16]));
    let before = NOW.plus_millis(-31 * 86_400_000);
    let removed = |at| store.event_month(team, at).unwrap().removed;
    store.keep_erased(website, &[NOW, before, NOW]).unwrap();
    store.keep_erased(website, &[]).unwrap();
    assert_eq!((removed(NOW), removed(before)), (2, 1));
    store.delete_website(website, NOW).unwrap();
    store.keep_erased(website, &[NOW]).unwrap();
    store.keep_counts(website, &[(NOW, 4)]).unwrap();
    assert_eq!(removed(NOW), 7);
    // Of one that was counted nothing is left.
    store.keep_erased(website, &[NOW]).unwrap();
    store.keep_erased(WebsiteId::from_random_bytes([9; 16]), &[NOW]).unwrap();
    assert_eq!(removed(NOW), 7);
}
