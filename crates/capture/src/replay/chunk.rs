//! A chunk as it is kept: a version, a checksum, and the events packed with zstd.

use std::io::{self, Read, Write};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};
use zenovay_domain::{VisitorId, WebsiteId};

use super::fields::FieldMemory;
use super::filter::{FilterError, rewrite};
use super::summary::ReplaySummary;
use crate::{BlobError, CaptureError, Context, Problems};

/// The version that is written.
pub(crate) const VERSION: u8 = 1;
/// A version and a checksum.
const HEAD_BYTES: usize = 9;
/// How much is packed and unpacked at a time.
const BUFFER_BYTES: usize = 64 * 1_024;
/// The most bytes of the events of a chunk. They are as long as they came, or a little longer for what stands for what is masked.
const EVENTS_MAX_BYTES: u64 = 48 << 20;
/// How well chunks are packed; higher takes longer than it saves.
const LEVEL: i32 = 3;
/// How long before it was sent something may have happened, in milliseconds, and how long after, for clocks are set.
const BEFORE_MS: i64 = 72 * 3_600_000;
const AFTER_MS: i64 = 60_000;
/// What a time in milliseconds may be, so that sums of some are numbers.
const TIME_MAX_MS: i64 = 8_000_000_000_000_000;

/// `ms`, or the nearest time of which sums of some are numbers.
pub(crate) const fn bounded(ms: i64) -> i64 {
    if ms < -TIME_MAX_MS {
        -TIME_MAX_MS
    } else if ms > TIME_MAX_MS {
        TIME_MAX_MS
    } else {
        ms
    }
}

/// A chunk of a recording that is to be kept.
#[derive(Debug, Clone)]
pub struct NewChunk<'a> {
    /// The website.
    pub website: WebsiteId,
    /// Whose it is, and when it came.
    pub context: Context,
    /// Which recording of the browser it is of.
    pub replay_id: [u8; 16],
    /// Its number in the recording.
    pub seq: u32,
    /// Whether the page was left.
    pub is_final: bool,
    /// Whether the values of all fields are masked.
    pub masks_inputs: bool,
    /// When it was sent, by the browser's clock.
    pub sent_at_ms: Option<i64>,
    /// When it came, in milliseconds.
    pub received_ms: i64,
    /// How many bytes were sent.
    pub sent_bytes: u64,
    /// The events.
    pub events: &'a str,
}

/// Why a chunk is not kept.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayRefused {
    /// It is kept already.
    #[error("it is kept already")]
    Duplicate,
    /// Of its visit as much is kept as may be.
    #[error("no more is kept of the visit")]
    SessionFull,
    /// As much waits to be moved to the bucket as may: it cannot be reached, or takes too long.
    #[error("too much waits to be moved to the bucket")]
    TooMuchWaits,
    /// It is not what a recorder sends.
    #[error("the events are not right")]
    Wrong(Problems),
    /// The index cannot be read.
    #[error(transparent)]
    Index(#[from] CaptureError),
    /// The events cannot be kept.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// Events that were masked and packed, and what is in them.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) raw_bytes: u64,
    pub(crate) summary: ReplaySummary,
    /// What has to be added to a time of the browser's clock.
    pub(crate) offset_ms: i64,
}

