//! Asks a website that somebody else named: for what a client says of itself, at the address that is its id, or for a page whose
//! tag is to be checked. It is asked for as if by a stranger: https alone, at public addresses alone, each of which is the very one
//! that was looked at, without redirects, in seconds, for a bounded number of bytes.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use zenovay_auth::oauth::{ClientUrl, is_public_address};

pub use super::answer::FetchError;
use super::answer::{self, Answer, Wanted};
use crate::tls::{authorities, trusting};

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

/// Where on the internet something is: a host, and a path with its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    host: String,
    path: String,
}

impl Place {
    /// What `host` has at `path`, which begins with a slash and is written as in a request.
    pub fn new(host: &str, path: &str) -> Self {
        Self { host: host.to_owned(), path: path.to_owned() }
    }

    /// The host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path with its query.
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// The certificate authorities that this machine trusts, read when the first document is asked for; `None` when TLS cannot be
/// used, for which there is no reason.
static TLS: LazyLock<Option<TlsConnector>> = LazyLock::new(|| {
    let roots = authorities();
    if roots.is_empty() {
        tracing::warn!("this machine names no certificate authorities: MCP clients cannot be known by their address");
    }
    trusting(roots)
});

/// How a name becomes addresses, and an address a connection.
trait Network {
    /// The addresses of a host, for its port 443.
    fn look_up(&self, host: &str) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;
    /// A connection to an address.
    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<TcpStream>> + Send;
}

/// The one that this machine is in.
struct Internet;

impl Network for Internet {
    async fn look_up(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, 443)).await?.collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }
}

/// The websites themselves.
#[derive(Debug, Clone, Copy)]
pub struct FromWebsites;

impl ClientDocuments for FromWebsites {
    fn fetch(&self, url: &ClientUrl) -> Fetching {
        let place = Place::new(url.host(), url.path());
        Box::pin(async move { fetch(&place, &Wanted::DOCUMENT).await })
    }
}

/// The beginning of the page at `place`, as it is sent: 512 KiB at most.
///
/// # Errors
/// [`FetchError`].
pub async fn page(place: &Place) -> Result<Vec<u8>, FetchError> {
    Ok(fetch(place, &Wanted::PAGE).await?.body)
}

async fn fetch(place: &Place, wanted: &Wanted) -> Result<Answer, FetchError> {
    let tls = tokio::task::spawn_blocking(|| TLS.clone()).await.ok().flatten().ok_or(FetchError::Tls)?;
    within(WITHIN, over(&Internet, &tls, place, wanted)).await
}

/// What `fetching` comes to in so much time.
async fn within(
    time: Duration,
    fetching: impl Future<Output = Result<Answer, FetchError>>,
) -> Result<Answer, FetchError> {
    timeout(time, fetching).await.map_err(|_elapsed| FetchError::TooSlow)?
}

/// Asks for what is wanted over a network.
async fn over(
    network: &impl Network,
    tls: &TlsConnector,
    place: &Place,
    wanted: &Wanted,
) -> Result<Answer, FetchError> {
    let found = network.look_up(place.host()).await.map_err(|_| FetchError::NoAddress)?;
    // These very addresses are connected to: the name is not asked for again.
    let stream = connect(network, &public(found)?).await?;
    let name = ServerName::try_from(place.host().to_owned()).map_err(|_| FetchError::NoAddress)?;
    let stream = tls.connect(name, stream).await.map_err(|_| FetchError::Tls)?;
    ask(stream, place, wanted).await
}

