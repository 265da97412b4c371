//! What becomes of a request or a batch row: exactly one outcome each, counted under its reason.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use zenovay_domain::ErrorCode;

use crate::session_store::SessionStoreError;

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name: label of metrics, `reason` in answers.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

reasons! {
    /// Why something that was answered with 2xx is not stored.
    DropReason {
        /// The user agent is a crawler's, there is none, or the page was only prefetched.
        Bot = "bot",
        /// The address is in `excluded_ips`.
        ExcludedIp = "excluded_ip",
        /// The path matches `excluded_paths`.
        ExcludedPath = "excluded_path",
        /// The website does not want outbound links, downloads, errors, recordings or the speed of pages reported, or its plan
        /// does not include them.
        EventKindDisabled = "kind_off",
        /// The website's tracking is paused.
        Paused = "paused",
        /// The browser sent GPC or DNT and the website honours it with a full opt-out; recordings of such visitors are never
        /// taken.
        GpcOptedOut = "gpc_opted_out",
        /// A heartbeat of a session that has no event.
        NoSession = "no_session",
        /// The same idempotency key was stored before with the same event.
        Duplicate = "duplicate",
        /// The plan of the website's team includes no more events in the month.
        QuotaExceeded = "quota_exceeded",
        /// The website records only who agreed to it, and the page does not say that the visitor did.
        ConsentMissing = "consent_missing",
        /// Of the visit as much is recorded as may be.
        SessionFull = "session_full",
    }
}

reasons! {
    /// Why something was answered with 4xx or 5xx.
    RefusalReason {
        /// No website has this tracking code.
        UnknownTrackingCode = "unknown_tracking_code",
        /// More requests from this address or with this key than its limit allows.
        RateLimited = "rate_limited",
        /// The body, or what it decompresses to, is larger than the route takes.
        BodyTooLarge = "body_too_large",
        /// A content encoding other than gzip.
        UnsupportedEncoding = "unsupported_encoding",
        /// A content type that carries no JSON.
        UnsupportedMediaType = "unsupported_media_type",
        /// The body took too long to arrive, or its connection broke.
        BodyIncomplete = "body_incomplete",
        /// The body is not gzip although it says so, is cut off, or has data after its end.
        InvalidEncoding = "invalid_encoding",
        /// The body is not UTF-8 or not JSON, or it is nested too deep.
        InvalidJson = "invalid_json",
        /// One or more fields break a rule.
        InvalidField = "invalid_field",
        /// Neither `Origin` nor `Referer` came, and the host in `url` is not the website's.
        OriginMissing = "origin_missing",
        /// The origin is not the website's.
        DomainNotAuthorized = "domain_not_authorized",
        /// The origin is a local host and the website does not allow those.
        LocalhostNotAllowed = "localhost_not_allowed",
        /// A batch came with `Sec-GPC: 1`.
        GpcOptedOut = "gpc_opted_out",
        /// The key of a batch is missing, not valid, or may not write to this website.
        NotAuthorized = "not_authorized",
        /// The monthly quota of the key is used up; of a row, the events that the plan includes in the month.
        QuotaExceeded = "quota_exceeded",
        /// The same idempotency key was stored before with a different event.
        IdempotencyKeyReused = "idempotency_key_reused",
        /// More bodies arrive at once than there is memory for.
        Overloaded = "overloaded",
        /// The queue in front of the log is full.
        QueueFull = "queue_full",
        /// The disk is full.
        DiskFull = "disk_full",
        /// The log failed, is busy, or the server is shutting down.
        StoreUnavailable = "store_unavailable",
        /// The limit of the client address could not be checked.
        LimiterUnavailable = "limiter_unavailable",
        /// Our fault.
        Internal = "internal",
    }
}

impl RefusalReason {
    /// The code that whoever sent it is told.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::UnknownTrackingCode | Self::NotAuthorized => ErrorCode::Unauthorized,
            Self::RateLimited => ErrorCode::RateLimitExceeded,
            Self::BodyTooLarge => ErrorCode::PayloadTooLarge,
            Self::UnsupportedEncoding | Self::UnsupportedMediaType => ErrorCode::UnsupportedMediaType,
            Self::BodyIncomplete => ErrorCode::RequestTimeout,
            Self::InvalidEncoding | Self::InvalidJson | Self::InvalidField => ErrorCode::ValidationError,
            Self::OriginMissing | Self::DomainNotAuthorized | Self::LocalhostNotAllowed | Self::GpcOptedOut => {
                ErrorCode::Forbidden
            }
            Self::QuotaExceeded => ErrorCode::MonthlyLimitExceeded,
            Self::IdempotencyKeyReused => ErrorCode::Conflict,
            Self::Overloaded | Self::QueueFull | Self::DiskFull | Self::StoreUnavailable | Self::LimiterUnavailable => {
                ErrorCode::ServiceUnavailable
            }
            Self::Internal => ErrorCode::InternalError,
        }
    }

    /// The HTTP status of the answer, that of its [`code`](Self::code).
    pub const fn status(self) -> u16 {
        self.code().status()
    }
}

