//! Secrets that name something on this server for a time: a session, a link that works once, an invitation.

use std::fmt;

use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::random::fill_base62;

/// 43 letters of base62 are 256 random bits.
const SECRET_LEN: usize = 43;

/// A random string of 43 letters and digits. It exists between its creation or arrival and its digest: it is never stored,
/// `Debug` does not show it, and the memory is wiped when it is dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; SECRET_LEN]>);

/// A string that cannot be a [`Secret`]: known without any look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a well-formed secret")]
#[non_exhaustive]
pub struct MalformedSecret;

impl Secret {
    /// A new one drawn from `rng`; every letter is equally likely.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut secret = Zeroizing::new([0; SECRET_LEN]);
        fill_base62(rng, &mut *secret);
        Self(secret)
    }

    /// Reads one as a client sends it.
    ///
    /// # Errors
    ///
    /// [`MalformedSecret`] when the length or a letter is wrong.
    pub fn parse(string: &str) -> Result<Self, MalformedSecret> {
        let secret: [u8; SECRET_LEN] = string.as_bytes().try_into().map_err(|_| MalformedSecret)?;
        let secret = Zeroizing::new(secret);
        if secret.iter().all(u8::is_ascii_alphanumeric) { Ok(Self(secret)) } else { Err(MalformedSecret) }
    }

    /// The string itself, to be handed to its holder.
    pub fn expose(&self) -> &str {
        // The bytes are ASCII by construction.
        std::str::from_utf8(&*self.0).unwrap_or_default()
    }

    /// What is stored of it: its SHA-256. A plain hash is enough for 256 random bits.
    pub fn digest(&self) -> SecretDigest {
        SecretDigest(Sha256::digest(*self.0).into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The SHA-256 of a secret, by which it is looked up. Compared in constant time; `Debug` does not show it.
#[derive(Clone, Copy)]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// The digest that was stored as `bytes`.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest of any bytes, such as a code or the name of what somebody tried to sign in to.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest(..)")
    }
}

impl PartialEq for SecretDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretDigest {}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_secret_is_read_as_it_was_written_and_shows_nothing() {
        let mut rng = StdRng::seed_from_u64(1);
        let (secret, other) = (Secret::generate(&mut rng), Secret::generate(&mut rng));
        assert_eq!(secret.expose().len(), 43);
        assert_ne!(secret.digest(), other.digest());
        assert_eq!(Secret::parse(secret.expose()).map(|read| read.digest()), Ok(secret.digest()));
        assert_eq!(format!("{secret:?} {:?}", secret.digest()), "Secret(..) SecretDigest(..)");
    }

    #[test]
    fn other_strings_are_refused() {
        let good = Secret::generate(&mut StdRng::seed_from_u64(1)).expose().to_owned();
        for bad in [String::new(), good[..42].to_owned(), format!("{good}a"), good.replacen(&good[3..4], "-", 1)] {
            assert!(Secret::parse(&bad).is_err(), "{bad}");
        }
    }
}
