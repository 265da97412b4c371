//! Codes of an app after the password (TOTP, RFC 6238), and backup codes for when the app is lost.

use actix_web::{HttpRequest, web};
use qrcode::QrCode;
use qrcode::render::svg;
use serde::{Deserialize, Serialize};
use totp_rs::{Builder, Totp};
use utoipa::ToSchema;
use zenovay_auth::{SecretDigest, SignInStage};
use zenovay_domain::{Timestamp, UserId};
use zenovay_store::StoreError;
use zeroize::Zeroizing;

use super::account::{Confirmation, confirm};
use super::session::{Ground, SignInAnswer, count, failed, refuse_when_paused, start};
use super::{JsonBody, NoContent, changing};
use crate::http::audit;
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{Authorized, HalfWay, ManageAccount, Person};
use crate::http::state::AppState;

/// How many backup codes somebody gets.
const BACKUP_CODES: usize = 10;
/// How long one is: 60 random bits.
const BACKUP_LETTERS: usize = 12;
/// Letters and digits that cannot be taken for each other.
const ALPHABET: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";
/// 160 bits, as RFC 4226 recommends.
const SECRET_BYTES: usize = 20;

const WRONG_CODE: &str = "That code does not fit. Codes change every 30 seconds; check the clock of your phone.";

/// `POST /api/account/totp`.
pub async fn prepare(
    person: Authorized<ManageAccount, Person>,
    state: web::Data<AppState>,
) -> Result<Success<CodeSetup>, ApiError> {
    let secret = Zeroizing::new(state.random_bytes::<SECRET_BYTES>());
    let (user, store) = (&person.caller.user, person.store(&state));
    let totp = totp(&*secret, &user.email)?;
    let url = totp.to_url().map_err(|_never| ApiError::internal())?;
    let image = QrCode::new(&url).map_err(|_too_long| ApiError::internal())?;
    let qr_svg = image.render::<svg::Color<'_>>().min_dimensions(200, 200).build();
    let setup = CodeSetup { secret: totp.secret().to_base32(), otpauth_url: url, qr_svg };
    let user = user.id;
    changing(&state, move |_| store.prepare_codes(user, &*secret)).await?;
    Ok(Success::new(setup, state.clock.now()))
}

/// Six digits every 30 seconds, with one step on either side: what every app makes.
fn totp(secret: &[u8], email: &str) -> Result<Totp, ApiError> {
    let builder = Builder::new().with_secret(secret.to_vec()).with_account_name(email.replace(':', " "));
    builder.with_issuer(Some("zenovay")).build().map_err(|_never| ApiError::internal())
}

/// The step whose code `code` is.
fn step_of(totp: &Totp, code: &str, now: Timestamp) -> Option<i64> {
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let seconds = u64::try_from(now.as_millis().div_euclid(1_000)).ok()?;
    i64::try_from(totp.check(&digits, seconds)?).ok()
}

/// `PUT /api/account/totp`.
pub async fn enable(
    person: Authorized<ManageAccount, Person>,
    state: web::Data<AppState>,
    body: JsonBody<FirstCode>,
) -> Result<Success<BackupCodes>, ApiError> {
    let FirstCode { password, code } = body.read().await?;
    // Whoever finds a browser open does not lock its owner out with an app of their own.
    confirm(&state, &person.caller, Zeroizing::new(password)).await?;
    let user = person.caller.user.clone();
    let (codes, now) = (new_codes(&state), state.clock.reading().steady);
    let digests = digests(user.id, &codes);
    let (checking, store) = (state.clone(), person.store(&state));
    state
        .hashing
        .run(move || {
            let state = checking;
            let subject = subject_of(user.id);
            refuse_when_paused(&*state.store, &subject, now)?;
            let waiting = state.store.code_secret(user.id)?.filter(|secret| !secret.is_enabled);
            let waiting = waiting.ok_or_else(|| ApiError::from(StoreError::Conflict("second factor")))?;
            match step_of(&totp(waiting.secret(), &user.email)?, &code, now) {
                Some(step) if store.enable_codes(user.id, waiting.secret(), step, &digests, now)? => Ok(()),
                Some(_) => Err(StoreError::Conflict("second factor").into()),
                None => Err(failed(&state, &subject, WRONG_CODE, now)?),
            }
        })
        .await?;
    Ok(Success::new(BackupCodes { backup_codes: codes }, state.clock.now()))
}