impl NewChunk<'_> {
    /// The digest of the recording: of one visitor, so that nobody adds to that of another one.
    pub(crate) fn digest(&self) -> [u8; 16] {
        Self::digest_of(self.website, VisitorId(self.context.visitor), self.replay_id)
    }

    pub(crate) fn digest_of(website: WebsiteId, visitor: VisitorId, replay_id: [u8; 16]) -> [u8; 16] {
        let mut named = website.as_bytes().to_vec();
        named.extend(replay_id);
        xxh3_128_with_seed(&named, visitor.0).to_be_bytes()
    }

    /// The events as they are kept, an array of JSON.
    ///
    /// # Errors
    /// [`ReplayRefused::Wrong`].
    pub fn masked(&self) -> Result<String, ReplayRefused> {
        let packed = self.pack(&FieldMemory::default())?;
        unpack_chunk(&packed.bytes).map_err(|problem| broken(&io::Error::other(problem)))
    }

    /// Masks and packs the events.
    pub(crate) fn pack(&self, memory: &FieldMemory) -> Result<Packed, ReplayRefused> {
        let sent_ms = bounded(self.sent_at_ms.unwrap_or(self.received_ms));
        let times = (sent_ms - BEFORE_MS, sent_ms + AFTER_MS);
        let mut fields = if self.masks_inputs { Default::default() } else { memory.before(self.digest(), self.seq) };
        let mut packer = Packer::new().map_err(|error| broken(&error))?;
        let summary = rewrite(self.events, self.masks_inputs, &mut fields, times, &mut packer);
        let summary = summary.map_err(|error| match error {
            FilterError::Malformed(error) => wrong(format!("not what a recorder sends, at byte {}", error.at)),
            FilterError::TooMany => wrong("too many events in one chunk".to_owned()),
            FilterError::Write(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                wrong("the events of one chunk are too long".to_owned())
            }
            FilterError::Write(error) => broken(&error),
        })?;
        let (bytes, raw_bytes) = packer.finish().map_err(|error| broken(&error))?;
        if !self.masks_inputs {
            memory.remember(self.digest(), self.seq, fields);
        }
        Ok(Packed { bytes, raw_bytes, summary, offset_ms: bounded(self.received_ms) - sent_ms })
    }
}

fn wrong(problem: String) -> ReplayRefused {
    ReplayRefused::Wrong(Problems::one("events", problem))
}

fn broken(error: &io::Error) -> ReplayRefused {
    ReplayRefused::Blob(BlobError::Unavailable { name: "replays".to_owned(), problem: error.to_string() })
}

/// Packs what is written to it, up to a bound.
struct Packer {
    encoder: io::BufWriter<zstd::Encoder<'static, Vec<u8>>>,
    written: u64,
}

impl Packer {
    fn new() -> io::Result<Self> {
        let encoder = zstd::Encoder::new(vec![0; HEAD_BYTES], LEVEL)?;
        Ok(Self { encoder: io::BufWriter::with_capacity(BUFFER_BYTES, encoder), written: 0 })
    }

    fn finish(self) -> io::Result<(Vec<u8>, u64)> {
        let written = self.written;
        let encoder = self.encoder.into_inner().map_err(io::IntoInnerError::into_error)?;
        let mut bytes = encoder.finish()?;
        let checksum = xxh3_64(&bytes[HEAD_BYTES..]).to_le_bytes();
        bytes[0] = VERSION;
        bytes[1..HEAD_BYTES].copy_from_slice(&checksum);
        Ok((bytes, written))
    }
}

impl Write for Packer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written += bytes.len() as u64;
        if self.written > EVENTS_MAX_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.encoder.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()
    }
}

/// Packs `events`, an array of JSON, as chunks are kept.
///
/// # Errors
/// When they are too long.
pub fn pack_chunk(events: &str) -> io::Result<Vec<u8>> {
    let mut packer = Packer::new()?;
    packer.write_all(events.as_bytes())?;
    Ok(packer.finish()?.0)
}

/// Bytes that are no chunk of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnreadableChunk {
    /// They are not what was written.
    #[error("the chunk is damaged")]
    Damaged,
    /// A later version of this program wrote it.
    #[error("a chunk of version {0}, this version reads {VERSION}")]
    Newer(u8),
}

