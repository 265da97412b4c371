//! How a bucket is spoken to: HTTP 1.1 over connections that are kept, over the TLS of everything else here.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use http::header::HOST;
use http::{HeaderValue, Request, Uri};
use http_body_util::BodyExt;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use zenovay_auth::oauth::is_public_address;

/// The most connections that are kept while nothing is asked.
const KEPT: usize = 4;
/// The most addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;

/// Connections to the host of a bucket.
#[derive(Clone)]
pub(super) struct Wire {
    tls: TlsConnector,
    /// Whether http may be spoken to public addresses.
    is_http_anywhere: bool,
    /// The setting that says so.
    http_setting: &'static str,
    kept: Arc<Mutex<Vec<SendRequest<HttpRequestBody>>>>,
}

impl Wire {
    pub(super) fn new(tls: TlsConnector, is_http_anywhere: bool, http_setting: &'static str) -> Self {
        Self { tls, is_http_anywhere, http_setting, kept: Arc::default() }
    }

    /// A connection on which nothing is under way.
    fn idle(&self) -> Option<SendRequest<HttpRequestBody>> {
        let mut kept = self.kept.lock();
        kept.retain(|connection| !connection.is_closed());
        let place = kept.iter().position(SendRequest::is_ready)?;
        Some(kept.swap_remove(place))
    }

    fn keep(&self, connection: SendRequest<HttpRequestBody>) {
        let mut kept = self.kept.lock();
        if kept.len() < KEPT {
            kept.push(connection);
        }
    }

    async fn connect(&self, uri: &Uri) -> Result<SendRequest<HttpRequestBody>, HttpError> {
        let failed = |error: io::Error| HttpError::new(HttpErrorKind::Connect, error);
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await.map_err(failed)?.collect();
        if !is_https && !self.is_http_anywhere && found.iter().any(|address| is_public_address(address.ip())) {
            let words = format!(
                "http is spoken to this machine and to private addresses alone: use https, or set {}",
                self.http_setting
            );
            return Err(HttpError::new(HttpErrorKind::Unknown, io::Error::other(words)));
        }
        let mut last = io::Error::other("its name has no address");
        for address in found.into_iter().take(ADDRESSES_MAX) {
            let stream = match TcpStream::connect(address).await {
                Ok(stream) => stream,
                Err(error) => {
                    last = error;
                    continue;
                }
            };
            if !is_https {
                return speak(stream).await;
            }
            let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(io::Error::other(error)))?;
            return speak(self.tls.connect(name, stream).await.map_err(failed)?).await;
        }
        Err(failed(last))
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<SendRequest<HttpRequestBody>, HttpError> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(told)?;
    // What goes wrong is told to who asked.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// An error of hyper: whether it is tried again depends on what it is.
fn told(error: hyper::Error) -> HttpError {
    let kind = if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_closed() || error.is_canceled() || error.is_incomplete_message() {
        HttpErrorKind::Request
    } else if error.is_body_write_aborted() {
        HttpErrorKind::Interrupted
    } else {
        HttpErrorKind::Unknown
    };
    HttpError::new(kind, error)
}

#[async_trait]
impl HttpService for Wire {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let wrong = |error: http::Error| HttpError::new(HttpErrorKind::Unknown, error);
        let (mut parts, body) = request.into_parts();
        let uri = std::mem::take(&mut parts.uri);
        let host = uri.authority().map_or("", |authority| authority.as_str());
        parts.headers.insert(HOST, HeaderValue::from_str(host).map_err(|error| wrong(error.into()))?);
        parts.uri = uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .parse()
            .map_err(|error: http::uri::InvalidUri| wrong(error.into()))?;
        let mut connection = match self.idle() {
            Some(connection) => connection,
            None => self.connect(&uri).await?,
        };
        let response = connection.send_request(Request::from_parts(parts, body)).await.map_err(told)?;
        // It is ready again when the answer was read.
        self.keep(connection);
        let (parts, body) = response.into_parts();
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body.map_err(told))))
    }
}

impl HttpConnector for Wire {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}