/// `DELETE /api/account/totp`.
pub async fn disable(
    person: Authorized<ManageAccount, Person>,
    state: web::Data<AppState>,
    body: JsonBody<Confirmation>,
) -> Result<NoContent, ApiError> {
    let Confirmation { password } = body.read().await?;
    confirm(&state, &person.caller, Zeroizing::new(password)).await?;
    let (user, store) = (person.caller.user.id, person.store(&state));
    changing(&state, move |_| store.remove_codes(user)).await?;
    Ok(NoContent)
}

/// `POST /api/account/backup-codes`.
pub async fn renew_backup_codes(
    person: Authorized<ManageAccount, Person>,
    state: web::Data<AppState>,
    body: JsonBody<Confirmation>,
) -> Result<Success<BackupCodes>, ApiError> {
    let Confirmation { password } = body.read().await?;
    confirm(&state, &person.caller, Zeroizing::new(password)).await?;
    let (user, codes, store) = (person.caller.user.id, new_codes(&state), person.store(&state));
    let digests = digests(user, &codes);
    let replaced = changing(&state, move |_| {
        let has_codes = store.sign_in_means(user)?.has_codes;
        if has_codes {
            store.replace_backup_codes(user, &digests)?;
        }
        Ok(has_codes)
    });
    if !replaced.await? {
        return Err(ApiError::new(
            zenovay_domain::ErrorCode::Conflict,
            "Backup codes belong to codes of an app; set these up first",
        ));
    }
    Ok(Success::new(BackupCodes { backup_codes: codes }, state.clock.now()))
}

/// `POST /api/session/totp`.
pub async fn sign_in_with_code(
    half_way: HalfWay,
    req: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<Code>,
) -> Result<Success<SignInAnswer>, ApiError> {
    let Code { code } = body.read().await?;
    finish(half_way, &req, &state, move |state, user, email, now| {
        let Some(secret) = state.store.code_secret(user)?.filter(|secret| secret.is_enabled) else { return Ok(false) };
        match step_of(&totp(secret.secret(), email)?, &code, now) {
            // A code is good once, also for whoever read it on its way.
            Some(step) => Ok(state.store.use_step(user, step)?),
            None => Ok(false),
        }
    })
    .await
}

/// `POST /api/session/backup`.
pub async fn sign_in_with_backup_code(
    half_way: HalfWay,
    req: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<Code>,
) -> Result<Success<SignInAnswer>, ApiError> {
    let Code { code } = body.read().await?;
    finish(half_way, &req, &state, move |state, user, _, _| {
        Ok(state.store.use_backup_code(user, &digest(user, &code))?)
    })
    .await
}

/// Signs in whoever gave the password, when `check` says that the second factor is right. Wrong ones are counted by account.
async fn finish(
    half_way: HalfWay,
    req: &HttpRequest,
    state: &web::Data<AppState>,
    check: impl FnOnce(&AppState, UserId, &str, Timestamp) -> Result<bool, ApiError> + Send + 'static,
) -> Result<Success<SignInAnswer>, ApiError> {
    let (HalfWay { user, session }, now) = (half_way, state.clock.reading().steady);
    let (id, email, checking) = (user.id, user.email.clone(), state.clone());
    // A few at a time, like passwords: of many guesses at the same time no more pass than are free.
    state
        .hashing
        .run(move || {
            let subject = subject_of(id);
            refuse_when_paused(&*checking.store, &subject, now)?;
            if check(&checking, id, &email, now)? {
                Ok(checking.store.forget_failures(&subject)?)
            } else {
                Err(failed(&checking, &subject, WRONG_CODE, now)?)
            }
        })
        .await?;
    start(req, state, id, SignInStage::Complete, Ground::HalfWay(session), now).await?;
    audit::begin_for(req, id, user.email);
    count("signed_in");
    Ok(Success::new(SignInAnswer::signed_in(), state.clock.now()))
}

