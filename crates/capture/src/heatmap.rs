//! What a page tells for its heatmaps: clicks, how far it was scrolled, which part of it was in the window, and moves of
//! the pointer. Places are kept as cells of grids, not as pixels.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Problems;
use crate::message::without_secrets;
use crate::vitals::view_id;

/// The columns and the rows of the grid of an element.
pub const HEAT_BINS: u16 = 32;
/// The columns of the grid of a page.
pub const PAGE_COLUMNS: u16 = 64;
/// The rows of the grid of a page.
pub const PAGE_ROWS: u16 = 256;
/// The parts of the height of a page for which attention is counted.
pub const HEAT_BANDS: usize = 20;
/// The most clicks, and the most moves, of a body.
const ENTRIES_MAX: usize = 500;
/// The highest number of a body of one view.
const SEQ_MAX: u64 = 100_000;
/// The most pixels of a window or a page.
const PIXELS_MAX: f64 = 1e7;
/// The most milliseconds of attention of a part in one body.
const ATTENTION_MAX_MS: f64 = 3_600_000.0;
/// The most characters of an address.
const ADDRESS_MAX_CHARS: usize = 512;
/// The most characters of a label.
const LABEL_MAX_CHARS: usize = 60;
/// The most characters of the name of a structure.
const DOM_MAX_CHARS: usize = 32;

/// A class of devices, by the width of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceClass {
    /// 1,024 pixels and wider.
    Desktop,
    /// 600 to 1,023 pixels.
    Tablet,
    /// Narrower than 600 pixels.
    Phone,
}

impl DeviceClass {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Desktop, Self::Tablet, Self::Phone];

    /// That of a window so many pixels wide.
    pub const fn of_width(width: u32) -> Self {
        match width {
            0..600 => Self::Phone,
            600..1_024 => Self::Tablet,
            _ => Self::Desktop,
        }
    }

    /// The widths of its windows, in pixels.
    pub const fn widths(self) -> std::ops::Range<u32> {
        match self {
            Self::Desktop => 1_024..u32::MAX,
            Self::Tablet => 600..1_024,
            Self::Phone => 0..600,
        }
    }

    /// Its name in questions and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Tablet => "tablet",
            Self::Phone => "phone",
        }
    }

    /// The one with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// Its number, which stored captures have.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// One or several clicks in a row at one place.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HeatClick {
    /// By which the element is found again. Nothing here reads it.
    pub address: String,
    /// What the element is called; empty when it has no name that may be known.
    pub label: String,
    /// The cell of the element's grid, row by row.
    pub cell: u16,
    /// The cell of the page's grid, row by row.
    pub spot: u16,
    /// How many clicks in a row these were.
    pub count: u8,
    /// Whether they were many in a short time.
    pub is_rage: bool,
    /// Whether nothing happened after them.
    pub is_dead: bool,
}

/// What a body tells for the heatmap of its page.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HeatmapFields {
    /// What the page calls the view.
    pub view_id: String,
    /// Which body of the view it is, from 0.
    pub seq: u32,
    /// What happened.
    pub told: HeatTold,
}

/// What happened on a page, as a body tells it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HeatTold {
    /// The width and the height of the window, in pixels.
    pub viewport: [u32; 2],
    /// The width and the height of the page, in pixels.
    pub page: [u32; 2],
    /// Names the structure of the page; empty when it is not told.
    pub dom: String,
    /// How much of the height of the page was seen so far, in pixels.
    pub reached: u32,
    /// For how many milliseconds each part of the page was in the window since the body before.
    pub attention: [u32; HEAT_BANDS],
    /// Clicks.
    pub clicks: Vec<HeatClick>,
    /// Cells of the page's grid that the pointer was in.
    pub moves: Vec<u16>,
}

