//! Identifiers. Each is a newtype, so that a team id cannot be passed where a website id is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::quoted::Quoted;

/// A string that is not an id of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a {kind}", Quoted(.text))]
pub struct InvalidId {
    text: String,
    kind: &'static str,
}

impl InvalidId {
    fn new(text: &str, kind: &'static str) -> Self {
        Self { text: text.to_owned(), kind }
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The id with these bytes, those of [`Self::as_bytes`].
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The bytes of the id, in the order in which they are written.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id made of `bytes`, which the caller drew at random (RFC 9562 version 4).
            pub fn from_random_bytes(bytes: [u8; 16]) -> Self {
                Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
            }

            /// The id as a number, the form used for keys of maps and in files.
            pub fn as_u128(self) -> u128 {
                self.0.as_u128()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0.hyphenated())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                // Only the hyphenated form: one id has one spelling on the wire.
                let id = if text.len() == 36 { Uuid::try_parse(text).ok() } else { None };
                id.map(Self).ok_or_else(|| InvalidId::new(text, $kind))
            }
        }
    };
}

uuid_id!(
    /// Names a website.
    WebsiteId,
    "website id, a UUID with hyphens"
);
uuid_id!(
    /// Names a team, also called workspace.
    TeamId,
    "team id, a UUID with hyphens"
);
uuid_id!(
    /// Names a user account.
    UserId,
    "user id, a UUID with hyphens"
);
uuid_id!(
    /// Names an API key; not the key itself, which is a secret.
    KeyId,
    "key id, a UUID with hyphens"
);
uuid_id!(
    /// Names somebody's being signed in on one device; not the secret that stands for it.
    SignInId,
    "session"
);
uuid_id!(
    /// Names a passkey of a user account.
    PasskeyId,
    "passkey"
);
uuid_id!(
    /// Names an invitation into a team; not the secret in its link.
    InvitationId,
    "invitation"
);

uuid_id!(
    /// Names a goal of a website.
    GoalId,
    "goal"
);
uuid_id!(
    /// Names a funnel of a website.
    FunnelId,
    "funnel"
);
uuid_id!(
    /// Names a public link to the dashboard of a website; not the link itself, which opens it.
    ShareId,
    "share"
);
uuid_id!(
    /// Names what a person granted a client that acts for them; not the tokens of that client, which are secrets.
    GrantId,
    "grant"
);
uuid_id!(
    /// Names an incident of the status page.
    IncidentId,
    "incident"
);

/// The public code that names a website in the script tag and in `/e/:trackingCode`:
/// `ZV_` and 11 letters or digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrackingCode(String);

impl TrackingCode {
    /// How many random bytes a code is made of, see [`TrackingCode::from_random_bytes`].
    pub const RANDOM_LEN: usize = 11;

    const PREFIX: &'static str = "ZV_";
    const ALPHABET: &'static [u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    /// The code made of 11 random bytes. 62 does not divide 256, so a letter's chance varies by up to 1/4 of itself;
    /// the code is public and only has to be unlikely to repeat.
    pub fn from_random_bytes(bytes: [u8; Self::RANDOM_LEN]) -> Self {
        let mut code = String::with_capacity(Self::PREFIX.len() + Self::RANDOM_LEN);
        code.push_str(Self::PREFIX);
        code.extend(bytes.map(|b| char::from(Self::ALPHABET[usize::from(b) % 62])));
        Self(code)
    }

    /// The code as a string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TrackingCode {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let valid = text
            .strip_prefix(Self::PREFIX)
            .is_some_and(|rest| (1..=61).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_alphanumeric()));
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::new(text, "tracking code, ZV_ with letters or digits"))
        }
    }
}

impl TryFrom<String> for TrackingCode {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<TrackingCode> for String {
    fn from(code: TrackingCode) -> String {
        code.0
    }
}

impl fmt::Display for TrackingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_one_spelling() {
        let id: WebsiteId = "018f3c1e-0000-4000-8000-000000000001".parse().unwrap();
        assert_eq!(id.to_string(), "018f3c1e-0000-4000-8000-000000000001");
        assert_eq!(WebsiteId::from_bytes(*id.as_bytes()), id);
        for bad in ["", "018f3c1e000040008000000000000001", "{018f3c1e-0000-4000-8000-000000000001}", "yesterday"] {
            let error = bad.parse::<WebsiteId>().unwrap_err().to_string();
            assert_eq!(error, format!("{bad:?} is not a website id, a UUID with hyphens"));
        }
    }

    #[test]
    fn tracking_codes_start_with_zv() {
        let code = TrackingCode::from_random_bytes([0, 1, 61, 62, 255, 5, 6, 7, 8, 9, 10]);
        assert_eq!(code.as_str().len(), 14);
        assert_eq!(code.as_str().parse::<TrackingCode>().unwrap(), code);
        for bad in ["", "ZV_", "zv_abc", "ZV_a b", "ZV_a-b", "XX_abc", "ZV_é"] {
            assert!(bad.parse::<TrackingCode>().is_err(), "{bad}");
        }
    }
}
