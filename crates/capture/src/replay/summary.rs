//! What is known of the events of a chunk without reading them again.

use serde::{Deserialize, Serialize};

/// For how long nobody does anything who is idle, in milliseconds.
pub const IDLE_MS: i64 = 10_000;
/// The most marks of a chunk; further ones are counted only.
const MARKS_MAX: usize = 300;
/// The most views of a chunk.
const VIEWS_MAX: usize = 50;
/// The most idle times of a chunk.
const IDLES_MAX: usize = 100;

/// Something that happened in a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When, in milliseconds by the browser's clock.
    pub at_ms: i64,
    /// What.
    pub kind: MarkKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MarkKind {
    /// A page was viewed.
    Page {
        /// Its path.
        path: String,
    },
    /// A click.
    Click {
        /// The number of the node in the recording.
        node: u64,
        /// The place in the window, in pixels.
        x: i32,
        /// The place in the window, in pixels.
        y: i32,
    },
    /// An error.
    Error {
        /// Its type.
        kind: String,
        /// Its message.
        message: String,
    },
    /// Recording paused, for nobody did anything.
    Pause,
    /// Somebody did something again.
    Resume,
}

/// A page in a recording.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct View {
    /// From when on, in milliseconds by the browser's clock.
    pub at_ms: i64,
    /// Its path.
    pub path: String,
    /// The width of the window, in pixels; 0 when it is as before.
    pub width: u32,
    /// The height of the window, in pixels; 0 when it is as before.
    pub height: u32,
    /// Whether all of the page is written down here.
    pub has_snapshot: bool,
}

/// What is known of the events of a chunk. Times are of the browser's clock, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReplaySummary {
    /// How many events are kept.
    pub events: u32,
    /// How many are not.
    pub left_out: u32,
    /// When the first happened.
    pub first_ms: i64,
    /// When the last happened.
    pub last_ms: i64,
    /// How many clicks there are.
    pub clicks: u32,
    /// How many errors there are.
    pub errors: u32,
    /// How many views of pages there are.
    pub pages: u32,
    /// What happened, in the order in which it was told.
    pub marks: Vec<Mark>,
    /// The pages.
    pub views: Vec<View>,
    /// When somebody did something first.
    pub first_active_ms: Option<i64>,
    /// When somebody did something last.
    pub last_active_ms: Option<i64>,
    /// From when to when nobody did anything between these two, as far as it was long.
    pub idle: Vec<(i64, i64)>,
    /// Whether a whole page is written down somewhere in it.
    pub has_snapshot: bool,
}

impl ReplaySummary {
    pub(super) fn note_event(&mut self, at_ms: i64) {
        if self.events == 0 {
            (self.first_ms, self.last_ms) = (at_ms, at_ms);
        }
        self.events += 1;
        self.first_ms = self.first_ms.min(at_ms);
        self.last_ms = self.last_ms.max(at_ms);
    }

    /// A page in a window, of which a snapshot comes next.
    pub(super) fn note_view(&mut self, view: View) {
        if self.views.len() < VIEWS_MAX {
            self.views.push(view);
        }
    }

    /// A view of a page, in the window that there is.
    pub(super) fn note_page(&mut self, view: View) {
        self.pages += 1;
        self.note_view(view);
    }

    pub(super) fn note_snapshot(&mut self, at_ms: i64) {
        self.has_snapshot = true;
        // It is of the page that was told of last.
        if let Some(view) = self.views.last_mut().filter(|view| view.at_ms <= at_ms) {
            view.has_snapshot = true;
        }
    }

    pub(super) fn note_activity(&mut self, at_ms: i64) {
        if let Some(last) = self.last_active_ms
            && at_ms - last >= IDLE_MS
            && self.idle.len() < IDLES_MAX
        {
            self.idle.push((last, at_ms));
        }
        self.first_active_ms = Some(self.first_active_ms.map_or(at_ms, |first| first.min(at_ms)));
        self.last_active_ms = Some(self.last_active_ms.map_or(at_ms, |last| last.max(at_ms)));
    }

    pub(super) fn note_mark(&mut self, mark: Mark) {
        match mark.kind {
            MarkKind::Click { .. } => self.clicks += 1,
            MarkKind::Error { .. } => self.errors += 1,
            _ => {}
        }
        if self.marks.len() < MARKS_MAX {
            self.marks.push(mark);
        }
    }

    /// The milliseconds of the idle times inside.
    pub fn idle_ms(&self) -> i64 {
        milliseconds_of(&self.idle)
    }

    /// Its times.
    pub(crate) fn times_mut(&mut self) -> impl Iterator<Item = &mut i64> {
        let ends = [&mut self.first_ms, &mut self.last_ms].into_iter();
        let marks = self.marks.iter_mut().map(|mark| &mut mark.at_ms);
        let views = self.views.iter_mut().map(|view| &mut view.at_ms);
        let active = self.first_active_ms.iter_mut().chain(&mut self.last_active_ms);
        ends.chain(marks).chain(views).chain(active).chain(self.idle.iter_mut().flat_map(|(from, to)| [from, to]))
    }
}

/// How long these are together, each from when to when.
pub(crate) fn milliseconds_of(spans: &[(i64, i64)]) -> i64 {
    spans.iter().fold(0, |sum: i64, (from, to)| sum.saturating_add(to.saturating_sub(*from)))
}
