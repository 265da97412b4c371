//! A website and its settings.

use serde::{Deserialize, Serialize};

use crate::{TeamId, Timestamp, TrackingCode, UserId, WebsiteId};

/// A website whose visits are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Website {
    /// Its id.
    pub id: WebsiteId,
    /// The team that owns it.
    pub team_id: TeamId,
    /// The user who created it; `None` when that account is gone.
    pub user_id: Option<UserId>,
    /// The registered domain, lower case, without scheme, port or path: `example.com`.
    pub domain: String,
    /// The name people see, 1 to 100 characters.
    pub name: String,
    /// The public code in the script tag.
    pub tracking_code: TrackingCode,
    /// When it was created.
    pub created_at: Timestamp,
    /// Its settings.
    pub settings: WebsiteSettings,
}

impl Website {
    /// A website with the default settings, named after its domain and created by nobody in particular.
    pub fn new(
        id: WebsiteId,
        team_id: TeamId,
        domain: impl Into<String>,
        tracking_code: TrackingCode,
        created_at: Timestamp,
    ) -> Self {
        let domain = domain.into();
        let name = domain.clone();
        Self {
            id,
            team_id,
            user_id: None,
            domain,
            name,
            tracking_code,
            created_at,
            settings: WebsiteSettings::default(),
        }
    }

    /// This website with other settings.
    #[must_use]
    pub fn with_settings(mut self, settings: WebsiteSettings) -> Self {
        self.settings = settings;
        self
    }
}

/// Stands for the user agents of bots that are not told one by one.
pub const OTHER_AGENTS: &str = "(other agents)";

/// Which sessions of a website are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReplayTrigger {
    /// All.
    #[default]
    All,
    /// A part of them.
    Sampled,
    /// Those in which there is an error.
    ErrorsOnly,
}

/// What can be set for a website. Stored as one JSON object; absent members take their default, so a
/// new setting needs no migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct WebsiteSettings {
    /// Whether events are accepted. `false` pauses tracking: hits are answered and dropped with the reason `paused`.
    pub is_active: bool,
    /// Whether visitors are recognised without anything stored in the browser. On for new websites.
    pub cookieless: bool,
    /// Whether hits from local hosts (`localhost`, `*.local`, `127.0.0.0/8`, `::1`) are accepted.
    pub allow_localhost: bool,
    /// When not empty, these hosts replace the single domain check: exact hosts, or `*.example.com` for all subdomains.
    pub allowed_domains: Vec<String>,
    /// Addresses and CIDR ranges whose hits are dropped.
    pub excluded_ips: Vec<String>,
    /// Path patterns whose hits are dropped; `*` matches any run of characters.
    pub excluded_paths: Vec<String>,
    /// Names of bots whose hits are stored all the same: each is looked for, in any case, in the user agent and in the
    /// rule that took it for a bot.
    pub allowed_bots: Vec<String>,
    /// The IANA zone in which sessions are cut at midnight and days are shown.
    pub time_zone: String,
    /// The currency in which sums of money are shown, three capital letters of ISO 4217.
    pub currency: String,
    /// Whether `Sec-GPC: 1` or `DNT: 1` drops the hit entirely instead of thinning it out.
    pub opt_out_on_gpc: bool,
    /// Whether the script reports clicks on links to other hosts.
    pub track_outbound_links: bool,
    /// Whether the script reports downloads.
    pub track_downloads: bool,
    /// Whether sessions are recorded, where the plan includes it.
    pub session_replay: bool,
    /// Which sessions are recorded.
    pub session_replay_trigger: ReplayTrigger,
    /// With [`ReplayTrigger::Sampled`], how many visits of a hundred are recorded: 1 to 100.
    pub session_replay_sample_percent: u8,
    /// Whether a session is recorded only when the visitor agreed to it.
    pub session_replay_consent: bool,
    /// Whether the values of all fields are masked in recordings. Passwords and the like always are.
    pub session_replay_mask_inputs: bool,
    /// Whether the script reports clicks, scrolling and moves of the pointer, for heatmaps.
    pub heatmaps: bool,
    /// Whether the script reports how fast pages are.
    pub web_vitals: bool,
    /// Whether the script reports errors.
    pub errors: bool,
    /// Whether anybody may read the public summary of the website.
    pub public_dashboard: bool,
}

impl WebsiteSettings {
    /// These settings with what `change` changes in them.
    ///
    /// ```
    /// use zenovay_domain::WebsiteSettings;
    ///
    /// let settings = WebsiteSettings::default().with(|settings| settings.time_zone = "Europe/Berlin".to_owned());
    /// assert!(settings.is_active);
    /// ```
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Default for WebsiteSettings {
    fn default() -> Self {
        Self {
            is_active: true,
            cookieless: true,
            allow_localhost: false,
            allowed_domains: Vec::new(),
            excluded_ips: Vec::new(),
            excluded_paths: Vec::new(),
            allowed_bots: Vec::new(),
            time_zone: "UTC".to_owned(),
            currency: "USD".to_owned(),
            opt_out_on_gpc: false,
            track_outbound_links: true,
            track_downloads: true,
            session_replay: false,
            session_replay_trigger: ReplayTrigger::All,
            session_replay_sample_percent: 100,
            session_replay_consent: true,
            session_replay_mask_inputs: true,
            heatmaps: false,
            web_vitals: true,
            errors: true,
            public_dashboard: false,
        }
    }
}