reasons! {
    /// What was changed in an event that is stored all the same: nothing is lost for an optional field.
    Mend {
        /// A URL of more than 2,048 characters: of its path so many are kept.
        Url = "url",
        /// A title of more than 512 characters.
        Title = "title",
        /// A referrer of more than 2,048 characters: of its path so many are kept.
        ReferrerLength = "referrer_length",
        /// A referrer that names neither a web page nor an app.
        Referrer = "referrer",
        /// A campaign parameter of more than 255 characters.
        Campaign = "campaign",
        /// A name of a browser, system or device, a language, or a size of a screen that is too long.
        Description = "description",
        /// A property's value of more than 1,000 characters.
        PropertyValue = "property_value",
        /// A property without a name, with one of more than 100 characters, or beyond what an event has room for.
        Property = "property",
        /// A number out of its range, or a time or URL that cannot be read, where there need be none: left out.
        Value = "value",
        /// A byte order mark or a NUL that was left out, half a surrogate pair or a number beyond all bounds that was replaced.
        Characters = "characters",
        /// Two spellings of one field that differ: the documented one stands.
        Spelling = "spelling",
    }
}

/// A set of [`Mend`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mends(u16);

impl Mends {
    /// Adds `mend`.
    pub fn insert(&mut self, mend: Mend) {
        self.0 |= 1 << mend as u16;
    }

    /// Adds all of `others`.
    pub fn extend(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// The set of `mend` alone.
    pub(crate) fn of(mend: Mend) -> Self {
        let mut set = Self::default();
        set.insert(mend);
        set
    }

    /// Those in the set.
    pub fn iter(self) -> impl Iterator<Item = Mend> {
        let all = if self.0 == 0 { &[][..] } else { Mend::ALL };
        all.iter().copied().filter(move |&mend| self.0 & (1 << mend as u16) != 0)
    }
}

/// The one outcome of a request or batch row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a hit is stored, dropped or refused; the reasons grow")]
pub enum Outcome {
    /// Answered 2xx, and durable.
    Stored,
    /// Answered 2xx, and not stored.
    Dropped(DropReason),
    /// Answered 4xx or 5xx; a batch row: reported by its index.
    Refused(RefusalReason),
}

impl Outcome {
    /// The kind: `stored`, `dropped` or `refused`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Dropped(_) => "dropped",
            Self::Refused(_) => "refused",
        }
    }

    /// The reason; empty for [`Outcome::Stored`].
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Stored => "",
            Self::Dropped(reason) => reason.as_str(),
            Self::Refused(reason) => reason.as_str(),
        }
    }

    /// The HTTP status of the answer: 200 also for what is dropped, whose sender is not told.
    pub const fn status(self) -> u16 {
        match self {
            Self::Stored | Self::Dropped(_) => 200,
            Self::Refused(reason) => reason.status(),
        }
    }

    /// Every outcome with every reason.
    pub fn all() -> impl Iterator<Item = Self> {
        std::iter::once(Self::Stored)
            .chain(DropReason::ALL.iter().copied().map(Self::Dropped))
            .chain(RefusalReason::ALL.iter().copied().map(Self::Refused))
    }
}

/// A refusal with what the caller is told. As a string it is the message, and what is wrong with each field.
///
/// What a store of salts or sessions said, where that is why, is its `source()`: for the log, and not for the caller.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub struct Refusal {
    /// The reason.
    pub reason: RefusalReason,
    /// One sentence for the developer at the other end.
    pub message: String,
    /// What is wrong with each field, by its name, of [`TOLD_MAX`] fields at most; empty when no field is to blame.
    pub fields: BTreeMap<String, String>,
    #[source]
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

/// How many wrong fields, and rows of a batch, are told with what is wrong: an answer is no longer than its request.
pub const TOLD_MAX: usize = 20;

