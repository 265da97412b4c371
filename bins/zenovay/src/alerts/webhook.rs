//! Where alerts are sent as JSON: one request each, over https, or over http on this machine alone, in bounded time. No redirect is
//! followed. Where it goes is chosen by whoever writes the configuration, and by nobody over the network.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http_body_util::Full;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::config::{Config, Secret, WebhookUrl};
use crate::tls::{authorities, trusting};

/// How long one request may take, its connection included.
const WITHIN: Duration = Duration::from_secs(10);
/// The most addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;
/// The header with the signature of a body.
const SIGNATURE: &str = "x-zenovay-signature";

/// Why a webhook does not take an alert.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The name of its host has no address.
    #[error("its host is not known")]
    Name(#[source] io::Error),
    /// The name of its host is not one of this machine.
    #[error("http is spoken to this machine alone, and its host is another one: use https")]
    NotHere,
    /// Nobody answers there, or the certificate is not valid for the name.
    #[error("its host cannot be connected to")]
    Connection(#[source] io::Error),
    /// This machine cannot use TLS.
    #[error("TLS cannot be used on this machine")]
    Tls,
    /// The answer is not one.
    #[error("its host does not answer in HTTP/1.1")]
    Http(#[source] hyper::Error),
    /// The request cannot be written.
    #[error("its address cannot be asked for")]
    Request(#[source] http::Error),
    /// It is somewhere else.
    #[error("it answers {0}, and redirects are not followed")]
    Redirect(u16),
    /// It answers something else than a success.
    #[error("it answers {0}")]
    Status(u16),
    /// It took too long.
    #[error("it does not answer within {} seconds", WITHIN.as_secs())]
    TooSlow,
}

/// A place that takes alerts.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    url: WebhookUrl,
    secret: Option<Secret>,
}

impl Webhook {
    /// That of `config`, which may have none.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        let secret = config.alert_webhook_secret.clone();
        config.alert_webhook_url.clone().map(|url| Self { url, secret })
    }

    /// Its host, for people.
    pub(crate) fn host(&self) -> &str {
        self.url.host()
    }

    /// Sends `body`, which is JSON.
    ///
    /// # Errors
    /// [`WebhookError`], when it does not answer with a success.
    pub(super) async fn post(&self, body: Vec<u8>) -> Result<(), WebhookError> {
        timeout(WITHIN, self.exchange(body)).await.map_err(|_elapsed| WebhookError::TooSlow)?
    }

    /// Connects, and sends nothing.
    ///
    /// # Errors
    /// [`WebhookError`], when it cannot be connected to.
    pub(crate) async fn probe(&self) -> Result<(), WebhookError> {
        timeout(WITHIN, self.connect()).await.map_err(|_elapsed| WebhookError::TooSlow)?.map(drop)
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, WebhookError> {
        let host = self.url.host();
        let found = lookup_host((host, self.url.port())).await.map_err(WebhookError::Name)?;
        let found: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
        if !self.url.is_https() && found.iter().any(|address| !address.ip().is_loopback()) {
            return Err(WebhookError::NotHere);
        }
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in found {
            match TcpStream::connect(address).await {
                Ok(stream) if self.url.is_https() => return encrypted(host, stream).await,
                Ok(stream) => return Ok(Box::new(stream)),
                Err(error) => last = error,
            }
        }
        Err(WebhookError::Connection(last))
    }

    async fn exchange(&self, body: Vec<u8>) -> Result<(), WebhookError> {
        let mut request = Request::post(self.url.path_and_query())
            .header(HOST, self.url.authority())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("zenovay/", env!("CARGO_PKG_VERSION")));
        if let Some(secret) = &self.secret {
            request = request.header(SIGNATURE, signature(secret.expose(), &body));
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(WebhookError::Request)?;
        let (mut sender, connection) =
            handshake(TokioIo::new(self.connect().await?)).await.map_err(WebhookError::Http)?;
        // What goes wrong is told to who asked; it ends with the sender.
        tokio::spawn(async move { drop(connection.await) });
        let answer = sender.send_request(request).await.map_err(WebhookError::Http)?;
        match answer.status().as_u16() {
            200..=299 => Ok(()),
            status @ 300..=399 => Err(WebhookError::Redirect(status)),
            status => Err(WebhookError::Status(status)),
        }
    }
}

/// A connection, encrypted or not.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn encrypted(host: &str, stream: TcpStream) -> Result<Box<dyn Stream>, WebhookError> {
    let tls = tokio::task::spawn_blocking(|| trusting(authorities())).await.ok().flatten().ok_or(WebhookError::Tls)?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| WebhookError::Name(io::Error::other(error)))?;
    Ok(Box::new(tls.connect(name, stream).await.map_err(WebhookError::Connection)?))
}

/// What a receiver that knows `secret` computes of `body`, too: HMAC-SHA256, in hex.
fn signature(secret: &str, body: &[u8]) -> String {
    // HMAC takes keys of every length: the other arm is never taken, and would still hash.
    let key = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap_or_else(|_| Hmac::new(&Default::default()));
    let code = key.chain_update(body).finalize().into_bytes();
    code.iter().fold("sha256=".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second case of RFC 4231.
    #[test]
    fn a_signature_is_hmac_sha256() {
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature("Jefe", b"what do ya want for nothing?"), expected);
    }
}