/// Under which tries to give a second factor are counted.
pub(super) fn subject_of(user: UserId) -> SecretDigest {
    SecretDigest::of(format!("second factor {user}").as_bytes())
}

fn new_codes(state: &AppState) -> Vec<String> {
    let code = || {
        let letters = state.random_bytes::<BACKUP_LETTERS>().map(|byte| char::from(ALPHABET[usize::from(byte & 31)]));
        let (first, second) = letters.split_at(BACKUP_LETTERS / 2);
        format!("{}-{}", first.iter().collect::<String>(), second.iter().collect::<String>())
    };
    (0..BACKUP_CODES).map(|_| code()).collect()
}

/// What is stored of a backup code. However it is typed: in capitals, with or without the hyphen.
fn digest(user: UserId, code: &str) -> SecretDigest {
    let letters: String = code.chars().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect();
    SecretDigest::of(format!("backup code {user} {letters}").as_bytes())
}

fn digests(user: UserId, codes: &[String]) -> Vec<SecretDigest> {
    codes.iter().map(|code| digest(user, code)).collect()
}

/// What an app needs to make codes. They are asked for when the first one was right.
#[derive(Serialize, ToSchema)]
pub struct CodeSetup {
    /// The secret, to be typed into the app.
    #[schema(examples("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"))]
    secret: String,
    /// The same as an address that apps open.
    #[schema(examples(
        "otpauth://totp/zenovay:owner%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=zenovay"
    ))]
    otpauth_url: String,
    /// The same as a picture to be scanned: an SVG document.
    #[schema(examples("<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>"))]
    qr_svg: String,
}

/// The first code of an app, with the password.
#[derive(Deserialize, ToSchema)]
pub struct FirstCode {
    /// The present password.
    #[schema(examples("correct horse battery staple"))]
    password: String,
    /// Six digits of the app.
    #[schema(examples("287082"))]
    code: String,
}

/// A code.
#[derive(Deserialize, ToSchema)]
pub struct Code {
    /// Six digits of the app, or a backup code.
    #[schema(examples("287082"))]
    code: String,
}

/// Codes for when the app is lost: each is good once. They are not shown again.
#[derive(Serialize, ToSchema)]
pub struct BackupCodes {
    /// Ten codes.
    #[schema(examples("7hk2mq-x9rtz4"))]
    backup_codes: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // Appendix B, SHA-1: the last six of eight digits.
        let totp = totp(b"12345678901234567890", "a@b.example").unwrap();
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")] {
            let now = Timestamp::from_millis(seconds * 1_000);
            assert_eq!(step_of(&totp, code, now), Some(seconds / 30));
            assert_eq!(
                step_of(&totp, &format!("{} {}", &code[..3], &code[3..]), now),
                Some(seconds / 30),
                "as it is shown"
            );
            assert_eq!(step_of(&totp, code, now.plus_millis(30_000)), Some(seconds / 30), "the one before");
            assert_eq!(step_of(&totp, code, now.plus_millis(90_000)), None);
        }
        for bad in ["", "28708", "2870820", "abcdef", "-87082", "２８７０８２"] {
            assert_eq!(step_of(&totp, bad, Timestamp::from_millis(59_000)), None, "{bad}");
        }
    }

    #[test]
    fn backup_codes_are_read_however_they_are_typed() {
        let (one, other) = (UserId::from_random_bytes([1; 16]), UserId::from_random_bytes([2; 16]));
        let code = digest(one, "7hk2mq-x9rtz4");
        assert_eq!(digest(one, " 7HK2MQ X9RTZ4 "), code);
        assert_ne!(digest(other, "7hk2mq-x9rtz4"), code);
        assert_ne!(digest(one, "7hk2mq-x9rtz5"), code);
    }
}
