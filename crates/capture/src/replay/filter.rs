//! What is kept of the events of a recording. The recorder masks what it sends; this does the same again for values of fields, and
//! leaves out what could run, so that what is stored does not depend on what a page sends. It reads and writes token by token.

use std::borrow::Cow;
use std::io::Write;

use zenovay_domain::{cut_path, normal_path};

use super::fields::Fields;
use super::json::{Malformed, Scanner, Token, unquoted};
use super::labels::LabelledSecrets;
use super::summary::{Mark, MarkKind, ReplaySummary, View};
use crate::secrets::{is_secret_name, may_become_card, without_cards};
use crate::without_secrets;

/// What stands for anything typed, as the recorder has it, as JSON.
const HIDDEN_JSON: &str = "\"••••••\"";
/// The most events of a chunk.
const EVENTS_MAX: u32 = 50_000;
/// The most attributes of an element; further ones are left out.
const ATTRIBUTES_MAX: usize = 1_000;
/// How deep a page may be: what is nested deeper is left out, for nothing could show it. No parser of HTML nests deeper.
const LEVELS_MAX: usize = 512;
/// The most characters of a path, of the type of an error, and of its message.
const PATH_MAX_CHARS: usize = 2_048;
const ERROR_TYPE_MAX_CHARS: usize = 100;
const ERROR_MESSAGE_MAX_CHARS: usize = 500;

/// Kinds of events.
pub(super) mod kind {
    pub(in crate::replay) const DOM_LOADED: u64 = 0;
    pub(in crate::replay) const LOADED: u64 = 1;
    pub(in crate::replay) const FULL: u64 = 2;
    pub(in crate::replay) const INCREMENTAL: u64 = 3;
    pub(in crate::replay) const META: u64 = 4;
    pub(in crate::replay) const CUSTOM: u64 = 5;
}

/// Sources of incremental events.
mod source {
    pub(super) const MUTATION: u64 = 0;
    pub(super) const MOUSE_MOVE: u64 = 1;
    pub(super) const MOUSE: u64 = 2;
    pub(super) const SCROLL: u64 = 3;
    pub(super) const INPUT: u64 = 5;
    pub(super) const TOUCH_MOVE: u64 = 6;
    pub(super) const CANVAS: u64 = 9;
    pub(super) const DRAG: u64 = 12;
    /// The last one that there is.
    pub(super) const LAST: u64 = 16;
}

/// The interaction of a mouse that is a click.
const CLICK: u64 = 2;

/// Why events cannot be kept.
#[derive(Debug)]
pub(crate) enum FilterError {
    /// They are not JSON, or not what a recorder sends.
    Malformed(Malformed),
    /// There are too many.
    TooMany,
    /// What is kept cannot be written.
    Write(std::io::Error),
}

impl From<Malformed> for FilterError {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error)
    }
}

impl From<std::io::Error> for FilterError {
    fn from(error: std::io::Error) -> Self {
        Self::Write(error)
    }
}

type Result<T> = std::result::Result<T, FilterError>;

/// What an element is, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    /// It is not known, so it may be a field for a secret.
    Unknown,
    Input,
    /// A field that is not an `input`, or a part of one.
    Field,
    Script,
    Style,
    Other,
}

impl Tag {
    fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "input" => Self::Input,
            "textarea" | "select" | "option" | "optgroup" | "datalist" => Self::Field,
            "script" | "noscript" => Self::Script,
            "style" => Self::Style,
            _ => Self::Other,
        }
    }
}

/// Whether the value of an element may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// It is a field, and what is in it may be shown.
    Shown,
    /// It is a field, and may not.
    Hidden,
    /// It has none.
    None,
}

