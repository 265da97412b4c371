//! Page addresses and what their queries say about the campaign.

use std::borrow::Cow;

use url::Url;

/// The most characters of `url` and `referrer` (SPEC E1).
pub const URL_MAX_CHARS: usize = 2048;

/// The most bytes of an address after percent-encoding; keeps the texts of an event below their limit.
const URL_MAX_ENCODED_BYTES: usize = 8192;

/// The most characters of one campaign parameter.
pub(crate) const UTM_MAX_CHARS: usize = 255;

/// A text that is not the absolute `http` or `https` URL of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// Not a URL, or not an absolute one.
    #[error("Invalid URL format")]
    Format,
    /// A scheme other than `http` and `https`, such as `javascript:`.
    #[error("Invalid URL format: must begin with http:// or https://")]
    Scheme,
    /// Longer than [`URL_MAX_CHARS`].
    #[error("URL too long (max 2048 characters)")]
    Length,
}

/// An absolute `http` or `https` URL, without user name and fragment, which may hold personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebUrl<'a> {
    /// Scheme, host, port, path, and `?` with the query when there is one: normal, as the URL standard serialises it.
    text: Cow<'a, str>,
    parts: Parts,
}

/// Where the parts of a URL's text are, in bytes; [`URL_MAX_ENCODED_BYTES`] fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parts {
    host: u16,
    host_end: u16,
    path: u16,
    path_end: u16,
    query_end: u16,
}

impl<'a> WebUrl<'a> {
    /// Reads `text`.
    ///
    /// # Errors
    /// When it is no URL of a page, see [`InvalidUrl`].
    pub fn parse(text: impl Into<Cow<'a, str>>) -> Result<Self, InvalidUrl> {
        let text = text.into();
        match Parts::of_normal(&text) {
            Some(parts) => {
                let url = Self { text, parts };
                // For the fuzz targets.
                debug_assert_eq!(Self::normalise(&url.text).as_ref(), Ok(&url));
                Ok(url)
            }
            None => Self::normalise(&text),
        }
    }

    /// Reads any URL by the URL standard.
    fn normalise(text: &str) -> Result<Self, InvalidUrl> {
        if text.len() > URL_MAX_CHARS && text.chars().nth(URL_MAX_CHARS).is_some() {
            return Err(InvalidUrl::Length);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidUrl::Format);
        }
        let url = Url::parse(text).map_err(|_| InvalidUrl::Format)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidUrl::Scheme);
        }
        let Some(host) = url.host_str().filter(|host| !host.is_empty() && host.len() <= 253) else {
            return Err(InvalidUrl::Format);
        };
        if url.as_str().len() > URL_MAX_ENCODED_BYTES {
            return Err(InvalidUrl::Length);
        }
        // Every length is below the limit just checked: it fits.
        let mut text = format!("{}://", url.scheme());
        let start = text.len() as u16;
        text.push_str(trim_host(host));
        let host_end = text.len() as u16;
        if let Some(port) = url.port() {
            text.push_str(&format!(":{port}"));
        }
        let path = text.len() as u16;
        text.push_str(url.path());
        let path_end = text.len() as u16;
        if let Some(query) = url.query() {
            text.push('?');
            text.push_str(query);
        }
        let parts = Parts { host: start, host_end, path, path_end, query_end: text.len() as u16 };
        Ok(Self { text: Cow::Owned(text), parts })
    }

    /// The host: lower case, punycode, without port; an IPv6 address in brackets; without the dot of the root.
    pub fn host(&self) -> &str {
        self.part(self.parts.host, self.parts.host_end)
    }

    /// The path, beginning with `/`, without query and fragment.
    pub fn path(&self) -> &str {
        self.part(self.parts.path, self.parts.path_end)
    }

    /// Scheme, host and port, as browsers send them in `Origin`.
    pub fn origin(&self) -> &str {
        self.part(0, self.parts.path)
    }

    /// Scheme, host, port and path.
    pub fn without_query(&self) -> &str {
        self.part(0, self.parts.path_end)
    }

    fn query(&self) -> &str {
        self.part(self.parts.path_end, self.parts.query_end).strip_prefix('?').unwrap_or("")
    }

    fn part(&self, start: u16, end: u16) -> &str {
        self.text.get(usize::from(start)..usize::from(end)).unwrap_or("")
    }

    /// What the query says about the campaign.
    pub fn campaign(&self) -> Campaign {
        let mut campaign = Campaign::default();
        let query = self.query();
        if query.is_empty() {
            return campaign;
        }
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let value = clean(value);
            if value.is_empty() {
                continue;
            }
            let slot = match &*name {
                "utm_source" => &mut campaign.source,
                "utm_medium" => &mut campaign.medium,
                "utm_campaign" => &mut campaign.name,
                "utm_term" => &mut campaign.term,
                "utm_content" => &mut campaign.content,
                other => {
                    campaign.ad_click = campaign.ad_click.or_else(|| AdClick::from_parameter(other));
                    continue;
                }
            };
            if slot.is_empty() {
                *slot = value.chars().take(UTM_MAX_CHARS).collect();
            }
        }
        campaign
    }
}

