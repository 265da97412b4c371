//! Where the requests on a connection end. What is not certain is refused here, before anything behind this looks at it:
//! two readers of the same bytes must never see different requests (RFC 9112 §11.2).

use std::mem::MaybeUninit;

use actix_web::http::Uri;
use memchr::memchr;

/// The longest head: request line and headers, with the empty line at their end.
pub(super) const HEAD_MAX_BYTES: usize = 16 * 1_024;
/// The most headers of one request.
const MAX_HEADERS: usize = 96;
/// What a chunked body may have beside its data: extensions and trailers together.
const CHUNK_EXTRAS_MAX_BYTES: usize = 4 * 1_024;

/// How much of a chunked body is handed on at once: so many bytes,
const PIECE_MAX_BYTES: usize = 1_024;
/// and so many chunks, which may have one byte each. The library keeps 32 bytes for each chunk, and room for as many as it
/// ever had at once.
const PIECE_MAX_CHUNKS: usize = 32;

/// Why a request is refused before it is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The head breaks a rule of HTTP; what it breaks.
    Head(&'static str),
    /// The head is longer than `HEAD_MAX_BYTES` or has too many headers.
    HeadTooLarge,
    /// The head did not arrive in time.
    HeadTooSlow,
    /// The chunks of the body break a rule of HTTP.
    Chunks,
    /// The client's address has as many connections as it may.
    TooManyConnections,
}

/// Finds the end of one request after the other.
#[derive(Debug, Default)]
pub(super) struct Framer {
    part: Part,
    head: Scan,
}

/// What comes next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Part {
    /// A head.
    #[default]
    Head,
    /// As many bytes of the body.
    Length(u64),
    /// The rest of a chunked body.
    Chunks(Chunks),
    /// Nothing: the request is complete.
    Complete,
}

/// How far a head has been looked at.
#[derive(Debug, Clone, Copy, Default)]
struct Scan {
    /// Bytes that were searched for the end of a line.
    searched: usize,
    /// Where the last line begins.
    line: usize,
    /// Whether a line with something in it has ended.
    begun: bool,
}

impl Framer {
    /// Whether the next byte is that of a head.
    pub(super) fn expects_head(&self) -> bool {
        self.part == Part::Head
    }

    /// Whether the next byte is one of a chunked body.
    pub(super) fn expects_chunks(&self) -> bool {
        matches!(self.part, Part::Chunks(_))
    }

    /// Whether head and body of the request were seen completely.
    pub(super) fn is_complete(&self) -> bool {
        self.part == Part::Complete
    }

    /// Begins with the next request.
    pub(super) fn next(&mut self) {
        *self = Self::default();
    }

    /// The length of the head that `bytes` begin with, or `None` when more is needed: then `bytes` must be the same and
    /// more at the next call. Changes the name of an `Upgrade` header, which nobody here takes and which would end the
    /// framing of the body for the reader behind this.
    ///
    /// # Errors
    /// When the head, or its beginning, is one that must be refused.
    pub(super) fn head(&mut self, bytes: &mut [u8]) -> Result<Option<usize>, Refused> {
        while let Some(found) = memchr(b'\n', &bytes[self.head.searched..]) {
            let end = self.head.searched + found;
            if end == self.head.line || bytes[end - 1] != b'\r' {
                return Err(Refused::Head("A line does not end with CR and LF"));
            }
            let is_empty = end - 1 == self.head.line;
            self.head = Scan { searched: end + 1, line: end + 1, begun: self.head.begun || !is_empty };
            if is_empty && self.head.begun {
                if self.head.line > HEAD_MAX_BYTES {
                    return Err(Refused::HeadTooLarge);
                }
                self.part = read_head(&mut bytes[..self.head.line])?;
                return Ok(Some(self.head.line));
            }
        }
        self.head.searched = bytes.len();
        if bytes.len() >= HEAD_MAX_BYTES { Err(Refused::HeadTooLarge) } else { Ok(None) }
    }