/// Writes what is kept of `events`, an array of JSON, to `out`, and tells what is in it. Values of all fields are masked when
/// `masks_all`; otherwise those of fields for secrets, and of fields of which `fields` does not know what they are. Events that
/// are not of `times`, from and to in milliseconds by the browser's clock, are left out.
pub(crate) fn rewrite(
    events: &str,
    masks_all: bool,
    fields: &mut Fields,
    times: (i64, i64),
    out: &mut dyn Write,
) -> Result<ReplaySummary> {
    let (labelled, summary) = (LabelledSecrets::default(), ReplaySummary::default());
    let mut writer = Rewriter { out, masks_all, fields, labelled, times, summary };
    let mut scanner = Scanner::new(events);
    scanner.begin_array()?;
    writer.put("[")?;
    while let Some(event) = scanner.element()? {
        writer.event(event)?;
    }
    writer.put("]")?;
    match scanner.next()? {
        None => Ok(writer.summary),
        Some(_) => Err(Malformed { at: events.len() }.into()),
    }
}

struct Rewriter<'w> {
    out: &'w mut dyn Write,
    masks_all: bool,
    fields: &'w mut Fields,
    /// Of the event that is written now.
    labelled: LabelledSecrets,
    times: (i64, i64),
    summary: ReplaySummary,
}