/// The events of a chunk, an array of JSON.
///
/// # Errors
/// [`UnreadableChunk`].
pub fn unpack_chunk(bytes: &[u8]) -> Result<String, UnreadableChunk> {
    use UnreadableChunk::{Damaged, Newer};
    let (head, packed) = bytes.split_at_checked(HEAD_BYTES).ok_or(Damaged)?;
    if head[0] > VERSION {
        return Err(Newer(head[0]));
    }
    if head[0] != VERSION || head[1..] != xxh3_64(packed).to_le_bytes() {
        return Err(Damaged);
    }
    let mut events = Vec::new();
    let decoder = zstd::Decoder::new(packed).map_err(|_| Damaged)?;
    decoder.take(EVENTS_MAX_BYTES + 1).read_to_end(&mut events).map_err(|_| Damaged)?;
    if events.len() as u64 > EVENTS_MAX_BYTES {
        return Err(Damaged);
    }
    String::from_utf8(events).map_err(|_| Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const NOW: i64 = 1_781_352_000_000;

    fn chunk(events: &str, masks_inputs: bool, seq: u32) -> NewChunk<'_> {
        NewChunk {
            website: WebsiteId::from_random_bytes([1; 16]),
            context: Context { visitor: 7, session: 7, ..Context::default() },
            replay_id: [3; 16],
            seq,
            is_final: false,
            masks_inputs,
            sent_at_ms: Some(NOW),
            received_ms: NOW + 40,
            sent_bytes: 10,
            events,
        }
    }

    fn packed(events: &Value, masks_inputs: bool) -> (Value, ReplaySummary) {
        let text = events.to_string();
        let packed = chunk(&text, masks_inputs, 0).pack(&FieldMemory::default()).unwrap();
        (serde_json::from_str(&unpack_chunk(&packed.bytes).unwrap()).unwrap(), packed.summary)
    }

    fn element(id: u64, tag: &str, attributes: Value, children: Value) -> Value {
        json!({ "type": 2, "tagName": tag, "attributes": attributes, "childNodes": children, "id": id })
    }

    fn page(children: Value) -> Value {
        let node = json!({ "type": 0, "childNodes": [element(2, "html", json!({}), children)], "id": 1 });
        json!({ "type": 2, "data": { "node": node, "initialOffset": { "top": 0, "left": 4 } }, "timestamp": NOW })
    }

    fn typed(id: u64, text: &str) -> Value {
        json!({ "type": 3, "data": { "source": 5, "text": text, "isChecked": true, "id": id }, "timestamp": NOW })
    }

    fn form() -> Value {
        page(json!([
            element(3, "input", json!({ "value": "ada", "type": "text" }), json!([])),
            element(4, "INPUT", json!({ "value": "hunter22", "type": "PASSWORD" }), json!([])),
            element(5, "input", json!({ "autocomplete": "section-a cc-number", "value": "4111" }), json!([])),
            element(
                6,
                "textarea",
                json!({ "value": "note-one" }),
                json!([{ "type": 3, "textContent": "note-two", "id": 7 }])
            ),
            element(8, "input", json!({ "type": "submit", "value": "Send" }), json!([])),
            element(9, "input", json!({ "type": "checkbox", "checked": true, "value": "" }), json!([])),
            json!({ "type": 2, "attributes": { "value": "early-4" , "type": "text" }, "tagName": "input", "childNodes": [], "id": 10 }),
            json!({ "type": 2, "tagName": "input", "attributes": { "v\u{61}lue": "x" }, "id": 11, "childNodes": [] }),
        ]))
    }

    /// Sabotage: take out the check of the type, of the purpose, or the state of fields.
    #[test]
    fn secrets_are_masked_however_they_come() {
        let events =
            json!([form(), typed(3, "typed-3"), typed(4, "typed-4"), typed(5, "typed-5"), typed(99, "typed-99")]);
        let (all, _) = packed(&events, true);
        let (some, summary) = packed(&events, false);
        let (all, some) = (all.to_string(), some.to_string());
        for gone in ["hunter22", "4111", "typed-4", "typed-5", "typed-99", "early-4"] {
            assert!(!all.contains(gone) && !some.contains(gone), "{gone}");
        }
        for typed in ["ada", "note-one", "note-two", "typed-3"] {
            assert!(!all.contains(typed) && some.contains(typed), "{typed}");
        }
        assert!(all.contains("Send") && all.contains("••••••") && !all.contains("\"checked\""));
        assert!(some.contains("\"checked\":true"));
        assert!(all.contains("\"isChecked\":false") && !all.contains("\"isChecked\":true"));
        assert_eq!((summary.events, summary.has_snapshot, summary.left_out), (5, true, 0));
    }

    /// Sabotage: forget fields from chunk to chunk, or believe what was known two chunks before.
    #[test]
    fn what_a_field_is_is_known_from_the_chunk_before() {
        let memory = FieldMemory::default();
        let send = |seq: u32, events: Value| {
            let text = events.to_string();
            let packed = chunk(&text, false, seq).pack(&memory).unwrap();
            unpack_chunk(&packed.bytes).unwrap()
        };
        send(0, json!([form()]));
        assert!(send(1, json!([typed(3, "typed-3")])).contains("typed-3"));
        let changed = json!({ "type": 3, "timestamp": NOW, "data": { "source": 0, "attributes":
            [{ "id": 3, "attributes": { "type": "password", "value": "secret-3" } }, { "id": 4, "attributes": { "type": "text" } }] } });
        let later = send(2, json!([changed, typed(3, "typed-3"), typed(4, "typed-4")]));
        assert!(!later.contains("secret-3") && !later.contains("typed-3") && !later.contains("typed-4"), "{later}");
        assert!(!send(4, json!([typed(3, "typed-3")])).contains("typed-3"));
        let added = json!({ "type": 3, "timestamp": NOW, "data": { "source": 0, "adds": [{ "parentId": 2, "nextId": null,
            "node": element(20, "input", json!({ "type": "email", "value": "shown-20" }), json!([])) }] } });
        let shown = send(5, json!([added, typed(20, "typed-20")]));
        assert!(
            shown.contains("shown-20") && shown.contains("typed-20") && shown.contains("\"nextId\":null"),
            "{shown}"
        );
    }

    /// What is typed is shown until it may become the number of a card, and never after. Sabotage: look for whole numbers only, or do
    /// not remember the field.
    #[test]
    fn no_more_of_a_card_is_kept_than_its_first_digits() {
        let text = |id: u64, value: &str| json!({ "type": 3, "timestamp": NOW, "data": { "source": 0, "texts": [{ "id": id, "value": value }] } });
        let events = json!([
            form(),
            typed(3, "4111 1111 11"),
            typed(3, "4111 1111 111"),
            typed(3, "note 4111 1111 1111 1111"),
            typed(3, "111"),
            text(7, "paid by 4111 1111 1111 1111"),
            page(json!([
                element(3, "input", json!({ "value": "4111-1111-1111-111" }), json!([])),
                element(4, "textarea", json!({}), json!([{ "type": 3, "textContent": "4111 1111 1111 11", "id": 5 }])),
                element(
                    6,
                    "p",
                    json!({}),
                    json!([{ "type": 3, "textContent": "by 4111 1111 1111 1111 12/27", "id": 7 }])
                ),
                element(
                    8,
                    "style",
                    json!({}),
                    json!([{ "type": 3, "textContent": "a{--n:4111111111111111}", "id": 9 }])
                ),
            ])),
        ]);
        let (kept, _) = packed(&events, false);
        let kept = kept.to_string();
        assert!(
            kept.contains("\"4111 1111 11\"") && kept.contains("paid by [card]") && kept.contains("by [card]/27"),
            "{kept}"
        );
        assert!(kept.contains("--n:4111111111111111"), "{kept}");
        assert!(!kept.contains("4111 1111 111") && !kept.contains("4111-1111") && !kept.contains("\"111\""), "{kept}");
    }

    /// Sabotage: write what is deeper.
    #[test]
    fn a_page_that_is_nested_too_deep_is_kept_as_deep_as_it_can_be_shown() {
        let mut node = element(9_999, "b", json!({ "id": "deepest" }), json!([]));
        for level in 0..700 {
            node = element(5_000 - level, "div", json!({}), json!([node]));
        }
        let text = json!([page(json!([element(3, "p", json!({ "id": "beside" }), json!([])), node]))]).to_string();
        let kept = chunk(&text, true, 0).masked().unwrap();
        assert!(kept.contains("beside") && !kept.contains("deepest"));
        assert_eq!(kept.matches("\"div\"").count(), 510);
    }

    /// By what they are called, and by labels around them, before and behind them. Sabotage: pass over labels, or over added nodes.
    #[test]
    fn fields_are_for_secrets_by_their_names_and_labels() {
        let words = |id: u64, text: &str| json!({ "type": 3, "textContent": text, "id": id });
        let field = |id: u64, attributes: Value| element(id, "input", attributes, json!([]));
        let snapshot = page(json!([
            element(
                10,
                "label",
                json!({}),
                json!([
                    words(11, "Card number"),
                    element(12, "span", json!({}), json!([field(13, json!({ "value": "value-13" }))]))
                ])
            ),
            element(
                20,
                "label",
                json!({ "for": "pp" }),
                json!([element(21, "b", json!({}), json!([words(22, "Password")]))])
            ),
            field(23, json!({ "id": "pp", "value": "value-23" })),
            field(30, json!({ "id": "code" })),
            element(31, "label", json!({ "for": "code" }), json!([words(32, "PIN")])),
            element(40, "span", json!({ "id": "said" }), json!([words(41, "Passphrase")])),
            field(42, json!({ "aria-labelledby": "other said" })),
            field(50, json!({ "name": "cardPin" })),
            field(51, json!({ "placeholder": "Security code" })),
            element(60, "label", json!({ "for": "city" }), json!([words(61, "City")])),
            field(62, json!({ "id": "city", "value": "value-62" })),
        ]));
        // A recorder tells each node that is added by itself.
        let add = |parent: u64, node: Value| json!({ "parentId": parent, "nextId": null, "node": node });
        let added = json!({ "type": 3, "timestamp": NOW, "data": { "source": 0, "adds": [
            add(70, field(72, json!({ "value": "value-72" }))), add(70, words(71, "IBAN")), add(2, element(70, "label", json!({}), json!([]))),
            add(2, field(80, json!({ "value": "value-80" }))),
        ] } });
        let secret = [13, 23, 30, 42, 50, 51, 72];
        let events = [snapshot, added]
            .into_iter()
            .chain([62, 80].into_iter().chain(secret).map(|id| typed(id, &format!("typed-{id}."))));
        let (kept, _) = packed(&Value::Array(events.collect()), false);
        let kept = kept.to_string();
        for id in secret {
            assert!(
                !kept.contains(&format!("typed-{id}.")) && !kept.contains(&format!("value-{id}\"")),
                "{id}: {kept}"
            );
        }
        for id in [62, 80] {
            assert!(kept.contains(&format!("typed-{id}.")) && kept.contains(&format!("value-{id}\"")), "{id}: {kept}");
        }
    }

    /// Sabotage: let `on…` attributes, addresses with scripts, or queries pass.
    #[test]
    fn what_runs_or_says_too_much_is_left_out() {
        let events = json!([
            { "type": 4, "data": { "href": "https://example.com/a?token=t1#h", "width": 1280, "height": 720 }, "timestamp": NOW },
            page(json!([
                element(3, "a", json!({ "href": " java\tscript:alert(1)", "ONclick": "x()", "class": "k" }), json!([])),
                element(4, "iframe", json!({ "srcdoc": "<p>evil-1</p>", "src": "data:text/html,evil-2" }), json!([])),
                element(5, "script", json!({ "src": "https://evil.example/evil-3.js" }), json!([{ "type": 3, "textContent": "evil-4", "id": 6 }])),
                element(7, "p", json!({ "style": { "color": ["red", "important"] }, "nested": { "x": 1 } }), json!([7, null, "x"])),
            ])),
            { "type": 5, "data": { "tag": "zenovay.page", "payload": { "url": "/a?token=t2" } }, "timestamp": NOW },
            { "type": 5, "data": { "tag": "zenovay.error", "payload": { "type": "TypeError", "message": "token=abcdefabcdef for ada@example.com", "id": "e" } }, "timestamp": NOW + 5 },
            { "type": 5, "data": { "tag": "other", "payload": { "deep": "t3" } }, "timestamp": NOW },
            { "type": 3, "data": { "source": 9, "commands": ["t4"] }, "timestamp": NOW },
            { "type": 6, "data": { "plugin": "t5" }, "timestamp": NOW },
            { "type": 3, "data": { "source": 2, "type": 2, "id": 3, "x": 10.4, "y": -2 }, "timestamp": NOW + 7 },
            { "type": 3, "data": { "source": 1, "positions": [] }, "timestamp": NOW + 30_000 },
            { "type": 3, "data": { "source": 1 }, "timestamp": NOW - 73 * 3_600_000 },
            "no event",
        ]);
        let (kept, summary) = packed(&events, false);
        let text = kept.to_string();
        for gone in ["script:", "evil", "ONclick", "t1", "t2", "t3", "t4", "t5", "ada@example.com", "nested"] {
            assert!(!text.contains(gone), "{gone}: {text}");
        }
        assert!(text.contains("\"class\":\"k\"") && text.contains("important"), "{text}");
        assert_eq!((summary.events, summary.left_out, summary.clicks, summary.errors, summary.pages), (7, 3, 1, 1, 1));
        assert_eq!((summary.first_ms, summary.last_ms), (NOW, NOW + 30_000));
        assert_eq!(summary.idle, [(NOW + 7, NOW + 30_000)]);
        assert_eq!(
            (summary.views[0].path.as_str(), summary.views[0].width, summary.views[0].has_snapshot),
            ("/a", 1280, true)
        );
    }

    #[test]
    fn damage_is_seen_and_later_versions_are_named() {
        let bytes = pack_chunk("[]").unwrap();
        assert_eq!(unpack_chunk(&bytes).unwrap(), "[]");
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            assert!(unpack_chunk(&damaged).is_err(), "{at}");
        }
        assert!(unpack_chunk(&bytes[..bytes.len() - 1]).is_err() && unpack_chunk(&[]).is_err());
        let mut later = bytes;
        later[0] = VERSION + 1;
        assert!(unpack_chunk(&later).unwrap_err().to_string().contains("version 2"));
    }

    fn node() -> impl Strategy<Value = Value> {
        let value = prop_oneof![Just(json!("secret-value")), Just(json!("")), Just(json!(7)), Just(json!(true))];
        let attributes = (value, prop_oneof![Just("password"), Just("Password"), Just("PASSWORD")], any::<bool>());
        let attributes = attributes.prop_map(|(value, kind, first)| {
            if first { json!({ "value": value, "type": kind }) } else { json!({ "type": kind, "value": value }) }
        });
        let field = (attributes, 10..90_u64, any::<bool>()).prop_map(|(attributes, id, late)| {
            if late {
                json!({ "type": 2, "attributes": attributes, "childNodes": [], "id": id, "tagName": "input" })
            } else {
                element(id, "input", attributes, json!([]))
            }
        });
        field.prop_recursive(4, 30, 4, |inner| {
            (prop::collection::vec(inner, 0..4), prop_oneof![Just("div"), Just("form"), Just("x-y"), Just("select")])
                .prop_map(|(children, tag)| element(100, tag, json!({ "class": "c" }), Value::Array(children)))
        })
    }

    proptest! {
        /// Whatever the form, and wherever in it: nothing of a password is kept, and what is kept is JSON.
        #[test]
        fn no_password_is_kept(nodes in prop::collection::vec(node(), 1..4), typed_into in prop::collection::vec(0..100_u64, 0..6), masks: bool) {
            let mut events = vec![page(Value::Array(nodes))];
            events.extend(typed_into.into_iter().map(|id| typed(id, "secret-value")));
            let (kept, _) = packed(&Value::Array(events), masks);
            prop_assert!(!kept.to_string().contains("secret-value"));
        }

        #[test]
        fn any_events_are_kept_or_refused(events in "[\\[\\]{}\":,a-d0-5 ]{0,60}") {
            let events = format!("[{{\"type\":2,\"timestamp\":{NOW},\"data\":{{\"node\":{events}}}}}]");
            for masks in [true, false] {
                if let Ok(packed) = chunk(&events, masks, 0).pack(&FieldMemory::default()) {
                    let kept = unpack_chunk(&packed.bytes).unwrap();
                    prop_assert!(serde_json::from_str::<Value>(&kept).is_ok(), "{}", kept);
                }
            }
        }

        #[test]
        fn any_bytes_are_unpacked_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = unpack_chunk(&bytes);
        }
    }
}
