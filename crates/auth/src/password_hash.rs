//! What is stored of a password.

use std::fmt;

/// The argon2id hash of a password as a PHC string, as the feature `password` makes and checks it. `Debug` does not show
/// it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// The hash that was stored as `text`; a string that is not a hash matches no password.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The string to store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_not_shown() {
        assert_eq!(format!("{:?}", PasswordHash::from_stored("$argon2id$".to_owned())), "PasswordHash(..)");
    }
}
