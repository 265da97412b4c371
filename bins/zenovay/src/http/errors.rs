//! How the errors of the other crates become answers: the one place (which code has which status: [`ErrorCode::status`]).
//! Errors that may get new variants have an answer for these that lets nobody in and tells nothing; the tests fail until a
//! new denial and a new kind of target have answers of their own.

use zenovay_auth::{Denial, KeyRefusal, TargetKind};
use zenovay_capture::CaptureError;
use zenovay_domain::{ErrorCode, Role, Scope};
use zenovay_events::{AppendError, ChangeError};
use zenovay_ingest::Refusal;
use zenovay_limits::{Decision, LimiterUnavailable};
use zenovay_query::QueryError;
use zenovay_store::{OWNERS_MAX, StoreError};

use super::address_limit::AddressRefusal;
use super::envelope::{ApiError, Challenge, Details};
use super::guard::AccessRefusal;
use super::invitation_mails::TooManyInvitations;
use super::values::Problems;
use crate::causes::with_causes;
use crate::keepers::KeeperError;
use crate::outages::Dependency;
use crate::passkeys::PasskeyError;

/// Seconds after which a client may try again when the reason is over within moments: a queue, a lock, a busy pool.
pub const SOON_S: u64 = 1;
/// Seconds for what passes by itself, but not at once: a disk that is full is looked at every few seconds.
pub const LATER_S: u64 = 5;
/// Seconds for what needs an operator.
const OPERATOR_S: u64 = 60;

impl From<AccessRefusal> for ApiError {
    fn from(refusal: AccessRefusal) -> Self {
        match refusal {
            AccessRefusal::NoCredential => missing_key(),
            AccessRefusal::InvalidKey => invalid_key(),
            AccessRefusal::NotSignedIn => not_signed_in(),
            AccessRefusal::NotHalfWay => not_signed_in().with_details(Details::Text("sign_in_expired".into())),
            AccessRefusal::CrossSite => forbidden("The request was not made by a page of this server"),
            AccessRefusal::ForeignHost => {
                forbidden("The request asks for another host than this server's; its operator sets public_url")
            }
            AccessRefusal::TooManyAttempts(decision) => address_limited(&decision),
            AccessRefusal::MinuteUsedUp(decision) => minute_limited(&decision),
            AccessRefusal::MonthUsedUp { limit, retry_after_s } => month_limited(limit, retry_after_s),
            AccessRefusal::LimitNotChecked(error) => error.into(),
            AccessRefusal::Denied(denial) => denial.into(),
            AccessRefusal::KeyNotChecked(error) => credential_check_failed(error),
            AccessRefusal::NotLoaded(error) => error.into(),
            AccessRefusal::Failed => Self::internal(),
        }
    }
}

/// For handlers that do not look at the refusal.
impl From<AccessRefusal> for actix_web::Error {
    fn from(refusal: AccessRefusal) -> Self {
        ApiError::from(refusal).into()
    }
}

/// The message that S1 and S4 print for a key whose teams have no paid plan.
const PLAN_REQUIRED_MESSAGE: &str = "The Zenovay API requires a paid plan. Upgrade to Pro or higher to use API keys.";

/// By which programs know that the plan of a team is what is in the way.
pub(super) const NOT_IN_PLAN: &str = "not_in_plan";