impl HeatmapFields {
    /// Reads the members of a body. Strings that are too long are cut.
    ///
    /// # Errors
    /// When there is no view, when sizes or numbers are missing or cannot be, or when there is too much.
    pub fn read(members: &Map<String, Value>) -> Result<Self, Problems> {
        let view_id = view_id(members)?;
        let seq = members.get("seq").and_then(Value::as_u64).filter(|seq| *seq <= SEQ_MAX);
        let seq = seq.and_then(|seq| u32::try_from(seq).ok());
        let seq = seq.ok_or_else(|| Problems::one("seq", format!("Must be a whole number from 0 to {SEQ_MAX}")))?;
        let viewport = size(members, "viewport")?;
        let page = size(members, "page")?;
        let scroll = members.get("scroll").and_then(Value::as_object);
        let of_scroll = |name: &str| scroll.and_then(|scroll| scroll.get(name));
        let reached = of_scroll("max").and_then(Value::as_f64).map_or(0, pixels);
        let mut attention = [0; HEAT_BANDS];
        let told = of_scroll("attention").and_then(Value::as_array);
        for (band, ms) in attention.iter_mut().zip(told.into_iter().flatten()) {
            *band = whole(ms.as_f64().unwrap_or(0.0), ATTENTION_MAX_MS);
        }
        let clicks = list(members, "clicks")?.iter().enumerate().map(|(place, click)| read_click(place, click, page));
        let clicks = clicks.collect::<Result<_, _>>()?;
        let moves = list(members, "moves")?.iter().enumerate().map(|(place, at)| {
            let [x, y] = pair(at).ok_or_else(|| Problems::one(format!("moves[{place}]"), "Must be two numbers"))?;
            Ok(spot(x, y, page))
        });
        let moves = moves.collect::<Result<_, Problems>>()?;
        let dom = members.get("dom").and_then(Value::as_str).unwrap_or("");
        let dom = dom.chars().filter(char::is_ascii_alphanumeric).take(DOM_MAX_CHARS).collect();
        Ok(Self { view_id, seq, told: HeatTold { viewport, page, dom, reached, attention, clicks, moves } })
    }

    /// The class of the device, by the width of its window.
    pub const fn class(&self) -> DeviceClass {
        DeviceClass::of_width(self.told.viewport[0])
    }
}

fn read_click(place: usize, click: &Value, page: [u32; 2]) -> Result<HeatClick, Problems> {
    let member = |name: &str| click.get(name);
    let wrong = |name: &str, words: &str| Problems::one(format!("clicks[{place}].{name}"), words);
    let number = |name: &str| member(name).and_then(Value::as_f64).ok_or_else(|| wrong(name, "Must be a number"));
    let string = |name: &str| member(name).and_then(Value::as_str).unwrap_or("");
    let flag = |name: &str| member(name).and_then(Value::as_bool).unwrap_or(false);
    let (x, y) = (number("x")?, number("y")?);
    let address: String = string("s").chars().take(ADDRESS_MAX_CHARS).collect();
    if address.is_empty() {
        return Err(wrong("s", "Must be the address of an element"));
    }
    let cell = bin(number("oy")?, HEAT_BINS) * HEAT_BINS + bin(number("ox")?, HEAT_BINS);
    let count = member("n").map_or(Some(1), Value::as_u64).filter(|count| *count > 0);
    let count = count.ok_or_else(|| wrong("n", "Must be a whole number of at least 1"))?;
    let label: String = without_secrets(string("label").trim()).chars().take(LABEL_MAX_CHARS).collect();
    Ok(HeatClick {
        address,
        label,
        cell,
        spot: spot(x, y, page),
        count: u8::try_from(count).unwrap_or(u8::MAX),
        is_rage: flag("rage"),
        is_dead: flag("dead"),
    })
}

/// The list `name`; empty when it is absent.
fn list<'a>(members: &'a Map<String, Value>, name: &str) -> Result<&'a [Value], Problems> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(list)) if list.len() <= ENTRIES_MAX => Ok(list),
        Some(_) => Err(Problems::one(name, format!("Must be a list of at most {ENTRIES_MAX}"))),
    }
}

fn size(members: &Map<String, Value>, name: &str) -> Result<[u32; 2], Problems> {
    let size = members.get(name).and_then(pair).map(|size| size.map(pixels));
    let size = size.filter(|size| size.iter().all(|side| *side > 0));
    size.ok_or_else(|| Problems::one(name, "Must be a width and a height in pixels"))
}

fn pair(value: &Value) -> Option<[f64; 2]> {
    match value.as_array()?.as_slice() {
        [x, y] => Some([x.as_f64()?, y.as_f64()?]),
        _ => None,
    }
}

fn pixels(value: f64) -> u32 {
    whole(value, PIXELS_MAX)
}

/// `value` as a whole number from 0 to `most`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within its bounds")]
fn whole(value: f64, most: f64) -> u32 {
    value.clamp(0.0, most).round() as u32
}

/// Which of `bins` equal parts of 0 to 1 `fraction` is in; outside, the nearest.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within its bounds")]
fn bin(fraction: f64, bins: u16) -> u16 {
    let place = (fraction * f64::from(bins)).floor();
    place.clamp(0.0, f64::from(bins - 1)) as u16
}

