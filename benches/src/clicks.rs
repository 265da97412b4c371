//! Clicks on one page that nobody made, for benches of heatmaps.

use zenovay_capture::{
    Capture, Captures, Context, DeviceClass, HEAT_BINS, HeatClick, HeatTold, HeatmapCapture, PAGE_COLUMNS, PAGE_ROWS,
};
use zenovay_domain::WebsiteId;
use zenovay_events::{BatchName, CaptureSink};

use crate::dice::Dice;
use crate::generate::DAY_MS;

/// The path of the page.
pub const PAGE: &str = "/pricing";
/// The days over which clicks are spread.
pub const DAYS: i64 = 28;
/// The end of the last day, in milliseconds since 1970.
pub const END_MS: i64 = 20_000 * DAY_MS;
/// Browsers of the visitors, the most frequent first.
pub const BROWSERS: [&str; 4] = ["Chrome", "Safari", "Firefox", "Edge"];
const COUNTRIES: [&str; 5] = ["US", "DE", "GB", "FR", "IN"];
const ELEMENTS: u64 = 60;
const CLICKS_PER_VIEW: u64 = 4;
/// Page views in one batch of the log.
const BATCH: usize = 256;

/// The page views of which `clicks` clicks are, in the order of time; four of each.
pub fn views(clicks: u64) -> impl Iterator<Item = HeatmapCapture> {
    let count = clicks.div_ceil(CLICKS_PER_VIEW);
    let step = (DAYS * DAY_MS).unsigned_abs() / count.max(1);
    let mut dice = Dice(1);
    (0..count).map(move |number| {
        let at_ms = END_MS - DAYS * DAY_MS + (number * step).cast_signed();
        let context = Context {
            at_ms,
            visitor: dice.throw(clicks / 8 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            session: 0,
            path: PAGE.to_owned(),
            device: "desktop".to_owned(),
            browser: pick(&BROWSERS, &mut dice).to_owned(),
            browser_version: format!("{}.0", 130 + dice.skewed(12)),
            os: pick(&["Windows", "macOS", "Linux"], &mut dice).to_owned(),
            country: pick(&COUNTRIES, &mut dice).to_owned(),
        };
        let clicks = (0..CLICKS_PER_VIEW.min(clicks - number * CLICKS_PER_VIEW)).map(|_| click(&mut dice)).collect();
        HeatmapCapture {
            context,
            view: number,
            seq: 0,
            class: DeviceClass::Desktop.number(),
            told: HeatTold {
                viewport: [1_280 + 160 * pick(&[0, 1, 4], &mut dice), 900],
                page: [1_440, 3_600],
                dom: "9f2c41d07ab3e580".to_owned(),
                reached: 900 + u32::try_from(dice.skewed(2_701)).unwrap_or(0),
                attention: std::array::from_fn(|band| {
                    u32::try_from(dice.throw(4_000 / (band as u64 + 1))).unwrap_or(0)
                }),
                clicks,
                moves: Vec::new(),
            },
        }
    })
}

fn pick<T: Copy>(values: &[T], dice: &mut Dice) -> T {
    values[usize::try_from(dice.skewed(values.len() as u64)).unwrap_or(0)]
}

fn click(dice: &mut Dice) -> HeatClick {
    let element = dice.skewed(ELEMENTS);
    let spot = (u64::from(PAGE_ROWS) * element / ELEMENTS) * u64::from(PAGE_COLUMNS) + dice.throw(64);
    HeatClick {
        address: format!(
            "main>section:nth-of-type({})>div>ul>li:nth-of-type({element})>a|f={element:08x}",
            element % 7
        ),
        label: format!("Element {element}"),
        cell: dice.central(HEAT_BINS) * HEAT_BINS + dice.central(HEAT_BINS),
        spot: u16::try_from(spot).unwrap_or(0),
        count: u8::try_from(1 + dice.skewed(3)).unwrap_or(1),
        is_rage: dice.throw(50) == 0,
        is_dead: dice.throw(20) == 0,
    }
}

/// Stores `views` of `website` as they come from the log.
///
/// # Panics
/// When they cannot be stored.
#[expect(clippy::expect_used, reason = "a bench fails loudly")]
pub fn store(captures: &Captures, website: WebsiteId, views: impl Iterator<Item = HeatmapCapture>) {
    let mut views = views.peekable();
    let mut number = 0;
    while views.peek().is_some() {
        number += 1;
        let batch = views.by_ref().take(BATCH).map(|view| (website, Capture::Heatmap(view).pack()));
        captures.take(BatchName::new(1, number), batch.collect());
        // As the log does, which takes no more while there is no room.
        captures.catch_up().expect("there is room");
    }
    captures.sync().expect("the disk takes it");
}
