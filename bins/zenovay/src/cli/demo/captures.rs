//! What the pages of the demo report beside events: how fast they are, where they are clicked, and the mistakes in them. Errors come minified, from bundles
//! whose source maps the server has, and are read by what reads those of real pages.

use rand::{Rng, RngExt};
use serde_json::{Map, Value, json};
use zenovay_capture::{
    Capture, CaptureError, Captures, Context, ErrorCapture, ErrorGroup, HeatmapCapture, HeatmapFields, NewSourceMap,
    SourceMapError, Status, Vitals, VitalsCapture, read_errors,
};
use zenovay_domain::{Dimension, Event, Timestamp, Website, WebsiteId};
use zenovay_events::{AppendError, EventStore, NewCapture};

use super::recordings::{Failed, Site};
use super::site::Device;
use super::{BATCH, DAY_MS};
use crate::bootstrap::OWNER_EMAIL;

/// A version of the app, how many days ago it came, and what its bundle is called.
struct Release {
    name: &'static str,
    days_ago: i64,
    bundle: &'static str,
}

/// The newest first.
static RELEASES: [Release; 4] = [
    Release { name: "2.14.1", days_ago: 4, bundle: "app-5QK2ZD7C.js" },
    Release { name: "2.14.0", days_ago: 9, bundle: "app-H4WJ3RTM.js" },
    Release { name: "2.13.0", days_ago: 20, bundle: "app-X7NBU2LE.js" },
    Release { name: "2.12.0", days_ago: 60, bundle: "app-D6JNDYIQ.js" },
];

/// The files of the app that have mistakes.
const SOURCES: [(&str, &str); 5] = [
    (
        "../src/pricing.ts",
        r#"import { offers, type Offer } from "./offers";

/** What an offer costs a month, in the currency that is chosen. */
export function priceOf(name: string, currency: string): number {
  const offer = offers.find((one: Offer) => one.name === name);
  return offer.prices[currency].amount / 100;
}

export function showPrices(table: HTMLTableElement, currency: string): void {
  for (const row of table.rows) {
    row.cells[1].textContent = priceOf(row.id, currency).toFixed(2);
  }
}

export function onCurrencyChange(event: Event): void {
  const choice = event.target as HTMLSelectElement;
  showPrices(document.querySelector("table"), choice.value);
}
"#,
    ),
    (
        "../src/signup.ts",
        r#"import { api } from "./api";

export async function createAccount(form: FormData): Promise<Account> {
  const answer = await api.post("/accounts", form);
  if (answer.status >= 500) {
    throw new Error(`The account was not created: ${answer.status}`);
  }
  return answer.json();
}

export async function onSubmit(event: SubmitEvent): Promise<void> {
  event.preventDefault();
  const account = await createAccount(new FormData(event.target as HTMLFormElement));
  welcome(account);
}
"#,
    ),
    (
        "../src/docs/copy.ts",
        r#"/** Puts an example into the clipboard. */
export async function copyExample(button: HTMLButtonElement): Promise<void> {
  const example = button.closest("figure").querySelector("pre");
  await navigator.clipboard.writeText(example.textContent);
  button.textContent = "Copied";
}
"#,
    ),
    (
        "../src/newsletter.ts",
        r#"export function join(form: HTMLFormElement): void {
  const address = form.elements.namedItem("email") as HTMLInputElement;
  if (!address.validity.valid) {
    zenovay("error", new RangeError("The address was not accepted"), { field: "email" });
  }
}
"#,
    ),
    (
        "../src/dates.ts",
        r#"/** When an article was published, in the reader's words. */
export function published(at: string, locale: string): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: "long" }).format(new Date(at));
}

export function showDates(): void {
  for (const time of document.querySelectorAll("time")) {
    time.textContent = published(time.dateTime, document.documentElement.lang);
  }
}
"#,
    ),
];

/// Which browsers say it so.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    Any,
    Chromium,
    WebKit,
}

/// What was decided about a group, and how many days ago.
type Decided = Option<(Status, i64)>;

/// A mistake in the app.
struct Mistake {
    /// The pages on which it is met.
    pages: &'static [&'static str],
    kind: &'static str,
    message: &'static str,
    /// `uncaught`, `rejection` or `manual`.
    source: &'static str,
    engine: Engine,
    /// Places in the sources, the innermost first: a file, and what stands there.
    frames: &'static [(usize, &'static str)],
    /// Of how many views of its pages one in so many fails.
    one_in: u32,
    /// From and to how many days ago.
    days_ago: (i64, i64),
    /// What the visitor did before.
    click: &'static str,
    decided: Decided,
}