    /// How many of `bytes`, which follow what was seen, belong to the body of this request.
    ///
    /// # Errors
    /// The number of bytes before the first that breaks the rules of chunks.
    pub(super) fn body(&mut self, bytes: &[u8]) -> Result<usize, usize> {
        match &mut self.part {
            Part::Head | Part::Complete => Ok(0),
            Part::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= here as u64;
                if *left == 0 {
                    self.part = Part::Complete;
                }
                Ok(here)
            }
            Part::Chunks(chunks) => {
                let here = chunks.pass(bytes)?;
                if chunks.state == ChunkState::End {
                    self.part = Part::Complete;
                }
                Ok(here)
            }
        }
    }
}

/// Checks a complete head and says what follows it.
fn read_head(head: &mut [u8]) -> Result<Part, Refused> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(head, &mut headers) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(Refused::Head("The head is not complete")),
        Err(httparse::Error::TooManyHeaders) => return Err(Refused::HeadTooLarge),
        Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => {
            return Err(Refused::Head("A header is not valid"));
        }
        Err(httparse::Error::Version) => return Err(Refused::Head("Only HTTP/1.1 and HTTP/1.0 are spoken here")),
        Err(_) => return Err(Refused::Head("The request line is not valid")),
    }
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(Refused::Head("The request line is not valid"));
    };
    if !is_plain_target(target) && Uri::try_from(target).is_err() {
        return Err(Refused::Head("The target of the request is not valid"));
    }

    let (mut length, mut chunked, mut hosts) = (None, false, 0);
    let mut upgrades = Vec::new();
    for header in request.headers.iter() {
        let name = header.name;
        if name.eq_ignore_ascii_case("content-length") {
            if length.replace(length_of(header.value)?).is_some() {
                return Err(Refused::Head("Content-Length is there twice"));
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if chunked || !header.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                return Err(Refused::Head("The only Transfer-Encoding is chunked"));
            }
            chunked = true;
        } else if name.eq_ignore_ascii_case("host") {
            hosts += 1;
            if !is_host(header.value) {
                return Err(Refused::Head("The Host header is not valid"));
            }
        } else if name.eq_ignore_ascii_case("upgrade") {
            upgrades.push(name.as_ptr() as usize);
        }
    }
    match hosts {
        0 if version == 1 => return Err(Refused::Head("The Host header is missing")),
        0 | 1 => {}
        _ => return Err(Refused::Head("The Host header is there twice")),
    }
    let part = match (chunked, length) {
        (true, Some(_)) => return Err(Refused::Head("Content-Length and Transfer-Encoding exclude each other")),
        (true, None) if version == 0 => return Err(Refused::Head("HTTP/1.0 has no Transfer-Encoding")),
        (true, None) => Part::Chunks(Chunks::default()),
        (false, None) if version == 0 && method == "POST" => {
            return Err(Refused::Head("Content-Length is missing"));
        }
        (false, None | Some(0)) => Part::Complete,
        (false, Some(length)) => Part::Length(length),
    };
    let start = head.as_ptr() as usize;
    for upgrade in upgrades {
        head[upgrade - start] = b'x';
    }
    Ok(part)
}

/// Whether every reader takes `target` for the same path and query: the common case, decided without building a URI.
fn is_plain_target(target: &str) -> bool {
    target.starts_with('/')
        && target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~%?&=+:@!$'()*,;".contains(&byte))
}

fn length_of(value: &[u8]) -> Result<u64, Refused> {
    let digits = value.trim_ascii();
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    text.and_then(|text| text.parse().ok()).ok_or(Refused::Head("The Content-Length header is not valid"))
}

