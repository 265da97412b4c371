//! The erasure and the export of a visitor, for whoever asks: the API, or a command.

use zenovay_domain::{VisitorId, WebsiteId};
use zenovay_query::Budget;
use zenovay_store::ActingStore;

use crate::keepers::{KeeperError, Keepers, VisitorData};

/// What an id that a client sent is marked with where it looks like one of ours.
const CLIENT_PREFIX: &str = "client:";
/// The digits of an id of ours.
const ID_DIGITS: usize = 16;

/// A visitor, as people name one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VisitorName<'a> {
    /// By the id that answers have: 16 hexadecimal digits in lower case.
    Stored(VisitorId),
    /// By the id that the client sent.
    Sent(&'a str),
}

impl<'a> VisitorName<'a> {
    /// What `name` names: an id of ours if it looks like one, otherwise what a client sent, which is also what stands behind
    /// `client:`. `None` for nothing.
    pub fn parse(name: &'a str) -> Option<Self> {
        if let Some(sent) = name.strip_prefix(CLIENT_PREFIX) {
            return (!sent.is_empty()).then_some(Self::Sent(sent));
        }
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if name.len() == ID_DIGITS && name.bytes().all(is_digit) {
            return u64::from_str_radix(name, 16).ok().map(|id| Self::Stored(VisitorId(id)));
        }
        (!name.is_empty()).then_some(Self::Sent(name))
    }

    /// The id under which events are stored. `known` gives that of one who is known by an id that a client sent.
    pub fn id(&self, known: impl FnOnce(&str) -> VisitorId) -> VisitorId {
        match self {
            Self::Stored(id) => *id,
            Self::Sent(sent) => known(sent),
        }
    }
}

/// The same as [`erase`], while whoever `store` acts for may do it.
///
/// # Errors
/// [`KeeperError`]; nothing is removed when they may not.
pub fn erase_on_behalf(
    store: &dyn ActingStore,
    keepers: &Keepers,
    website: WebsiteId,
    visitor: VisitorId,
    by: &str,
) -> Result<(), KeeperError> {
    // Events are in no transaction of the metadata: this is as late as it can be looked at.
    store.check_standing()?;
    erase(keepers, website, visitor, by)
}

/// Removes everything that is kept of `visitor`. `by` says for the log who asked.
///
/// # Errors
/// [`KeeperError`]; what can be removed is.
pub fn erase(keepers: &Keepers, website: WebsiteId, visitor: VisitorId, by: &str) -> Result<(), KeeperError> {
    keepers.erase_visitor(website, visitor)?;
    metrics::counter!("zenovay_visitor_erasures_total").increment(1);
    // Without the id: the log would keep what was to be forgotten.
    tracing::info!(target: "audit", action = "erase_visitor", %website, by, "a visitor was erased");
    Ok(())
}

/// Everything that is kept of `visitor`. `by` says for the log who asked.
///
/// # Errors
/// [`KeeperError`]: never a part of it.
pub fn export(
    keepers: &Keepers,
    website: WebsiteId,
    visitor: VisitorId,
    budget: &Budget,
    by: &str,
) -> Result<VisitorData, KeeperError> {
    let data = keepers.export_visitor(website, visitor, budget)?;
    metrics::counter!("zenovay_visitor_exports_total").increment(1);
    let events = data.events.len();
    tracing::info!(target: "audit", action = "export_visitor", %website, %visitor, by, events, "a visitor was exported");
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_an_id_of_ours_or_of_a_client() {
        let parse = VisitorName::parse;
        assert_eq!(parse("00000000000000ff"), Some(VisitorName::Stored(VisitorId(255))));
        for sent in ["00000000000000FF", "0ff", "+0000000000000ff", "2f1c8a5e-0b7d-4a57-9d64-2f1c8a5e0b7d", "ÿ"] {
            assert_eq!(parse(sent), Some(VisitorName::Sent(sent)));
        }
        assert_eq!(parse("client:00000000000000ff"), Some(VisitorName::Sent("00000000000000ff")));
        assert_eq!((parse(""), parse("client:")), (None, None));
    }
}
