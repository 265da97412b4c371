//! Passkeys: this server as a relying party of WebAuthn. What is sent to browsers and what comes back is described in
//! `http::console::passkeys`; the checks themselves are those of `webauthn-rs` (`docs/decisions/0023-passkeys.md`).
//!
//! A challenge is answered once, within five minutes, by whoever it was made for. It waits in memory: after a restart people
//! begin again.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;
use webauthn_rs::prelude::{
    DiscoverableAuthentication, Passkey as Credential, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Uuid, Webauthn, WebauthnBuilder, WebauthnError,
};
use zenovay_domain::{SignInId, Timestamp};
use zenovay_store::{Passkey, User};

/// How long a challenge waits for its answer: five minutes.
pub const CHALLENGE_MS: i64 = 5 * 60_000;
/// The most memory that the challenges of one kind take; of more the oldest are forgotten.
const WAITING_MAX_BYTES: usize = 8 << 20;
/// What a waiting challenge takes at most: no list of keys is in it.
const WAITING_BYTES: usize = 1_024;
/// The most challenges of one kind that wait.
const WAITING_MAX: usize = WAITING_MAX_BYTES / WAITING_BYTES;

/// Why an answer of an authenticator is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// Nobody waits for it any more: too late, answered before, or made for somebody else.
    #[error("the challenge is over, was answered before, or was made for somebody else")]
    Ended,
    /// Nobody has the passkey, or it was removed or used at the same moment.
    #[error("nobody has the passkey")]
    Unknown,
    /// It is not what it must be.
    #[error("the answer of the authenticator does not fit")]
    Refused(#[source] WebauthnError),
    /// The counter of the authenticator did not go on: there is a copy of the key.
    #[error("the counter of the authenticator did not go on")]
    Copied,
    /// What is stored of a passkey cannot be read, or what is sent cannot be written.
    #[error("what is stored of a passkey cannot be used")]
    Unusable(#[source] serde_json::Error),
}

impl From<WebauthnError> for PasskeyError {
    fn from(error: WebauthnError) -> Self {
        match error {
            WebauthnError::CredentialPossibleCompromise => Self::Copied,
            other => Self::Refused(other),
        }
    }
}

impl From<serde_json::Error> for PasskeyError {
    fn from(error: serde_json::Error) -> Self {
        Self::Unusable(error)
    }
}

/// Something that waits for its answer.
struct Challenge<T> {
    /// The session that alone may answer, if it was made for one.
    owner: Option<SignInId>,
    made_at: Timestamp,
    state: T,
}

/// The challenges of one kind, by what stands in the answer.
struct Waiting<T>(HashMap<String, Challenge<T>>);

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> Waiting<T> {
    fn add(&mut self, challenge: String, owner: Option<SignInId>, state: T, now: Timestamp) {
        if self.0.len() >= WAITING_MAX {
            self.0.retain(|_, waiting| now.millis_since(waiting.made_at) < CHALLENGE_MS);
        }
        if self.0.len() >= WAITING_MAX {
            let oldest =
                self.0.iter().min_by_key(|(_, waiting)| waiting.made_at).map(|(challenge, _)| challenge.clone());
            oldest.and_then(|oldest| self.0.remove(&oldest));
        }
        self.0.insert(challenge, Challenge { owner, made_at: now, state });
    }

    /// Takes what waits for `challenge`, when `owner` may answer.
    fn take(&mut self, challenge: &str, owner: Option<SignInId>, now: Timestamp) -> Option<T> {
        if self.0.get(challenge)?.owner != owner {
            return None;
        }
        let waiting = self.0.remove(challenge)?;
        (now.millis_since(waiting.made_at) < CHALLENGE_MS).then_some(waiting.state)
    }
}

/// The challenge in what the browser signed.
#[derive(Deserialize)]
struct ClientData {
    challenge: String,
}

fn challenge_in(client_data: &[u8]) -> Result<String, PasskeyError> {
    // Whoever writes something else asks for nothing that waits.
    serde_json::from_slice(client_data)
        .map(|data: ClientData| data.challenge)
        .map_err(|_unreadable| PasskeyError::Ended)
}

/// What a browser is asked, as JSON that it reads, and the challenge in it.
fn options(public_key: &impl Serialize) -> Result<(Value, String), PasskeyError> {
    let options = serde_json::to_value(public_key)?;
    let challenge = options["challenge"].as_str().unwrap_or_default().to_owned();
    Ok((options, challenge))
}

/// A passkey that was made, as it is to be stored.
#[derive(Debug)]
pub struct NewCredential {
    /// What the authenticator calls it.
    pub id: String,
    /// What its signatures are checked with.
    pub credential: String,
}

/// A sign-in whose challenge was answered, and not checked yet.
pub struct Answered {
    state: DiscoverableAuthentication,
    /// The half-way session that it completes; without one the passkey says whose it is.
    pub owner: Option<SignInId>,
}

/// The relying party at one address, and the challenges that wait.
pub struct Passkeys {
    webauthn: Webauthn,
    registrations: Mutex<Waiting<PasskeyRegistration>>,
    sign_ins: Mutex<Waiting<DiscoverableAuthentication>>,
    /// Apart from those of strangers, who cannot push them out.
    second_factors: Mutex<Waiting<DiscoverableAuthentication>>,
}

impl Passkeys {
    /// The relying party whose pages are at `url`; `None` where browsers have no passkeys: they want a name, over HTTPS or on
    /// the same machine.
    pub fn at(url: &Url) -> Option<Self> {
        let name = url.domain()?;
        let is_local = name == "localhost" || name.ends_with(".localhost");
        if url.scheme() != "https" && !is_local {
            return None;
        }
        let builder = WebauthnBuilder::new(name, url).ok()?.rp_name("zenovay");
        let webauthn = builder.timeout(Duration::from_millis(CHALLENGE_MS.unsigned_abs())).build().ok()?;
        Some(Self {
            webauthn,
            registrations: Mutex::default(),
            sign_ins: Mutex::default(),
            second_factors: Mutex::default(),
        })
    }

    /// Begins to make a passkey for whoever has this session. Returns `PublicKeyCredentialCreationOptions` as JSON.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn begin_registration(&self, user: &User, session: SignInId, now: Timestamp) -> Result<Value, PasskeyError> {
        let id = Uuid::from_bytes(*user.id.as_bytes());
        let (made, state) = self.webauthn.start_passkey_registration(id, &user.email, &user.name, None)?;
        let (options, challenge) = options(&made.public_key)?;
        self.registrations.lock().add(challenge, Some(session), state, now);
        Ok(options)
    }

    /// Checks what the authenticator made for this session.
    ///
    /// # Errors
    /// [`PasskeyError::Ended`], [`PasskeyError::Refused`].
    pub fn finish_registration(
        &self,
        session: SignInId,
        answer: &RegisterPublicKeyCredential,
        id: String,
        now: Timestamp,
    ) -> Result<NewCredential, PasskeyError> {
        let challenge = challenge_in(&answer.response.client_data_json)?;
        let state = self.registrations.lock().take(&challenge, Some(session), now).ok_or(PasskeyError::Ended)?;
        let made = self.webauthn.finish_passkey_registration(answer, &state)?;
        // What is signed counts, and what is stored is looked up by what stands beside it later.
        if made.cred_id().as_slice() != answer.raw_id.as_slice() {
            return Err(PasskeyError::Refused(WebauthnError::CredentialNotFound));
        }
        Ok(NewCredential { id, credential: serde_json::to_string(&made)? })
    }

    /// Begins a sign-in: of whoever has the half-way session `owner`, or of anybody. Returns
    /// `PublicKeyCredentialRequestOptions` as JSON, without keys.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn begin_sign_in(&self, owner: Option<SignInId>, now: Timestamp) -> Result<Value, PasskeyError> {
        let (made, state) = self.webauthn.start_discoverable_authentication()?;
        let (options, challenge) = options(&made.public_key)?;
        let waiting = if owner.is_some() { &self.second_factors } else { &self.sign_ins };
        waiting.lock().add(challenge, owner, state, now);
        Ok(options)
    }

    /// Takes the challenge that `answer` is for, which is used up by it. It was made for `half_way`, or for nobody.
    ///
    /// # Errors
    /// [`PasskeyError::Ended`].
    pub fn take_sign_in(
        &self,
        half_way: Option<SignInId>,
        answer: &PublicKeyCredential,
        now: Timestamp,
    ) -> Result<Answered, PasskeyError> {
        let challenge = challenge_in(&answer.response.client_data_json)?;
        if let Some(state) = self.sign_ins.lock().take(&challenge, None, now) {
            return Ok(Answered { state, owner: None });
        }
        let state = half_way.and_then(|owner| self.second_factors.lock().take(&challenge, Some(owner), now));
        Ok(Answered { state: state.ok_or(PasskeyError::Ended)?, owner: half_way })
    }

    /// Checks an answer with the passkey that it names, which the caller looked up. Returns what is to be stored of it from now
    /// on.
    ///
    /// # Errors
    /// [`PasskeyError::Refused`], [`PasskeyError::Copied`].
    pub fn check_sign_in(
        &self,
        Answered { state, owner }: Answered,
        answer: &PublicKeyCredential,
        passkey: &Passkey,
    ) -> Result<String, PasskeyError> {
        // One that only knows the keys it is asked for does not say whose it is; then the password did.
        let is_theirs = match answer.get_user_unique_id() {
            Some(user) => user == passkey.user_id.as_bytes().as_slice(),
            None => owner.is_some(),
        };
        if !is_theirs {
            return Err(PasskeyError::Refused(WebauthnError::InvalidUserUniqueId));
        }
        let mut credential: Credential = serde_json::from_str(&passkey.credential)?;
        let result = self.webauthn.finish_discoverable_authentication_v2(answer, state, &credential)?;
        credential.update_credential(&result);
        Ok(serde_json::to_string(&credential)?)
    }
}