impl From<Denial> for ApiError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Revoked => invalid_key(),
            Denial::MembershipLost => forbidden(out_of_reach(TargetKind::Website)),
            Denial::PlanRequired => Self::new(ErrorCode::ApiPaidPlanRequired, PLAN_REQUIRED_MESSAGE),
            Denial::NotInPlan(feature) => {
                let message = format!("The plan of this workspace does not include {feature}");
                Self::new(ErrorCode::Forbidden, message).with_details(Details::Text(NOT_IN_PLAN.into()))
            }
            Denial::NotForKeys => forbidden("This cannot be done with an API key"),
            Denial::MissingScope(scope) => forbidden(match scope {
                Scope::Read => "The API key lacks the read scope",
                Scope::Write => "The API key lacks the write scope",
                Scope::Admin => "The API key lacks the admin scope",
                Scope::FullAccess => "The API key lacks full access",
                _ => "The API key lacks a scope",
            })
            .with_challenge(Challenge::Scope(scope)),
            Denial::MissingRole(role) => forbidden(match role {
                Role::Viewer => "This needs a role in the team",
                Role::Editor => "This needs the role editor, admin or owner in the team",
                Role::Admin => "This needs the role admin or owner in the team",
                Role::Owner => "This needs the role owner in the team",
                _ => "This needs another role in the team",
            }),
            Denial::Unknown(kind) => Self::not_found(match kind {
                TargetKind::Account => "Account not found",
                TargetKind::Team => "Team not found",
                TargetKind::Website => "Website not found",
                TargetKind::Key => "API key not found",
                TargetKind::Member => "Member not found",
                TargetKind::Invitation => "Invitation not found",
                _ => "Not found",
            }),
            Denial::NotReachable(kind) => forbidden(out_of_reach(kind)),
            Denial::WrongTarget(_) => {
                tracing::error!(cause = %denial, "an action was aimed at what it cannot be done to");
                Self::internal()
            }
            _ => forbidden("This is not allowed"),
        }
    }
}

/// A 403 with its reason.
fn forbidden(details: &'static str) -> ApiError {
    ApiError::new(ErrorCode::Forbidden, "Forbidden").with_details(Details::Text(details.into()))
}

const fn out_of_reach(kind: TargetKind) -> &'static str {
    match kind {
        TargetKind::Account => "Access denied to this account",
        TargetKind::Team => "Access denied to this team",
        TargetKind::Website => "Access denied to this website",
        TargetKind::Key => "Access denied to this API key",
        TargetKind::Member => "Access denied to this member",
        TargetKind::Invitation => "Access denied to this invitation",
        _ => "Access denied",
    }
}

/// The 401 of a request without any key.
fn missing_key() -> ApiError {
    ApiError::new(ErrorCode::Unauthorized, "Invalid API key").with_challenge(Challenge::Missing)
}

/// The 401 of a key that is malformed, or that nobody holds. A holder of a revoked key hears the same.
fn invalid_key() -> ApiError {
    missing_key().with_challenge(Challenge::Invalid)
}

/// The 401 of a request that needs somebody who is signed in.
fn not_signed_in() -> ApiError {
    ApiError::new(ErrorCode::Unauthorized, "Sign in first").with_sign_in_challenge()
}

/// What went wrong in the store while a key or a token was checked. Whoever asks is not known yet: a key whose row is gone is not
/// valid, and everything else is our fault. A store that cannot be asked is a 503, never a "no".
pub fn credential_check_failed(error: StoreError) -> ApiError {
    match error {
        StoreError::NotFound(_) => invalid_key(),
        StoreError::DiskFull | StoreError::Unavailable(_) | StoreError::Damaged(_) => error.into(),
        _ => store_failed(&error),
    }
}

/// What went wrong in the store for somebody who was let in, whether they read or change something: what they can put
/// right is told, with its reason.
impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(what) => Self::new(ErrorCode::NotFound, format!("There is no such {what}")),
            StoreError::Invalid { field, reason } => Self::invalid(field, reason),
            StoreError::Conflict(what) => Self::new(ErrorCode::Conflict, format!("This {what} is already in use")),
            StoreError::PlanLimit { plan, what, limit } => {
                let what = if limit == 1 { what.trim_end_matches('s') } else { what };
                let message =
                    format!("The {plan} plan allows {limit} {what}: an owner of the team can change the plan");
                Self::new(ErrorCode::Forbidden, message)
            }
            StoreError::LastOwner => Self::new(
                ErrorCode::Conflict,
                "A team needs an owner: its last owner cannot leave it, take another role or be deleted",
            ),
            StoreError::TooManyOwners => {
                Self::new(ErrorCode::Conflict, format!("A team has at most {OWNERS_MAX} owners"))
            }
            StoreError::MembershipChanged => {
                Self::new(ErrorCode::Conflict, "The membership changed at the same moment; look again")
            }
            StoreError::SignedOut => not_signed_in(),
            StoreError::GrantEnded => {
                Self::new(ErrorCode::Unauthorized, "What was granted to the client ended at the same moment")
            }
            StoreError::KeyRefused(refusal) => refusal.into(),
            StoreError::KeyRevoked => Self::new(ErrorCode::Conflict, "The API key was revoked and cannot be changed"),
            StoreError::DiskFull => Self::unavailable("The disk is full", LATER_S),
            StoreError::Unavailable(_) | StoreError::Damaged(_) => {
                Dependency::Metadata.refused(|| with_causes(&error));
                Self::unavailable("The request cannot be checked now", SOON_S)
            }
            // A damaged row, a newer schema, and what a later version of the crate may add.
            _ => store_failed(&error),
        }
    }
}