/// `uri-host [ ":" port ]` (RFC 9110 §7.2), which may be empty.
fn is_host(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    let (host, rest) = if value.first() == Some(&b'[') {
        let Some(end) = memchr(b']', value) else { return false };
        let inside = &value[1..end];
        let is_address = |byte: &u8| byte.is_ascii_alphanumeric() || b":.-_~!$&'()*+,;=".contains(byte);
        if inside.is_empty() || !inside.iter().all(is_address) {
            return false;
        }
        (&[][..], &value[end + 1..])
    } else {
        value.split_at(memchr(b':', value).unwrap_or(value.len()))
    };
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte);
    let is_port = rest.is_empty() || (rest[0] == b':' && rest[1..].iter().all(u8::is_ascii_digit));
    host.iter().all(is_name) && is_port
}

/// The state between two bytes of a chunked body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Chunks {
    state: ChunkState,
    /// Bytes of extensions and trailers until now.
    extras: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChunkState {
    /// In the size, which is as given until now; `None` before its first digit.
    Size(Option<u64>),
    /// In space behind the size.
    Space(u64),
    /// In an extension.
    Extension(u64),
    /// Before the LF behind a size.
    SizeLf(u64),
    /// In the data, of which as much is left.
    Data(u64),
    /// Before the CR LF behind the data.
    DataCr,
    DataLf,
    /// At the beginning of a line behind the last chunk.
    Line,
    /// In a trailer.
    Trailer,
    TrailerLf,
    /// Before the last LF.
    LastLf,
    End,
}

impl Default for ChunkState {
    fn default() -> Self {
        Self::Size(None)
    }
}

impl Chunks {
    /// How many of `bytes` belong to the body; fewer than all only at its end.
    fn pass(&mut self, bytes: &[u8]) -> Result<usize, usize> {
        let mut at = 0;
        while at < bytes.len() && self.state != ChunkState::End {
            at += self.advance(&bytes[at..]).ok_or(at)?;
        }
        Ok(at)
    }

    /// Goes on by a byte, or by what there is of the data of a chunk, and says by how many bytes; `None` when they break the
    /// rules. There must be some.
    fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
        let ChunkState::Data(left) = self.state else {
            self.state = self.step(bytes[0])?;
            return Some(1);
        };
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - here as u64;
        self.state = if left == 0 { ChunkState::DataCr } else { ChunkState::Data(left) };
        Some(here)
    }

    /// The state after `byte`, or `None` when it breaks the rules.
    fn step(&mut self, byte: u8) -> Option<ChunkState> {
        use ChunkState::{Data, DataCr, DataLf, End, Extension, LastLf, Line, Size, SizeLf, Space, Trailer, TrailerLf};
        Some(match (self.state, byte) {
            (Size(size), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = u64::from(char::from(byte).to_digit(16)?);
                Size(Some(size.unwrap_or(0).checked_mul(16)?.checked_add(digit)?))
            }
            (Size(Some(size)) | Space(size), b' ' | b'\t') => self.extra(Space(size))?,
            (Size(Some(size)) | Space(size), b';') => self.extra(Extension(size))?,
            (Size(Some(size)) | Space(size) | Extension(size), b'\r') => SizeLf(size),
            (Extension(size), b'\t' | b' '..=b'~' | 0x80..) => self.extra(Extension(size))?,
            (SizeLf(0), b'\n') => Line,
            (SizeLf(size), b'\n') => Data(size),
            (DataCr, b'\r') => DataLf,
            (DataLf, b'\n') => Size(None),
            (Line, b'\r') => LastLf,
            (Trailer, b'\r') => TrailerLf,
            (Line | Trailer, b'\t' | b' '..=b'~' | 0x80..) => self.extra(Trailer)?,
            (TrailerLf, b'\n') => Line,
            (LastLf, b'\n') => End,
            _ => return None,
        })
    }

    fn extra(&mut self, state: ChunkState) -> Option<ChunkState> {
        self.extras += 1;
        (self.extras <= CHUNK_EXTRAS_MAX_BYTES).then_some(state)
    }
}

/// Cuts a request with a chunked body, which a [`Framer`] has seen, into pieces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pieces {
    /// Bytes of the head that come before the body.
    head: usize,
    chunks: Chunks,
}

impl Pieces {
    /// Those of a body behind so many bytes of its head.
    pub(super) fn behind(head: usize) -> Self {
        Self { head, chunks: Chunks::default() }
    }