impl std::fmt::Debug for Passkeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passkeys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> Option<Passkeys> {
        Passkeys::at(&url.parse().unwrap())
    }

    #[test]
    fn browsers_want_a_name_and_https() {
        for good in
            ["https://stats.example.com", "https://example.com:8443", "http://localhost:8080", "http://a.localhost"]
        {
            assert!(at(good).is_some(), "{good}");
        }
        for bad in ["http://stats.example.com", "https://192.0.2.1", "http://127.0.0.1:8080", "http://[::1]:8080"] {
            assert!(at(bad).is_none(), "{bad}");
        }
    }

    /// Sabotage: keep the challenges whose time is over, or all of them.
    #[test]
    fn memory_is_bounded_and_the_oldest_go_first() {
        let own = size_of::<(String, Challenge<PasskeyRegistration>)>()
            .max(size_of::<(String, Challenge<DiscoverableAuthentication>)>());
        assert!(own + 256 <= WAITING_BYTES, "{own} bytes, and what they point to");
        let mut waiting = Waiting::default();
        let at = |n: usize| Timestamp::from_millis(i64::try_from(n).unwrap());
        for n in 0..WAITING_MAX + 10 {
            waiting.add(n.to_string(), None, n, at(n));
        }
        assert_eq!(waiting.0.len(), WAITING_MAX);
        let now = at(WAITING_MAX + 10);
        assert_eq!((waiting.take("9", None, now), waiting.take("10", None, now)), (None, Some(10)));
        assert_eq!(waiting.take("10", None, now), None, "once");
        let later = now.plus_millis(CHALLENGE_MS);
        assert_eq!(waiting.take("11", None, later), None, "in time");
        waiting.add("a".to_owned(), None, 1, later);
        waiting.add("b".to_owned(), None, 2, later);
        waiting.add("c".to_owned(), None, 3, later);
        assert!(waiting.0.len() <= 3, "those that are over make room");
    }

    #[test]
    fn a_challenge_is_answered_by_whom_it_was_made_for() {
        let (one, other) = (SignInId::from_random_bytes([1; 16]), SignInId::from_random_bytes([2; 16]));
        let mut waiting = Waiting::default();
        let now = Timestamp::from_millis(0);
        waiting.add("a".to_owned(), Some(one), (), now);
        assert!(waiting.take("a", Some(other), now).is_none() && waiting.take("a", None, now).is_none());
        assert!(waiting.take("a", Some(one), now).is_some());
    }
}
