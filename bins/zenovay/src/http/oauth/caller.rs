//! Who calls: programs that are nobody yet, and browsers of people who may be signed in.

use std::future::{Future, Ready, ready};
use std::net::IpAddr;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use zenovay_domain::ErrorCode;

use crate::http::address_limit::{self, AddressClass};
use crate::http::client_ip;
use crate::http::document::{ErrorForm, Operation};
use crate::http::envelope::ApiError;
use crate::http::guard::AccessRefusal;
use crate::http::handler::{Access, Caller};
use crate::http::state::AppState;

/// A program, as often as an address may try keys. What it shows is read before it is [charged](Program::charge).
#[derive(Debug, Clone, Copy)]
pub struct Program {
    client: IpAddr,
    is_charged: bool,
}

impl Caller for Program {
    const ACCESS: Access = Access::Public;

    fn describe(operation: &mut Operation) {
        operation.error_form = ErrorForm::OAuth;
        operation.refuses([ErrorCode::RateLimitExceeded, ErrorCode::Unauthorized]);
    }
}

/// Charges the address of `req` for a request of `class`.
async fn charged(req: &HttpRequest, class: AddressClass) -> Result<(), AccessRefusal> {
    let state = req.app_data::<web::Data<AppState>>().ok_or(AccessRefusal::Failed)?;
    let client = client_ip::of(req, &state.trusted_proxies);
    address_limit::charge_async(&state.addresses, class, client, state.clock.now()).await?;
    Ok(())
}

impl FromRequest for Program {
    type Error = AccessRefusal;
    type Future = Ready<Result<Self, AccessRefusal>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let state = req.app_data::<web::Data<AppState>>().ok_or(AccessRefusal::Failed);
        ready(state.map(|state| Self { client: client_ip::of(req, &state.trusted_proxies), is_charged: false }))
    }
}

/// A program that wants to become known, as often as an address may.
#[derive(Debug, Clone, Copy)]
pub struct Newcomer;

impl Caller for Newcomer {
    const ACCESS: Access = Access::Public;

    fn describe(operation: &mut Operation) {
        operation.error_form = ErrorForm::OAuth;
        operation.refuses([ErrorCode::RateLimitExceeded]);
    }
}

impl FromRequest for Newcomer {
    type Error = AccessRefusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self, AccessRefusal>>>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let req = req.clone();
        Box::pin(async move {
            charged(&req, AddressClass::Clients).await.inspect_err(AccessRefusal::count)?;
            Ok(Self)
        })
    }
}

impl Program {
    /// Charges its address for this request, once.
    ///
    /// # Errors
    /// When the address asked often enough, or nobody can tell.
    pub async fn charge(&mut self, state: &AppState) -> Result<(), ApiError> {
        if !std::mem::replace(&mut self.is_charged, true) {
            let charged =
                address_limit::charge_async(&state.addresses, AddressClass::Tokens, self.client, state.clock.now());
            charged.await.map_err(AccessRefusal::from).inspect_err(AccessRefusal::count)?;
        }
        Ok(())
    }

    /// Says that what it showed was right, so that this request does not count: many people's clients may share an address.
    pub async fn was_right(self, state: &web::Data<AppState>) {
        if !self.is_charged {
            return;
        }
        let (state, now) = (state.clone(), state.clock.now());
        let refunded = web::block(move || state.addresses.refund(AddressClass::Tokens, self.client, now)).await;
        if !matches!(refunded, Ok(Ok(()))) {
            tracing::warn!("a request that was right stays counted");
        }
    }
}

/// Charges the address of `req` for what makes this server ask another one.
///
/// # Errors
/// When it asked often enough, or nobody can tell.
pub(super) async fn charge(req: &HttpRequest) -> Result<(), ApiError> {
    charged(req, AddressClass::Clients).await?;
    Ok(())
}
