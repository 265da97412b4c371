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

    /// The name or address of the host, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default().trim_matches(['[', ']'])
    }

    /// Whether a user and a password may go over a network that is not this machine without TLS: whoever is on the way reads them. TLS that
    /// is only taken where it is offered is none, for who is on the way can take the offer away.
    pub fn is_password_in_plain(&self) -> bool {
        let has_password = !self.0.username().is_empty() || self.0.password().is_some();
        let is_required = self.0.query_pairs().any(|(name, value)| name == "tls" && value == "required");
        let is_here = match self.host().parse::<std::net::IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host().eq_ignore_ascii_case("localhost"),
        };
        has_password && self.0.scheme() == "smtp" && !is_required && !is_here
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: look for a password alone, take an offer of TLS for TLS, or compare the beginning of the name.
    #[test]
    fn a_password_goes_over_tls_or_stays_on_this_machine() {
        let url = |text: &str| SmtpUrl(text.parse().unwrap());
        for text in [
            "smtp://user:secret@mail.example.com",
            "smtp://user@mail.example.com:587",
            "smtp://user:secret@mail.example.com?tls=opportunistic",
            "smtp://user:secret@10.0.0.7:25",
            "smtp://user:secret@localhost.example.com",
        ] {
            assert!(url(text).is_password_in_plain(), "{text}");
        }
        for text in [
            "smtps://user:secret@mail.example.com",
            "smtp://user:secret@mail.example.com?tls=required",
            "smtp://mail.example.com:25",
            "smtp://user:secret@localhost:1025",
            "smtp://user:secret@127.0.0.1",
            "smtp://user:secret@[::1]:25",
        ] {
            assert!(!url(text).is_password_in_plain(), "{text}");
        }
        assert_eq!((url("smtp://[::1]:25").host(), url("smtps://u:p@mail.example").host()), ("::1", "mail.example"));
    }
}