    /// How many of `bytes`, which follow the piece before, are the next piece; all when the body ends before them.
    pub(super) fn next(&mut self, bytes: &[u8]) -> usize {
        if self.head > 0 {
            let here = self.head.min(bytes.len());
            self.head -= here;
            return here;
        }
        let bytes = &bytes[..bytes.len().min(PIECE_MAX_BYTES)];
        let (mut at, mut chunks) = (0, 0);
        while at < bytes.len() && chunks < PIECE_MAX_CHUNKS {
            chunks += usize::from(matches!(self.chunks.state, ChunkState::Data(_)));
            match self.chunks.advance(&bytes[at..]) {
                Some(more) => at += more,
                None => return bytes.len(),
            }
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use actix_http::h1::{Codec, Message, MessageType};
    use actix_web::web::BytesMut;
    use proptest::prelude::*;
    use tokio_util::codec::Decoder;

    use super::*;

    fn head(text: &str) -> Result<Option<usize>, Refused> {
        Framer::default().head(&mut text.as_bytes().to_vec())
    }

    /// The requests that `text` is made of, each with head and body, given in pieces of `step` bytes.
    fn requests(text: &[u8], step: usize) -> Result<Vec<Vec<u8>>, Refused> {
        let (mut framer, mut unread, mut request, mut found) = (Framer::default(), Vec::new(), Vec::new(), Vec::new());
        for piece in text.chunks(step) {
            unread.extend_from_slice(piece);
            loop {
                let taken = if framer.expects_head() {
                    let Some(length) = framer.head(&mut unread)? else { break };
                    length
                } else {
                    framer.body(&unread).map_err(|_good| Refused::Chunks)?
                };
                request.extend(unread.drain(..taken));
                if framer.is_complete() {
                    found.push(std::mem::take(&mut request));
                    framer.next();
                } else if unread.is_empty() {
                    break;
                }
            }
        }
        Ok(found)
    }

    #[test]
    fn requests_end_where_they_say_however_they_arrive() {
        let each: [&[u8]; 5] = [
            b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
            b"POST /e/ZV_1 HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n{\r\n\r}",
            b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: Chunked\r\n\r\n3;a=\"b\"\r\nabc\r\nA \r\n0123456789\r\n0\r\nx: y\r\n\r\n",
            b"\r\nPOST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
            b"GET / HTTP/1.0\r\n\r\n",
        ];
        let all = each.concat();
        for step in [1, 2, 3, 7, 50, all.len()] {
            assert_eq!(requests(&all, step).unwrap(), each, "{step}");
        }
    }

    #[test]
    fn what_two_readers_could_see_differently_is_refused() {
        for lines in [
            "host: x\ncontent-length: 1",
            "host: x\r\nno colon",
            "host: x\r\nspace : y",
            "host: x\r\na: b\r\n c",
            "host: a b<>",
            "host: a\r\nhost: a",
            "host: [::1",
            "host: x:y",
            "host: user@x",
            "host: x/y",
            "x: y",
            "host: x\r\ncontent-length: 5\r\ncontent-length: 5",
            "host: x\r\ncontent-length: +5",
            "host: x\r\ncontent-length: 5, 5",
            "host: x\r\ncontent-length: -1",
            "host: x\r\ncontent-length: 0x5",
            "host: x\r\ncontent-length:",
            "host: x\r\ncontent-length: 99999999999999999999",
            "host: x\r\ntransfer-encoding: chunked\r\ncontent-length: 5",
            "host: x\r\ntransfer-encoding: xchunked",
            "host: x\r\ntransfer-encoding: chunked, chunked",
            "host: x\r\ntransfer-encoding: identity",
            "host: x\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked",
            "host: x\r\na: b\0c",
            "host: x\r\na: b\rc",
        ] {
            let text = format!("POST / HTTP/1.1\r\n{lines}\r\n\r\n");
            assert!(matches!(head(&text), Err(Refused::Head(_))), "{lines:?}: {:?}", head(&text));
        }
        for line in [
            "GET /",
            "GET / HTTP/2.0",
            "GET / HTTP/1.1 x",
            "GET  / HTTP/1.1",
            "G\tT / HTTP/1.1",
            "GET /a b HTTP/1.1",
            "",
        ] {
            let text = format!("{line}\r\nhost: x\r\n\r\n");
            assert!(matches!(head(&text), Err(Refused::Head(_))), "{line:?}: {:?}", head(&text));
        }
        for hosts in ["x", "x:80", "x:", "[::1]:8080", "", "a_b.example", "%41"] {
            assert!(head(&format!("GET / HTTP/1.1\r\nhost: {hosts}\r\n\r\n")).unwrap().is_some(), "{hosts}");
        }
    }

    #[test]
    fn a_head_is_bounded_in_bytes_and_headers() {
        let long = format!("GET / HTTP/1.1\r\nhost: x\r\na: {}", "b".repeat(HEAD_MAX_BYTES));
        assert_eq!(head(&long), Err(Refused::HeadTooLarge));
        assert_eq!(head(&format!("{long}\r\n\r\n")), Err(Refused::HeadTooLarge));
        assert_eq!(head(&"\r\n".repeat(HEAD_MAX_BYTES / 2)), Err(Refused::HeadTooLarge));
        let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS));
        assert_eq!(head(&many), Err(Refused::HeadTooLarge));
    }