/// In which parts of a normal URL a byte may stand as it is.
const IN_HOST: u8 = 1;
const IN_PATH: u8 = 2;
const IN_QUERY: u8 = 4;
/// Not as the first byte of a segment of the path.
const NOT_FIRST: u8 = 8;

static PLACES: [u8; 256] = places();

const fn places() -> [u8; 256] {
    let mut places = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        places[byte] = match byte as u8 {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => IN_HOST | IN_PATH | IN_QUERY,
            b'.' => IN_HOST | IN_PATH | IN_QUERY | NOT_FIRST,
            b'%' => IN_PATH | IN_QUERY | NOT_FIRST,
            b'A'..=b'Z' | b'_' | b'~' | b'/' | b'+' | b'=' | b'&' | b',' | b';' | b':' | b'@' | b'!' | b'(' | b')' => {
                IN_PATH | IN_QUERY
            }
            b'?' => IN_QUERY,
            _ => 0,
        };
        byte += 1;
    }
    places
}

impl Parts {
    /// The parts of `text` when it is a URL with a host name and a path, without port and user name, that is normal already,
    /// as those that browsers send are. `None` says nothing.
    fn of_normal(text: &str) -> Option<Self> {
        if text.len() > URL_MAX_CHARS {
            return None;
        }
        let bytes = text.as_bytes();
        let host = if bytes.starts_with(b"https://") {
            8
        } else if bytes.starts_with(b"http://") {
            7
        } else {
            return None;
        };
        let run = |start: usize, place: u8| {
            let rest = bytes.get(start..).unwrap_or(&[]);
            start + rest.iter().take_while(|&&byte| PLACES[usize::from(byte)] & place != 0).count()
        };
        let host_end = run(host, IN_HOST);
        if bytes.get(host_end) != Some(&b'/') || !is_plain_host(bytes.get(host..host_end)?) {
            return None;
        }
        // Segments such as `..` and `%2e` mean something else than they say.
        let mut before = b' ';
        let mut is_plain = true;
        let path = bytes.get(host_end..).unwrap_or(&[]).iter().take_while(|&&byte| {
            let place = PLACES[usize::from(byte)];
            is_plain &= before != b'/' || place & NOT_FIRST == 0;
            before = byte;
            place & IN_PATH != 0
        });
        let path_end = host_end + path.count();
        if !is_plain {
            return None;
        }
        let query_end = if bytes.get(path_end) == Some(&b'?') { run(path_end + 1, IN_QUERY) } else { path_end };
        if query_end != bytes.len() {
            return None;
        }
        // At most URL_MAX_CHARS: they fit.
        Some(Self {
            host: host as u16,
            host_end: host_end as u16,
            path: host_end as u16,
            path_end: path_end as u16,
            query_end: query_end as u16,
        })
    }
}

