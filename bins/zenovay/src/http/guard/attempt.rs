//! Whoever tries to become somebody: signs in, signs up, asks for a link.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use zenovay_domain::ErrorCode;

use super::AccessRefusal;
use crate::http::address_limit::{self, AddressClass};
use crate::http::client_ip;
use crate::http::document::Operation;
use crate::http::handler::{Access, Caller};
use crate::http::same_origin::is_same_origin;
use crate::http::state::AppState;

/// Anybody, as often as an address may try to sign in (30 times a minute), from a page of this server: no other page can
/// sign a visitor in as somebody else.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// Where it comes from.
    pub client: IpAddr,
}

impl Caller for Attempt {
    const ACCESS: Access = Access::Public;

    fn describe(operation: &mut Operation) {
        operation.refuses([ErrorCode::Forbidden, ErrorCode::RateLimitExceeded]);
        if operation.names_a_resource() {
            operation.refuses([ErrorCode::NotFound]);
        }
    }
}

impl FromRequest for Attempt {
    type Error = AccessRefusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self, AccessRefusal>>>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let req = req.clone();
        Box::pin(async move {
            let tried = async {
                let state = req.app_data::<web::Data<AppState>>().ok_or(AccessRefusal::Failed)?;
                if !is_same_origin(&req, state.public_origin.as_deref()) {
                    return Err(AccessRefusal::CrossSite);
                }
                let client = client_ip::of(&req, &state.trusted_proxies);
                address_limit::charge_async(&state.addresses, AddressClass::Auth, client, state.clock.now()).await?;
                Ok(Self { client })
            };
            tried.await.inspect_err(AccessRefusal::count)
        })
    }
}
