//! What a page says about where its visitor came from, as numbers that can be compared.

/// What can begin a new visit, each as a number; 0 where there is none. See [`Marks::ANY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Marks {
    /// `utm_source`, `utm_medium` and `utm_campaign`.
    pub campaign: u32,
    /// The id of a click on an advertisement.
    pub click: u32,
    /// The site that referred, when it is another one and none that people only pass through.
    pub referrer: u32,
}

impl Marks {
    /// These three.
    pub const fn new(campaign: u32, click: u32, referrer: u32) -> Self {
        Self { campaign, click, referrer }
    }

    /// Stands in a visit that was restored for a mark that is not stored: every mark is taken for it.
    pub const ANY: u32 = u32::MAX;

    /// The number of `name`; 0 of the empty one.
    pub(crate) fn number(name: &str) -> u32 {
        // The low half of a hash is one.
        #[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
        let hash = xxhash_rust::xxh3::xxh3_64(name.as_bytes()) as u32;
        if name.is_empty() { 0 } else { hash.clamp(1, Self::ANY - 1) }
    }

    /// Whether a page with these marks comes from elsewhere than a visit that began with `first`.
    pub(crate) fn begin_another_visit(self, first: Self) -> bool {
        let differs = |new: u32, old: u32| new != 0 && old != Self::ANY && new != old;
        differs(self.campaign, first.campaign)
            || differs(self.click, first.click)
            || differs(self.referrer, first.referrer)
    }
}