impl Refusal {
    /// A refusal that blames no field.
    pub fn new(reason: RefusalReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), fields: BTreeMap::new(), cause: None }
    }

    /// The same, because of `cause`.
    pub(crate) fn because(self, cause: impl Error + Send + Sync + 'static) -> Self {
        Self { cause: Some(Arc::new(cause)), ..self }
    }

    /// A refusal for the fields named, each with what is wrong with it. The first [`TOLD_MAX`] of them are told, and how many
    /// there are more.
    pub fn fields(mut fields: BTreeMap<String, String>) -> Self {
        let message = match fields.first_key_value() {
            Some((field, problem)) if fields.len() == 1 => format!("Invalid {field}: {problem}"),
            _ if fields.len() > TOLD_MAX => {
                format!("Some fields are not valid: {TOLD_MAX} of them, and {} more", fields.len() - TOLD_MAX)
            }
            _ => "Some fields are not valid".to_owned(),
        };
        let end = fields.keys().nth(TOLD_MAX).cloned();
        end.map(|end| fields.split_off(&end));
        Self { fields, ..Self::new(RefusalReason::InvalidField, message) }
    }
}

/// Two are the same for who is refused: what was behind them is not compared.
impl PartialEq for Refusal {
    fn eq(&self, other: &Self) -> bool {
        let Self { reason, message, fields, cause: _ } = self;
        (reason, message, fields) == (&other.reason, &other.message, &other.fields)
    }
}

impl Eq for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        // Of one field the message says it all.
        if self.fields.len() > 1 {
            let mut before = " (";
            for (field, problem) in &self.fields {
                write!(f, "{before}{field}: {problem}")?;
                before = "; ";
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl From<SessionStoreError> for Refusal {
    fn from(error: SessionStoreError) -> Self {
        Self::new(RefusalReason::StoreUnavailable, "The open sessions cannot be read now; try again soon")
            .because(error)
    }
}

/// Why there is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(clippy::exhaustive_enums, reason = "what is not stored is dropped or refused; the reasons grow")]
pub enum Rejected {
    /// Answered 2xx, not stored.
    #[error("dropped: {0}")]
    Dropped(DropReason),
    /// Answered 4xx.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Rejected {
    /// The outcome to count.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Dropped(reason) => Outcome::Dropped(*reason),
            Self::Refused(refusal) => Outcome::Refused(refusal.reason),
        }
    }

    /// The HTTP status of the answer, see [`Outcome::status`].
    pub fn status(&self) -> u16 {
        self.outcome().status()
    }
}

impl From<DropReason> for Rejected {
    fn from(reason: DropReason) -> Self {
        Self::Dropped(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_outcome_has_its_own_label() {
        let labels: HashSet<_> = Outcome::all().map(|outcome| (outcome.as_str(), outcome.reason())).collect();
        assert_eq!(labels.len(), 1 + DropReason::ALL.len() + RefusalReason::ALL.len());
        assert!(labels.iter().all(|(_, reason)| reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }

    /// Sabotage: leave the end out.
    #[test]
    fn of_many_wrong_fields_some_are_told_and_the_rest_is_counted() {
        let wrong = |count: usize| (0..count).map(|n| (format!("field{n:03}"), "Is given twice".to_owned())).collect();
        let refusal = Refusal::fields(wrong(TOLD_MAX));
        assert_eq!((refusal.fields.len(), &*refusal.message), (TOLD_MAX, "Some fields are not valid"));
        let refusal = Refusal::fields(wrong(280));
        assert_eq!(refusal.fields.keys().last().map(String::as_str), Some("field019"));
        assert_eq!(refusal.message, "Some fields are not valid: 20 of them, and 260 more");
        let two = [("url", "Is required"), ("os", "Is too long")].map(|(field, is)| (field.to_owned(), is.to_owned()));
        let two = Refusal::fields(BTreeMap::from(two)).to_string();
        assert_eq!(two, "Some fields are not valid (os: Is too long; url: Is required)");
        let one = Refusal::fields(BTreeMap::from([("url".to_owned(), "Is required".to_owned())]));
        assert_eq!(one.to_string(), "Invalid url: Is required");
    }

    /// Sabotage: leave out `#[source]`, or compare the causes.
    #[test]
    fn what_a_store_said_is_for_the_log_and_not_for_the_caller() {
        let refusal = Refusal::from(SessionStoreError::new("no route to host"));
        let rejected = Rejected::from(refusal.clone());
        let mut said = vec![rejected.to_string()];
        let mut next = rejected.source();
        while let Some(error) = next {
            said.push(error.to_string());
            next = error.source();
        }
        let told = "The open sessions cannot be read now; try again soon";
        assert_eq!(said, [told, "the open sessions cannot be read or kept", "no route to host"]);
        assert_eq!(refusal, Refusal::new(RefusalReason::StoreUnavailable, told));
        assert!(Refusal::new(RefusalReason::InvalidJson, "no").source().is_none());
    }

    #[test]
    fn one_wrong_field_is_told_in_the_message() {
        let refusal = Refusal::fields(BTreeMap::from([("url".to_owned(), "is required".to_owned())]));
        assert_eq!(refusal.message, "Invalid url: is required");
    }
}
