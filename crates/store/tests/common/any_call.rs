//! Any call of a store, with any input.

use std::sync::Arc;

use proptest::prelude::*;
use zenovay_auth::{
    AccessLevel, KeyDigest, KeyFormat, KeyKind, PasswordHash, SecretDigest, SignInStage, ToolCategory, ToolScopes,
};
use zenovay_domain::{
    ClockMemory, Dimension, DoubtedReading, Funnel, FunnelId, FunnelStep, Goal, GoalId, GoalTarget, GrantId,
    IncidentId, IncidentPhase, InvitationId, KeyId, KeyPolicy, MatchType, PageMatch, PasskeyId, Plan, PlanTable, Role,
    Scopes, ShareId, SignInId, StatusComponent, StatusState, TeamId, Timestamp, TrackingCode, UserId, Website,
    WebsiteId, WebsiteSettings,
};
use zenovay_store::people::{
    AssistantAccount, KeyRequest, LinkPurpose, NewAuditEntry, NewInvitation, NewSession, Passkey, Profile, Standing,
    Theme,
};
use zenovay_store::{
    CachedDirectory, Consent, DroppedHits, Exchange, GrantClient, Incident, IncidentUpdate, KeyEdit, Metadata, NewCode,
    NewKey, NewTokens, NewWebsite, RegisteredClient, Result, Share, StatusChecks, StoreError, Team, User,
};

/// How many different ids there are of each kind, so that calls are about the same things.
const IDS: u8 = 3;

/// Any string, often one that is nearly right.
fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        "(.|\\n|\\x00){0,40}",
        "[a-z]{1,3}@[a-zé.]{1,12}",
        "(/|\\*|http(s)?://)?[a-z./*-]{0,20}",
        "(EUR|USD|Europe/Berlin|UTC|de|en|acme_|[{\\[\"]){0,3}",
        Just("x".repeat(5_000)),
    ]
}

/// Any time, mostly at the ends of what there is.
pub(crate) fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -3i64..3, 1_781_308_800_000i64..1_781_395_200_000]
        .prop_map(Timestamp::from_millis)
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), 0..4u64, Just(u64::MAX), Just(i64::MAX.unsigned_abs())]
}

/// What one call is made with.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Which one it is, and whom and what it is about.
    which: u8,
    ids: [u8; 3],
    strings: [String; 2],
    times: [Timestamp; 2],
    number: u64,
    choice: prop::sample::Index,
    yes: bool,
}

pub(crate) fn call() -> impl Strategy<Value = Call> {
    let (ids, strings, times) = ([0..IDS, 0..IDS, 0..IDS], [string(), string()], [time(), time()]);
    (any::<u8>(), ids, strings, times, number(), any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(which, ids, strings, times, number, choice, yes)| Call { which, ids, strings, times, number, choice, yes },
    )
}

impl Call {
    fn of<T: Copy>(&self, all: &[T]) -> T {
        *self.choice.get(all)
    }

    /// As it is kept of a key, a link or a session.
    fn digest(&self) -> SecretDigest {
        SecretDigest::from_bytes([self.ids[2]; 32])
    }

    fn settings(&self) -> WebsiteSettings {
        let [one, other] = &self.strings;
        WebsiteSettings::default().with(|settings| match self.number % 6 {
            0 => settings.allowed_domains = vec![one.clone(), other.clone()],
            1 => settings.excluded_ips = vec![one.clone()],
            2 => settings.excluded_paths = vec![one.clone()],
            3 => settings.time_zone.clone_from(one),
            4 => settings.currency.clone_from(one),
            _ => settings.session_replay_sample_percent = u8::try_from(self.number % 256).unwrap(),
        })
    }

