//! Page addresses and what their queries say about the campaign.

use std::borrow::Cow;

use url::Url;
use zenovay_domain::{cut_path, normal_path};

use crate::marks::Marks;

/// The most characters of `url` and `referrer`.
pub const URL_MAX_CHARS: usize = 2048;

/// The most bytes of a query that are read; encoded they are three times as many at most, which [`Parts`] has room for.
const QUERY_MAX_BYTES: usize = 16_384;

/// The most characters of one campaign parameter.
pub(crate) const UTM_MAX_CHARS: usize = 255;

/// A string that is not the absolute `http` or `https` URL of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// Not a URL, or not an absolute one.
    #[error("Invalid URL format")]
    Format,
    /// A scheme other than `http` and `https`, such as `javascript:`.
    #[error("Invalid URL format: must begin with http:// or https://")]
    Scheme,
}

/// An absolute `http` or `https` URL, without user name and fragment, which may hold personal data.
///
/// ```
/// use zenovay_ingest::WebUrl;
///
/// let url = WebUrl::parse("https://Example.com/Pricing?utm_source=news#plans")?;
/// assert_eq!((url.host(), url.path()), ("example.com", "/Pricing"));
/// assert_eq!(url.campaign().source, "news");
/// # Ok::<(), zenovay_ingest::InvalidUrl>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebUrl<'a> {
    /// Scheme, host, port, path, and `?` with the query when there is one: normal, as the URL standard serialises it.
    text: Cow<'a, str>,
    parts: Parts,
    is_cut: bool,
}

/// Where the parts of a URL's text are, in bytes.
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
                let url = Self { text, parts, is_cut: false };
                // For the fuzz targets.
                debug_assert_eq!(Self::normalise(&url.text).as_ref(), Ok(&url));
                Ok(url)
            }
            None => Self::normalise(&text),
        }
    }

    /// Reads any URL by the URL standard. Of a URL of more than [`URL_MAX_CHARS`] the fragment goes first, then what a query has
    /// beyond [`QUERY_MAX_BYTES`], then the end of the path.
    #[expect(clippy::cast_possible_truncation, reason = "host, path and query are so short that every length fits")]
    fn normalise(text: &str) -> Result<Self, InvalidUrl> {
        if text.chars().any(char::is_control) {
            return Err(InvalidUrl::Format);
        }
        let is_long = text.len() > URL_MAX_CHARS && text.chars().nth(URL_MAX_CHARS).is_some();
        let whole = if is_long { text.split('#').next().unwrap_or(text) } else { text };
        let end = whole.find('?').map_or(whole.len(), |at| whole.floor_char_boundary(at + QUERY_MAX_BYTES));
        let url = Url::parse(whole.get(..end).unwrap_or(whole)).map_err(|_| InvalidUrl::Format)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidUrl::Scheme);
        }
        let Some(host) = url.host_str().filter(|host| !host.is_empty() && host.len() <= 253) else {
            return Err(InvalidUrl::Format);
        };
        let mut text = format!("{}://", url.scheme());
        let start = text.len() as u16;
        text.push_str(trim_host(host));
        let host_end = text.len() as u16;
        if let Some(port) = url.port() {
            text.push_str(&format!(":{port}"));
        }
        let path_start = text.len() as u16;
        let path = normal_path(url.path());
        let kept = cut_path(&path, URL_MAX_CHARS);
        text.push_str(kept);
        let path_end = text.len() as u16;
        if let Some(query) = url.query() {
            text.push('?');
            text.push_str(query);
        }
        let parts = Parts { host: start, host_end, path: path_start, path_end, query_end: text.len() as u16 };
        Ok(Self { text: Cow::Owned(text), parts, is_cut: is_long || kept.len() < path.len() })
    }

    /// Whether it was longer than [`URL_MAX_CHARS`], or its path is.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The host: lower case, punycode, without port; an IPv6 address in brackets; without the dot of the root.
    pub fn host(&self) -> &str {
        self.part(self.parts.host, self.parts.host_end)
    }

    /// The path, beginning with `/`, without query and fragment, as [`normal_path`] spells it; at most 2,048 bytes.
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
                    if let Some((known, network, names_click)) = AdClick::from_parameter(other) {
                        campaign.ad_click.get_or_insert(network);
                        if names_click && campaign.click == 0 {
                            campaign.click = Marks::number(&format!("{known}={value}"));
                        }
                    }
                    continue;
                }
            };
            if slot.is_empty() {
                *slot = value.chars().take(UTM_MAX_CHARS).collect();
                campaign.is_cut |= slot.len() < value.len();
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

static CHAR_CLASSES: [u8; 256] = char_classes();

#[expect(clippy::cast_possible_truncation, reason = "it counts to 255")]
const fn char_classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => IN_HOST | IN_PATH | IN_QUERY,
            b'.' => IN_HOST | IN_PATH | IN_QUERY | NOT_FIRST,
            b'%' => IN_PATH | IN_QUERY,
            b'A'..=b'Z' | b'_' | b'~' | b'/' | b'+' | b'=' | b'&' | b',' | b';' | b':' | b'@' | b'!' | b'(' | b')' => {
                IN_PATH | IN_QUERY
            }
            b'?' => IN_QUERY,
            _ => 0,
        };
        byte += 1;
    }
    classes
}