impl Rewriter<'_> {
    fn put(&mut self, json: &str) -> Result<()> {
        Ok(self.out.write_all(json.as_bytes())?)
    }

    fn event(&mut self, event: &str) -> Result<()> {
        if !event.starts_with('{') {
            return Ok(());
        }
        let (mut kind, mut at, mut data) = (None, None, "{}");
        each_member(event, |name, value| match name {
            "type" => kind = whole(value),
            "timestamp" => at = time(value),
            "data" if value.starts_with('{') => data = value,
            _ => {}
        })?;
        let (Some(kind), Some(at)) = (kind, at.filter(|at| (self.times.0..=self.times.1).contains(at))) else {
            self.summary.left_out += 1;
            return Ok(());
        };
        let source = if kind == kind::INCREMENTAL { member(data, "source")?.and_then(whole) } else { None };
        let is_kept = match kind {
            kind::DOM_LOADED | kind::LOADED | kind::FULL | kind::META | kind::CUSTOM => true,
            kind::INCREMENTAL => source.is_some_and(|source| source <= source::LAST && source != source::CANVAS),
            _ => false,
        };
        if !is_kept {
            self.summary.left_out += 1;
            return Ok(());
        }
        if self.summary.events >= EVENTS_MAX {
            return Err(FilterError::TooMany);
        }
        let comma = if self.summary.events > 0 { "," } else { "" };
        self.summary.note_event(at);
        self.put(&format!("{comma}{{\"type\":{kind},\"data\":"))?;
        match kind {
            kind::FULL => self.full(data, at)?,
            kind::META => self.meta(data, at)?,
            kind::CUSTOM => self.custom(data, at)?,
            kind::INCREMENTAL => self.incremental(data, source.unwrap_or(u64::MAX), at)?,
            _ => self.put("{}")?,
        }
        self.put(&format!(",\"timestamp\":{at}}}"))
    }

    fn full(&mut self, data: &str, at: i64) -> Result<()> {
        // All that there is comes again.
        self.fields.clear();
        self.summary.note_snapshot(at);
        let (node, offset) = (member(data, "node")?, member(data, "initialOffset")?);
        if !self.masks_all {
            self.labelled = LabelledSecrets::of(node.map(|node| (None, node)))?;
        }
        self.put("{\"node\":")?;
        match node {
            Some(node) if node.starts_with('{') => self.node(node, Tag::Other)?,
            _ => return Err(Malformed { at: 0 }.into()),
        }
        self.put(",\"initialOffset\":")?;
        self.flat(offset.unwrap_or("{\"top\":0,\"left\":0}"), |_, value| value.into())?;
        self.put("}")
    }

    fn meta(&mut self, data: &str, at: i64) -> Result<()> {
        let (mut href, mut size) = (String::new(), [0_u32; 2]);
        each_member(data, |name, value| match name {
            "href" if value.starts_with('"') => href = without_query(&unquoted(value)).to_owned(),
            "width" => size[0] = pixels(value),
            "height" => size[1] = pixels(value),
            _ => {}
        })?;
        let [width, height] = size;
        self.summary.note_view(View { at_ms: at, path: path_of(&href), width, height, has_snapshot: false });
        self.put(&format!("{{\"href\":{},\"width\":{width},\"height\":{height}}}", json_of(&href)))
    }

    fn custom(&mut self, data: &str, at: i64) -> Result<()> {
        let (mut tag, mut payload) = (Cow::Borrowed(""), "null");
        each_member(data, |name, value| match name {
            "tag" if value.starts_with('"') => tag = unquoted(value),
            "payload" => payload = value,
            _ => {}
        })?;
        let told = |name: &str| -> Result<String> {
            let found = if payload.starts_with('{') { member(payload, name)? } else { None };
            Ok(found
                .filter(|value| value.starts_with('"'))
                .map(|value| unquoted(value).into_owned())
                .unwrap_or_default())
        };
        let (mark, payload) = match tag.as_ref() {
            "zenovay.page" => {
                let url = told("url")?;
                let path = path_of(&url);
                let view = View { at_ms: at, path: path.clone(), ..View::default() };
                self.summary.note_page(view);
                (Some(MarkKind::Page { path }), format!("{{\"url\":{}}}", json_of(without_query(&url))))
            }
            "zenovay.error" => {
                let (kind, message, id) = (told("type")?, told("message")?, told("id")?);
                let kind = cut(&kind, ERROR_TYPE_MAX_CHARS).to_owned();
                let message = without_secrets(cut(&message, ERROR_MESSAGE_MAX_CHARS)).into_owned();
                let members = [("type", &kind), ("message", &message), ("id", &cut(&id, 64).to_owned())]
                    .map(|(name, value)| format!("\"{name}\":{}", json_of(value)));
                (Some(MarkKind::Error { kind, message }), format!("{{{}}}", members.join(",")))
            }
            "zenovay.pause" => (Some(MarkKind::Pause), "null".to_owned()),
            "zenovay.resume" => (Some(MarkKind::Resume), "null".to_owned()),
            // Of others it is not known what is in them.
            _ => (None, "null".to_owned()),
        };
        if let Some(kind) = mark {
            self.summary.note_mark(Mark { at_ms: at, kind });
        }
        self.put(&format!("{{\"tag\":{},\"payload\":{payload}}}", json_of(cut(&tag, 100))))
    }

    fn incremental(&mut self, data: &str, source: u64, at: i64) -> Result<()> {
        match source {
            source::MOUSE_MOVE | source::MOUSE | source::SCROLL | source::INPUT | source::TOUCH_MOVE | source::DRAG => {
                self.summary.note_activity(at);
            }
            _ => {}
        }
        match source {
            source::MUTATION => return self.mutation(data),
            source::INPUT => return self.input(data),
            source::MOUSE => {
                let (mut kind, mut node, mut place) = (None, 0, [0_i32; 2]);
                each_member(data, |name, value| match name {
                    "type" => kind = whole(value),
                    "id" => node = whole(value).unwrap_or(0),
                    "x" => place[0] = coordinate(value),
                    "y" => place[1] = coordinate(value),
                    _ => {}
                })?;
                if kind == Some(CLICK) {
                    let [x, y] = place;
                    self.summary.note_mark(Mark { at_ms: at, kind: MarkKind::Click { node, x, y } });
                }
            }
            _ => {}
        }
        self.put(data)
    }

    fn input(&mut self, data: &str) -> Result<()> {
        let (mut id, mut text, mut is_checked, mut is_triggered) = (0, "\"\"", false, None);
        each_member(data, |name, value| match name {
            "id" => id = whole(value).unwrap_or(0),
            "text" if value.starts_with('"') => text = value,
            "isChecked" => is_checked = value == "true",
            "userTriggered" => is_triggered = Some(value == "true"),
            _ => {}
        })?;
        let mut is_shown = !self.masks_all && self.fields.is_shown(id);
        if is_shown && may_become_card(&unquoted(text)) {
            // What was in it is known from then on.
            self.fields.hide(id);
            is_shown = false;
        }
        let text = if is_shown || text == "\"\"" { text } else { HIDDEN_JSON };
        let is_checked = is_checked && !self.masks_all;
        self.put(&format!("{{\"source\":5,\"text\":{text},\"isChecked\":{is_checked},\"id\":{id}"))?;
        if let Some(is_triggered) = is_triggered {
            self.put(&format!(",\"userTriggered\":{is_triggered}"))?;
        }
        self.put("}")
    }

    fn mutation(&mut self, data: &str) -> Result<()> {
        self.put("{\"source\":0")?;
        if !self.masks_all {
            self.labelled = LabelledSecrets::of(added_nodes(data)?)?;
        }
        let mut scanner = Scanner::new(data);
        scanner.begin_object()?;
        while let Some(name) = scanner.member()? {
            let value = scanner.raw_value()?;
            match name.as_ref() {
                "adds" | "attributes" | "texts" | "removes" if value.starts_with('[') => {
                    self.put(&format!(",\"{name}\":["))?;
                    let mut list = Scanner::new(value);
                    list.begin_array()?;
                    let mut is_first = true;
                    while let Some(change) = list.element()? {
                        if !change.starts_with('{') {
                            continue;
                        }
                        if !std::mem::take(&mut is_first) {
                            self.put(",")?;
                        }
                        match name.as_ref() {
                            "adds" => self.added(change)?,
                            "attributes" => self.changed(change)?,
                            _ => self.flat(change, shown_text)?,
                        }
                    }
                    self.put("]")?;
                }
                "isAttachIframe" if value == "true" => self.put(",\"isAttachIframe\":true")?,
                _ => {}
            }
        }
        self.put("}")
    }

    /// A node that is added.
    fn added(&mut self, change: &str) -> Result<()> {
        self.put("{")?;
        let mut is_first = true;
        let mut scanner = Scanner::new(change);
        scanner.begin_object()?;
        while let Some(name) = scanner.member()? {
            let value = scanner.raw_value()?;
            let is_node = name == "node" && value.starts_with('{');
            if !is_node && !is_flat(value) {
                continue;
            }
            let comma = if std::mem::take(&mut is_first) { "" } else { "," };
            self.put(&format!("{comma}{}:", json_of(&name)))?;
            if is_node {
                self.node(value, Tag::Unknown)?;
            } else {
                self.put(value)?;
            }
        }
        self.put("}")
    }

    /// Attributes of an element that change.
    fn changed(&mut self, change: &str) -> Result<()> {
        let (mut id, mut attributes) = (0, "{}");
        each_member(change, |name, value| match name {
            "id" => id = whole(value).unwrap_or(0),
            "attributes" if value.starts_with('{') => attributes = value,
            _ => {}
        })?;
        self.put(&format!("{{\"id\":{id},\"attributes\":"))?;
        let is_shown = !self.masks_all && self.fields.is_shown(id);
        let mut scanner = Scanner::new(attributes);
        let tag = if is_shown { Tag::Input } else { Tag::Unknown };
        if self.attributes(&mut scanner, tag)? == Value::Hidden {
            // It may have become one for a secret.
            self.fields.hide(id);
        }
        self.put("}")
    }

    /// A node with all that is in it, whose parent is a `parent`.
    fn node(&mut self, node: &str, parent: Tag) -> Result<()> {
        let mut scanner = Scanner::new(node);
        scanner.begin_object()?;
        self.put("{")?;
        let mut open = vec![Open::node(parent)];
        while let Some(token) = scanner.next()? {
            let is_deepest = open.len() >= 2 * LEVELS_MAX - 1;
            let Some(top) = open.last_mut() else { return Err(Malformed { at: 0 }.into()) };
            match (&mut top.kind, token) {
                (_, Token::EndArray) => {
                    open.pop();
                    self.put("]")?;
                }
                (OpenKind::Node { id, value, .. }, Token::EndObject) => {
                    match value {
                        Value::Shown => self.fields.show(*id),
                        Value::Hidden => self.fields.hide(*id),
                        Value::None => {}
                    }
                    open.pop();
                    self.put("}")?;
                }
                (OpenKind::Children { of }, Token::BeginObject) => {
                    let of = *of;
                    let comma = top.comma();
                    self.put(comma)?;
                    self.put("{")?;
                    open.push(Open::node(of));
                }
                // What is no node is left out.
                (OpenKind::Children { .. }, Token::String(_) | Token::Number(_) | Token::Word(_)) => {}
                (OpenKind::Node { .. }, Token::Name(name)) => {
                    let name = unquoted(name);
                    if let Some(children) = self.node_member(&mut scanner, top, &name, is_deepest)? {
                        open.push(children);
                    }
                }
                _ => return Err(Malformed { at: 0 }.into()),
            }
        }
        Ok(())
    }

    /// Writes the member `name` of a node, whose value comes next; of its children, the beginning, or none when it `is_deepest`.
    fn node_member(
        &mut self,
        scanner: &mut Scanner<'_>,
        top: &mut Open,
        name: &str,
        is_deepest: bool,
    ) -> Result<Option<Open>> {
        let comma = top.comma_if(false);
        let OpenKind::Node { parent, tag, value, id } = &mut top.kind else { return Ok(None) };
        let written = match name {
            "childNodes" if is_deepest => {
                scanner.raw_value()?;
                self.put(&format!("{comma}\"childNodes\":[]"))?;
                true
            }
            "childNodes" => {
                scanner.begin_array()?;
                self.put(&format!("{comma}\"childNodes\":["))?;
                top.is_empty = false;
                return Ok(Some(Open { kind: OpenKind::Children { of: *tag }, is_empty: true }));
            }
            "attributes" => {
                self.put(&format!("{comma}\"attributes\":"))?;
                *value = self.attributes(scanner, *tag)?;
                true
            }
            _ => {
                let found = scanner.raw_value()?;
                if is_flat(found) && !found.starts_with(['{', '[']) {
                    let shown: Cow<'_, str> = match name {
                        "tagName" if found.starts_with('"') => {
                            *tag = Tag::of(&unquoted(found));
                            found.into()
                        }
                        "textContent" if found.starts_with('"') => self.text(found, *parent),
                        "id" => {
                            *id = whole(found).unwrap_or(0);
                            found.into()
                        }
                        "type" if whole(found) != Some(ELEMENT) => {
                            // Documents and what is in shadow trees has parents that are no fields.
                            if *tag == Tag::Unknown {
                                *tag = Tag::Other;
                            }
                            found.into()
                        }
                        _ => found.into(),
                    };
                    self.put(&format!("{comma}{}:{shown}", json_of(name)))?;
                    true
                } else {
                    false
                }
            }
        };
        if written {
            top.is_empty = false;
        }
        Ok(None)
    }

    /// What is shown of `text`, a string of JSON, in a `parent`.
    fn text<'t>(&self, text: &'t str, parent: Tag) -> Cow<'t, str> {
        let is_hidden = match parent {
            Tag::Script => return "\"\"".into(),
            Tag::Style => return text.into(),
            Tag::Field | Tag::Input => self.masks_all || may_become_card(&unquoted(text)),
            Tag::Unknown | Tag::Other => return shown_text("value", text),
        };
        if is_hidden && !unquoted(text).trim().is_empty() { HIDDEN_JSON.into() } else { text.into() }
    }

    /// Writes the attributes that come next, of a `tag`, and tells whether its value may be shown.
    fn attributes(&mut self, scanner: &mut Scanner<'_>, tag: Tag) -> Result<Value> {
        let is_labelled = self.labelled.has(scanner.rest());
        scanner.begin_object()?;
        let mut found: Vec<(Cow<'_, str>, &str)> = Vec::new();
        while let Some(name) = scanner.member()? {
            let value = scanner.raw_value()?;
            if found.len() < ATTRIBUTES_MAX {
                found.push((name, value));
            }
        }
        let said = |wanted: &str| {
            let value = found.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| *value);
            value.map(
                |value| if value.starts_with('"') { unquoted(value).to_ascii_lowercase() } else { value.to_owned() },
            )
        };
        let is_field = matches!(tag, Tag::Input | Tag::Field | Tag::Unknown);
        let kind = said("type").unwrap_or_default();
        let is_secret = kind == "password"
            || said("data-rr-is-password").is_some()
            || said("rr_is_password").is_some()
            || said("autocomplete").is_some_and(|words| words.split_whitespace().any(is_secret_purpose))
            || is_labelled
            || found.iter().any(|(name, value)| {
                let told = || if value.starts_with('"') { unquoted(value) } else { Cow::Borrowed(*value) };
                match name.to_ascii_lowercase().as_str() {
                    "name" | "id" | "aria-label" | "placeholder" => is_secret_name(&told()),
                    "value" => may_become_card(&told()),
                    _ => false,
                }
            });
        let is_label = tag == Tag::Input && matches!(kind.as_str(), "submit" | "button" | "reset" | "image");
        let hides = is_field && !is_label && (self.masks_all || is_secret || tag == Tag::Unknown);
        self.put("{")?;
        let mut is_first = true;
        for (name, value) in &found {
            let lower = name.to_ascii_lowercase();
            let is_address = !matches!(lower.as_str(), "class" | "style" | "_csstext");
            if tag == Tag::Script
                || is_dropped(&lower)
                || (is_address && runs(value))
                || (!is_flat(value) && lower != "style")
            {
                continue;
            }
            let shown = match lower.as_str() {
                "value" if hides && *value != "\"\"" => HIDDEN_JSON,
                "checked" | "selected" if hides && self.masks_all => continue,
                _ => *value,
            };
            let comma = if std::mem::take(&mut is_first) { "" } else { "," };
            self.put(&format!("{comma}{}:{shown}", json_of(name)))?;
        }
        self.put("}")?;
        Ok(match tag {
            Tag::Input | Tag::Field if hides => Value::Hidden,
            Tag::Input | Tag::Field => Value::Shown,
            Tag::Unknown if is_secret => Value::Hidden,
            _ => Value::None,
        })
    }

    /// Writes an object whose members are no objects or arrays, as `shown` has them by their names; others are left out.
    fn flat(&mut self, object: &str, shown: impl for<'v> Fn(&str, &'v str) -> Cow<'v, str>) -> Result<()> {
        self.put("{")?;
        let mut scanner = Scanner::new(object);
        scanner.begin_object()?;
        let mut is_first = true;
        while let Some(name) = scanner.member()? {
            let value = scanner.raw_value()?;
            if value.starts_with(['{', '[']) {
                continue;
            }
            let comma = if std::mem::take(&mut is_first) { "" } else { "," };
            self.put(&format!("{comma}{}:{}", json_of(&name), shown(&name, value)))?;
        }
        self.put("}")
    }
}