    #[test]
    fn broken_chunks_are_found_at_their_first_wrong_byte() {
        for (body, good) in [
            ("x", 0),
            (";", 0),
            ("\r\n", 0),
            ("5\n", 1),
            ("-5", 0),
            ("11111111111111111", 16),
            ("1\r\nab", 4),
            ("1\r\na\n", 4),
            ("0\r\n\n", 3),
            ("1;\u{1}", 2),
            ("0\r\na\n", 4),
        ] {
            let mut chunks = Chunks::default();
            assert_eq!(chunks.pass(body.as_bytes()), Err(good), "{body:?}");
        }
        let mut chunks = Chunks::default();
        assert!(chunks.pass(format!("1;{}\r\n", "e".repeat(CHUNK_EXTRAS_MAX_BYTES)).as_bytes()).is_err());
    }

    /// Sabotage: count bytes alone, or what the head has for chunks.
    #[test]
    fn a_piece_of_a_body_has_few_bytes_and_few_chunks() {
        for (size, most) in [(1, 6 * PIECE_MAX_CHUNKS), (40, PIECE_MAX_BYTES), (9_000, PIECE_MAX_BYTES)] {
            let chunk = format!("{size:x}\r\n{}\r\n", "x".repeat(size));
            let body = format!("{}0\r\n\r\n", chunk.repeat(36_000 / size));
            // Bytes of a head that could be those of chunks.
            let request = format!("ab\r\n{body}");
            let (mut pieces, mut at) = (Pieces::behind(4), 0);
            assert_eq!(pieces.next(&request.as_bytes()[..3]), 3);
            assert_eq!(pieces.next(&request.as_bytes()[3..]), 1);
            at += 4;
            while at < request.len() {
                // As it comes, a little more than the piece or less.
                let seen = request.len().min(at + [2_000, 7][at % 2]);
                let here = pieces.next(&request.as_bytes()[at..seen]);
                assert!((1..=most).contains(&here), "{here} bytes in chunks of {size}");
                at += here;
            }
            assert_eq!((at, pieces.chunks.state), (request.len(), ChunkState::End), "chunks of {size}");
        }
        assert_eq!(Pieces::behind(0).next(b"not chunks"), 10);
    }

