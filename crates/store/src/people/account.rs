use zenovay_domain::UserId;

use crate::Result;

/// The colours that somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "that of the system, light or dark")]
pub enum Theme {
    /// Those of the system.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// All themes.
    pub const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// What somebody set for themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// The language tag in which numbers and dates are written; `None` follows the browser.
    pub locale: Option<String>,
    /// The colours.
    pub theme: Theme,
    /// The name of the time zone of what is theirs; `None` follows the browser.
    pub time_zone: Option<String>,
    /// Whether single keys are shortcuts.
    pub single_keys: bool,
}

impl Default for Profile {
    fn default() -> Self {
        Self { locale: None, theme: Theme::System, time_zone: None, single_keys: true }
    }
}

/// What people set for themselves.
pub trait ProfileStore: Send + Sync {
    /// The profile of a user; the default one when nothing was set.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn profile(&self, user: UserId) -> Result<Profile>;

    /// Stores a profile.
    ///
    /// # Errors
    ///
    /// `NotFound("user")`.
    fn set_profile(&self, user: UserId, profile: &Profile) -> Result<()>;

    /// Deletes an account as [`delete_user`](crate::UserStore::delete_user) does, and takes its name out of the trails of
    /// its teams.
    ///
    /// # Errors
    ///
    /// Those of `delete_user`.
    fn delete_account(&self, user: UserId) -> Result<()>;
}