    /// Makes the call.
    fn make(&self, store: &dyn Metadata) -> Result<()> {
        let Self { which, ids: [a, b, c], strings: [one, other], times: [now, then], number, yes, .. } = self;
        let (now, then, number, yes) = (*now, *then, *number, *yes);
        let few = usize::try_from(number).unwrap_or(usize::MAX);
        let (ann, bob, team) =
            (UserId::from_bytes([*a; 16]), UserId::from_bytes([*b; 16]), TeamId::from_bytes([*c; 16]));
        let (site, key) = (WebsiteId::from_bytes([*b; 16]), KeyId::from_bytes([*a; 16]));
        let (plans, plan, role) = (PlanTable::default(), self.of(Plan::ALL), self.of(Role::ALL));
        let policy = self.of(KeyPolicy::ALL);
        let hash = PasswordHash::from_stored(other.clone());
        let (digest, key_digest) = (self.digest(), KeyDigest::from_bytes([*a; 32]));
        let session = SignInId::from_bytes([*a; 16]);
        let path = || PageMatch::new(self.of(&[MatchType::Exact, MatchType::Regex, MatchType::Contains]), one.clone());
        let goal = || {
            let event = GoalTarget::Event { name: one.clone() };
            Goal::new(
                GoalId::from_bytes([*a; 16]),
                site,
                other,
                if yes { event } else { GoalTarget::Page(path()) },
                now,
            )
        };
        let funnel = || {
            let steps = [FunnelStep::Page(path()), FunnelStep::Goal { id: GoalId::from_bytes([*c; 16]) }];
            Funnel::new(FunnelId::from_bytes([*a; 16]), site, other, steps[..few.min(2)].to_vec(), then)
        };
        let consent = || {
            let client = GrantClient::new(one, other, yes.then(|| one.clone()), one, yes);
            let scopes = ToolScopes::everywhere(AccessLevel::Read).with(ToolCategory::ALL[0], AccessLevel::Write);
            Consent::new(ann, team, client, scopes, other)
        };
        let exchange = Exchange::new(one, yes.then_some(other.as_str()));
        let tokens = NewTokens::new(key_digest, KeyDigest::from_bytes([*b; 32]));
        let incident = IncidentId::from_bytes([*a; 16]);
        let update = || IncidentUpdate::new(now, self.of(IncidentPhase::ALL), one);
        match which % 84 {
            0 | 1 => store.create_user(&User::new(ann, one, other, hash, now)),
            2 | 3 => store.create_team(&Team::new(team, one, plan, now), ann),
            4 | 5 => store.create_website(&NewWebsite::new(site, team, one, code(*c)), &plans, now).map(drop),
            6 | 7 => {
                let token = KeyFormat::ZENOVAY.generate_with(&mut rand::rng());
                let kind = if yes { KeyKind::Personal(ann) } else { KeyKind::Workspace(team) };
                let mut new = NewKey::new(key, &token, kind, one, Scopes::FULL_ACCESS);
                new.team_ids = number.is_multiple_of(2).then(|| vec![team, team]);
                new.website_ids = number.is_multiple_of(3).then(|| vec![site]);
                store.create_key(&new, now).map(drop)
            }
            8 => store.user_by_email(one).map(drop),
            9 => {
                let edit = &mut |user: &mut User| {
                    user.email.clone_from(one);
                    Ok::<_, StoreError>(())
                };
                store.edit_user(ann, edit).map(drop)
            }
            10 => store.edit_user(ann, &mut |_| Err(StoreError::Conflict("it"))).map(drop),
            11 => store.set_password(ann, &hash),
            12 => store.delete_password(ann),
            13 if number.is_multiple_of(8) => store.delete_user(ann),
            14 => store.rename_team(team, one),
            15 if number.is_multiple_of(8) => store.delete_team(team, now).map(drop),
            16 => store.set_plan(team, plan),
            17 => store.set_key_policy(team, policy),
            18 => store.add_member(team, bob, role, &plans, now),
            19 => store.remove_member(team, bob, now),
            20 => {
                let edit = &mut |website: &mut Website| {
                    website.settings = self.settings();
                    Ok::<_, StoreError>(())
                };
                store.edit_website(site, edit).map(drop)
            }
            21 => {
                let edit = &mut |website: &mut Website| {
                    website.domain.clone_from(one);
                    Ok::<_, StoreError>(())
                };
                store.edit_website(site, edit).map(drop)
            }
            22 => store.set_tracking_code(site, &code(*a)).map(drop),
            23 if number.is_multiple_of(8) => store.delete_website(site, now),
            24 => store.mark_events_deleted(site),
            25 => store.add_folded(&[(site, self.of(Dimension::ALL), number); 2], now),
            26 => {
                let mut edit = KeyEdit::default();
                edit.name = Some(one.clone());
                edit.team_ids = yes.then(|| Some(vec![team]));
                edit.website_ids = number.is_multiple_of(2).then(|| Some(vec![site, site]));
                store.edit_key(key, &edit).map(drop)
            }
            27 => store.revoke_key(key, now),
            28 => store.charge_request(key, number, now).map(drop),
            29 => store.record_accepted_events(key, number, now),
            30 => {
                let hits = DroppedHits::new(site, one, other, one, number, now, then);
                store.count_dropped_agents(&[hits.clone(), hits], now)
            }
            31 => store.create_goal(&goal()),
            32 => store.replace_goal(&goal()),
            33 => store.delete_goal(site, goal().id),
            34 => store.create_funnel(&funnel()),
            35 => store.replace_funnel(&funnel()),
            36 => store.delete_funnel(site, funnel().id),
            37 => {
                let mut share = Share::new(ShareId::from_bytes([*a; 16]), site, digest, one.clone(), now);
                share.password = yes.then_some(hash);
                store.create_share(&share)
            }
            38 => store.delete_share(site, ShareId::from_bytes([*a; 16])),
            39 => store.remember_clock(&ClockMemory::new(
                yes.then_some(now),
                Some(DoubtedReading::new(then, now.as_millis())),
            )),
            40 | 41 => {
                let stage = self.of(&SignInStage::ALL);
                store.begin_session(&NewSession::new(session, ann, digest, stage, one), now)
            }
            42 => store.use_session(&digest, now).map(drop),
            43 => store.rotate_session(session, &digest, &SecretDigest::from_bytes([*b; 32]), now).map(drop),
            44 => store.end_session(ann, session).map(drop),
            45 => store.end_sessions(ann, yes.then_some(session)).map(drop),
            46 => store.change_password(ann, &hash, None),
            47 => store.rehash_password(ann, &hash, &PasswordHash::from_stored(one.clone())).map(drop),
            48 => store.note_failure(&digest, now).map(drop),
            49 => store.forget_failures(&digest),
            50 => {
                let purpose = self.of(&[LinkPurpose::Reset, LinkPurpose::Welcome, LinkPurpose::SignIn]);
                store.create_link(ann, purpose, &digest, now, then)
            }
            51 => store.use_reset_link(&digest, &hash, now).map(drop),
            52 => store.use_welcome_link(&digest, one, other, &hash, now).map(drop),
            53 => store.use_sign_in_link(&digest, now).map(drop),
            54 => store.forget_what_is_over(now),
            55 => {
                let mut profile = Profile::default();
                (profile.locale, profile.time_zone) = (Some(one.clone()), yes.then(|| other.clone()));
                profile.theme = self.of(&Theme::ALL);
                store.set_profile(ann, &profile)
            }
            56 if number.is_multiple_of(8) => store.delete_account(ann),
            57 => store.change_role(team, bob, role, self.of(Role::ALL)),
            58 => store.end_membership(team, bob, role, now),
            59 => store.transfer_team(team, ann, bob),
            60 => {
                let id = InvitationId::from_bytes([*a; 16]);
                let mut new = NewInvitation::new(id, team, digest, role, one, then);
                new.email = yes.then_some(other.as_str());
                store.create_invitation(&new, now).map(drop)
            }
            61 => store.accept_invitation(&digest, bob, &plans, now).map(drop),
            62 => store.delete_invitation(InvitationId::from_bytes([*a; 16])),
            63 => {
                let mut entry = NewAuditEntry::new(now, one, other, one, other);
                (entry.team_id, entry.user_id, entry.key_id) = (yes.then_some(team), Some(ann), Some(key));
                store.record_audit(&entry)
            }
            64 => store.keep_counts(site, &[(now, number), (then, number), (now, 1)]),
            65 => store.keep_erased(site, &[now, then, now]),
            66 => store.begin_telling(team, now, self.of(&[0, 80, 100, 255]), then).map(drop),
            67 => store.end_telling(team, now, yes.then_some(self.of(&[0, 80, 255]))),
            68 => {
                let account = if yes { AssistantAccount::Person(ann) } else { AssistantAccount::Team(team) };
                let limit = number.is_multiple_of(2).then_some(number);
                store.charge_assistant(account, plan, number, limit, now)?;
                store.assistant_usage(account, plan, then).map(drop)
            }
            69 => {
                let mut request = KeyRequest::new(key, now, one, other, self.of(&[0, 200, u16::MAX]), number);
                request.events = yes.then_some((number, 0));
                store.add_key_requests(&[request.clone(), request])
            }
            70 => store.prepare_codes(ann, one.as_bytes()),
            71 => store.enable_codes(ann, one.as_bytes(), then.as_millis(), &[digest, digest], now).map(drop),
            72 => store.use_step(ann, now.as_millis()).and(store.use_backup_code(ann, &digest)).map(drop),
            73 => store.replace_backup_codes(ann, &[digest]).and(store.remove_codes(ann)).map(drop),
            74 => {
                let id = PasskeyId::from_bytes([*a; 16]);
                store.add_passkey(&Passkey::new(id, ann, one.clone(), other.clone(), one.clone(), now))?;
                store.rename_passkey(ann, id, other).map(drop)
            }
            75 => {
                let Some(passkey) = store.passkey_by_credential(other)? else { return Ok(()) };
                store.use_passkey(&passkey, one, now).map(drop)
            }
            76 => store.remove_passkey(ann, PasskeyId::from_bytes([*a; 16])),
            77 => {
                let client = RegisteredClient::new(one.clone(), other.clone(), vec![one.clone()], digest, now);
                store.register_client(&client)?;
                store.registered_client(one, then).map(drop)
            }
            78 => {
                let code = NewCode::new(digest, consent(), one, SecretDigest::from_bytes([*a; 32]));
                store.create_code(&code, now).map(drop)
            }
            79 => {
                let verifier = SecretDigest::from_bytes([*a; 32]);
                let id = GrantId::from_bytes([*a; 16]);
                let redirect = yes.then_some(one.as_str());
                store.redeem_code(&digest, exchange, redirect, &verifier, id, tokens, then).map(drop)
            }
            80 => {
                store.refresh_grant(&KeyDigest::from_bytes([*b; 32]), exchange, &|_| None, tokens, now)?.ok();
                store.access(&key_digest, then)?;
                store.note_grant_call(GrantId::from_bytes([*a; 16]), number, now)?;
                store.revoke_token(&key_digest, one, now)?.ok();
                store.forget_grants_that_are_over(then)
            }
            81 => {
                let components = StatusComponent::ALL.iter().map(|component| (*component, self.of(StatusState::ALL)));
                let checks = StatusChecks::new(now, components.collect());
                store.record_status(&[checks.clone(), checks], yes.then_some(then))
            }
            82 => {
                let (state, components) = (self.of(StatusState::ALL), StatusComponent::ALL[..few.min(2)].to_vec());
                store.create_incident(&Incident::new(incident, other, state, components, update()))?;
                store.update_incident(incident, &update())
            }
            _ => {
                let mut standing = Standing::default();
                standing.session = yes.then_some(session);
                standing.member = Some((team, bob, role));
                store.on_behalf_of(standing).rename_team(team, one)
            }
        }
    }
}