    #[test]
    fn an_upgrade_does_not_end_the_framing() {
        let text = b"POST / HTTP/1.1\r\nhost: x\r\nUpgrade: websocket\r\ncontent-length: 3\r\n\r\nabc";
        let mut framer = Framer::default();
        let mut bytes = text.to_vec();
        let length = framer.head(&mut bytes).unwrap().unwrap();
        assert_eq!(framer.body(&bytes[length..]), Ok(3));
        assert!(String::from_utf8_lossy(&bytes).contains("\r\nxpgrade: websocket\r\n"));
    }

    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            6 => prop::sample::select(vec![
                "host: x\r\n", "Host: [::1]:8\r\n", "content-length: 3\r\n", "content-length: 0\r\n",
                "transfer-encoding: chunked\r\n", "connection: close\r\n", "connection: upgrade\r\n",
                "upgrade: websocket\r\n", "expect: 100-continue\r\n", "cookie: a=b; c=\"d\"\r\n", "a:\r\n", "b: \u{e9}\r\n",
            ]).prop_map(str::to_owned),
            1 => "[ -~\r\n\t]{0,12}",
        ]
    }

    fn request() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            5 => prop::sample::select(vec![
                "GET / HTTP/1.1", "POST /e/ZV_1?a=%20&b HTTP/1.1", "GET / HTTP/1.0", "POST / HTTP/1.0",
                "OPTIONS * HTTP/1.1", "GET http://x/y HTTP/1.1", "HEAD //x HTTP/1.1", "PUT /{a}|\"^` HTTP/1.1",
            ]).prop_map(str::to_owned),
            1 => "[A-Z<]{0,4} [ -~]{0,12} HTTP/1.[019]",
        ];
        let chunks = prop_oneof![
            3 => prop::sample::select(vec!["abc", "3\r\nabc\r\n0\r\n\r\n", "1 ;x=y\r\na\r\n00\r\nt: u\r\n\r\n", ""])
                .prop_map(str::to_owned),
            1 => "[0-9a-f;\r\n: ]{0,16}",
        ];
        (line, prop::collection::vec(piece(), 0..5), chunks)
            .prop_map(|(line, headers, body)| format!("{line}\r\n{}\r\n{body}", headers.concat()))
    }

    /// Whether the library finds a complete request in `bytes`, and how many bytes it leaves.
    fn read_behind(mut bytes: BytesMut) -> Result<(bool, usize), String> {
        thread_local! {
            // The codec asks for the date, which is kept by a task.
            static RUNTIME: actix_web::rt::Runtime = actix_web::rt::Runtime::new().unwrap();
        }
        let read = async {
            let mut codec = Codec::default();
            match codec.decode(&mut bytes) {
                Ok(Some(Message::Item(_))) => {}
                other => return Err(format!("{other:?}")),
            }
            let mut ended = matches!(codec.message_type(), MessageType::None);
            while !ended {
                match codec.decode(&mut bytes) {
                    Ok(Some(Message::Chunk(None))) => ended = true,
                    Ok(Some(Message::Chunk(Some(_)))) => {}
                    Ok(None) => break,
                    other => return Err(format!("{other:?}")),
                }
            }
            Ok((ended, bytes.len()))
        };
        RUNTIME.with(|runtime| runtime.block_on(read))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        /// The reader behind this agrees with everything that passes: it refuses nothing, and requests end at the same
        /// byte. Sabotage: let `is_host` accept all, `step` take a bare LF, or leave `Upgrade` alone.
        #[test]
        fn what_passes_means_the_same_to_the_reader_behind(text in request()) {
            let mut bytes = text.into_bytes();
            let mut framer = Framer::default();
            let Ok(Some(length)) = framer.head(&mut bytes) else { return Ok(()) };
            let body = framer.body(&bytes[length..]).unwrap_or_else(|good| good);
            let passed = BytesMut::from(&bytes[..length + body]);
            let (ended, rest) = read_behind(passed)
                .map_err(|problem| TestCaseError::fail(format!("{problem} {:?}", String::from_utf8_lossy(&bytes))))?;
            prop_assert_eq!(ended, framer.is_complete(), "{:?}", String::from_utf8_lossy(&bytes));
            prop_assert!(rest == 0);
        }
    }
}
