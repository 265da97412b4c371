//! How a record came: what a request says beside its body.

use std::net::IpAddr;

use zenovay_domain::Timestamp;

use crate::WebUrl;
use crate::hints::ClientHints;
use crate::text::trim;

/// Who sends a record, and at which address the visitor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "anybody, or who holds a key")]
pub enum Sender {
    /// A page, or a server, without a key, at this address ([`crate::client_ip`]): it is judged by its origin, its user agent
    /// and its privacy signals.
    Anybody(IpAddr),
    /// The holder of a key of the website, who reports what others did: its rows carry their own times, user agents and
    /// addresses, if any.
    KeyHolder(Option<IpAddr>),
}

impl Sender {
    /// The visitor's address, as far as it is known.
    pub fn visitor_address(self) -> Option<IpAddr> {
        match self {
            Self::Anybody(address) => Some(address),
            Self::KeyHolder(address) => address,
        }
    }

    pub(crate) fn has_key(self) -> bool {
        matches!(self, Self::KeyHolder(_))
    }
}

/// When, from whom and with which headers a record came. Header values are as sent; `None` when the header is absent.
///
/// What a service leaves out is as if the browser had not sent it. Without `hints`, browsers that say little in `User-Agent` are known in less
/// detail; without `sec_gpc` and `dnt` nobody has opted out; without `purpose` pages that are loaded in advance count as views.
///
/// ```
/// use zenovay_ingest::{Arrival, Timestamp};
///
/// let mut arrival = Arrival::from_address("192.0.2.7".parse()?, Timestamp::from_millis(1_781_308_800_000));
/// arrival.origin = Some("https://example.com");
/// arrival.user_agent = Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Arrival<'a> {
    /// Who sends it.
    pub sender: Sender,
    /// When it arrived.
    pub received_at: Timestamp,
    /// The same by the steady reading of the clock ([`zenovay_domain::Reading`]): the day whose salt names the visitor, and
    /// what open sessions are forgotten by.
    pub steady_at: Timestamp,
    /// `Origin`.
    pub origin: Option<&'a str>,
    /// `Referer`.
    pub referer: Option<&'a str>,
    /// `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// `Accept-Language`, or what a row of a batch says in its place.
    pub accept_language: Option<&'a str>,
    /// `Sec-GPC`.
    pub sec_gpc: Option<&'a str>,
    /// `DNT`.
    pub dnt: Option<&'a str>,
    /// `Sec-Purpose`, else `Purpose`.
    pub purpose: Option<&'a str>,
    /// `Sec-CH-UA` and its kind. They speak of `user_agent`.
    pub hints: ClientHints<'a>,
}

impl<'a> Arrival<'a> {
    /// A request from a client at `address` without a key.
    pub fn from_address(address: IpAddr, received_at: Timestamp) -> Self {
        Self::new(Sender::Anybody(address), received_at)
    }

    /// A request or row of `sender` without headers, by a clock that is believed.
    pub fn new(sender: Sender, received_at: Timestamp) -> Self {
        Self {
            sender,
            received_at,
            steady_at: received_at,
            origin: None,
            referer: None,
            user_agent: None,
            accept_language: None,
            sec_gpc: None,
            dnt: None,
            purpose: None,
            hints: ClientHints::default(),
        }
    }

    /// The host of the page that sent it; `None` when it names none, or nothing that is a host.
    pub fn page_host(&self) -> Option<String> {
        WebUrl::parse(self.page()?).ok().map(|url| url.host().to_owned())
    }

    /// The page that sent it. `Origin: null` names no page; `Referer` may.
    pub(crate) fn page(&self) -> Option<&'a str> {
        let given = |header: Option<&'a str>| header.map(trim).filter(|value| !value.is_empty() && *value != "null");
        given(self.origin).or_else(|| given(self.referer))
    }
}
