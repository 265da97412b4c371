//! Rules about the members of a body, all of which are checked before the first answer.

use std::collections::BTreeMap;

use url::Url;
use zenovay_auth::{WeakPassword, check_password};
use zenovay_domain::{has_hidden, is_hidden, parse_domain};

use crate::http::envelope::ApiError;

/// The longest name of anything, in characters (S4).
const NAME_MAX_CHARS: usize = 100;

/// The longest address (RFC 5321 leaves 254 bytes for it).
const EMAIL_MAX_BYTES: usize = 254;

/// The problems found with a body so far, by the name of the member.
#[derive(Debug, Default)]
#[must_use = "rules that are not checked refuse nothing"]
pub struct Rules(BTreeMap<String, String>);

impl Rules {
    /// Notes a problem with `field`. The first problem of a field stands.
    pub fn problem(&mut self, field: &str, problem: impl Into<String>) {
        self.0.entry(field.to_owned()).or_insert_with(|| problem.into());
    }

    /// Notes `problem` with `field` unless `holds`.
    pub fn require(&mut self, holds: bool, field: &str, problem: &str) {
        if !holds {
            self.problem(field, problem);
        }
    }

    /// A name that people see: 1 to 100 characters, not only spaces, no characters that nobody sees. Returns it without
    /// spaces around it.
    pub fn name(&mut self, field: &str, value: &str) -> String {
        let name = value.trim();
        if name.is_empty() {
            self.problem(field, "Name is required");
        } else if name.chars().count() > NAME_MAX_CHARS {
            self.problem(field, format!("Name too long (max {NAME_MAX_CHARS} characters)"));
        } else if has_hidden(name) {
            self.problem(field, "Name has characters that cannot be seen");
        }
        name.to_owned()
    }

    /// An address that mail can be sent to, as far as that can be told from it.
    pub fn email(&mut self, field: &str, value: &str) -> String {
        let email = value.trim();
        let (local, domain) = email.rsplit_once('@').unwrap_or_default();
        let is_one = email.len() <= EMAIL_MAX_BYTES
            && !local.is_empty()
            && !local.contains('@')
            && !domain.is_empty()
            && !email.chars().any(|c| c.is_whitespace() || is_hidden(c));
        self.require(is_one, field, "Write an address such as name@example.com");
        email.to_owned()
    }

    /// A new password.
    pub fn password(&mut self, field: &str, value: &str) {
        match check_password(value) {
            Ok(()) => {}
            Err(WeakPassword::TooShort) => self.problem(field, "Use at least 12 characters"),
            Err(WeakPassword::TooLong) => self.problem(field, "Use at most 1024 bytes"),
            Err(WeakPassword::Common) => {
                self.problem(field, "This one is among the first that attackers try; use another");
            }
            Err(other) => self.problem(field, other.to_string()),
        }
    }

    /// The domain of a website, as it is stored.
    pub fn domain(&mut self, field: &str, value: &str) -> String {
        let domain = parse_domain(value);
        self.require(domain.is_ok(), field, "Write the domain without https:// – \"shop.example.com\".");
        domain.unwrap_or_default()
    }

    /// An absolute URL of the web.
    pub fn url(&mut self, field: &str, value: &str) -> Option<Url> {
        let url = Url::parse(value).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        self.require(url.is_some(), field, "Invalid URL format");
        url
    }

    /// Ends checking.
    ///
    /// # Errors
    /// A 422 whose details name each member with a problem.
    pub fn check(self) -> Result<(), ApiError> {
        if self.0.is_empty() { Ok(()) } else { Err(ApiError::unprocessable(self.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;

    #[test]
    fn all_problems_are_told_in_the_words_of_s4() {
        let mut rules = Rules::default();
        rules.name("name", &"x".repeat(101));
        rules.url("url", "shop.example");
        assert_eq!(rules.name("other", "  Shop "), "Shop");
        rules.name("hidden", "Shop\u{202e}gpj");
        rules.email("email", "a\u{200b}@example.com");
        let error = rules.check().unwrap_err();
        assert_eq!(error.status_code().as_u16(), 422);
        assert_eq!(error.problem_of("name"), Some("Name too long (max 100 characters)"));
        assert_eq!(error.problem_of("url"), Some("Invalid URL format"));
        assert_eq!(error.problem_of("hidden"), Some("Name has characters that cannot be seen"));
        assert!(error.problem_of("email").is_some());
        assert!(Rules::default().check().is_ok());
    }
}
