//! The settings of a website as answers show them and as bodies change them: each is listed here, once.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zenovay_domain::{ReplayTrigger, WebsiteSettings};

/// Which sessions are recorded: all, a part of them, or those in which there is an error.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TriggerName {
    /// All.
    All,
    /// A part of them.
    Sampled,
    /// Those in which there is an error.
    ErrorsOnly,
}

impl From<TriggerName> for ReplayTrigger {
    fn from(name: TriggerName) -> Self {
        match name {
            TriggerName::All => Self::All,
            TriggerName::Sampled => Self::Sampled,
            TriggerName::ErrorsOnly => Self::ErrorsOnly,
        }
    }
}

impl From<ReplayTrigger> for TriggerName {
    fn from(trigger: ReplayTrigger) -> Self {
        match trigger {
            ReplayTrigger::Sampled => Self::Sampled,
            ReplayTrigger::ErrorsOnly => Self::ErrorsOnly,
            _ => Self::All,
        }
    }
}

/// Makes [`Settings`] and [`SettingsChanges`] of them.
macro_rules! settings {
    ($($(#[$meta:meta])* $name:ident: $kind:ty,)*) => {
        /// What is set for a website.
        #[derive(Debug, Serialize, ToSchema)]
        pub struct Settings {
            $($(#[$meta])* $name: $kind,)*
        }

        impl Settings {
            /// Those of `settings`.
            pub fn of(settings: &WebsiteSettings) -> Self {
                let WebsiteSettings { $($name,)* .. } = settings.clone();
                Self { $($name: $name.into(),)* }
            }
        }

        /// The settings of a website that are changed; what is absent stays.
        #[derive(Debug, Default, Clone, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct SettingsChanges {
            $($(#[$meta])* pub(super) $name: Option<$kind>,)*
        }

        impl SettingsChanges {
            /// Makes the changes.
            pub fn apply(self, settings: &mut WebsiteSettings) {
                $(if let Some(value) = self.$name { settings.$name = value.into(); })*
            }
        }
    };
}

impl SettingsChanges {
    /// Whether the addresses whose hits are dropped are changed.
    pub const fn names_addresses(&self) -> bool {
        self.excluded_ips.is_some()
    }
}

settings! {
    /// Whether events are accepted. `false` pauses tracking: hits are answered and dropped with the reason `paused`.
    is_active: bool,
    /// Whether visitors are recognised without anything stored in the browser. On for new websites.
    cookieless: bool,
    /// Whether hits from local hosts (`localhost`, `*.local`, `127.0.0.0/8`, `::1`) are accepted.
    allow_localhost: bool,
    /// When not empty, these hosts replace the single domain check: exact hosts, or `*.example.com` for all subdomains.
    #[schema(examples("*.example.com"))]
    allowed_domains: Vec<String>,
    /// Addresses and CIDR ranges whose hits are dropped.
    #[schema(examples("192.0.2.0/24"))]
    excluded_ips: Vec<String>,
    /// Path patterns whose hits are dropped; `*` matches any run of characters.
    #[schema(examples("/admin/*"))]
    excluded_paths: Vec<String>,
    /// Names of bots whose hits are stored all the same: each is looked for, in any case, in the user agent and in the
    /// rule that took it for a bot.
    #[schema(examples("GPTBot"))]
    allowed_bots: Vec<String>,
    /// The IANA zone in which sessions are cut at midnight and days are shown.
    #[schema(examples("Europe/Zurich"))]
    time_zone: String,
    /// The currency in which sums of money are shown, three letters of ISO 4217.
    #[schema(examples("EUR"))]
    currency: String,
    /// Whether `Sec-GPC: 1` or `DNT: 1` drops the hit entirely instead of thinning it out.
    opt_out_on_gpc: bool,
    /// Whether the script reports clicks on links to other hosts.
    track_outbound_links: bool,
    /// Whether the script reports downloads.
    track_downloads: bool,
    /// Whether the script reports how fast pages are.
    web_vitals: bool,
    /// Whether the script reports errors, where the plan includes them.
    errors: bool,
    /// Whether the script reports clicks, scrolling and moves of the pointer for heatmaps, where the plan has them.
    heatmaps: bool,
    /// Whether sessions are recorded, where the plan includes it.
    session_replay: bool,
    /// Which sessions are recorded.
    session_replay_trigger: TriggerName,
    /// With the trigger `sampled`, how many visits of a hundred are recorded.
    #[schema(minimum = 1, maximum = 100, examples(25))]
    session_replay_sample_percent: u8,
    /// Whether a session is recorded only when the visitor agreed to it.
    session_replay_consent: bool,
    /// Whether the values of all fields are masked in recordings. Passwords and the like always are.
    session_replay_mask_inputs: bool,
    /// Whether anybody may read the public summary of the website.
    public_dashboard: bool,
}