fn store_failed(error: &StoreError) -> ApiError {
    tracing::error!(cause = with_causes(error), "the metadata store failed");
    ApiError::internal()
}

/// Why a key cannot be as somebody wants it. Teams and websites that they are not in are as unknown as those that do not
/// exist.
impl From<KeyRefusal> for ApiError {
    fn from(refusal: KeyRefusal) -> Self {
        match refusal {
            KeyRefusal::Name(_) => Self::invalid("name", "use 1 to 64 characters without control characters"),
            KeyRefusal::NoTeam => Self::invalid("teams", "name at least one team"),
            KeyRefusal::WorkspaceTeams => Self::invalid("teams", "a workspace key belongs to its own team only"),
            KeyRefusal::NoWebsite => Self::invalid("websites", "name at least one website"),
            KeyRefusal::NotAMember(_) => StoreError::NotFound("team").into(),
            KeyRefusal::WebsiteOutside(_) => StoreError::NotFound("website").into(),
            KeyRefusal::Policy(_) => forbidden("The key policy of the team does not let you create keys that reach it"),
            KeyRefusal::AdminScope(_) => forbidden("The admin scope needs the role admin or owner in each team"),
            KeyRefusal::WorkspaceRole(_) => forbidden("Workspace keys need the role admin or owner in the team"),
            _ => forbidden("Such a key is not allowed"),
        }
    }
}

impl From<AddressRefusal> for ApiError {
    fn from(refusal: AddressRefusal) -> Self {
        match refusal {
            AddressRefusal::TooMany(decision) => address_limited(&decision),
            AddressRefusal::CannotTell(error) => error.into(),
        }
    }
}

impl From<LimiterUnavailable> for ApiError {
    fn from(error: LimiterUnavailable) -> Self {
        // What counts says once that it is away; how many requests that cost is a metric.
        tracing::debug!(cause = %error.cause(), "a limit could not be checked");
        Self::unavailable("The request limit cannot be checked now", SOON_S)
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            // Nobody is left to read it.
            QueryError::Cancelled => Self::unavailable("The query was cancelled", SOON_S),
            QueryError::TimeExceeded => Self::unavailable("The query takes too long; ask for a shorter range", LATER_S),
            QueryError::MemoryExceeded => {
                Self::unavailable("The query needs too much memory; ask for a shorter range", LATER_S)
            }
            QueryError::MemoryInUse => Self::unavailable("Other queries hold the memory that the query needs", SOON_S),
            QueryError::Damaged(cause) => {
                tracing::error!(%cause, "stored events could not be read");
                Self::unavailable("Stored events cannot be read", OPERATOR_S)
            }
            QueryError::Unavailable(cause) => {
                Dependency::Events.refused(|| cause.to_string());
                Self::unavailable("Events cannot be read now", SOON_S)
            }
            error => {
                tracing::error!(%error, "a query failed");
                Self::unavailable("Events cannot be read now", SOON_S)
            }
        }
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::DiskFull => Self::unavailable("The disk is full", LATER_S),
            ChangeError::Damaged(cause) => {
                tracing::error!(%cause, "stored events could not all be changed");
                Self::unavailable("Some stored events are damaged and cannot be changed; all others are", OPERATOR_S)
            }
            ChangeError::Noted(cause) => {
                tracing::warn!(%cause, "what is to be erased waits until the event store can be changed");
                let words = "The erasure is noted and in effect for what has not been stored yet; the rest is erased as soon as it can be. \
                             It need not be asked for again";
                Self::unavailable(words, OPERATOR_S)
            }
            ChangeError::Unavailable(cause) => {
                tracing::error!(%cause, "stored events could not be changed");
                Self::unavailable("Stored events cannot be changed now", OPERATOR_S)
            }
            error => {
                tracing::error!(%error, "stored events could not be changed");
                Self::unavailable("Stored events cannot be changed now", OPERATOR_S)
            }
        }
    }
}

