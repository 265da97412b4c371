//! No input of a public function panics: strings that people and programs send, and times that clocks and disks tell.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

use std::net::{IpAddr, Ipv6Addr};

use proptest::prelude::*;
use zenovay_auth::oauth::{
    ClientDocument, ClientUrl, check_redirect, is_public_address, redirect_matches, redirect_target, shown_name,
};
use zenovay_auth::{
    AccessLevel, Grant, KeyDraft, KeyFormat, KeyId, KeyKind, KeyPolicy, Membership, Plan, PlanTable, Policy, Role,
    Scope, Scopes, Secret, SecretDigest, SessionTimes, SignInStage, TeamId, Thing, Timestamp, ToolCategory, ToolScopes,
    UserId, WebsiteId, admits_keys_since, check_key_name, may_create_key, may_edit_key, paused_until,
};

/// Any string, often one that is nearly right.
fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,80}",
        "(read|write|admin|full_access|owner|viewer|free|pro|[,: *-]){0,6}",
        "(http(s)?|com\\.app|javascript)?:(//)?[ -~é]{0,40}",
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{0,26}",
        "(zv_)?[A-Za-z0-9_-]{20,70}",
    ]
}

/// Any time, mostly at the ends of what there is.
fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -3i64..3].prop_map(Timestamp::from_millis)
}

#[derive(Clone, Copy)]
struct Asked(Option<Scope>, Role);

impl Policy for Asked {
    fn scope(&self) -> Option<Scope> {
        self.0
    }
    fn role(&self) -> Role {
        self.1
    }
}

proptest! {
    #[test]
    fn strings_are_read_or_refused(text in string(), other in string()) {
        for scopes in [text.parse::<Scopes>().ok(), Some(Scopes::FULL_ACCESS)].into_iter().flatten() {
            for scope in Scope::ALL {
                scopes.grants(*scope);
            }
        }
        let _names = (text.parse::<Role>(), text.parse::<Plan>(), text.parse::<Scope>(), text.parse::<KeyPolicy>());
        let _ids = (text.parse::<KeyId>(), text.parse::<TeamId>(), text.parse::<UserId>(), text.parse::<WebsiteId>());
        if let Ok(secret) = Secret::parse(&text) {
            prop_assert_eq!(secret.expose(), &text);
        }
        if let Ok(key) = KeyFormat::ZENOVAY.parse(&text) {
            prop_assert_eq!(key.expose(), &text);
        }
        let _digest = SecretDigest::of(text.as_bytes());
        let _name = check_key_name(&text);
        let tools = ToolScopes::parse_lenient(&text);
        prop_assert!(tools.covers(tools.intersection(ToolScopes::everywhere(AccessLevel::Read))));
        if let Some(strict) = ToolScopes::parse(&text) {
            prop_assert_eq!(strict, tools);
        }
        for category in ToolCategory::ALL {
            tools.allows(category, AccessLevel::Write);
        }
        // A name of a program that is shown beside a button hides nothing.
        prop_assert!(!shown_name(&text).chars().any(char::is_control));
        let _target = redirect_target(&text);
        if check_redirect(&text).is_ok() {
            prop_assert!(redirect_matches(&text, &text), "{} is itself", text);
        }
        redirect_matches(&text, &other);
        if let Ok(url) = ClientUrl::parse(&text) {
            let _parts = (url.host(), url.path());
            let _document = ClientDocument::parse(&url, other.as_bytes());
        }
    }

    #[test]
    fn any_address_is_public_or_not(bits: u128, v4: u32) {
        let mapped = IpAddr::V6(std::net::Ipv4Addr::from(v4).to_ipv6_mapped());
        is_public_address(IpAddr::V6(Ipv6Addr::from(bits)));
        if is_public_address(mapped) {
            prop_assert!(is_public_address(IpAddr::V4(v4.into())), "an address is not public for being spelled otherwise");
        }
    }

    #[test]
    fn no_time_is_too_far_away(created in time(), seen in time(), rotated in time(), confirmed in time(), now in time(), failures: u32) {
        let times = SessionTimes::new(created, seen, rotated, Some(confirmed));
        for stage in SignInStage::ALL {
            times.is_over(stage, now);
        }
        let _session = (times.is_due_for_rotation(now), times.admits_previous_secret(now), paused_until(failures, seen));
        for policy in KeyPolicy::ALL {
            for role in Role::ALL {
                let since = admits_keys_since(*policy, *role, now);
                Membership::new(TeamId::from_bytes([1; 16]), *role, *policy).admitting_since(since).admits(created);
            }
        }
    }

    #[test]
    fn any_draft_is_allowed_or_refused(
        name in string(), owner: [u8; 16], teams in prop::collection::vec(any::<[u8; 16]>(), 0..3), of_workspace: bool,
        websites in prop::option::of(prop::collection::vec(any::<([u8; 16], [u8; 16])>(), 0..3)), created in time(),
        role in prop::sample::select(Role::ALL.to_vec()), policy in prop::sample::select(KeyPolicy::ALL.to_vec()),
    ) {
        let teams: Vec<TeamId> = teams.into_iter().map(TeamId::from_bytes).collect();
        let kind = match teams.first() {
            Some(team) if of_workspace => KeyKind::Workspace(*team),
            _ => KeyKind::Personal(UserId::from_bytes(owner)),
        };
        let mut draft = KeyDraft::new(name, kind, Scopes::FULL_ACCESS);
        draft.team_ids = Some(teams.clone());
        draft.website_ids = websites.map(|of| {
            of.into_iter().map(|(website, team)| (WebsiteId::from_bytes(website), TeamId::from_bytes(team))).collect()
        });
        let memberships: Vec<Membership> = teams.iter().map(|team| Membership::new(*team, role, policy)).collect();
        let _created = may_create_key(&draft, &memberships);
        let _edited = may_edit_key(&KeyDraft::new("before".to_owned(), kind, Scopes::FULL_ACCESS), &draft, &memberships, created);
    }

    #[test]
    fn every_question_has_a_decision(
        teams in prop::collection::vec((string(), prop::sample::select(Role::ALL.to_vec())), 0..4), kind in string(), id in string(),
        of in prop::option::of(string()), is_key: bool, role in prop::sample::select(Role::ALL.to_vec()), only in string(),
        scope in prop::option::of(prop::sample::select(Scope::ALL.to_vec())),
    ) {
        let mut grant = if is_key { Grant::key(Scopes::FULL_ACCESS) } else { Grant::person() };
        for (team, role) in teams {
            grant = grant.member(team, role);
        }
        let mut thing = Thing::new(kind, id).concerning(role);
        if let Some(team) = of {
            thing = thing.of_team(team);
        }
        for grant in [grant.clone(), grant.clone().only_teams(vec![only.clone()]), grant.only_things(vec![only])] {
            if let Err(denial) = grant.may(Asked(scope, role), &thing) {
                prop_assert!((400..500).contains(&denial.status()) && !denial.to_string().is_empty());
            }
        }
    }
}

#[test]
fn a_table_of_plans_has_every_plan() {
    let table = PlanTable::default();
    for plan in Plan::ALL {
        let _limits = (table.limits(*plan), table.has_api(*plan));
    }
}
