//! Passwords: the rule, the hashing, and random ones.

use std::collections::HashSet;
use std::fmt;
use std::sync::LazyLock;

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc};
use argon2::{Algorithm, Argon2, Params, Version};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::PasswordHash;
use crate::random::{NoRandomness, base62_from_system, fill_base62, fill_from_system};

/// The shortest password, in characters.
pub const PASSWORD_MIN_CHARS: usize = 12;
/// The longest password, in bytes; hashing takes no longer for a longer one, but nobody needs it.
pub const PASSWORD_MAX_BYTES: usize = 1024;
/// 20 letters of base62 are 119 random bits.
const GENERATED_LEN: usize = 20;
/// The length that the argon2 RFC 9106 recommends.
const SALT_LEN: usize = 16;
const VERIFY_MAX_KIB: u32 = 256 << 10;
const VERIFY_MAX_PASSES: u32 = 16;

/// Passwords of at least 12 characters that attackers try first, one a line, lower case.
static COMMON: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("common_passwords.txt").lines().filter(|line| !line.is_empty()).collect());

/// Why a password is not accepted.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// Fewer than [`PASSWORD_MIN_CHARS`] characters.
    #[error("password: use at least 12 characters")]
    TooShort,
    /// More than [`PASSWORD_MAX_BYTES`] bytes.
    #[error("password: use at most 1024 bytes")]
    TooLong,
    /// On the list of common passwords, or one character or short pattern repeated.
    #[error("password: this one is among the first that attackers try; use another")]
    Common,
}

/// Checks a new password: at least 12 characters, at most 1 KB, not a common one. There are no rules about which
/// characters it contains.
///
/// ```
/// use zenovay_auth::{WeakPassword, check_password};
///
/// assert_eq!(check_password("only lower case, and long"), Ok(()));
/// assert_eq!(check_password("Tr0ub4dor&3"), Err(WeakPassword::TooShort));
/// assert_eq!(check_password("password1234"), Err(WeakPassword::Common));
/// ```
///
/// # Errors
///
/// The [`WeakPassword`] rule that it breaks.
pub fn check_password(password: &str) -> Result<(), WeakPassword> {
    if password.len() > PASSWORD_MAX_BYTES {
        return Err(WeakPassword::TooLong);
    }
    if password.chars().count() < PASSWORD_MIN_CHARS {
        return Err(WeakPassword::TooShort);
    }
    let folded = Zeroizing::new(password.to_lowercase());
    if COMMON.contains(folded.as_str()) || repeats_a_short_pattern(&folded) {
        return Err(WeakPassword::Common);
    }
    Ok(())
}

/// Whether the string is a pattern of at most three characters over and over: `aaaaaaaaaaaa`, `abcabcabcabc`.
fn repeats_a_short_pattern(text: &str) -> bool {
    let period = |length: usize| text.chars().zip(text.chars().skip(length)).all(|(a, b)| a == b);
    (1..=3).any(period)
}

/// argon2id with 19 MiB, two passes, one lane: the minimum that OWASP recommends, and the library's default.
fn hasher() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