static MISTAKES: [Mistake; 6] = [
    // It came with a release.
    Mistake {
        pages: &["/pricing"],
        kind: "TypeError",
        message: "Cannot read properties of undefined (reading 'amount')",
        source: "uncaught",
        engine: Engine::Chromium,
        frames: &[(0, "offer.prices[currency].amount"), (0, "priceOf(row.id, currency)"), (0, "showPrices(document")],
        one_in: 14,
        days_ago: (9, 0),
        click: "Currency",
        decided: None,
    },
    Mistake {
        pages: &["/pricing"],
        kind: "TypeError",
        message: "undefined is not an object (evaluating 'r.prices[n].amount')",
        source: "uncaught",
        engine: Engine::WebKit,
        frames: &[(0, "offer.prices[currency].amount"), (0, "priceOf(row.id, currency)"), (0, "showPrices(document")],
        one_in: 16,
        days_ago: (9, 0),
        click: "Currency",
        decided: None,
    },
    // It was mended, and came back.
    Mistake {
        pages: &["/signup"],
        kind: "Error",
        message: "The account was not created: 503",
        source: "rejection",
        engine: Engine::Any,
        frames: &[(1, "throw new Error(`The account"), (1, "createAccount(new FormData")],
        one_in: 9,
        days_ago: (26, 0),
        click: "Create account",
        decided: Some((Status::Resolved, 12)),
    },
    // It was mended.
    Mistake {
        pages: &["/docs/api", "/docs/getting-started"],
        kind: "NotAllowedError",
        message: "Write permission denied.",
        source: "rejection",
        engine: Engine::Any,
        frames: &[(2, "navigator.clipboard.writeText")],
        one_in: 22,
        days_ago: (30, 7),
        click: "Copy",
        decided: Some((Status::Resolved, 6)),
    },
    Mistake {
        pages: &["/blog/counting-without-cookies"],
        kind: "RangeError",
        message: "The address was not accepted",
        source: "manual",
        engine: Engine::Any,
        frames: &[(3, "new RangeError(\"The address")],
        one_in: 60,
        days_ago: (30, 0),
        click: "Join",
        decided: Some((Status::Ignored, 15)),
    },
    Mistake {
        pages: &["/blog/what-is-a-bounce", "/blog"],
        kind: "RangeError",
        message: "Incorrect locale information provided",
        source: "uncaught",
        engine: Engine::Any,
        frames: &[(4, "new Intl.DateTimeFormat"), (4, "published(time.dateTime")],
        one_in: 25,
        days_ago: (20, 0),
        click: "",
        decided: None,
    },
];

impl Mistake {
    /// What was decided, and when.
    fn decided_at(&self, now: Timestamp) -> Option<(Status, Timestamp)> {
        self.decided.map(|(status, days)| (status, now.plus_millis(-days * DAY_MS)))
    }

    /// Whether visitors of `page` with this browser meet it at a time that is so many days ago. While it counts as mended nobody
    /// does, until a release brings it back.
    fn is_met(&self, page: &str, browser: &str, days_ago: f64) -> bool {
        let (from, to) = self.days_ago;
        let is_engine = match self.engine {
            Engine::Any => true,
            Engine::Chromium => matches!(browser, "Chrome" | "Edge"),
            Engine::WebKit => browser == "Safari",
        };
        let is_mended = match self.decided {
            Some((Status::Resolved, days)) => days_ago < days as f64 && days_ago >= RELEASES[0].days_ago as f64,
            _ => false,
        };
        let is_then = days_ago < from as f64 && days_ago >= to as f64;
        self.pages.contains(&page) && is_engine && is_then && !is_mended
    }
}

/// Where each place of [`MISTAKES`] is in the bundle of a release, which has one line.
fn column_of(release: usize, place: (usize, &str)) -> u32 {
    let mut places = places();
    let at = places.position(|known| known == place).unwrap_or(0);
    [911, 1_204, 388, 640][release % 4] + u32::try_from(at).unwrap_or(0) * 73
}

