//! Settings about people.

use serde::Serialize;
use utoipa::ToSchema;

/// Who may make an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignUp {
    /// Anybody.
    Open,
    /// Whoever was invited into a team.
    Invitation,
    /// Nobody; accounts are made by the command line.
    Closed,
}

/// Who may change the plan of a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanChanges {
    /// Its owners.
    Owners,
    /// Whoever runs the server, by the command line.
    Operator,
}

/// The server that mail is sent over: `smtps://user:password@host`, or `smtp://host?tls=required`.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpUrl(pub(super) url::Url);

impl SmtpUrl {
    /// The URL with the password in it.
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }

    /// The same without the password.
    pub(super) fn shown(&self) -> String {
        let mut url = self.0.clone();
        if url.password().is_some() && url.set_password(Some("***")).is_err() {
            return String::new();
        }
        url.into()
    }
}

impl std::fmt::Debug for SmtpUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

/// Who may see the status page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatusPage {
    /// Anybody.
    Public,
    /// Whoever is signed in.
    SignedIn,
    /// Nobody: there is none.
    Off,
}

/// Whether answers to clients of `/mcp` name their issuer (RFC 9207).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamesIssuer {
    /// They do, and the metadata says so.
    On,
    /// They do not: for clients that refuse the answers which they do not expect.
    Off,
}
