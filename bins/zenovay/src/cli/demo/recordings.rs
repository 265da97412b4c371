//! Visits of the demo as a recorder has them: what the pages showed, and what was done on them.

use std::collections::{HashMap, HashSet};

use rand::{Rng, RngExt};
use serde_json::{Value, json};
use zenovay_capture::{Capture, Captures, Context, NewChunk, ReplayRefused};
use zenovay_domain::{Timestamp, Website, WebsiteId};

use super::captures::Reported;
use super::site::{Device, Sheet, Thing, page};
use super::{DAY_MS, TITLES};

/// Visits are recorded that are not older than this, in milliseconds.
const RECENT_MS: i64 = 12 * DAY_MS;
/// Of so many visits of a day one recording is kept.
const SESSIONS_A_RECORDING: u32 = 5;
/// Shorter visits have little to show, in milliseconds.
const SHORT_MS: i64 = 10_000;
/// The most recordings of a website that are kept for a mistake in them, for each.
const FAILED_MAX: u32 = 3;
/// Of so many other visits one is recorded.
const ONE_IN: u32 = 30;

/// The pages of a website on all devices.
pub(super) struct Site(HashMap<(&'static str, Device), Sheet>);

impl Site {
    pub(super) fn of(website: &Website) -> Self {
        let each = TITLES.iter().flat_map(|(path, title)| Device::ALL.map(|device| (*path, *title, device)));
        Self(each.map(|(path, title, device)| ((path, device), page(&website.domain, path, title, device))).collect())
    }

    pub(super) fn page(&self, path: &'static str, device: Device) -> Option<&Sheet> {
        self.0.get(&(path, device))
    }

    /// A page by its path as an event has it.
    pub(super) fn found(&self, path: &str, device: Device) -> Option<&Sheet> {
        let (path, _) = TITLES.iter().find(|(known, _)| *known == path)?;
        self.page(path, device)
    }
}

/// A view of a page: how long somebody stayed, and the mistakes that were met there.
pub(super) struct Viewed {
    pub(super) at: Timestamp,
    pub(super) stay_ms: i64,
    pub(super) path: &'static str,
    pub(super) failed: Vec<Failed>,
}

/// A mistake that was met: when, after a click on what, what it was.
pub(super) struct Failed {
    pub(super) at: Timestamp,
    pub(super) click: &'static str,
    pub(super) kind: &'static str,
    pub(super) message: &'static str,
}

/// Which visits of a website are recorded.
pub(super) struct Recorder {
    most: u32,
    kept: u32,
    /// How many there are of each mistake, by its message.
    failed: HashMap<&'static str, u32>,
    seen: HashSet<(&'static str, Device)>,
}

impl Recorder {
    /// That of a website with so many visits a day.
    pub(super) fn of(sessions_a_day: u32) -> Self {
        Self {
            most: (sessions_a_day / SESSIONS_A_RECORDING).max(1),
            kept: 0,
            failed: HashMap::new(),
            seen: HashSet::new(),
        }
    }

    /// Whether a visit is recorded: with pages that are in no recording yet, with a mistake, or by chance.
    fn takes(&mut self, views: &[Viewed], device: Device, now: Timestamp, rng: &mut impl Rng) -> bool {
        let (Some(first), Some(last)) = (views.first(), views.last()) else { return false };
        let is_over = last.at.plus_millis(last.stay_ms) < now;
        let is_short = views.iter().map(|view| view.stay_ms).sum::<i64>() < SHORT_MS;
        let is_old = now.as_millis() - first.at.as_millis() > RECENT_MS;
        if !is_over || is_short || is_old || self.kept >= self.most {
            return false;
        }
        let is_new = views.iter().any(|view| !self.seen.contains(&(view.path, device)));
        let failed = || views.iter().flat_map(|view| &view.failed).map(|failed| failed.message);
        let has_failed = failed().any(|message| self.failed.get(message).is_none_or(|kept| *kept < FAILED_MAX));
        if !is_new && !has_failed && !rng.random_ratio(1, ONE_IN) {
            return false;
        }
        self.kept += 1;
        for message in failed() {
            *self.failed.entry(message).or_default() += 1;
        }
        self.seen.extend(views.iter().map(|view| (view.path, device)));
        true
    }
}

/// A recording, page by page.
pub(super) struct Recording {
    website: WebsiteId,
    id: [u8; 16],
    /// Of each view when it was left, whose it is, and its events.
    parts: Vec<(Timestamp, Context, String)>,
}

impl Recording {
    /// That of a visit, if it is one of those that are recorded.
    pub(super) fn of(
        recorder: &mut Recorder,
        (website, site): (&Website, &Site),
        context: &Context,
        views: &[Viewed],
        now: Timestamp,
        rng: &mut impl Rng,
    ) -> Option<Self> {
        let device = Device::named(&context.device);
        if !recorder.takes(views, device, now, rng) {
            return None;
        }
        let nexts = views.iter().skip(1).map(|view| Some(view.path)).chain([None]);
        let mut parts = Vec::new();
        for (view, next) in views.iter().zip(nexts) {
            let sheet = site.page(view.path, device)?;
            let mut tape = Tape::new(sheet, view, &format!("https://{}{}", website.domain, view.path));
            tape.play(view, next, rng);
            let left = view.at.plus_millis(view.stay_ms);
            let context = Context { at_ms: left.as_millis(), path: view.path.to_owned(), ..context.clone() };
            parts.push((left, context, Value::Array(tape.events).to_string()));
        }
        Some(Self { website: website.id, id: rng.random(), parts })
    }

    /// Keeps the events, and gives what is to be known of them.
    pub(super) fn keep(&self, captures: &Captures) -> Result<Vec<Reported>, ReplayRefused> {
        let mut reported = Vec::new();
        for ((left, context, events), seq) in self.parts.iter().zip(0_u32..) {
            let at = left.as_millis();
            let kept = captures.keep_replay(&NewChunk {
                website: self.website,
                context: context.clone(),
                replay_id: self.id,
                seq,
                is_final: true,
                masks_inputs: true,
                sent_at_ms: Some(at),
                received_ms: at,
                sent_bytes: events.len() as u64,
                events,
            })?;
            let of = |capture| Reported { website: self.website, at: *left, capture: Capture::Replay(capture) };
            reported.extend(kept.map(of));
        }
        Ok(reported)
    }
}

/// Kinds of what the recorder writes.
mod source {
    pub(super) const MUTATION: u32 = 0;
    pub(super) const MOUSE_MOVE: u32 = 1;
    pub(super) const MOUSE: u32 = 2;
    pub(super) const SCROLL: u32 = 3;
    pub(super) const INPUT: u32 = 5;
}
/// What a pointer does.
mod press {
    pub(super) const UP: u32 = 0;
    pub(super) const DOWN: u32 = 1;
    pub(super) const CLICK: u32 = 2;
    pub(super) const FOCUS: u32 = 5;
    pub(super) const TOUCH_START: u32 = 7;
    pub(super) const TOUCH_END: u32 = 9;
}
/// What stands for everything that is typed.
const HIDDEN: &str = "••••••";

/// The events of a view, in the order of time.
struct Tape<'a> {
    sheet: &'a Sheet,
    events: Vec<Value>,
    now: i64,
    end: i64,
    /// How far the page is scrolled.
    scrolled: u32,
    /// Where the pointer is in the window.
    pointer: [i64; 2],
}

impl<'a> Tape<'a> {
    fn new(sheet: &'a Sheet, view: &Viewed, url: &str) -> Self {
        let [width, height] = sheet.device.window();
        let start = view.at.as_millis();
        let end = start + view.stay_ms;
        let pointer = [i64::from(width) / 2, i64::from(height) / 2];
        let mut tape = Self { sheet, events: Vec::new(), now: start + 120, end, scrolled: 0, pointer };
        tape.write(4, json!({ "href": url, "width": width, "height": height }));
        tape.write(2, json!({ "node": sheet.node, "initialOffset": { "left": 0, "top": 0 } }));
        tape.write(5, json!({ "tag": "zenovay.page", "payload": { "url": view.path } }));
        tape
    }

    fn write(&mut self, kind: u32, data: Value) {
        self.events.push(json!({ "type": kind, "timestamp": self.now, "data": data }));
    }

    fn change(&mut self, source: u32, mut data: Value) {
        data["source"] = source.into();
        self.write(3, data);
    }

    /// Waits until `at`, but not for longer than the page is looked at.
    fn until(&mut self, at: i64) {
        self.now = self.now.max(at.min(self.end));
    }

    /// What is done on the page: mistakes at their moments, a form that is filled in, clicks, and at last the way to the next page.
    fn play(&mut self, view: &Viewed, next: Option<&str>, rng: &mut impl Rng) {
        for failed in &view.failed {
            self.until(failed.at.as_millis() - 900);
            if let Some(thing) = self.sheet.thing(failed.click) {
                self.click(thing, false);
            }
            self.until(failed.at.as_millis());
            let payload = json!({ "type": failed.kind, "message": failed.message, "id": "error-of-the-demo" });
            self.write(5, json!({ "tag": "zenovay.error", "payload": payload }));
        }
        // Whoever met a mistake tries again.
        if let Some(thing) = view.failed.last().and_then(|failed| self.sheet.thing(failed.click)) {
            for _ in 0..3 {
                self.until(self.now + 240);
                self.press(thing, press::CLICK);
            }
        }
        let share = (self.end - self.now).max(0) / 6;
        self.until(self.now + share.min(2_500));
        self.scroll(rng.random_range(0..=self.sheet.size[1]), rng);
        let fields: Vec<&Thing> = self.sheet.things.iter().filter(|thing| thing.is_field).collect();
        if !fields.is_empty() && view.failed.is_empty() && rng.random_bool(0.7) {
            for field in fields {
                self.until(self.now + share.min(1_800));
                self.click(field, false);
                self.type_into(field, rng);
            }
        }
        let own: Vec<&Thing> =
            self.sheet.things.iter().filter(|thing| thing.address.starts_with("main") && !thing.is_field).collect();
        // Whoever stays longer does more, with a pause now and then.
        while self.end - self.now > 12_000 && rng.random_ratio(9, 10) {
            self.until(self.now + i64::from(rng.random_range(2_500..9_500_u32)));
            self.scroll(rng.random_range(0..=self.sheet.size[1]), rng);
            if let Some(thing) = own.get(rng.random_range(0..own.len().max(1)))
                && rng.random_ratio(1, 3)
            {
                self.click(thing, view.failed.is_empty());
            }
        }
        let Some(next) = next else {
            self.until(self.end - 400);
            self.scroll(rng.random_range(0..=self.sheet.size[1]), rng);
            return;
        };
        self.until(self.end - 1_200);
        let label = match next {
            "/features" => "Features",
            "/pricing" => "Pricing",
            "/signup" if self.sheet.thing("Choose Pro").is_some() => "Choose Pro",
            path if path.starts_with("/docs") => "Docs",
            _ => "Home",
        };
        if let Some(thing) = self.sheet.thing(label) {
            self.click(thing, false);
        }
    }

    /// Scrolls so that what is so far from the top is in the middle.
    fn scroll(&mut self, to: u32, rng: &mut impl Rng) {
        let [_, tall] = self.sheet.device.window();
        let most = self.sheet.size[1].saturating_sub(tall);
        let target = to.saturating_sub(tall / 2).min(most);
        let steps = 8;
        let from = self.scrolled;
        for step in 1..=steps {
            let way = (i64::from(target) - i64::from(from)) * step / steps;
            self.scrolled = u32::try_from(i64::from(from) + way).unwrap_or(from);
            self.until(self.now + i64::from(rng.random_range(60..160_u32)));
            self.change(source::SCROLL, json!({ "id": 1, "x": 0, "y": self.scrolled }));
        }
    }

    /// Brings a thing into the window, goes there and presses it.
    fn click(&mut self, thing: &Thing, changes: bool) {
        let [_, tall] = self.sheet.device.window();
        let middle = thing.at[1] + thing.size[1] / 2;
        if middle < self.scrolled + 40 || middle > self.scrolled + tall - 40 {
            let most = self.sheet.size[1].saturating_sub(tall);
            self.scrolled = middle.saturating_sub(tall / 2).min(most);
            self.change(source::SCROLL, json!({ "id": 1, "x": 0, "y": self.scrolled }));
            self.until(self.now + 250);
        }
        if self.sheet.device == Device::Desktop {
            self.go_to(thing);
            self.press(thing, press::DOWN);
            self.until(self.now + 70);
            self.press(thing, press::UP);
        } else {
            self.press(thing, press::TOUCH_START);
            self.until(self.now + 70);
            self.press(thing, press::TOUCH_END);
        }
        self.press(thing, press::CLICK);
        if let (true, Some((text, value))) = (changes, thing.changes) {
            self.until(self.now + 60);
            let texts = json!([{ "id": text, "value": value }]);
            self.change(source::MUTATION, json!({ "texts": texts, "attributes": [], "removes": [], "adds": [] }));
        }
    }

    /// Where the middle of a thing is in the window.
    fn place(&self, thing: &Thing) -> [i64; 2] {
        let [x, y] = [0, 1].map(|axis| i64::from(thing.at[axis] + thing.size[axis] / 2));
        [x, y - i64::from(self.scrolled)]
    }

    fn press(&mut self, thing: &Thing, press: u32) {
        let [x, y] = self.place(thing);
        self.change(source::MOUSE, json!({ "type": press, "id": thing.node, "x": x, "y": y }));
    }

    /// Moves the pointer in a bow.
    fn go_to(&mut self, thing: &Thing) {
        let ([from_x, from_y], [x, y]) = (self.pointer, self.place(thing));
        let steps = 6;
        self.until(self.now + 600);
        let positions: Vec<Value> = (1..=steps)
            .map(|step| {
                let bow = 24 * (step * (steps - step)) / steps;
                let [x, y] = [from_x + (x - from_x) * step / steps, from_y + (y - from_y) * step / steps - bow];
                json!({ "x": x, "y": y, "id": thing.node, "timeOffset": (step - steps) * 90 })
            })
            .collect();
        self.pointer = [x, y];
        self.change(source::MOUSE_MOVE, json!({ "positions": positions }));
    }

    fn type_into(&mut self, field: &Thing, rng: &mut impl Rng) {
        self.press(field, press::FOCUS);
        for _ in 0..rng.random_range(4..9_u32) {
            self.until(self.now + i64::from(rng.random_range(90..260_u32)));
            self.change(source::INPUT, json!({ "id": field.node, "text": HIDDEN, "isChecked": false }));
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use zenovay_events::{BatchName, CaptureSink};

    use super::*;

    fn website() -> Website {
        let (id, team) = (WebsiteId::from_bytes([1; 16]), zenovay_domain::TeamId::from_bytes([2; 16]));
        let code = zenovay_domain::TrackingCode::from_random_bytes([3; 11]);
        Website::new(id, team, "shop.example", code, Timestamp::from_millis(0))
    }

    #[test]
    fn what_can_be_clicked_is_on_its_page_and_has_a_place_of_its_own() {
        for (of, sheet) in Site::of(&website()).0 {
            let text = sheet.node.to_string();
            let mut addresses = HashSet::new();
            for thing in &sheet.things {
                assert!(addresses.insert(&thing.address), "{of:?} {}", thing.address);
                assert!(text.contains(&format!("\"id\":{},", thing.node)), "{of:?} {}", thing.label);
                for axis in [0, 1] {
                    assert!(thing.at[axis] + thing.size[axis] <= sheet.size[axis], "{of:?} {}", thing.label);
                }
            }
        }
    }

    /// Sabotage: write an event that the server leaves out, or a page without its document.
    #[test]
    fn a_visit_is_kept_as_those_of_real_pages_are() {
        let directory = tempfile::tempdir().unwrap();
        let captures = Captures::open(directory.path()).unwrap();
        let (now, website) = (Timestamp::from_millis(1_781_308_800_000), website());
        let site = Site::of(&website);
        let mut rng = StdRng::seed_from_u64(1);
        let at = |seconds: i64| now.plus_millis(seconds * 1_000);
        let failed = Failed { at: at(-55), click: "Currency", kind: "TypeError", message: "amount" };
        let views = [
            Viewed { at: at(-100), stay_ms: 40_000, path: "/", failed: Vec::new() },
            Viewed { at: at(-59), stay_ms: 50_000, path: "/pricing", failed: vec![failed] },
        ];
        for (device, widths) in [("desktop", 1_024..u32::MAX), ("mobile", 0..600)] {
            let context = Context { device: device.to_owned(), ..Context::default() };
            let mut recorder = Recorder::of(100);
            let recording = Recording::of(&mut recorder, (&website, &site), &context, &views, now, &mut rng).unwrap();
            let reported = recording.keep(&captures).unwrap();
            let (mut errors, mut clicks) = (0, 0);
            for Reported { capture, .. } in &reported {
                let Capture::Replay(chunk) = capture else { panic!("{capture:?}") };
                assert!(chunk.summary.has_snapshot && chunk.summary.left_out == 0, "{:?}", chunk.summary);
                errors += chunk.summary.errors;
                clicks += chunk.summary.clicks;
            }
            assert_eq!((reported.len(), errors), (2, 1));
            assert!(clicks > 4, "{clicks}");
            let batch = reported.iter().map(|reported| (website.id, reported.capture.pack())).collect();
            captures.take(BatchName::new(1, 1 + u64::from(device == "mobile")), batch);
            for path in ["/", "/pricing"] {
                let page = captures.page_snapshot(website.id, path, widths.clone()).unwrap();
                assert!(page.is_some_and(|page| page.node.contains("Made for the demo")), "{device} {path}");
            }
        }
        // What has been seen is not recorded again but by chance, and what is too old, or goes on, never.
        let mut recorder = Recorder::of(100);
        assert!(recorder.takes(&views, Device::Desktop, now, &mut rng));
        assert!(!recorder.takes(&views[..1], Device::Desktop, at(-70), &mut rng));
        assert!(!recorder.takes(&views, Device::Tablet, at(13 * 86_400), &mut rng));
    }
}