const NO_SUCH_PASSKEY: &str = "That passkey does not sign anybody in here.";

/// For whoever signs in. What exactly does not fit is in the log alone.
impl From<PasskeyError> for ApiError {
    fn from(error: PasskeyError) -> Self {
        let unauthorized = |message| Self::new(ErrorCode::Unauthorized, message).with_sign_in_challenge();
        match error {
            PasskeyError::Ended => unauthorized("That took too long. Use the passkey once more."),
            PasskeyError::Unknown => unauthorized(NO_SUCH_PASSKEY),
            PasskeyError::Refused(cause) => {
                tracing::info!(%cause, "a passkey was refused");
                unauthorized(NO_SUCH_PASSKEY)
            }
            PasskeyError::Copied => {
                tracing::warn!("a passkey was refused: its counter did not go on");
                unauthorized("There may be a copy of that passkey. Sign in without it, and remove it.")
            }
            PasskeyError::Unusable(cause) => {
                tracing::error!(%cause, "a passkey cannot be used");
                Self::internal()
            }
        }
    }
}

impl From<KeeperError> for ApiError {
    fn from(error: KeeperError) -> Self {
        match error {
            KeeperError::Metadata(error) => error.into(),
            KeeperError::Query(error) => error.into(),
            KeeperError::Change(error) => error.into(),
            KeeperError::Capture(error) => error.into(),
            KeeperError::Erasures(_) | KeeperError::Snapshot(_) | KeeperError::Moving(_) => {
                tracing::error!(%error, "an erasure cannot be completed");
                Self::unavailable("The erasure cannot be completed now; try again", OPERATOR_S)
            }
        }
    }
}

impl From<CaptureError> for ApiError {
    fn from(error: CaptureError) -> Self {
        match error {
            CaptureError::DiskFull => Self::unavailable("The disk is full", LATER_S),
            CaptureError::Behind => Self::unavailable("Captures are not up to date; try again soon", SOON_S),
            CaptureError::NotYetDeleted { problem } => {
                tracing::error!(problem, "recordings cannot be deleted where they are kept");
                let words = "Recordings are in no answer any more, but cannot be deleted now where they are kept; \
                             it is tried again until they are";
                Self::unavailable(words, OPERATOR_S)
            }
            CaptureError::TooLarge => {
                Self::unavailable("The question needs too much memory; ask for a shorter range", LATER_S)
            }
            error => {
                tracing::error!(%error, "captures cannot be used");
                Self::unavailable("Captures cannot be read now", OPERATOR_S)
            }
        }
    }
}

impl From<AppendError> for ApiError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::QueueFull => Self::unavailable("The event queue is full", SOON_S),
            AppendError::DiskFull => Self::unavailable("The disk is full", LATER_S),
            AppendError::Busy => Self::unavailable("The event log is busy", SOON_S),
            AppendError::Poisoned => {
                Self::unavailable("Events cannot be stored until the server is restarted", OPERATOR_S)
            }
            AppendError::NotDelivered => {
                Self::unavailable("The events wait for the event store, and are stored later", LATER_S)
            }
            AppendError::ShuttingDown => Self::unavailable("The server is shutting down", LATER_S),
            // Sessions are made here: sent again they would be refused again.
            AppendError::Sessions(_) => {
                tracing::error!(%error, "events were put into a session that cannot be");
                Self::internal()
            }
            error => {
                tracing::error!(%error, "events could not be stored");
                Self::unavailable("Events cannot be stored now", SOON_S)
            }
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let mut error = Self::new(refusal.reason.code(), refusal.message);
        if error.code() == ErrorCode::ServiceUnavailable {
            error = error.with_retry_after(SOON_S);
        }
        if refusal.fields.is_empty() { error } else { error.with_details(Details::Fields(Problems(refusal.fields))) }
    }
}

