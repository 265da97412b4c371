//! A server somewhere else, asked over HTTP with a key: for commands that run where the website is built.

use std::io;
use std::time::Duration;

use httparse::{EMPTY_HEADER, Status};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use url::Url;

use super::output::Failure;
use crate::tls::{authorities, trusting};

/// How long one request may take: a long map is read, and stacks are grouped anew.
const WITHIN: Duration = Duration::from_secs(300);
/// The longest answer.
const ANSWER_MAX_BYTES: usize = 1 << 20;
const HEADERS_MAX: usize = 100;

/// A server, and the key that it knows us by.
pub(super) struct Remote {
    url: Url,
    key: String,
    tls: Option<TlsConnector>,
    runtime: Runtime,
}

/// What a server answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// The status.
    pub(super) status: u16,
    /// After how many seconds to ask again, when it says so.
    pub(super) retry_after_s: Option<u64>,
    /// Where it sends us instead, if it does.
    pub(super) location: Option<String>,
    /// The body.
    pub(super) body: Vec<u8>,
}

impl Remote {
    /// The server at `address`, such as `https://stats.example.com`.
    pub(super) fn new(address: &str, key: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| Failure::usage(format_args!("the server {}: {why}", address.escape_debug()));
        let url = Url::parse(address).map_err(|_| wrong("write an address such as https://stats.example.com"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong("the address must begin with https:// or http://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("the address must not have a user; the key says who you are"));
        }
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::usage("that is not an API key: it begins with zv_"));
        }
        let tls = if url.scheme() == "https" {
            let roots = authorities();
            if roots.is_empty() {
                return Err(Failure::new("this machine names no certificate authorities, so nobody can be trusted"));
            }
            trusting(roots)
        } else {
            None
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::new)?;
        Ok(Self { url, key: key.to_owned(), tls, runtime })
    }

    /// Sends JSON, packed with gzip, to `path` below the address.
    ///
    /// # Errors
    /// When nothing comes back.
    pub(super) fn post(&self, path: &str, gzip: &[u8]) -> io::Result<Reply> {
        let host = match (self.url.host_str().unwrap_or_default(), self.url.port()) {
            (host, None) => host.to_owned(),
            (host, Some(port)) => format!("{host}:{port}"),
        };
        let head = format!(
            "POST {}{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nUser-Agent: zenovay/{}\r\n\
             Accept: application/json\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.url.path().trim_end_matches('/'),
            self.key,
            env!("CARGO_PKG_VERSION"),
            gzip.len()
        );
        self.runtime.block_on(async {
            timeout(WITHIN, self.ask(&head, gzip)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        })
    }

    async fn ask(&self, head: &str, body: &[u8]) -> io::Result<Reply> {
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, self.url.port_or_known_default().unwrap_or(443))).await?;
        match &self.tls {
            None => exchange(stream, head, body).await,
            Some(tls) => {
                let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
                exchange(tls.connect(name, stream).await?, head, body).await
            }
        }
    }
}

/// Sends a request over a connection and reads the answer.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, head: &str, body: &[u8]) -> io::Result<Reply> {
    let sent = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await?;
        stream.flush().await
    };
    // A server that refuses may answer, and stop to read, before everything is sent.
    let sent = sent.await;
    let mut bytes = Vec::new();
    let mut piece = [0; 8_192];
    loop {
        // Some end the connection without saying so first: what they sent may be the whole.
        let read = stream.read(&mut piece).await.unwrap_or(0);
        bytes.extend_from_slice(&piece[..read]);
        if bytes.len() > ANSWER_MAX_BYTES {
            return Err(io::Error::other("the answer is longer than 1 MiB"));
        }
        match parse(&bytes, read == 0) {
            Ok(Some(reply)) => return Ok(reply),
            Ok(None) => {}
            Err(error) => return Err(sent.err().unwrap_or(error)),
        }
    }
}