impl Parts {
    /// The parts of `text` when it is a URL with a host name and a path, without port and user name, that is normal already,
    /// as those that browsers send are. `None` says nothing.
    #[expect(clippy::cast_possible_truncation, reason = "no place is beyond URL_MAX_CHARS")]
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
        let run = |start: usize, class: u8| {
            let rest = bytes.get(start..).unwrap_or(&[]);
            start + rest.iter().take_while(|&&byte| CHAR_CLASSES[usize::from(byte)] & class != 0).count()
        };
        let host_end = run(host, IN_HOST);
        if bytes.get(host_end) != Some(&b'/') || !is_plain_host(bytes.get(host..host_end)?) {
            return None;
        }
        // Segments such as `..` mean something else than they say.
        let mut before = b' ';
        let (mut is_plain, mut has_escapes) = (true, false);
        let path = bytes.get(host_end..).unwrap_or(&[]).iter().take_while(|&&byte| {
            let classes = CHAR_CLASSES[usize::from(byte)];
            is_plain &= before != b'/' || classes & NOT_FIRST == 0;
            has_escapes |= byte == b'%';
            before = byte;
            classes & IN_PATH != 0
        });
        let path_end = host_end + path.count();
        let is_normal = |path: &str| matches!(normal_path(path), Cow::Borrowed(_));
        if !is_plain || (has_escapes && !text.get(host_end..path_end).is_some_and(is_normal)) {
            return None;
        }
        let query_end = if bytes.get(path_end) == Some(&b'?') { run(path_end + 1, IN_QUERY) } else { path_end };
        if query_end != bytes.len() {
            return None;
        }
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

/// `value` trimmed, without control characters and byte order marks.
pub(crate) fn clean(value: Cow<'_, str>) -> Cow<'_, str> {
    // What nearly every string is.
    if value.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !value.starts_with(' ') && !value.ends_with(' ') {
        return value;
    }
    let is_unwanted = |c: char| c.is_control() || c == '\u{feff}';
    let trimmed = value.trim();
    if trimmed.contains(is_unwanted) {
        return Cow::Owned(trimmed.replace(is_unwanted, ""));
    }
    if trimmed.len() == value.len() { value } else { Cow::Owned(trimmed.to_owned()) }
}

/// What kind of network marked a click on its advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdClick {
    /// A search engine, such as `gclid`.
    Search,
    /// A social network, such as `ttclid`.
    Social,
    /// Any other network.
    Other,
}

/// The parameters by which advertising networks mark a click, and whether their value names the click itself: one click has
/// one value, which tells two visits apart.
const AD_CLICKS: &[(&str, AdClick, bool)] = &[
    ("gclid", AdClick::Search, true),
    ("wbraid", AdClick::Search, true),
    ("gbraid", AdClick::Search, true),
    ("msclkid", AdClick::Search, true),
    ("yclid", AdClick::Search, true),
    ("ymclid", AdClick::Search, true),
    ("vmcid", AdClick::Search, true),
    ("sznclid", AdClick::Search, true),
    // fbclid and ttclid are marks of paid social.
    ("fbclid", AdClick::Social, true),
    ("ttclid", AdClick::Social, true),
    ("twclid", AdClick::Social, true),
    ("li_fat_id", AdClick::Social, true),
    ("epik", AdClick::Social, true),
    ("rdt_cid", AdClick::Social, true),
    ("ScCid", AdClick::Social, true),
    ("qclid", AdClick::Social, true),
    ("vk_click_id", AdClick::Social, true),
    ("dclid", AdClick::Other, true),
    ("tblci", AdClick::Other, true),
    ("dicbo", AdClick::Other, true),
    ("gclsrc", AdClick::Search, false),
    ("gad_source", AdClick::Search, false),
    ("gad_campaignid", AdClick::Search, false),
];

impl AdClick {
    /// The row of the parameter `name`, in any case: its name, the network, and whether its value names the click.
    fn from_parameter(name: &str) -> Option<(&'static str, Self, bool)> {
        AD_CLICKS.iter().copied().find(|(known, ..)| name.eq_ignore_ascii_case(known))
    }
}

/// The campaign that brought a visit. Absent parts are empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Campaign {
    /// `utm_source`, at most 255 characters, as are the other strings.
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
    /// The number of the click's id, see [`Marks::number`].
    pub(crate) click: u32,
    /// Whether a string was longer.
    pub(crate) is_cut: bool,
}