fn code(n: u8) -> TrackingCode {
    TrackingCode::from_random_bytes([n; TrackingCode::RANDOM_LEN])
}

/// Reads everything there is, as of `now`.
fn read(store: &Arc<dyn Metadata>, now: Timestamp) -> Result<()> {
    let directory = CachedDirectory::new(Arc::clone(store));
    directory.remember_valid_keys()?;
    let _read = (
        store.users()?,
        store.teams()?,
        store.websites()?,
        store.keys()?,
        store.deleted_websites()?,
        store.has_users()?,
    );
    let _read =
        (store.clock_memory()?, store.status_spans()?, store.incidents()?, store.operators()?, store.check_standing()?);
    for n in 0..IDS {
        let (user, team) = (UserId::from_bytes([n; 16]), TeamId::from_bytes([n; 16]));
        let (site, key, digest) = (WebsiteId::from_bytes([n; 16]), KeyId::from_bytes([n; 16]), [n; 32]);
        let secret = SecretDigest::from_bytes(digest);
        let _read = (store.user(user)?, store.teams_of(user)?, store.profile(user)?, store.sessions(user, now)?);
        let _read =
            (store.sign_in_means(user)?, store.code_secret(user)?, store.passkeys(user)?, store.keys_of_user(user)?);
        let _read =
            (store.audit_of_user(user, usize::MAX)?, store.grants_of(user, now)?, store.failures(&secret, now)?);
        let _read = (store.has_link(LinkPurpose::Reset, now)?, store.invitation_by_secret(&secret, now)?);
        let _read = (store.team(team)?, store.members(team)?, store.member_facts(team)?, store.invitations(team, now)?);
        let _read =
            (store.audit(team, None, usize::MAX)?, store.audit(team, Some(i64::MIN), 0)?, store.keys_of_team(team)?);
        let _read =
            (store.event_month(team, now)?, store.websites_of_teams(&[team, team])?, store.role_in(team, user)?);
        let _read = (store.website(site)?, store.folded(site)?, store.dropped_agents(site, now)?, store.goals(site)?);
        let _read =
            (store.funnels(site)?, store.shares(site)?, store.share_by_digest(&secret)?, store.uncounted_team(site)?);
        let _read = (store.website_by_code(&code(n))?, directory.website_of_hit(&code(n), now)?, directory.plan(team)?);
        if let Some(key) = store.key(key)? {
            let _read = (store.usage(key.id, now)?, store.activity(key.id, now)?, store.key_requests(key.id)?);
            let Some(credential) = directory.credential(&key.digest)? else { continue };
            store.reachable_websites(&credential, &PlanTable::default())?;
        }
    }
    Ok(())
}

/// Makes the calls, and reads everything.
pub(crate) fn hold(
    store: &Arc<dyn Metadata>,
    calls: &[Call],
    now: Timestamp,
) -> std::result::Result<(), TestCaseError> {
    for call in calls {
        match call.make(store.as_ref()) {
            Ok(()) => {}
            Err(
                error @ (StoreError::Decode { .. }
                | StoreError::DiskFull
                | StoreError::Damaged(_)
                | StoreError::Unavailable(_)),
            ) => {
                return Err(TestCaseError::fail(format!("{call:?}: {error}: {:?}", std::error::Error::source(&error))));
            }
            Err(refused) => prop_assert!(!refused.to_string().is_empty()),
        }
    }
    if let Err(error) = read(store, now) {
        return Err(TestCaseError::fail(format!("{error}: {:?}", std::error::Error::source(&error))));
    }
    prop_assert_eq!(store.check().unwrap(), Vec::<String>::new());
    Ok(())
}