/// The places of all mistakes, each once.
fn places() -> impl Iterator<Item = (usize, &'static str)> {
    let mut all: Vec<(usize, &'static str)> = MISTAKES.iter().flat_map(|mistake| mistake.frames).copied().collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter()
}

/// The source map of a release.
fn source_map(release: usize) -> Value {
    let (mut mappings, mut last) = (String::new(), [0_i64; 4]);
    for place in places() {
        let (file, words) = place;
        let before = SOURCES[file].1.split(words).next().unwrap_or("");
        let line = before.matches('\n').count();
        let column = before.len() - before.rfind('\n').map_or(0, |end| end + 1);
        let whole = |number: usize| i64::try_from(number).unwrap_or(0);
        let next = [i64::from(column_of(release, place)) - 1, whole(file), whole(line), whole(column)];
        if !mappings.is_empty() {
            mappings.push(',');
        }
        for (from, to) in last.iter().zip(next) {
            push_vlq(&mut mappings, to - from);
        }
        last = next;
    }
    json!({
        "version": 3,
        "sources": SOURCES.map(|(file, _)| file),
        "sourcesContent": SOURCES.map(|(_, text)| text),
        "names": [],
        "mappings": mappings,
    })
}

/// Adds a number as base 64 VLQ, as source maps have it.
fn push_vlq(text: &mut String, number: i64) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut rest = (number.unsigned_abs() << 1) | u64::from(number < 0);
    loop {
        let digit = rest & 31;
        rest >>= 5;
        let digit = if rest > 0 { digit | 32 } else { digit };
        text.push(usize::try_from(digit).map_or('A', |digit| char::from(DIGITS[digit])));
        if rest == 0 {
            return;
        }
    }
}

/// Sends the source maps of `website`, each when its release came.
pub(super) fn send_maps(captures: &Captures, website: &Website, now: Timestamp) -> Result<(), SourceMapError> {
    for (number, release) in RELEASES.iter().enumerate() {
        let url = format!("https://{}/assets/{}", website.domain, release.bundle);
        let (map, at) = (source_map(number).to_string(), now.plus_millis(-release.days_ago * DAY_MS));
        let new = NewSourceMap { file_name: release.bundle, file_url: &url, release: release.name, json: &map };
        captures.add_source_map(website.id, new, at)?;
    }
    Ok(())
}

/// Something that a page reported.
pub(super) struct Reported {
    pub(super) website: WebsiteId,
    pub(super) at: Timestamp,
    pub(super) capture: Capture,
}

