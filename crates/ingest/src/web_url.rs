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

/// An absolute `http` or `https` URL.
#[derive(Debug, Clone)]
pub struct WebUrl(Url);

impl WebUrl {
    /// Reads `text`.
    ///
    /// # Errors
    /// When it is no URL of a page, see [`InvalidUrl`].
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
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
        if url.host_str().is_none_or(|host| host.is_empty() || host.len() > 253) {
            return Err(InvalidUrl::Format);
        }
        if url.as_str().len() > URL_MAX_ENCODED_BYTES {
            return Err(InvalidUrl::Length);
        }
        Ok(Self(url))
    }

    /// The host: lower case, punycode, without port; an IPv6 address in brackets; without the dot of the root.
    pub fn host(&self) -> &str {
        trim_host(self.0.host_str().unwrap_or_default())
    }

    /// The path, beginning with `/`, without query and fragment.
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// Scheme, host, port and path: no user name, query or fragment, which may hold personal data.
    pub fn without_query(&self) -> String {
        let port = self.0.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{}{port}{}", self.0.scheme(), self.host(), self.0.path())
    }

    /// What the query says about the campaign.
    pub fn campaign(&self) -> Campaign {
        let mut campaign = Campaign::default();
        if self.0.query().is_none_or(str::is_empty) {
            return campaign;
        }
        for (name, value) in self.0.query_pairs() {
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

/// `host` without the dot of the root, in lower case already.
fn trim_host(host: &str) -> &str {
    host.strip_suffix('.').filter(|rest| !rest.is_empty()).unwrap_or(host)
}

/// `value` trimmed, without control characters.
pub(crate) fn clean(value: Cow<'_, str>) -> Cow<'_, str> {
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
        format!("{}\u{1f}{}\u{1f}{}", self.source, self.medium, self.name)
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
        assert!(WebUrl::parse(&long(URL_MAX_CHARS)).is_ok());
        assert_eq!(WebUrl::parse(&long(URL_MAX_CHARS + 1)).unwrap_err(), InvalidUrl::Length);
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

        #[test]
        fn any_query_is_read(query in ".{0,200}") {
            if let Ok(url) = WebUrl::parse(&format!("https://example.com/?utm_source={query}")) {
                let campaign = url.campaign();
                prop_assert!(!campaign.source.chars().any(char::is_control));
                prop_assert!(!url.without_query().contains('?'));
            }
        }
    }
}