/// What is shown of the member `value` of a text, a string of JSON: no numbers of cards.
fn shown_text<'v>(name: &str, value: &'v str) -> Cow<'v, str> {
    if name != "value" || !value.starts_with('"') {
        return value.into();
    }
    match without_cards(&unquoted(value)) {
        Cow::Borrowed(_) => value.into(),
        Cow::Owned(kept) => json_of(&kept).into(),
    }
}

/// The nodes that a mutation adds, each with the number of its parent.
fn added_nodes(mutation: &str) -> std::result::Result<Vec<(Option<u64>, &str)>, Malformed> {
    let mut nodes = Vec::new();
    if let Some(adds) = member(mutation, "adds")?.filter(|adds| adds.starts_with('[')) {
        let mut list = Scanner::new(adds);
        list.begin_array()?;
        while let Some(change) = list.element()? {
            if change.starts_with('{') {
                let (parent, node) = (member(change, "parentId")?.and_then(whole), member(change, "node")?);
                nodes.extend(node.map(|node| (parent, node)));
            }
        }
    }
    Ok(nodes)
}

/// The kind of a node that is an element.
const ELEMENT: u64 = 2;

/// What is being written of a node.
struct Open {
    kind: OpenKind,
    is_empty: bool,
}

enum OpenKind {
    Node { parent: Tag, tag: Tag, value: Value, id: u64 },
    Children { of: Tag },
}

