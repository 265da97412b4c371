//! The secret string of an API key, and what is kept of it.

use std::fmt;
use std::hash::{Hash, Hasher};

use rand::CryptoRng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

const MARK: &[u8; 3] = b"zv_";
/// 34 letters of base62 are 202 random bits.
const RANDOM_LEN: usize = 34;
/// 62^6 exceeds 2^32, so six letters hold any CRC32.
const CHECKSUM_LEN: usize = 6;
const BODY_END: usize = MARK.len() + RANDOM_LEN;
const TOKEN_LEN: usize = BODY_END + CHECKSUM_LEN;
const PREFIX_LEN: usize = 7;

pub(crate) const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The full secret string of an API key: `zv_`, 34 random letters or digits, and a checksum of six.
///
/// It exists only between its creation or arrival and its digest: it is never stored, `Debug` does not show it, the
/// memory is wiped when it is dropped, and two keys are compared in constant time.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ApiKeyToken([u8; TOKEN_LEN]);

/// A string that cannot be an API key of this product: its form or its checksum is wrong. Known without any look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a well-formed API key")]
pub struct MalformedKey;

impl ApiKeyToken {
    /// A new key drawn from `rng`; every letter is equally likely.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut token = [0; TOKEN_LEN];
        token[..MARK.len()].copy_from_slice(MARK);
        fill_base62(rng, &mut token[MARK.len()..BODY_END]);
        let checksum = checksum(&token[..BODY_END]);
        token[BODY_END..].copy_from_slice(&checksum);
        Self(token)
    }

    /// Reads a key as a client sends it.
    ///
    /// # Errors
    ///
    /// [`MalformedKey`] when the length, the `zv_` mark, a letter or the checksum is wrong, so that typing errors and
    /// made-up keys are refused without asking a store.
    pub fn parse(text: &str) -> Result<Self, MalformedKey> {
        let token: [u8; TOKEN_LEN] = text.as_bytes().try_into().map_err(|_| MalformedKey)?;
        let token = Self(token);
        let well_formed = token.0.starts_with(MARK) && token.0[MARK.len()..].iter().all(u8::is_ascii_alphanumeric);
        let checksum_holds = checksum(&token.0[..BODY_END]) == token.0[BODY_END..];
        if well_formed && checksum_holds { Ok(token) } else { Err(MalformedKey) }
    }

    /// The secret string itself, to be shown once.
    pub fn expose(&self) -> &str {
        // The bytes are ASCII by construction.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The visible start of the key, seven characters such as `zv_abc1`, which may be stored and shown.
    pub fn prefix(&self) -> &str {
        &self.expose()[..PREFIX_LEN]
    }

    /// What is stored of the key: its SHA-256. A plain hash is enough, because the key has 202 random bits.
    pub fn digest(&self) -> KeyDigest {
        KeyDigest(Sha256::digest(self.0).into())
    }
}

impl fmt::Debug for ApiKeyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeyToken(..)")
    }
}

impl PartialEq for ApiKeyToken {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for ApiKeyToken {}

/// The SHA-256 of an API key, by which it is looked up. Compared in constant time; `Debug` does not show it.
#[derive(Clone, Copy)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// The digest that was stored as `bytes`.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(..)")
    }
}

impl PartialEq for KeyDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for KeyDigest {}

impl Hash for KeyDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// Fills `out` with letters drawn evenly: six random bits at a time, drawn again when they are 62 or 63.
pub(crate) fn fill_base62(rng: &mut (impl CryptoRng + ?Sized), out: &mut [u8]) {
    let mut pool = [0; 64];
    let mut filled = 0;
    while filled < out.len() {
        rng.fill_bytes(&mut pool);
        for letter in pool.iter().filter_map(|byte| BASE62.get(usize::from(byte & 63))) {
            let Some(place) = out.get_mut(filled) else { break };
            *place = *letter;
            filled += 1;
        }
    }
    pool.zeroize();
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut rest = crc32fast::hash(body);
    let mut letters = [0; CHECKSUM_LEN];
    for place in letters.iter_mut().rev() {
        *place = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    letters
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn token(seed: u64) -> ApiKeyToken {
        ApiKeyToken::generate(&mut StdRng::seed_from_u64(seed))
    }

    #[test]
    fn every_single_typing_error_is_refused() {
        let key = token(1);
        for place in 0..TOKEN_LEN {
            for letter in BASE62 {
                let mut bytes = key.0;
                if bytes[place] == *letter {
                    continue;
                }
                bytes[place] = *letter;
                let text = std::str::from_utf8(&bytes).unwrap();
                assert_eq!(ApiKeyToken::parse(text), Err(MalformedKey), "place {place}");
            }
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let key = token(2);
        let text = key.expose();
        let spaced = format!(" {}", &text[1..]);
        let upper = text.replacen("zv_", "ZV_", 1);
        let long = format!("{text}0");
        for bad in ["", "zv_", "abc123_not_valid", &text[1..], &text[..42], &spaced, &upper, &long, &"é".repeat(21)] {
            assert!(ApiKeyToken::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_reads_back_and_shows_only_its_prefix() {
        let key = token(3);
        assert_eq!(key.expose().len(), 43);
        assert_eq!(ApiKeyToken::parse(key.expose()), Ok(key.clone()));
        assert_eq!(key.prefix(), &key.expose()[..7]);
        assert_eq!(format!("{key:?} {:?}", key.digest()), "ApiKeyToken(..) KeyDigest(..)");
    }

    #[test]
    fn the_digest_is_the_sha_256_of_the_whole_text() {
        let key = token(4);
        let expected: [u8; 32] = Sha256::digest(key.expose().as_bytes()).into();
        assert_eq!(key.digest().as_bytes(), &expected);
        assert_ne!(key.digest(), token(5).digest());
    }

    /// SECURITY A12. 61 degrees of freedom: a fair generator exceeds 120 about once in 10^5 seeds; this seed is fixed.
    #[test]
    fn letters_are_even_and_keys_do_not_repeat() {
        let mut rng = StdRng::seed_from_u64(6);
        let mut seen = std::collections::HashSet::new();
        let mut counts = [0_u32; 256];
        for _ in 0..20_000 {
            let key = ApiKeyToken::generate(&mut rng);
            key.0[MARK.len()..BODY_END].iter().for_each(|letter| counts[usize::from(*letter)] += 1);
            assert!(seen.insert(key.digest()));
        }
        let expected = f64::from(20_000 * RANDOM_LEN as u32) / 62.0;
        let chi_square: f64 =
            BASE62.iter().map(|letter| (f64::from(counts[usize::from(*letter)]) - expected).powi(2) / expected).sum();
        assert!(chi_square < 120.0, "{chi_square}");
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_accepts_only_what_it_would_write(text in "(zv_)?[ -~é]{0,60}") {
            if let Ok(key) = ApiKeyToken::parse(&text) {
                prop_assert_eq!(key.expose(), text);
            }
        }
    }
}