impl Campaign {
    /// Whether it names a source, a medium or a campaign.
    pub fn is_tagged(&self) -> bool {
        !self.source.is_empty() || !self.medium.is_empty() || !self.name.is_empty()
    }

    /// What tells two campaigns apart: source, medium and name, joined by U+001F.
    pub fn key(&self) -> String {
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
        assert!(!WebUrl::parse(long(URL_MAX_CHARS)).unwrap().is_cut());
        assert!(WebUrl::parse(long(URL_MAX_CHARS + 1)).unwrap().is_cut());
        let huge =
            WebUrl::parse(format!("https://example.com/{}?{}#{}", "é".repeat(9_000), "é".repeat(9_000), long(9_000)));
        assert!(huge.unwrap().path().len() <= URL_MAX_CHARS);
    }

    #[test]
    fn the_parts_are_normal() {
        for (text, host, path) in [
            ("https://Example.COM:8443/A/b?x=1#y", "example.com", "/A/b"),
            ("https://example.com.", "example.com", "/"),
            ("http://bücher.example/ü", "xn--bcher-kva.example", "/%C3%BC"),
            ("http://[::1]:3000/x", "[::1]", "/x"),
            ("http://user:secret@example.com/x", "example.com", "/x"),
            ("https://my_site.example.com/%e6%a9%9f", "my_site.example.com", "/%E6%A9%9F"),
            ("https://example.com/機/%7Ex|y", "example.com", "/%E6%A9%9F/~x%7Cy"),
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
            "https://example.com/%E6%A9%9F/a%2Fb?x=%e6",
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
            "https://a/%e6",
            "https://a/%41",
            "https://a/100%",
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
    fn every_ad_click_is_found_and_its_value_names_the_click() {
        for &(name, network, names_click) in AD_CLICKS {
            let read = |value: &str| WebUrl::parse(format!("https://e.com/?a=1&{name}={value}")).unwrap().campaign();
            assert_eq!(read("x").ad_click, Some(network), "{name}");
            assert_eq!(read("x").click != read("y").click, names_click, "{name}");
            assert_eq!(read("x"), read("x"));
        }
        let both = |id: &str| WebUrl::parse(format!("https://e.com/?gad_source=1&gclid={id}")).unwrap().campaign();
        assert_ne!(both("x").click, both("y").click);
        let click = |query: &str| WebUrl::parse(format!("https://e.com/?{query}")).unwrap().campaign().click;
        assert_ne!(click("gclid=x"), click("msclkid=x"), "two networks that use one id");
        assert_eq!(click("gclid=x"), click("GCLID=x"));
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
                click: Marks::number("ttclid=9"),
                is_cut: false,
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