/// The cell of the page's grid that has a place in pixels.
fn spot(x: f64, y: f64, [width, height]: [u32; 2]) -> u16 {
    bin(y / f64::from(height), PAGE_ROWS) * PAGE_COLUMNS + bin(x / f64::from(width), PAGE_COLUMNS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn body(extra: Value) -> Value {
        let mut body = json!({ "view_id": "view-0001", "seq": 0, "viewport": [1200, 800], "page": [1200, 4000] });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    }

    fn read(body: &Value) -> Result<HeatmapFields, Problems> {
        HeatmapFields::read(body.as_object().unwrap())
    }

    #[test]
    fn clicks_are_cells_of_their_element_and_of_the_page() {
        let click = json!({ "x": 600, "y": 2000, "s": "main>button|f=1f9d0a2c", "ox": 0.5, "oy": 1, "n": 300,
            "label": "Call ada@example.com", "rage": true });
        let told = read(&body(json!({ "clicks": [click], "moves": [[0, 0], [1199, 3999], [-5, 9e9]],
            "dom": "1f9d<0a2c>", "scroll": { "max": 1200.4, "attention": [1500.4, -3, 9e9, "x"] } })));
        let read = told.unwrap();
        assert_eq!(read.class(), DeviceClass::Desktop);
        let told = read.told;
        assert_eq!(told.clicks.len(), 1);
        let HeatClick { address, label, cell, spot, count, is_rage, is_dead } = &told.clicks[0];
        assert_eq!((address.as_str(), *cell, *spot), ("main>button|f=1f9d0a2c", 31 * 32 + 16, 128 * 64 + 32));
        assert_eq!((*count, *is_rage, *is_dead), (255, true, false));
        assert!(!label.contains("ada@"), "{label}");
        assert_eq!(told.moves, [0, 255 * 64 + 63, 255 * 64]);
        assert_eq!((told.dom.as_str(), told.reached), ("1f9d0a2c", 1200));
        assert_eq!(told.attention[..4], [1500, 0, 3_600_000, 0]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let click = |more: Value| {
            let mut click = json!({ "x": 1, "y": 1, "s": "p", "ox": 0, "oy": 0 });
            click.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({ "clicks": [click] })
        };
        for (extra, member) in [
            (json!({ "view_id": "x" }), "view_id"),
            (json!({ "seq": -1 }), "seq"),
            (json!({ "seq": 1.5 }), "seq"),
            (json!({ "viewport": [0, 800] }), "viewport"),
            (json!({ "page": [1200] }), "page"),
            (json!({ "page": null }), "page"),
            (json!({ "clicks": {} }), "clicks"),
            (json!({ "clicks": vec![1; 501] }), "clicks"),
            (json!({ "clicks": [1] }), "clicks[0].x"),
            (click(json!({ "s": "" })), "clicks[0].s"),
            (click(json!({ "ox": null })), "clicks[0].ox"),
            (click(json!({ "n": 0 })), "clicks[0].n"),
            (json!({ "moves": [[1]] }), "moves[0]"),
        ] {
            assert!(read(&body(extra.clone())).unwrap_err().0.contains_key(member), "{extra}");
        }
        let long = read(&body(click(json!({ "s": "é".repeat(600), "label": "x".repeat(99) })))).unwrap().told;
        assert_eq!((long.clicks[0].address.chars().count(), long.clicks[0].label.len()), (512, 60));
    }

    #[test]
    fn classes_are_told_by_the_width_of_the_window() {
        for class in DeviceClass::ALL {
            let widths = class.widths();
            assert_eq!(DeviceClass::of_width(widths.start), class);
            assert_eq!(DeviceClass::of_width(widths.end - 1), class);
            assert_eq!(DeviceClass::from_name(class.as_str()), Some(class));
            assert_eq!(DeviceClass::ALL[usize::from(class.number())], class);
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 32, 6, |inner| {
            let names = prop::sample::select(vec!["x", "y", "s", "ox", "oy", "n", "label", "max", "attention"]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(names.prop_map(str::to_owned), inner, 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_body_is_read_within_its_bounds_or_refused(
            name in prop::sample::select(vec!["seq", "viewport", "page", "clicks", "moves", "scroll", "dom"]),
            value in any_json(),
        ) {
            if let Ok(HeatmapFields { told, .. }) = read(&body(json!({ name: value }))) {
                let spots = PAGE_COLUMNS * PAGE_ROWS;
                prop_assert!(told.moves.iter().all(|spot| *spot < spots));
                prop_assert!(told.clicks.iter().all(|click| click.cell < HEAT_BINS * HEAT_BINS && click.spot < spots));
                prop_assert!(told.clicks.iter().all(|click| click.count > 0 && click.address.chars().count() <= 512));
                prop_assert!(told.clicks.len() <= ENTRIES_MAX && told.page.iter().all(|side| *side > 0));
            }
        }
    }
}
