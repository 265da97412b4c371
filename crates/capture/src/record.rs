//! Captures as the log of events keeps them: a version, and what was captured, in postcard.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;
use zenovay_domain::VisitorId;

use crate::heatmap::HeatTold;
use crate::replay::bounded;
use crate::{Breadcrumb, Context, ErrorFields, Frame, ReplaySummary};

/// The version that is written. It differs from the one before by the kinds of captures that there are.
pub(crate) const VERSION: u8 = 2;
/// The first version.
const OLDEST_VERSION: u8 = 1;
/// What a length in bytes may be, so that sums of many are numbers.
const LENGTH_MAX_BYTES: u64 = 1 << 40;

/// A capture that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// It is not what was written.
    #[error("a damaged capture")]
    Damaged,
    /// A later version of this program wrote it.
    #[error("a capture of version {0}, this version reads {VERSION}")]
    Newer(u8),
}

/// Something that was captured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Capture {
    /// How fast a page was.
    Vitals(VitalsCapture),
    /// An error.
    Error(ErrorCapture),
    /// What a page told for its heatmap.
    Heatmap(HeatmapCapture),
    /// A chunk of a recording.
    Replay(ReplayCapture),
}

/// How fast a page was.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct VitalsCapture {
    /// Whose and where.
    pub context: Context,
    /// The digest of the page view's id: what comes later of one view takes the place of what came before.
    pub view: u64,
    /// In the order of [`crate::Vital::ALL`].
    pub values: [Option<f64>; 5],
    /// The kind of connection.
    pub connection: String,
}

/// An error.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ErrorCapture {
    /// Whose and where.
    pub context: Context,
    /// The type.
    pub kind: String,
    /// The message.
    pub message: String,
    /// The stack.
    pub frames: Vec<Frame>,
    /// `uncaught`, `rejection` or `manual`.
    pub source: String,
    /// The release of the page.
    pub release: String,
    /// Ids of the files in the stack, from the bundler.
    pub debug_ids: Vec<(String, String)>,
    /// How often it happened.
    pub count: u32,
    /// What the page told beside it.
    pub properties: Vec<(String, String)>,
    /// What happened before.
    pub breadcrumbs: Vec<Breadcrumb>,
}

/// What a page told for its heatmap.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HeatmapCapture {
    /// Whose and where.
    pub context: Context,
    /// The digest of the page view's id.
    pub view: u64,
    /// Which body of the view it is, from 0.
    pub seq: u32,
    /// The number of the class of devices, by the width of the window.
    pub class: u8,
    /// What happened.
    pub told: HeatTold,
}

impl ErrorCapture {
    /// `error` as it is stored, of the page that `context` is about, which told `release` and `debug_ids`.
    pub fn new(context: Context, error: ErrorFields, release: &str, debug_ids: &[(String, String)]) -> Self {
        // Those of its own files alone.
        let debug_ids = debug_ids.iter().filter(|(file, _)| error.frames.iter().any(|frame| frame.file == *file));
        Self {
            context,
            debug_ids: debug_ids.cloned().collect(),
            kind: error.kind,
            message: error.message,
            frames: error.frames,
            source: error.source,
            release: release.to_owned(),
            count: error.count,
            properties: error.properties,
            breadcrumbs: error.breadcrumbs,
        }
    }
}

/// A chunk of a recording, whose events are kept as a blob.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ReplayCapture {
    /// Whose it is; its path is that of the page that sent it.
    pub context: Context,
    /// The digest of the recording.
    pub digest: [u8; 16],
    /// Its number in the recording.
    pub seq: u32,
    /// Whether the page was left.
    pub is_final: bool,
    /// Whether the values of all fields are masked.
    pub masks_inputs: bool,
    /// What has to be added to a time of the browser's clock, in milliseconds.
    pub clock_ms: i64,
    /// The name of the blob.
    pub blob: String,
    /// How many bytes the blob has.
    pub bytes: u64,
    /// How many bytes of JSON are in it.
    pub raw_bytes: u64,
    /// How many bytes were sent.
    pub sent_bytes: u64,
    /// What is in it.
    pub summary: ReplaySummary,
}