/// Why a password was not hashed.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// It breaks a rule.
    #[error(transparent)]
    Weak(#[from] WeakPassword),
    /// There is no salt for it.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// Hashes a password that [`check_password`] accepts, with a salt of the operating system. Takes 19 MiB and is slow on
/// purpose, far slower still where argon2 is compiled without optimisation: call it outside the workers of an async
/// server, and only a few at a time.
///
/// ```
/// use zenovay_auth::{hash_password, verify_password};
///
/// let hash = hash_password("correct horse battery staple")?;
/// assert!(verify_password("correct horse battery staple", Some(&hash)));
/// assert!(!verify_password("Correct horse battery staple", Some(&hash)));
/// assert!(hash_password("short").is_err());
/// # Ok::<(), zenovay_auth::HashError>(())
/// ```
///
/// # Errors
///
/// The rule that the password breaks, or that the system gives no random bytes.
pub fn hash_password(password: &str) -> Result<PasswordHash, HashError> {
    check_password(password)?;
    let mut salt = [0; SALT_LEN];
    fill_from_system(&mut salt)?;
    Ok(hash_with(password, &salt))
}

/// The same as [`hash_password`], with a salt from `rng`.
///
/// # Errors
///
/// The [`WeakPassword`] rule that the password breaks.
pub fn hash_password_with(password: &str, rng: &mut (impl CryptoRng + ?Sized)) -> Result<PasswordHash, WeakPassword> {
    check_password(password)?;
    let mut salt = [0; SALT_LEN];
    rng.fill_bytes(&mut salt);
    Ok(hash_with(password, &salt))
}

#[expect(clippy::expect_used, reason = "parameters and salt are constant, and check_password has bounded the password")]
fn hash_with(password: &str, salt: &[u8; SALT_LEN]) -> PasswordHash {
    let hash: phc::PasswordHash = hasher()
        .hash_password_with_salt(password.as_bytes(), salt)
        .expect("default parameters, a salt of 16 bytes and at most 1 KB of password are valid input");
    PasswordHash::from_stored(hash.to_string())
}

/// Whether `password` is the one behind `stored`. `None` stands for an account that does not exist: the same work is
/// done and the answer is `false`, so that the time does not tell whether an account exists. Costs as much as
/// [`hash_password`]; a stored hash that asks for far more, at most 256 MiB and 16 passes, matches no password.
#[must_use = "without the answer everybody is let in"]
pub fn verify_password(password: &str, stored: Option<&PasswordHash>) -> bool {
    if password.len() > PASSWORD_MAX_BYTES {
        return false;
    }
    let parsed = stored.and_then(|hash| phc::PasswordHash::new(hash.as_str()).ok());
    match parsed.filter(is_affordable) {
        Some(hash) => hasher().verify_password(password.as_bytes(), &hash).is_ok(),
        None => {
            let mut unused = [0; 32];
            let _ = hasher().hash_password_into(password.as_bytes(), b"no such account ", &mut unused);
            false
        }
    }
}

/// Whether a stored hash can be checked without the memory and the time of many.
fn is_affordable(hash: &phc::PasswordHash) -> bool {
    Params::try_from(hash).is_ok_and(|params| {
        params.m_cost() <= VERIFY_MAX_KIB
            && params.t_cost() <= VERIFY_MAX_PASSES
            && params.p_cost() <= VERIFY_MAX_PASSES
    })
}

/// Whether `stored` was made with other parameters than those of today, so that it should be made anew at the next
/// successful login. Also true for a string that is not a hash.
pub fn needs_rehash(stored: &PasswordHash) -> bool {
    let wanted = |hash: &phc::PasswordHash| {
        hash.algorithm.as_str() == Algorithm::Argon2id.as_str()
            && hash.version == Some(Version::V0x13.into())
            && Params::try_from(hash).is_ok_and(|params| {
                (params.m_cost(), params.t_cost(), params.p_cost())
                    == (Params::DEFAULT_M_COST, Params::DEFAULT_T_COST, Params::DEFAULT_P_COST)
            })
    };
    !phc::PasswordHash::new(stored.as_str()).is_ok_and(|hash| wanted(&hash))
}

/// A random password. Wiped from memory when dropped; `Debug` does not show it.
#[derive(Clone)]
pub struct GeneratedPassword(Zeroizing<String>);

impl GeneratedPassword {
    /// The password itself, to be shown once.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for GeneratedPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GeneratedPassword(..)")
    }
}

/// A random password of 20 letters and digits (119 bits) of the operating system, such as for a first start.
///
/// ```
/// let password = zenovay_auth::generate_password()?;
/// assert_eq!(password.expose().len(), 20);
/// # Ok::<(), zenovay_auth::NoRandomness>(())
/// ```
///
/// # Errors
///
/// [`NoRandomness`] when the system has none.
pub fn generate_password() -> Result<GeneratedPassword, NoRandomness> {
    let mut letters = Zeroizing::new([0; GENERATED_LEN]);
    base62_from_system(&mut *letters)?;
    Ok(secret(&letters))
}

/// The same as [`generate_password`], drawn from `rng`.
pub fn generate_password_with(rng: &mut (impl CryptoRng + ?Sized)) -> GeneratedPassword {
    let mut letters = Zeroizing::new([0; GENERATED_LEN]);
    fill_base62(rng, &mut *letters);
    secret(&letters)
}