impl Open {
    fn node(parent: Tag) -> Self {
        Self { kind: OpenKind::Node { parent, tag: Tag::Unknown, value: Value::None, id: 0 }, is_empty: true }
    }

    /// What stands before the next member or child, which is written now.
    fn comma(&mut self) -> &'static str {
        self.comma_if(true)
    }

    /// The same; `is_written` says whether it is written for sure.
    fn comma_if(&mut self, is_written: bool) -> &'static str {
        let comma = if self.is_empty { "" } else { "," };
        self.is_empty &= !is_written;
        comma
    }
}

/// Calls `see` with the name and the value, as it is written, of each member of `object`.
pub(super) fn each_member<'a>(
    object: &'a str,
    mut see: impl FnMut(&str, &'a str),
) -> std::result::Result<(), Malformed> {
    let mut scanner = Scanner::new(object);
    scanner.begin_object()?;
    while let Some(name) = scanner.member()? {
        see(&name, scanner.raw_value()?);
    }
    Ok(())
}

/// The value of the member `name` of `object`; of several, the last.
fn member<'a>(object: &'a str, name: &str) -> std::result::Result<Option<&'a str>, Malformed> {
    let mut found = None;
    each_member(object, |other, value| {
        if other == name {
            found = Some(value);
        }
    })?;
    Ok(found)
}

