//! Asks the website that a client's id names for what the client says of itself. Somebody else chose the address, so it is asked
//! for as if by a stranger: https alone, at public addresses alone, each of which is the very one that was looked at, without
//! redirects, in seconds, for at most 5 KB.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use zenovay_auth::oauth::{ClientUrl, is_public_address};

pub use super::answer::FetchError;
use super::answer::{self, ANSWER_MAX_BYTES, Answer};

/// How long it may take altogether.
const WITHIN: Duration = Duration::from_secs(5);
/// The most addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;

/// What `fetch` answers with.
pub type Fetching = Pin<Box<dyn Future<Output = Result<Answer, FetchError>> + Send>>;

/// Where documents of clients come from.
pub trait ClientDocuments: Send + Sync {
    /// Asks for the document at `url`.
    fn fetch(&self, url: &ClientUrl) -> Fetching;
}

/// The certificate authorities that this machine trusts, read when the first document is asked for; `None` when TLS cannot be
/// used, for which there is no reason.
static TLS: LazyLock<Option<TlsConnector>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if taken == 0 {
        tracing::warn!("this machine names no certificate authorities: MCP clients cannot be known by their address");
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    Some(TlsConnector::from(Arc::new(config)))
});

/// The websites themselves.
#[derive(Debug, Clone, Copy)]
pub struct FromWebsites;

impl ClientDocuments for FromWebsites {
    fn fetch(&self, url: &ClientUrl) -> Fetching {
        let url = url.clone();
        Box::pin(async move {
            let fetched = timeout(WITHIN, async {
                let tls = tokio::task::spawn_blocking(|| TLS.clone()).await.ok().flatten().ok_or(FetchError::Tls)?;
                let found = tokio::net::lookup_host((url.host(), 443)).await.map_err(|_| FetchError::NoAddress)?;
                // These very addresses are connected to: the name is not asked for again.
                let stream = connect(&public(found)?).await?;
                let name = ServerName::try_from(url.host().to_owned()).map_err(|_| FetchError::NoAddress)?;
                let stream = tls.connect(name, stream).await.map_err(|_| FetchError::Tls)?;
                ask(stream, &url).await
            });
            fetched.await.map_err(|_elapsed| FetchError::TooSlow)?
        })
    }
}

/// The addresses that may be connected to. A name that leads to a public address and to another one leads nowhere.
fn public(found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, FetchError> {
    let mut addresses = Vec::new();
    for address in found {
        if !is_public_address(address.ip()) {
            return Err(FetchError::NotPublic);
        }
        if addresses.len() < ADDRESSES_MAX {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(FetchError::NoAddress) } else { Ok(addresses) }
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, FetchError> {
    for address in addresses {
        if let Ok(stream) = TcpStream::connect(address).await {
            return Ok(stream);
        }
    }
    Err(FetchError::NoConnection)
}

/// Asks for the document over a connection.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, url: &ClientUrl) -> Result<Answer, FetchError> {
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\nAccept-Encoding: identity\r\nUser-Agent: zenovay/{}\r\n\
         Connection: close\r\n\r\n",
        url.path(),
        url.host(),
        env!("CARGO_PKG_VERSION"),
    );
    stream.write_all(request.as_bytes()).await.map_err(|_| FetchError::NoConnection)?;
    stream.flush().await.map_err(|_| FetchError::NoConnection)?;
    let mut bytes = Vec::new();
    let mut piece = [0; 4_096];
    loop {
        // Some end the connection without saying so first: what they sent may be the whole.
        let read = stream.read(&mut piece).await.unwrap_or(0);
        bytes.extend_from_slice(&piece[..read]);
        if let Some(answer) = answer::read(&bytes, read == 0)? {
            return Ok(answer);
        }
        if bytes.len() > ANSWER_MAX_BYTES {
            return Err(FetchError::TooLong);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url() -> ClientUrl {
        ClientUrl::parse("https://app.example/oauth/client.json").unwrap()
    }

    /// Sabotage: leave the addresses out that are not public, and take the rest.
    #[test]
    fn a_name_that_leads_inside_leads_nowhere() {
        let public = |addresses: &[&str]| public(addresses.iter().map(|address| address.parse().unwrap()));
        assert_eq!(public(&["9.9.9.9:443", "[2620:fe::fe]:443"]).map(|found| found.len()), Ok(2));
        assert_eq!(public(&["9.9.9.9:443", "127.0.0.1:443"]), Err(FetchError::NotPublic));
        assert_eq!(public(&["[::ffff:10.0.0.1]:443"]), Err(FetchError::NotPublic));
        assert_eq!(public(&["169.254.169.254:443"]), Err(FetchError::NotPublic));
        assert_eq!(public(&[]), Err(FetchError::NoAddress));
        assert_eq!(public(&["9.9.9.9:443"; 20]).map(|found| found.len()), Ok(ADDRESSES_MAX));
    }

    /// This machine has names, too.
    #[actix_web::test]
    async fn names_of_this_machine_are_not_asked() {
        let local = ClientUrl::parse("https://app.localhost/client.json").unwrap();
        let refused = FromWebsites.fetch(&local).await;
        assert!(matches!(refused, Err(FetchError::NotPublic | FetchError::NoAddress)), "{refused:?}");
    }

    #[actix_web::test]
    async fn the_document_is_asked_for_and_read() {
        let (client, mut server) = tokio::io::duplex(64);
        let asked = actix_web::rt::spawn(async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(server.read_u8().await.unwrap());
            }
            let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
            server.write_all(answer).await.unwrap();
            // It stays open: the length says where the answer ends.
            (String::from_utf8(request).unwrap(), server)
        });
        assert_eq!(ask(client, &url()).await, Ok(Answer { body: b"{}".to_vec(), max_age_s: None }));
        let (request, _) = asked.await.unwrap();
        assert!(request.starts_with("GET /oauth/client.json HTTP/1.1\r\nHost: app.example\r\n"), "{request}");
    }

    /// Sabotage: read to the end.
    #[actix_web::test]
    async fn an_answer_without_end_ends() {
        // Room for the request, which nobody reads.
        let (client, mut server) = tokio::io::duplex(1_024);
        actix_web::rt::spawn(async move {
            let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
            let mut sent = server.write_all(head).await;
            while sent.is_ok() {
                sent = server.write_all(&[b' '; 64]).await;
            }
        });
        assert_eq!(ask(client, &url()).await, Err(FetchError::TooLong));
    }
}
