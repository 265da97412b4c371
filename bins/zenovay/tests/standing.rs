//! What somebody signed in with holds until they are signed in.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use common::TestApp;

const PASSWORD: &str = "correct horse battery staple";

/// A sign-in stands on what it was checked by until it is there.
///
/// Sabotage: begin the session without looking at its ground.
#[actix_web::test]
async fn nobody_is_signed_in_by_what_was_taken_back_meanwhile() {
    use zenovay_auth::{PasswordHash, SignInStage};
    use zenovay_domain::SignInId;
    use zenovay_store::{NewSession, SignInGround, StoreError};
    let app = TestApp::start().await;
    let user = app.user_with_password("ada@example.com", PASSWORD);
    let (store, now) = (app.state.store.clone(), app.state.clock.now());
    let begin = |n: u8, stage, ground| {
        let (id, digest) = (SignInId::from_random_bytes([n; 16]), zenovay_auth::SecretDigest::of(&[n]));
        let mut new = NewSession::new(id, user, digest, stage, "");
        new.ground = ground;
        store.begin_session(&new, now).map(|()| id)
    };
    let old = store.user(user).unwrap().unwrap().password_hash;
    let half_way = begin(1, SignInStage::SecondFactor, SignInGround::Password(&old)).unwrap();
    let other = begin(2, SignInStage::SecondFactor, SignInGround::Password(&old)).unwrap();
    begin(3, SignInStage::Complete, SignInGround::HalfWay(half_way)).unwrap();
    let again = begin(4, SignInStage::Complete, SignInGround::HalfWay(half_way));
    assert!(matches!(again, Err(StoreError::SignedOut)), "a half-way session is used once: {again:?}");
    let new = PasswordHash::from_stored("another".to_owned());
    store.change_password(user, &new, None).unwrap();
    for ground in [SignInGround::Password(&old), SignInGround::HalfWay(other), SignInGround::HalfWay(half_way)] {
        let begun = begin(5, SignInStage::Complete, ground);
        assert!(matches!(begun, Err(StoreError::SignedOut)), "{ground:?}: {begun:?}");
    }
    // Nor does the hash of the earlier password come back.
    assert!(!store.rehash_password(user, &old, &PasswordHash::from_stored("stronger".to_owned())).unwrap());
    assert_eq!(store.user(user).unwrap().unwrap().password_hash.as_str(), "another");
    assert!(store.rehash_password(user, &new, &PasswordHash::from_stored("stronger".to_owned())).unwrap());
    // A secret of an app that was replaced is not switched on by a code of the one before.
    store.prepare_codes(user, &[1; 20]).unwrap();
    store.prepare_codes(user, &[2; 20]).unwrap();
    assert!(!store.enable_codes(user, &[1; 20], 1, &[], now).unwrap());
    assert!(store.enable_codes(user, &[2; 20], 1, &[], now).unwrap());
}