/// Whether `value` is no array or object.
fn is_flat(value: &str) -> bool {
    !value.starts_with(['{', '['])
}

/// A whole number that is not negative.
pub(super) fn whole(value: &str) -> Option<u64> {
    value.parse().ok()
}

/// A time in whole milliseconds.
#[expect(clippy::cast_possible_truncation, reason = "it is within the range of whole numbers that floats have")]
fn time(value: &str) -> Option<i64> {
    let number: f64 = value.parse().ok()?;
    (number.is_finite() && number.abs() < 9e15).then(|| number.round() as i64)
}

/// A length of a window.
fn pixels(value: &str) -> u32 {
    time(value).and_then(|pixels| u32::try_from(pixels.clamp(0, 100_000)).ok()).unwrap_or(0)
}

/// A place in a window.
fn coordinate(value: &str) -> i32 {
    time(value).and_then(|pixels| i32::try_from(pixels.clamp(-1_000_000, 1_000_000)).ok()).unwrap_or(0)
}

fn json_of(text: &str) -> String {
    // A string is JSON, whatever is in it.
    serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned())
}

/// The first `chars` characters.
fn cut(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).map_or(text, |(at, _)| &text[..at])
}

fn without_query(address: &str) -> &str {
    let end = address.find(['?', '#']).unwrap_or(address.len());
    &address[..end]
}