/// Whether `host` is a name of small letters, digits, single hyphens and single dots that begins and ends with a letter:
/// neither an IPv4 address nor punycode, whose rules are longer.
fn is_plain_host(host: &[u8]) -> bool {
    let (mut before, mut label) = (b'.', b'.');
    for &byte in host {
        let parts = matches!(byte, b'-' | b'.');
        if parts && matches!(before, b'-' | b'.') {
            return false;
        }
        if before == b'.' {
            label = byte;
        }
        before = byte;
    }
    let is_letter = |byte: &u8| byte.is_ascii_lowercase();
    host.first().is_some_and(is_letter) && is_letter(&before) && is_letter(&label) && host.len() <= 253
}

/// `host` without the dot of the root, in lower case already.
fn trim_host(host: &str) -> &str {
    host.strip_suffix('.').filter(|rest| !rest.is_empty()).unwrap_or(host)
}

/// `value` trimmed, without control characters.
pub(crate) fn clean(value: Cow<'_, str>) -> Cow<'_, str> {
    // What nearly every text is.
    if value.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !value.starts_with(' ') && !value.ends_with(' ') {
        return value;
    }
    let trimmed = value.trim();
    if trimmed.chars().any(char::is_control) {
        return Cow::Owned(trimmed.chars().filter(|c| !c.is_control()).collect());
    }
    if trimmed.len() == value.len() { value } else { Cow::Owned(trimmed.to_owned()) }
}

/// What kind of network marked a click on its advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdClick {
    /// A search engine, such as `gclid`.
    Search,
    /// A social network, such as `ttclid`.
    Social,
    /// Any other network.
    Other,
}

impl AdClick {
    fn from_parameter(name: &str) -> Option<Self> {
        match name {
            "gclid" | "wbraid" | "gbraid" | "msclkid" | "yclid" => Some(Self::Search),
            // SPEC G6 names fbclid and ttclid as marks of paid social.
            "fbclid" | "ttclid" | "twclid" | "li_fat_id" | "epik" | "rdt_cid" | "ScCid" => Some(Self::Social),
            "dclid" | "gad_source" => Some(Self::Other),
            _ => None,
        }
    }
}

/// The campaign that brought a visit. Absent parts are empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Campaign {
    /// `utm_source`, at most 255 characters, as are the other texts.
    pub source: String,
    /// `utm_medium`.
    pub medium: String,
    /// `utm_campaign`.
    pub name: String,
    /// `utm_term`.
    pub term: String,
    /// `utm_content`.
    pub content: String,
    /// The mark of an advertising network.
    pub ad_click: Option<AdClick>,
}

