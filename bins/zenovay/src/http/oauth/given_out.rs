//! Which refresh tokens this process gave out last. Who shows one of these is not trying tokens, so that others behind the same address
//! cannot use up what it needs.

use std::collections::{HashSet, VecDeque};

use parking_lot::Mutex;
use zenovay_auth::KeyDigest;

/// The most tokens that are remembered.
const REMEMBERED_MAX: usize = 20_000;

/// The digests of the tokens that were given out last. What a token stands for is looked up in the store all the same.
#[derive(Default)]
pub(super) struct GivenOut(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    digests: HashSet<KeyDigest>,
    /// The oldest first.
    order: VecDeque<KeyDigest>,
}

impl GivenOut {
    /// Remembers a token; the oldest is forgotten for it when there are too many.
    pub(super) fn remember(&self, digest: KeyDigest) {
        let mut remembered = self.0.lock();
        if !remembered.digests.insert(digest) {
            return;
        }
        remembered.order.push_back(digest);
        if remembered.order.len() > REMEMBERED_MAX
            && let Some(oldest) = remembered.order.pop_front()
        {
            remembered.digests.remove(&oldest);
        }
    }

    /// Whether a token was given out, as far as is remembered.
    pub(super) fn has(&self, digest: &KeyDigest) -> bool {
        self.0.lock().digests.contains(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tokens_that_were_given_out_last_are_remembered() {
        let digest = |n: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&n.to_le_bytes());
            KeyDigest::from_bytes(bytes)
        };
        let given_out = GivenOut::default();
        for n in 0..=REMEMBERED_MAX {
            given_out.remember(digest(n));
            given_out.remember(digest(n));
        }
        assert!(!given_out.has(&digest(0)) && given_out.has(&digest(1)) && given_out.has(&digest(REMEMBERED_MAX)));
        assert_eq!(given_out.0.lock().order.len(), REMEMBERED_MAX);
    }
}