/// The visit so far: the pages that were viewed, each with the moment.
pub(super) type Seen = [(Timestamp, &'static str)];

/// The pages of a website, which report.
pub(super) struct Pages<'a> {
    pub(super) website: &'a Website,
    pub(super) site: Site,
    /// How many visitors could have met each mistake.
    views: [u32; MISTAKES.len()],
}

impl<'a> Pages<'a> {
    pub(super) fn of(website: &'a Website) -> Self {
        Self { website, site: Site::of(website), views: [0; MISTAKES.len()] }
    }

    /// What a view of a page reports, of which `seen` is what came before: its speed, and the errors that its visitor met, which are
    /// also told for themselves.
    pub(super) fn report(
        &mut self,
        view: &Event,
        seen: &Seen,
        now: Timestamp,
        rng: &mut impl Rng,
    ) -> (Vec<Reported>, Vec<Failed>) {
        let days_ago = (now.as_millis() - view.at.as_millis()) as f64 / DAY_MS as f64;
        let context = context_of(view);
        let (mut reported, mut failed) = (Vec::new(), Vec::new());
        // Some leave too soon to be measured.
        if rng.random_bool(0.8) {
            reported.extend(speed(&context, days_ago, rng));
        }
        if rng.random_bool(0.5) {
            reported.extend(heat(&context, &self.site, rng));
        }
        for (mistake, views) in MISTAKES.iter().zip(&mut self.views) {
            if mistake.is_met(&context.path, &context.browser, days_ago) {
                // Also a website with few visitors has each of them.
                if *views % mistake.one_in == mistake.one_in / 2 {
                    let error = error(self.website, mistake, &context, seen, days_ago, rng);
                    failed.extend(error.iter().map(|(at, _)| Failed {
                        at: *at,
                        click: mistake.click,
                        kind: mistake.kind,
                        message: mistake.message,
                    }));
                    reported.extend(error);
                }
                *views += 1;
            }
        }
        let reported = reported.into_iter().filter(|(at, _)| *at < now);
        (reported.map(|(at, capture)| Reported { website: self.website.id, at, capture }).collect(), failed)
    }
}

/// Whose a view is, when and where.
pub(super) fn context_of(view: &Event) -> Context {
    let of = |dimension| view.dimensions.get(dimension).to_owned();
    Context {
        at_ms: view.at.as_millis(),
        visitor: view.visitor.0,
        session: view.session.0,
        path: of(Dimension::Path),
        device: of(Dimension::Device),
        browser: of(Dimension::Browser),
        browser_version: of(Dimension::BrowserVersion),
        os: of(Dimension::Os),
        country: of(Dimension::Country),
    }
}

/// About how many milliseconds the largest part of a page takes on a computer, and how much its layout shifts.
const SPEEDS: [(&str, f64, f64); 6] = [
    ("/", 1_650.0, 0.03),
    ("/features", 2_300.0, 0.16),
    ("/pricing", 1_450.0, 0.05),
    ("/signup", 1_250.0, 0.01),
    ("/docs/api", 2_050.0, 0.02),
    ("/blog/counting-without-cookies", 1_350.0, 0.04),
];

/// How fast a page was: telephones and far places take longer, and a release made one page slower. Browsers measure different
/// things.
fn speed(context: &Context, days_ago: f64, rng: &mut impl Rng) -> Option<(Timestamp, Capture)> {
    let (_, base, shift) =
        SPEEDS.iter().find(|(page, ..)| *page == context.path).copied().unwrap_or(("", 1_500.0, 0.02));
    let is_phone = context.device == "mobile";
    let is_far = matches!(context.country.as_str(), "IN" | "BR" | "AU" | "JP");
    let slower = if context.path == "/pricing" && days_ago < 9.0 { 1.35 } else { 1.0 };
    let base = base * slower * if is_phone { 1.45 } else { 1.0 } * if is_far { 1.3 } else { 1.0 };
    let mut around = |middle: f64, spread: f64| middle * (spread * normal(rng)).exp();
    let ttfb = around(if is_far { 480.0 } else { 190.0 }, 0.45);
    let fcp = ttfb + around(base * 0.45, 0.3);
    let lcp = fcp + around(base * 0.4, 0.45);
    let cls = around(shift, 0.8);
    let inp = around(if is_phone { 130.0 } else { 60.0 }, 0.6);
    let chromium = matches!(context.browser.as_str(), "Chrome" | "Edge");
    let is_used = rng.random_bool(0.6);
    let mut body = json!({ "view_id": format!("view-{:016x}", rng.random::<u64>()), "fcp": fcp, "ttfb": ttfb });
    if context.browser != "Safari" {
        body["lcp"] = json!(lcp);
    }
    if chromium {
        body["cls"] = json!(cls);
        body["connection"] = json!(if is_far && is_phone { "3g" } else { "4g" });
    }
    if context.browser != "Safari" && is_used {
        body["inp"] = json!(inp);
    }
    let Vitals { view_id, values, connection } = Vitals::read(body.as_object()?).ok()?;
    let view = VitalsCapture::view_of(zenovay_domain::VisitorId(context.visitor), &view_id);
    let capture = VitalsCapture { context: context.clone(), view, values, connection: connection.to_owned() };
    Some((Timestamp::from_millis(context.at_ms), Capture::Vitals(capture)))
}

/// What is clicked, by its label, and of how many views of a page that has it one in so many clicks it.
static CLICKED: [(&str, u32); 14] = [
    ("Features", 9),
    ("Pricing", 7),
    ("Docs", 12),
    ("Start free", 4),
    ("", 8),
    ("Choose Pro", 3),
    ("Choose Free", 5),
    ("Currency", 6),
    ("Create account", 2),
    ("Funnels", 5),
    ("Copy", 3),
    ("Join", 12),
    ("Send", 3),
    ("Work e-mail", 2),
];
/// Of so many views of a page the moves of the pointer are told once.
const MOVES_ONE_IN: u32 = 10;

/// What a visitor did with a page: clicks, how far it was scrolled, and for how long each part was there to be seen.
fn heat(context: &Context, site: &Site, rng: &mut impl Rng) -> Option<(Timestamp, Capture)> {
    let device = Device::named(&context.device);
    let sheet = site.found(&context.path, device)?;
    // Most leave early.
    let depth = rng.random_range(0.0..1.0_f64).powf(1.6);
    let [height, length] = [f64::from(device.window()[1]), f64::from(sheet.size[1])];
    let reached = height + (length - height) * depth;
    let attention: Vec<u32> = (0..20_u32)
        .map(|band| {
            let is_seen = length * f64::from(band) / 20.0 < reached;
            if is_seen { rng.random_range(300..4_000) / (1 + band / 4) } else { 0 }
        })
        .collect();
    let mut clicks = Vec::new();
    let mut moves = Vec::new();
    let has_moves = device == Device::Desktop && rng.random_ratio(1, MOVES_ONE_IN);
    for (label, one_in) in &CLICKED {
        let Some(thing) = sheet.thing(label) else { continue };
        let place = |ox: f64, oy: f64| {
            let [x, y] = thing.at.map(f64::from);
            [x + ox * f64::from(thing.size[0]), y + oy * f64::from(thing.size[1])]
        };
        if has_moves {
            moves.extend(
                (0..8).map(|_| place(0.5 + normal(rng) * 0.7, 0.5 + normal(rng) * 0.9).map(|at| at.max(0.0).round())),
            );
        }
        if !rng.random_ratio(1, *one_in) {
            continue;
        }
        let (ox, oy) = ((0.5 + normal(rng) * 0.12).clamp(0.0, 1.0), (0.5 + normal(rng) * 0.12).clamp(0.0, 1.0));
        let [x, y] = place(ox, oy);
        // A picture that looks like something to press.
        let is_dead = label.is_empty();
        let is_rage = is_dead && rng.random_ratio(1, 4);
        let label = if thing.is_field { "" } else { *label };
        clicks.push(json!({
            "x": x, "y": y, "s": thing.address, "label": label, "ox": ox, "oy": oy,
            "dead": is_dead, "rage": is_rage, "n": if is_rage { 4 } else { 1 },
        }));
    }
    let body = json!({
        "view_id": format!("view-{:016x}", rng.random::<u64>()), "seq": 0, "viewport": device.window(), "page": sheet.size,
        "dom": "5b1f0c93d2e847a6", "clicks": clicks, "scroll": { "max": reached, "attention": attention }, "moves": moves,
    });
    let read = HeatmapFields::read(body.as_object()?).ok()?;
    let class = read.class().number();
    let HeatmapFields { view_id, seq, told } = read;
    let view = VitalsCapture::view_of(zenovay_domain::VisitorId(context.visitor), &view_id);
    let context = context.clone();
    let at = Timestamp::from_millis(context.at_ms);
    Some((at, Capture::Heatmap(HeatmapCapture { context, view, seq, class, told })))
}

/// A number around 0, with a spread of about 1.
fn normal(rng: &mut impl Rng) -> f64 {
    (0..6).map(|_| rng.random_range(-1.0..1.0_f64)).sum::<f64>() / 1.414
}

/// A mistake as a page reports it.
fn error(
    website: &Website,
    mistake: &Mistake,
    context: &Context,
    seen: &Seen,
    days_ago: f64,
    rng: &mut impl Rng,
) -> Option<(Timestamp, Capture)> {
    let number = RELEASES.iter().position(|release| days_ago <= release.days_ago as f64)?;
    let release = &RELEASES[number];
    let url = format!("https://{}/assets/{}", website.domain, release.bundle);
    // Before those who leave soon are gone.
    let at = context.at_ms + rng.random_range(800..2_800);
    let mut breadcrumbs: Vec<Value> =
        seen.iter().map(|(at, page)| json!({ "at": at.as_millis(), "kind": "view", "text": page })).collect();
    breadcrumbs.push(json!({ "at": context.at_ms, "kind": "view", "text": context.path }));
    if !mistake.click.is_empty() {
        breadcrumbs.push(json!({ "at": at - rng.random_range(20..700), "kind": "click", "text": mistake.click }));
    }
    let mut error = json!({
        "id": format!("error-{:016x}", rng.random::<u64>()),
        "at": at,
        "type": mistake.kind,
        "message": mistake.message,
        "kind": mistake.source,
        "stack": stack(mistake, &url, number, &context.browser),
        "breadcrumbs": breadcrumbs,
    });
    if mistake.source == "manual" {
        error["properties"] = json!({ "field": "email" });
    }
    let body: Map<String, Value> =
        Map::from_iter([("release".to_owned(), json!(release.name)), ("errors".to_owned(), json!([error]))]);
    let told = read_errors(&body).ok()?;
    let error = told.errors.into_iter().next()?;
    let context = Context { at_ms: at, ..context.clone() };
    let capture = ErrorCapture::new(context, error, &told.release, &told.debug_ids);
    Some((Timestamp::from_millis(at), Capture::Error(capture)))
}

/// The stack of a mistake in a minified bundle, as a browser writes it.
fn stack(mistake: &Mistake, url: &str, release: usize, browser: &str) -> String {
    // A minifier gives other names in each build.
    let letters = ["c", "i", "u", "n", "r", "t", "e"];
    let frames = mistake.frames.iter().enumerate().map(|(depth, place)| {
        let (name, column) = (letters[(depth + release * 2) % letters.len()], column_of(release, *place));
        match browser {
            "Chrome" | "Edge" => format!("    at {name} ({url}:1:{column})"),
            _ => format!("{name}@{url}:1:{column}"),
        }
    });
    let head = matches!(browser, "Chrome" | "Edge").then(|| format!("{}: {}", mistake.kind, mistake.message));
    head.into_iter().chain(frames).collect::<Vec<_>>().join("\n")
}

/// Why what pages reported is not there.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeepError {
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Captures(#[from] CaptureError),
}

/// Stores what pages reported, in the order of time, and what was decided meanwhile.
pub(super) fn keep(
    (events, captures): (&dyn EventStore, &Captures),
    websites: impl Iterator<Item = WebsiteId> + Clone,
    mut reported: Vec<Reported>,
    now: Timestamp,
) -> Result<(), KeepError> {
    reported.sort_by_key(|reported| reported.at);
    let mut reported = reported.into_iter().peekable();
    let decided = |mistake: &'static Mistake| mistake.decided_at(now).map(|(status, at)| (at, status, mistake));
    let mut decisions: Vec<_> = MISTAKES.iter().filter_map(decided).collect();
    decisions.sort_by_key(|(at, ..)| *at);
    let mut store_until = |until: Timestamp| -> Result<(), KeepError> {
        loop {
            let batch: Vec<NewCapture> = std::iter::from_fn(|| reported.next_if(|reported| reported.at < until))
                .take(BATCH)
                .map(|reported| NewCapture::new(reported.website, reported.at, reported.capture.pack()))
                .collect();
            if batch.is_empty() {
                return Ok(captures.catch_up()?);
            }
            events.try_capture(batch)?.wait().map_err(|refused| refused.reason)?;
        }
    };
    for (at, status, mistake) in decisions {
        store_until(at)?;
        for website in websites.clone() {
            let groups = captures.error_groups(website, None, usize::MAX)?;
            let is_it = |group: &&ErrorGroup| group.kind == mistake.kind && group.message == mistake.message;
            for group in groups.iter().filter(is_it) {
                captures.set_error_status(website, group.id, status, OWNER_EMAIL, at)?;
            }
        }
    }
    store_until(now)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use zenovay_events::{BatchName, CaptureSink};

    use super::*;

    /// Sabotage: give a place another column in the stack than in the map.
    #[test]
    fn stacks_of_every_release_and_browser_are_readable() {
        let directory = tempfile::tempdir().unwrap();
        let captures = Captures::open(directory.path()).unwrap();
        let (now, website) = (Timestamp::from_millis(1_781_308_800_000), website());
        send_maps(&captures, &website, now).unwrap();
        let mut rng = StdRng::seed_from_u64(1);
        let mut errors = Vec::new();
        for mistake in &MISTAKES {
            for release in &RELEASES {
                for browser in ["Chrome", "Safari", "Firefox", "Edge"] {
                    let context = Context { browser: browser.to_owned(), at_ms: 1, ..Context::default() };
                    let days_ago = release.days_ago as f64 - 0.5;
                    let (_, error) = error(&website, mistake, &context, &[], days_ago, &mut rng).unwrap();
                    errors.push((website.id, error.pack()));
                }
            }
        }
        captures.take(BatchName::new(1, 1), errors);
        let groups = captures.error_groups(website.id, None, 100).unwrap();
        assert_eq!(groups.len(), MISTAKES.len(), "{groups:?}");
        for group in groups {
            assert_eq!(group.occurrences, 16);
            let culprit = group.culprit.unwrap();
            assert!(culprit.file.starts_with("src/") && culprit.in_app, "{culprit:?}");
            let named = ["priceOf", "createAccount", "copyExample", "join", "published"];
            assert!(named.contains(&culprit.function.as_str()), "{culprit:?}");
        }
        for place in places() {
            assert_eq!(SOURCES[place.0].1.matches(place.1).count(), 1, "{place:?} stands once in its file");
        }
    }

    fn website() -> Website {
        let (id, team) = (WebsiteId::from_bytes([1; 16]), zenovay_domain::TeamId::from_bytes([2; 16]));
        let code = zenovay_domain::TrackingCode::from_random_bytes([3; 11]);
        Website::new(id, team, "shop.example", code, Timestamp::from_millis(0))
    }
}