fn secret(letters: &[u8; GENERATED_LEN]) -> GeneratedPassword {
    let mut text = Zeroizing::new(String::with_capacity(GENERATED_LEN));
    text.extend(letters.iter().map(|letter| char::from(*letter)));
    GeneratedPassword(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn rng() -> StdRng {
        StdRng::seed_from_u64(7)
    }

    #[test]
    fn short_long_and_common_passwords_are_refused() {
        assert_eq!(check_password("elevenchars"), Err(WeakPassword::TooShort));
        // Characters count, not bytes.
        assert_eq!(check_password("ééééééééééa"), Err(WeakPassword::TooShort));
        assert_eq!(check_password(&"xyzw".repeat(257)), Err(WeakPassword::TooLong));
        for common in
            ["password1234", "PassWord1234", "qwertyuiop123", "aaaaaaaaaaaa", "abcabcabcabcabc", "123456789012"]
        {
            assert_eq!(check_password(common), Err(WeakPassword::Common), "{common}");
        }
    }

    #[test]
    fn there_are_no_composition_rules() {
        for good in ["correct horse battery staple", "twelve chars", "ぱすわーどぱすわーとです", "only lower case here"]
        {
            assert_eq!(check_password(good), Ok(()), "{good}");
        }
        assert_eq!(check_password(&"xyzw".repeat(256)), Ok(()));
    }

    #[test]
    fn the_list_holds_only_lines_that_the_length_rule_lets_through() {
        assert!(COMMON.len() >= 300, "{}", COMMON.len());
        for line in COMMON.iter() {
            assert_eq!(*line, line.trim().to_lowercase());
            assert!(line.chars().count() >= PASSWORD_MIN_CHARS, "{line}");
        }
    }

    #[test]
    fn a_hash_matches_its_password_and_no_other() {
        let hash = hash_password_with("a fine password", &mut rng()).unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
        assert!(!verify_password("a fine passworD", Some(&hash)));
        assert!(!verify_password("a fine password", None));
        assert!(!verify_password("a fine password", Some(&PasswordHash::from_stored("nonsense".to_owned()))));
        assert!(!verify_password(&"x".repeat(1025), Some(&hash)));
        assert!(verify_password("a fine password", Some(&hash)));
    }

    #[test]
    fn salts_differ() {
        let mut rng = rng();
        let first = hash_password_with("a fine password", &mut rng).unwrap();
        assert_ne!(first, hash_password_with("a fine password", &mut rng).unwrap());
    }

    #[test]
    fn weaker_parameters_are_hashed_anew() {
        let today = hash_password_with("a fine password", &mut rng()).unwrap();
        assert!(!needs_rehash(&today));
        let weaker = today.as_str().replace("m=19456", "m=4096");
        assert!(needs_rehash(&PasswordHash::from_stored(weaker)));
        let other = today.as_str().replace("argon2id", "argon2i");
        assert!(needs_rehash(&PasswordHash::from_stored(other)));
        assert!(needs_rehash(&PasswordHash::from_stored(String::new())));
    }

    #[test]
    fn generated_passwords_are_accepted_and_differ() {
        let mut rng = rng();
        let (first, second) = (generate_password_with(&mut rng), generate_password_with(&mut rng));
        assert_eq!(first.expose().len(), 20);
        assert_ne!(first.expose(), second.expose());
        assert_eq!(check_password(first.expose()), Ok(()));
        assert_eq!(format!("{first:?}"), "GeneratedPassword(..)");
        assert_ne!(generate_password().unwrap().expose(), generate_password().unwrap().expose());
    }

    #[test]
    fn a_stored_hash_cannot_ask_for_all_memory() {
        let today = hash_password_with("a fine password", &mut rng()).unwrap();
        for (from, to) in [("m=19456", "m=4294967295"), ("t=2", "t=4294967295"), ("p=1", "p=2000")] {
            let dear = PasswordHash::from_stored(today.as_str().replace(from, to));
            assert!(!verify_password("a fine password", Some(&dear)), "{to}");
            assert!(needs_rehash(&dear), "{to}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn nothing_that_is_typed_or_stored_panics(
            password in ".{0,40}|[a-c]{0,20}",
            stored in r"\PC{0,60}|\$argon2(id|i|d|x)\$v=1[0-9]\$m=[0-9]{1,4},t=[0-3],p=[0-3](,[a-z]{1,5}=[a-z]{0,5})?\$[A-Za-z0-9+/]{0,30}\$[A-Za-z0-9+/]{0,90}",
        ) {
            let stored = PasswordHash::from_stored(stored);
            let _ = check_password(&password);
            prop_assert!(!verify_password(&password, Some(&stored)));
            let _ = needs_rehash(&stored);
        }
    }
}