/// The path of an address, or of a path, as events have it. Browsers tell addresses in other spellings of it.
pub(super) fn path_of(address: &str) -> String {
    let address = without_query(address);
    let path = match address.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => address,
    };
    cut_path(&normal_path(cut(path, PATH_MAX_CHARS)), PATH_MAX_CHARS).to_owned()
}

/// Whether what is typed for this purpose (`autocomplete`) is a secret.
fn is_secret_purpose(purpose: &str) -> bool {
    matches!(purpose, "current-password" | "new-password" | "one-time-code") || purpose.starts_with("cc-")
}

/// Whether an attribute is of no use to who looks, or runs something.
fn is_dropped(name: &str) -> bool {
    name.starts_with("on") || matches!(name, "srcdoc" | "nonce" | "integrity" | "ping")
}

/// Whether a value of an attribute is an address that runs something.
fn runs(value: &str) -> bool {
    if !value.starts_with('"') {
        return false;
    }
    let address = unquoted(value);
    // Browsers pass over white space and control characters in front and in between.
    let letters: String = address.chars().filter(|c| *c > ' ').take(30).flat_map(char::to_lowercase).collect();
    ["javascript:", "vbscript:", "data:text/html", "data:application/xhtml", "data:text/xml", "data:application/xml"]
        .iter()
        .any(|scheme| letters.starts_with(scheme))
}