/// The addresses that may be connected to. A name that leads to a public address and to another one leads nowhere.
fn public(found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, FetchError> {
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

async fn connect(network: &impl Network, addresses: &[SocketAddr]) -> Result<TcpStream, FetchError> {
    for address in addresses {
        if let Ok(stream) = network.connect(*address).await {
            return Ok(stream);
        }
    }
    Err(FetchError::NoConnection)
}

/// Asks for what is wanted over a connection.
async fn ask(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    place: &Place,
    wanted: &Wanted,
) -> Result<Answer, FetchError> {
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: {}\r\nAccept-Encoding: identity\r\nUser-Agent: zenovay/{}\r\n\
         Connection: close\r\n\r\n",
        place.path(),
        place.host(),
        wanted.accept,
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
        if let Some(answer) = answer::read(&bytes, read == 0, wanted)? {
            return Ok(answer);
        }
        if bytes.len() > wanted.answer_max_bytes() {
            return Err(FetchError::TooLong);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use parking_lot::Mutex;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_rustls::rustls::{RootCertStore, ServerConfig};

    use super::*;

    fn place() -> Place {
        Place::new("app.example", "/oauth/client.json")
    }

    /// A network in which a name has these addresses when it is asked for the first time, and is this machine from then on; every
    /// address that is connected to is noted, and is a listener of the test.
    struct Staged {
        first: Vec<SocketAddr>,
        look_ups: AtomicUsize,
        connected: Mutex<Vec<SocketAddr>>,
        listener: SocketAddr,
    }

    impl Staged {
        fn new(addresses: &[&str], listener: SocketAddr) -> Self {
            let first = addresses.iter().map(|address| address.parse().unwrap()).collect();
            Self { first, look_ups: AtomicUsize::new(0), connected: Mutex::default(), listener }
        }
    }

    impl Network for Staged {
        async fn look_up(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
            assert_eq!(host, "app.example");
            let is_first = self.look_ups.fetch_add(1, Ordering::Relaxed) == 0;
            Ok(if is_first { self.first.clone() } else { vec!["127.0.0.1:443".parse().unwrap()] })
        }

        async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
            self.connected.lock().push(address);
            TcpStream::connect(self.listener).await
        }
    }

    fn certificate(pem: &[u8]) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem).unwrap()
    }

    fn trusted() -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(include_bytes!("testdata/authority.pem"))).unwrap();
        trusting(roots).unwrap()
    }

    const VALID: &[u8] = include_bytes!("testdata/valid.pem");

    /// A website with this certificate that answers each request with `answer`, and what it was asked for.
    async fn website(pem: &'static [u8], answer: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("testdata/key.pem")).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate(pem)], key).unwrap();
        let (acceptor, asked) = (TlsAcceptor::from(Arc::new(config)), Arc::<Mutex<Vec<String>>>::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, noted) = (listener.local_addr().unwrap(), Arc::clone(&asked));
        actix_web::rt::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let name = stream.get_ref().1.server_name().unwrap_or("").to_owned();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { break };
                    request.push(byte);
                }
                let line = String::from_utf8_lossy(&request).lines().next().unwrap_or("").to_owned();
                noted.lock().push(format!("{name} {line}"));
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        (address, asked)
    }

    const DOCUMENT: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

    /// The name is looked up once: a second answer, which leads into this machine, is never asked for (DNS rebinding).
    ///
    /// Sabotage: connect by the name.
    #[actix_web::test]
    async fn the_connection_goes_to_the_address_that_was_looked_at() {
        let (listener, asked) = website(VALID, DOCUMENT).await;
        let network = Staged::new(&["9.9.9.9:443", "[2620:fe::fe]:443"], listener);
        let answer = over(&network, &trusted(), &place(), &Wanted::DOCUMENT).await;
        assert_eq!(answer, Ok(Answer { body: b"{}".to_vec(), max_age_s: None }));
        assert_eq!(network.look_ups.load(Ordering::Relaxed), 1);
        assert_eq!(*network.connected.lock(), ["9.9.9.9:443".parse().unwrap()]);
        assert_eq!(*asked.lock(), ["app.example GET /oauth/client.json HTTP/1.1"]);
    }

    /// Sabotage: trust every certificate.
    #[actix_web::test]
    async fn a_certificate_is_of_the_name_valid_and_of_somebody_who_is_trusted() {
        for (pem, tls) in [
            (include_bytes!("testdata/other-name.pem").as_slice(), trusted()),
            (include_bytes!("testdata/expired.pem"), trusted()),
            (VALID, trusting(RootCertStore::empty()).unwrap()),
        ] {
            let (listener, asked) = website(pem, DOCUMENT).await;
            let network = Staged::new(&["9.9.9.9:443"], listener);
            assert_eq!(over(&network, &tls, &place(), &Wanted::DOCUMENT).await, Err(FetchError::Tls));
            assert_eq!(*asked.lock(), [] as [&str; 0], "nothing is asked of a stranger");
        }
    }

    /// Sabotage: take the first address that is public.
    #[actix_web::test]
    async fn nothing_is_sent_to_an_address_that_is_not_public() {
        let (listener, asked) = website(VALID, DOCUMENT).await;
        for address in [
            "127.0.0.1:443",
            "10.1.2.3:443",
            "100.64.0.1:443",
            "169.254.169.254:443",
            "192.168.0.1:443",
            "0.0.0.0:443",
            "224.0.0.1:443",
            "[::]:443",
            "[::1]:443",
            "[::127.0.0.1]:443",
            "[::ffff:127.0.0.1]:443",
            "[::ffff:9.9.9.9]:443",
            "[64:ff9b::7f00:1]:443",
            "[2002:7f00:1::1]:443",
            "[2001:0:7f00:1::]:443",
            "[fd00::1]:443",
            "[fe80::1%1]:443",
            "[ff02::1]:443",
        ] {
            for addresses in [vec![address], vec!["9.9.9.9:443", address], vec![address, "9.9.9.9:443"]] {
                let network = Staged::new(&addresses, listener);
                assert_eq!(
                    over(&network, &trusted(), &place(), &Wanted::DOCUMENT).await,
                    Err(FetchError::NotPublic),
                    "{addresses:?}"
                );
                assert_eq!(*network.connected.lock(), [], "{addresses:?}");
            }
        }
        assert_eq!(*asked.lock(), [] as [&str; 0]);
    }

    #[actix_web::test]
    async fn no_redirect_is_followed() {
        for answer in [
            "HTTP/1.1 302 Found\r\nLocation: https://app.example/other.json\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 308 Permanent Redirect\r\nLocation: //127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
        ] {
            let (listener, asked) = website(VALID, answer).await;
            let network = Staged::new(&["9.9.9.9:443"], listener);
            assert_eq!(over(&network, &trusted(), &place(), &Wanted::DOCUMENT).await, Err(FetchError::Redirect));
            assert_eq!((network.connected.lock().len(), asked.lock().len()), (1, 1));
        }
    }

    /// A host that is not there is passed over for the next address; one that never answers ends with the time.
    #[actix_web::test]
    async fn a_host_that_says_nothing_is_too_slow() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let network = Staged::new(&["9.9.9.9:443"], silent.local_addr().unwrap());
        let (tls, place) = (trusted(), place());
        let asked = within(Duration::from_millis(20), over(&network, &tls, &place, &Wanted::DOCUMENT));
        assert_eq!(asked.await, Err(FetchError::TooSlow));
        assert_eq!(network.connected.lock().len(), 1);
        drop(silent);
        let network = Staged::new(&["9.9.9.9:443", "9.9.9.10:443"], network.listener);
        assert_eq!(over(&network, &tls, &place, &Wanted::DOCUMENT).await, Err(FetchError::NoConnection));
        assert_eq!(network.connected.lock().len(), 2);
    }

    /// Sabotage: leave the addresses out that are not public, and take the rest.
    #[test]
    fn a_name_that_leads_inside_leads_nowhere() {
        let public = |addresses: &[&str]| public(addresses.iter().map(|address| address.parse().unwrap()).collect());
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
        assert_eq!(
            ask(client, &place(), &Wanted::DOCUMENT).await,
            Ok(Answer { body: b"{}".to_vec(), max_age_s: None })
        );
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
        assert_eq!(ask(client, &place(), &Wanted::DOCUMENT).await, Err(FetchError::TooLong));
    }
}
