//! What stands between a socket and the HTTP library: how many connections an address may have, how long a client may
//! take for what it sends and for taking what it is sent, where a request ends, and how a connection is closed
//! ([why](../../../../docs/decisions/0013-own-stream.md)).
//!
//! [`Stream`] is the stream that the library reads from and writes to. It hands on one request at a time, when the answer
//! before it has been taken, and nothing that is not a request. The outermost layer of the application finds the other
//! end, a [`Link`], in the data of the connection and tells it when a request is answered.

mod addresses;
mod framing;
mod link;
mod pace;
mod refusal;
mod stream;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, ServiceFactory, ServiceRequest, ServiceResponse, fn_service};
use actix_web::{App, Error};
use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::sync::watch;

use self::addresses::Addresses;
pub use self::addresses::Admission;
pub use self::framing::Refused;
pub use self::link::{Answered, Link};
use self::pace::Pace;
pub use self::stream::Stream;
use super::response_layer::ResponseLayer;
use crate::config::Config;

/// How long clients may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the first byte of a head to its end; also from a new connection to its first byte.
    pub head: Duration,
    /// From an answer to the first byte of the next request.
    pub idle: Duration,
    /// To take what was written, counted while something waits: in each such time a client must take
    /// `stream::WRITE_STEP_BYTES` or all of it.
    pub write: Duration,
}

/// What all connections of a server share.
pub struct Connections {
    layer: ResponseLayer,
    patience: Patience,
    addresses: Addresses,
    draining: watch::Sender<bool>,
}

impl Connections {
    /// No connection yet, under the rules of `config`. Refusals look like the answers of `layer`.
    pub fn new(config: &Config, layer: ResponseLayer) -> Self {
        let loopback = ["127.0.0.0/8", "::1/128"].into_iter().filter_map(|network| network.parse::<IpNet>().ok());
        let exempt = loopback.chain(config.trusted_proxies.iter().copied()).collect();
        Self::with_exempt(config, layer, exempt)
    }

    /// The same with a list of its own of those who may have any number of connections.
    pub fn with_exempt(config: &Config, layer: ResponseLayer, exempt: Vec<IpNet>) -> Self {
        let seconds = Duration::from_secs;
        Self {
            layer,
            patience: Patience {
                head: seconds(config.request_timeout_seconds.get()),
                idle: seconds(config.keep_alive_seconds.get()),
                write: seconds(config.write_timeout_seconds.get()),
            },
            addresses: Addresses::new(config.max_connections_per_address.as_u32(), exempt),
            draining: watch::Sender::new(false),
        }
    }

    /// Counts a connection from `peer` until the admission is dropped; `None` when the address has as many as it may.
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Admission> {
        self.addresses.admit(peer).then(|| Admission::new(Arc::clone(self), peer))
    }

    /// From now on every answer closes its connection, and connections that wait for a request are closed soon.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Whether the server is about to stop.
    pub fn are_draining(&self) -> bool {
        *self.draining.borrow()
    }
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

/// Answers the requests on accepted connections with `application`, whose outermost layer must be the
/// [`response_layer`](super::response_layer).
pub fn serve<B: MessageBody + 'static>(
    connections: Arc<Connections>,
    application: App<
        impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse<B>, Error = Error, InitError = ()>
        + 'static,
    >,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()> {
    let application = application.into_factory().map_err(|error| error.error_response());
    // The library's own timers are off: those of the stream know more.
    let requests = HttpService::build()
        .keep_alive(KeepAlive::Os)
        .client_request_timeout(Duration::ZERO)
        .h1_write_buffer_size(link::PIECE_BYTES)
        .client_disconnect_timeout(Duration::ZERO)
        // A client that closes its end is gone: its query is cancelled instead of finished for nobody.
        .h1_allow_half_closed(false)
        .on_connect_ext(|stream: &Stream, data| {
            data.insert(stream.link());
        })
        .h1(map_config(application, |()| AppConfig::default()));
    let pace = Pace::new();
    fn_service(move |io| accept(Arc::clone(&connections), pace.clone(), io)).and_then(requests)
}

/// A new connection, if its address may have one more.
async fn accept(
    connections: Arc<Connections>,
    pace: Pace,
    io: TcpStream,
) -> Result<(Stream, Option<SocketAddr>), DispatchError> {
    let peer = io.peer_addr()?;
    match connections.admit(peer.ip()) {
        Some(admission) => Ok((Stream::new(io, &connections, &pace, admission), Some(peer))),
        None => {
            connections.turn_away(io).await;
            Err(DispatchError::DisconnectTimeout)
        }
    }
}