/// Reads an answer whose first bytes are `bytes`; nothing follows when `is_all` says so. `None` while more is needed.
fn parse(bytes: &[u8], is_all: bool) -> io::Result<Option<Reply>> {
    let not_http = || io::Error::other("it does not answer in HTTP");
    let cut_off = || io::Error::other("the answer is cut off");
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let Status::Complete(length) = head.parse(bytes).map_err(|_| not_http())? else {
        return match (is_all, bytes.is_empty()) {
            (true, true) => Err(io::Error::other("the connection was closed without an answer")),
            (true, false) => Err(cut_off()),
            (false, _) => Ok(None),
        };
    };
    let header = |name: &str| {
        let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(found.value).trim().to_owned())
    };
    let status = head.code.unwrap_or(0);
    let rest = &bytes[length..];
    if status < 200 {
        // Only that more will come.
        return parse(rest, is_all);
    }
    let body = if header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        unchunked(rest).ok_or_else(not_http)?
    } else if let Some(length) = header("content-length") {
        let length: usize = length.parse().map_err(|_| not_http())?;
        rest.get(..length).map(<[u8]>::to_vec)
    } else {
        is_all.then(|| rest.to_vec())
    };
    let Some(body) = body else { return if is_all { Err(cut_off()) } else { Ok(None) } };
    let retry_after_s = header("retry-after").and_then(|seconds| seconds.parse().ok());
    Ok(Some(Reply { status, retry_after_s, location: header("location"), body }))
}

/// A body in pieces, put together: `Some(None)` while some are missing, `None` when they are not pieces.
fn unchunked(mut rest: &[u8]) -> Option<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        match httparse::parse_chunk_size(rest).ok()? {
            Status::Partial => return Some(None),
            Status::Complete((_, 0)) => return Some(Some(body)),
            Status::Complete((start, length)) => {
                let end = start.checked_add(usize::try_from(length).ok()?)?;
                let Some(piece) = rest.get(start..end) else { return Some(None) };
                body.extend_from_slice(piece);
                let Some(after) = rest.get(end..end.checked_add(2)?) else { return Some(None) };
                if after != b"\r\n" {
                    return None;
                }
                rest = &rest[end + 2..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, retry_after_s: None, location: None, body: body.as_bytes().to_vec() }
    }

    /// Sabotage: take what has come so far for the whole.
    #[test]
    fn an_answer_is_read_whole_however_it_comes_and_is_framed() {
        let of = "HTTP/1.1 200 OK\r\n";
        let framed = [
            format!("{of}Content-Length: 5\r\n\r\nhello"),
            format!("{of}Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n"),
            format!("HTTP/1.1 100 Continue\r\n\r\n{of}content-length: 5\r\n\r\nhello"),
        ];
        for text in framed {
            assert_eq!(parse(text.as_bytes(), false).unwrap(), Some(reply(200, "hello")), "{text}");
            let first = text.rfind("llo").unwrap();
            for end in 0..=first {
                assert_eq!(parse(&text.as_bytes()[..end], false).unwrap(), None, "{end} bytes of {text}");
                assert!(parse(&text.as_bytes()[..end], true).is_err(), "{end} bytes of {text}");
            }
        }
        let open = format!("{of}\r\nhello");
        assert_eq!(parse(open.as_bytes(), false).unwrap(), None);
        assert_eq!(parse(open.as_bytes(), true).unwrap(), Some(reply(200, "hello")));
        let busy = b"HTTP/1.1 429 No\r\nRetry-After: 7\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n";
        let told = parse(busy, false).unwrap().unwrap();
        assert_eq!((told.status, told.retry_after_s, told.location.as_deref()), (429, Some(7), Some("/x")));
        for wrong in ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"] {
            assert!(parse(wrong.as_bytes(), false).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), is_all: bool) {
            let _ = parse(&bytes, is_all);
            let _ = parse(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &bytes[..]].concat(), is_all);
        }
    }

    #[test]
    fn addresses_that_are_none_are_wrong_usage() {
        for (address, key) in [
            ("stats.example.com", "zv_x"),
            ("ftp://stats.example.com", "zv_x"),
            ("https://me:secret@stats.example.com", "zv_x"),
            ("http://stats.example.com", ""),
            ("http://stats.example.com", "zv_x\r\nHost: y"),
        ] {
            assert!(Remote::new(address, key).is_err(), "{address} {key:?}");
        }
        assert!(Remote::new("http://[::1]:8080/stats/", "zv_x").is_ok());
    }
}