/// The 429 of a client address.
pub fn address_limited(decision: &Decision) -> ApiError {
    let seconds = decision.retry_after_s();
    ApiError::new(ErrorCode::RateLimitExceeded, format!("Too many requests. Try again in {seconds} seconds"))
        .with_retry_after(seconds)
}

/// The 429 of an invitation that is not mailed.
impl From<TooManyInvitations> for ApiError {
    fn from(TooManyInvitations { words, decision }: TooManyInvitations) -> Self {
        let seconds = decision.retry_after_s();
        Self::new(ErrorCode::RateLimitExceeded, format!("{words}. Try again in {seconds} seconds"))
            .with_retry_after(seconds)
    }
}

/// The 429 of a key's minute, in the words of S0.
fn minute_limited(decision: &Decision) -> ApiError {
    let (limit, seconds) = (decision.limit, decision.retry_after_s());
    let message = format!("Rate limit exceeded ({limit} requests/minute). Try again in {seconds} seconds");
    ApiError::new(ErrorCode::RateLimitExceeded, message).with_retry_after(seconds)
}

/// The 429 of a key's month.
fn month_limited(limit: u64, retry_after_s: u64) -> ApiError {
    ApiError::new(ErrorCode::MonthlyLimitExceeded, format!("Monthly limit exceeded ({limit} requests/month)"))
        .with_retry_after(retry_after_s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use actix_web::ResponseError;
    use zenovay_auth::InvalidKeyName;
    use zenovay_domain::{Plan, TeamId, WebsiteId};

    fn status(error: &ApiError) -> u16 {
        error.status_code().as_u16()
    }

    /// Status, code, message and details on the wire.
    fn told(error: &ApiError) -> (u16, &'static str, String, Option<String>) {
        let details = match error.details() {
            None => None,
            Some(Details::Text(text)) => Some(text.to_string()),
            Some(Details::Fields(fields)) => Some(format!("{fields:?}")),
        };
        (status(error), error.code().as_str(), error.message().to_owned(), details)
    }

    fn challenge(error: &ApiError) -> Option<String> {
        let response = error.render(zenovay_domain::Timestamp::from_millis(0), "r");
        response.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn denials_have_the_codes_and_texts_of_the_documents() {
        use Denial::{MembershipLost, MissingRole, MissingScope, NotForKeys, NotReachable, PlanRequired, Unknown};
        let plan = "The Zenovay API requires a paid plan. Upgrade to Pro or higher to use API keys.";
        let forbidden = |details: &str| (403, "FORBIDDEN", "Forbidden".to_owned(), Some(details.to_owned()));
        let not_found = |message: &str| (404, "NOT_FOUND", message.to_owned(), None);
        let answers = [
            (Denial::Revoked, (401, "UNAUTHORIZED", "Invalid API key".to_owned(), None)),
            (MembershipLost, forbidden("Access denied to this website")),
            (PlanRequired, (403, "API_PAID_PLAN_REQUIRED", plan.to_owned(), None)),
            (
                Denial::NotInPlan("funnels"),
                (
                    403,
                    "FORBIDDEN",
                    "The plan of this workspace does not include funnels".to_owned(),
                    Some("not_in_plan".to_owned()),
                ),
            ),
            (NotForKeys, forbidden("This cannot be done with an API key")),
            (MissingScope(Scope::Read), forbidden("The API key lacks the read scope")),
            (MissingScope(Scope::Write), forbidden("The API key lacks the write scope")),
            (MissingScope(Scope::Admin), forbidden("The API key lacks the admin scope")),
            (MissingScope(Scope::FullAccess), forbidden("The API key lacks full access")),
            (MissingRole(Role::Viewer), forbidden("This needs a role in the team")),
            (MissingRole(Role::Editor), forbidden("This needs the role editor, admin or owner in the team")),
            (MissingRole(Role::Admin), forbidden("This needs the role admin or owner in the team")),
            (MissingRole(Role::Owner), forbidden("This needs the role owner in the team")),
            (Unknown(TargetKind::Account), not_found("Account not found")),
            (Unknown(TargetKind::Team), not_found("Team not found")),
            (Unknown(TargetKind::Website), not_found("Website not found")),
            (Unknown(TargetKind::Key), not_found("API key not found")),
            (Unknown(TargetKind::Member), not_found("Member not found")),
            (Unknown(TargetKind::Invitation), not_found("Invitation not found")),
            (NotReachable(TargetKind::Account), forbidden("Access denied to this account")),
            (NotReachable(TargetKind::Team), forbidden("Access denied to this team")),
            (NotReachable(TargetKind::Website), forbidden("Access denied to this website")),
            (NotReachable(TargetKind::Key), forbidden("Access denied to this API key")),
            (NotReachable(TargetKind::Member), forbidden("Access denied to this member")),
            (NotReachable(TargetKind::Invitation), forbidden("Access denied to this invitation")),
            (Denial::WrongTarget(TargetKind::Team), (500, "INTERNAL_ERROR", "Internal server error".to_owned(), None)),
        ];
        let told_of: BTreeSet<&str> = answers.iter().map(|(denial, _)| denial.as_str()).collect();
        assert_eq!(told_of, Denial::<TargetKind>::REASONS.iter().copied().collect());
        let unknown = |kind| answers.iter().any(|(denial, _)| *denial == Unknown(kind));
        let not_reachable = |kind| answers.iter().any(|(denial, _)| *denial == NotReachable(kind));
        assert!(TargetKind::ALL.iter().all(|kind| unknown(*kind) && not_reachable(*kind)));
        for (denial, expected) in answers {
            let error = ApiError::from(denial);
            assert_eq!(status(&error), denial.status(), "{denial:?}");
            assert_eq!(told(&error), expected, "{denial:?}");
            let expected = match denial {
                Denial::Revoked => Some(r#"Bearer error="invalid_token""#.to_owned()),
                MissingScope(scope) => Some(format!(r#"Bearer error="insufficient_scope", scope="{scope}""#)),
                _ => None,
            };
            assert_eq!(challenge(&error), expected, "{denial:?}");
        }
        assert_eq!(challenge(&missing_key()).as_deref(), Some("Bearer"));
    }

    /// Every variant, with what somebody who was let in hears, and what whoever presents a key hears.
    fn store_errors() -> Vec<(StoreError, u16, &'static str, u16)> {
        let team = TeamId::from_random_bytes([1; 16]);
        let website = WebsiteId::from_random_bytes([2; 16]);
        let refused = StoreError::KeyRefused;
        let plan_limit = StoreError::PlanLimit { plan: Plan::Pro, what: "websites", limit: 5 };
        let one_website = StoreError::PlanLimit { plan: Plan::Free, what: "websites", limit: 1 };
        vec![
            (StoreError::NotFound("website"), 404, "There is no such website", 401),
            (
                StoreError::Invalid { field: "domain", reason: "use a domain such as example.com".to_owned() },
                400,
                "Invalid domain: use a domain such as example.com",
                500,
            ),
            (StoreError::Conflict("email"), 409, "This email is already in use", 500),
            (plan_limit, 403, "The pro plan allows 5 websites: an owner of the team can change the plan", 500),
            (one_website, 403, "The free plan allows 1 website: an owner of the team can change the plan", 500),
            (
                StoreError::LastOwner,
                409,
                "A team needs an owner: its last owner cannot leave it, take another role or be deleted",
                500,
            ),
            (StoreError::TooManyOwners, 409, "A team has at most 3 owners", 500),
            (StoreError::MembershipChanged, 409, "The membership changed at the same moment; look again", 500),
            (StoreError::SignedOut, 401, "Sign in first", 500),
            (StoreError::GrantEnded, 401, "What was granted to the client ended at the same moment", 500),
            (StoreError::KeyRevoked, 409, "The API key was revoked and cannot be changed", 500),
            (
                StoreError::Decode { table: "teams", column: "plan", id: "1".to_owned() },
                500,
                "Internal server error",
                500,
            ),
            (StoreError::NewerSchema("2030".to_owned()), 500, "Internal server error", 500),
            (StoreError::DiskFull, 503, "The disk is full", 503),
            (StoreError::Damaged("malformed".into()), 503, "The request cannot be checked now", 503),
            (StoreError::Unavailable("locked".into()), 503, "The request cannot be checked now", 503),
            (
                refused(KeyRefusal::Name(InvalidKeyName)),
                400,
                "Invalid name: use 1 to 64 characters without control characters",
                500,
            ),
            (refused(KeyRefusal::NoTeam), 400, "Invalid teams: name at least one team", 500),
            (
                refused(KeyRefusal::WorkspaceTeams),
                400,
                "Invalid teams: a workspace key belongs to its own team only",
                500,
            ),
            (refused(KeyRefusal::NoWebsite), 400, "Invalid websites: name at least one website", 500),
            (refused(KeyRefusal::NotAMember(team)), 404, "There is no such team", 500),
            (refused(KeyRefusal::WebsiteOutside(website)), 404, "There is no such website", 500),
            (refused(KeyRefusal::Policy(team)), 403, "Forbidden", 500),
            (refused(KeyRefusal::AdminScope(team)), 403, "Forbidden", 500),
            (refused(KeyRefusal::WorkspaceRole(team)), 403, "Forbidden", 500),
        ]
    }

    /// Sabotage: answer a caller's conflict as our failure, or an unknown website as an invalid key.
    #[test]
    fn store_errors_are_told_to_those_who_can_put_them_right() {
        for (error, expected, message, to_keys) in store_errors() {
            let cause = error.to_string();
            let during_check = match to_keys {
                401 => Some(invalid_key()),
                500 => Some(ApiError::internal()),
                _ => None,
            };
            // Built a second time, because errors cannot be copied.
            let again = store_errors().into_iter().find(|(error, ..)| error.to_string() == cause).unwrap().0;
            let answer = ApiError::from(error);
            assert_eq!((status(&answer), answer.message()), (expected, message), "{cause}");
            let checked = credential_check_failed(again);
            assert_eq!(status(&checked), to_keys, "{cause}");
            assert_eq!(checked, during_check.unwrap_or(answer), "{cause}");
        }
    }

    #[test]
    fn who_is_not_in_a_team_cannot_tell_whether_it_exists() {
        let unknown = ApiError::from(StoreError::NotFound("team"));
        assert_eq!(ApiError::from(KeyRefusal::NotAMember(TeamId::from_random_bytes([1; 16]))), unknown);
    }

    #[test]
    fn what_cannot_be_told_is_503_and_never_a_no() {
        assert_eq!(status(&StoreError::Unavailable("locked".into()).into()), 503);
        assert_eq!(status(&LimiterUnavailable::new("no route").into()), 503);
        assert_eq!(status(&QueryError::damaged("segment").into()), 503);
        assert_eq!(status(&QueryError::unavailable("connection refused").into()), 503);
        for error in [
            AppendError::QueueFull,
            AppendError::DiskFull,
            AppendError::Busy,
            AppendError::Poisoned,
            AppendError::NotDelivered,
            AppendError::ShuttingDown,
        ] {
            assert_eq!(status(&error.clone().into()), 503, "{error}");
        }
        assert_eq!(status(&AppendError::Sessions(Vec::new()).into()), 500, "it is no use to send them again");
    }

    #[test]
    fn our_insides_are_not_in_the_answer() {
        for error in [
            ApiError::from(StoreError::Unavailable("disk I/O error at /var/lib".into())),
            ApiError::from(QueryError::damaged("segments/0001.parquet")),
            ApiError::from(KeeperError::Change(ChangeError::Damaged("segments/0001.parquet".into()))),
            ApiError::from(ChangeError::Unavailable("disk I/O error at /var/lib".into())),
            ApiError::from(ChangeError::Noted("http://10.0.0.7:8123/ refused".into())),
            ApiError::from(QueryError::unavailable("tcp://10.0.0.7:9000")),
        ] {
            assert!(!error.message().contains('/'), "{}", error.message());
        }
    }
}