impl Campaign {
    /// What tells two campaigns apart when sessions are stitched: source, medium and name, joined by U+001F.
    pub fn key(&self) -> String {
        if self.source.is_empty() && self.medium.is_empty() && self.name.is_empty() {
            return "\u{1f}\u{1f}".to_owned();
        }
        [&*self.source, &*self.medium, &*self.name].join("\u{1f}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_absolute_web_urls_are_taken() {
        for (text, error) in [
            ("", InvalidUrl::Format),
            ("/home", InvalidUrl::Format),
            ("example.com/home", InvalidUrl::Format),
            ("http://", InvalidUrl::Format),
            ("https://exa mple.com/", InvalidUrl::Format),
            ("https://example.com/\0", InvalidUrl::Format),
            ("https://example.com/\n", InvalidUrl::Format),
            ("javascript:alert(1)", InvalidUrl::Scheme),
            ("JaVaScRiPt://example.com/%0aalert(1)", InvalidUrl::Scheme),
            ("data:text/html,x", InvalidUrl::Scheme),
            ("file:///etc/passwd", InvalidUrl::Scheme),
            ("ftp://example.com/", InvalidUrl::Scheme),
        ] {
            assert_eq!(WebUrl::parse(text).unwrap_err(), error, "{text:?}");
        }
        let long = |len: usize| format!("https://example.com/{}", "a".repeat(len - 20));
        assert!(WebUrl::parse(long(URL_MAX_CHARS)).is_ok());
        assert_eq!(WebUrl::parse(long(URL_MAX_CHARS + 1)).unwrap_err(), InvalidUrl::Length);
    }

    #[test]
    fn the_parts_are_normal() {
        for (text, host, path) in [
            ("https://Example.COM:8443/A/b?x=1#y", "example.com", "/A/b"),
            ("https://example.com.", "example.com", "/"),
            ("http://bücher.example/ü", "xn--bcher-kva.example", "/%C3%BC"),
            ("http://[::1]:3000/x", "[::1]", "/x"),
            ("http://user:secret@example.com/x", "example.com", "/x"),
        ] {
            let url = WebUrl::parse(text).unwrap();
            assert_eq!((url.host(), url.path()), (host, path), "{text}");
        }
        let url = WebUrl::parse("https://u:p@example.com:8443/a?token=1#t").unwrap();
        assert_eq!(url.without_query(), "https://example.com:8443/a");
    }

    #[test]
    fn what_browsers_send_is_taken_as_it_is() {
        for text in [
            "https://www.example.com/",
            "http://example.com/A/b-c_d~e.html?utm_source=x&y=%C3%A9+z",
            "https://a-b.example.co.uk/shop/p,1;v=2/@me/(x)!?q=a/b?c:d",
        ] {
            assert!(Parts::of_normal(text).is_some(), "{text}");
            assert_eq!(WebUrl::parse(text), WebUrl::normalise(text));
        }
        for text in [
            "https://1.2.3.4/",
            "https://a.1/",
            "https://a.0x1/",
            "https://xn--bcher-kva.example/",
            "https://a..b/",
            "https://a.b./",
            "https://a:80/",
            "https://u@a.b/",
            "https://a/../b",
            "https://a/%2e%2E/b",
            "https://a/b/.",
            "https://a/ü",
            "https://a/b c",
            "https://a/#x",
            "https://a",
            "HTTPS://a/",
            "https:///a",
            "https://a/\\b",
            "https://a/?'",
        ] {
            assert_eq!(Parts::of_normal(text), None, "{text}");
        }
    }

    #[test]
    fn campaigns_are_read_from_the_query() {
        let url = "https://e.com/?utm_source=news+letter&UTM_MEDIUM=x&utm_medium=%20email%00&utm_campaign=a&utm_campaign=b\
                   &utm_term=t&utm_content=c&ttclid=9";
        let campaign = WebUrl::parse(url).unwrap().campaign();
        assert_eq!(
            campaign,
            Campaign {
                source: "news letter".into(),
                medium: "email".into(),
                name: "a".into(),
                term: "t".into(),
                content: "c".into(),
                ad_click: Some(AdClick::Social),
            }
        );
        assert_eq!(campaign.key(), "news letter\u{1f}email\u{1f}a");
    }

    proptest! {
        #[test]
        fn any_text_is_a_url_or_refused(text in ".{0,200}") {
            let _ = WebUrl::parse(&text);
        }

        /// What is taken as it is, the URL standard leaves as it is.
        #[test]
        fn a_normal_url_is_read_as_the_standard_does(
            text in "https?://([a-z0-9.:@-]{1,12}|[a-zA-Z0-9-]{1,6}(\\.[a-z0-9-]{1,5}){0,3})(:[0-9]{1,3})?(/([a-zA-Z.%2eE-]{0,4}|[ -~é]{0,6})){0,4}([?][ -~é]{0,12})?(#[a-z]{0,3})?"
        ) {
            if Parts::of_normal(&text).is_some() {
                prop_assert_eq!(WebUrl::parse(text.as_str()), WebUrl::normalise(&text));
            }
        }

        #[test]
        fn any_query_is_read(query in ".{0,200}") {
            if let Ok(url) = WebUrl::parse(format!("https://example.com/?utm_source={query}")) {
                let campaign = url.campaign();
                prop_assert!(!campaign.source.chars().any(char::is_control));
                prop_assert!(!url.without_query().contains('?'));
            }
        }
    }
}