impl ReplayCapture {
    /// It with times and lengths of which sums of many are numbers. What was made of a chunk stays as it is.
    pub(crate) fn bounded(mut self) -> Self {
        for ms in self.summary.times_mut().chain([&mut self.clock_ms]) {
            *ms = bounded(*ms);
        }
        for bytes in [&mut self.bytes, &mut self.raw_bytes, &mut self.sent_bytes] {
            *bytes = (*bytes).min(LENGTH_MAX_BYTES);
        }
        self
    }
}

impl VitalsCapture {
    /// The digest of a page view that the page calls `view_id`: of one visitor, so that nobody changes what another one measured.
    pub fn view_of(visitor: VisitorId, view_id: &str) -> u64 {
        xxh3_64_with_seed(view_id.as_bytes(), visitor.0)
    }
}

impl Capture {
    /// The bytes that the log keeps.
    pub fn pack(&self) -> Vec<u8> {
        // Serialising into memory cannot fail; were it to, what is written would be read as damaged.
        postcard::to_extend(self, vec![VERSION]).unwrap_or_default()
    }

    /// Reads what [`pack`](Self::pack) wrote.
    ///
    /// # Errors
    /// When it is damaged or of a later version.
    pub fn unpack(bytes: &[u8]) -> Result<Self, Unreadable> {
        match bytes.split_first() {
            Some((&(OLDEST_VERSION..=VERSION), rest)) => postcard::from_bytes(rest).map_err(|_| Unreadable::Damaged),
            Some((&later, _)) if later > VERSION => Err(Unreadable::Newer(later)),
            _ => Err(Unreadable::Damaged),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HeatClick;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_comes_back(at_ms: i64, visitor: u64, path in "\\PC{0,50}", count: u32) {
            let context = Context { at_ms, visitor, path, ..Context::default() };
            let capture = Capture::Error(ErrorCapture { context, count, frames: vec![Frame::default()], ..ErrorCapture::default() });
            prop_assert_eq!(Capture::unpack(&capture.pack()), Ok(capture));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Capture::unpack(&bytes);
        }
    }

    /// Sabotage: move a field.
    #[test]
    fn captures_are_read_as_they_were_written_before() {
        let click = HeatClick { address: "a".into(), cell: 300, count: 2, is_rage: true, ..HeatClick::default() };
        let told = HeatTold {
            viewport: [1_440, 900],
            page: [1_440, 3_600],
            dom: "9f".into(),
            reached: 901,
            attention: std::array::from_fn(|band| u32::try_from(band).expect("a small number")),
            clicks: vec![click],
            moves: vec![7],
        };
        let context = Context { at_ms: 5, visitor: 6, path: "/p".into(), country: "DE".into(), ..Context::default() };
        let capture = Capture::Heatmap(HeatmapCapture { context, view: 9, seq: 1, class: 2, told });
        let before = "02020a0600022f7000000000024445090102a00b8407a00b901c0239668507000102030405060708090a0b0c0d0e0f1011121301016100ac02000201000107";
        let bytes: Vec<u8> =
            (0..before.len() / 2).map(|at| u8::from_str_radix(&before[at * 2..at * 2 + 2], 16).unwrap()).collect();
        assert_eq!(Capture::unpack(&bytes), Ok(capture.clone()));
        assert_eq!(capture.pack(), bytes);
    }

    #[test]
    fn an_earlier_version_is_read() {
        let capture = Capture::Vitals(VitalsCapture { view: 7, ..VitalsCapture::default() });
        let mut bytes = capture.pack();
        bytes[0] = OLDEST_VERSION;
        assert_eq!(Capture::unpack(&bytes), Ok(capture));
    }

    #[test]
    fn a_later_version_is_refused_by_name() {
        assert_eq!(Capture::unpack(&[VERSION + 1, 0]), Err(Unreadable::Newer(VERSION + 1)));
        assert_eq!(Capture::unpack(&[]), Err(Unreadable::Damaged));
    }
}
