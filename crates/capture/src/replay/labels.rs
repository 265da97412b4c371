//! Fields of which a label says that they are for a secret: it is around them, or names them, or they name it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::filter::{each_member, whole};
use super::json::{Malformed, Scanner, Token, unquoted};
use crate::secrets::is_secret_name;

/// The most nodes that are looked at; where there are more, all fields are taken to be for secrets.
const NODES_MAX: usize = 100_000;
/// The most bytes of the text of a label, about.
const LABEL_MAX_BYTES: usize = 300;
/// How far out of a field its label is looked for.
const LEVELS_MAX: usize = 32;

/// Fields for secrets by their labels, told by where their attributes are in memory.
#[derive(Debug, Default)]
pub(super) struct LabelledSecrets {
    fields: HashSet<usize>,
    are_all: bool,
}

/// An element or a text.
#[derive(Debug, Default)]
struct Seen<'a> {
    parent: Option<usize>,
    /// The number of the parent, where that is no node of the same tree.
    parent_id: Option<u64>,
    id: u64,
    tag: Cow<'a, str>,
    attributes: &'a str,
    text: Cow<'a, str>,
}

/// What is being read.
enum Open {
    Node(usize),
    Children(Option<usize>),
}

impl LabelledSecrets {
    /// Of `nodes`, trees as a recorder writes them, each with the number of its parent.
    pub(super) fn of<'a>(nodes: impl IntoIterator<Item = (Option<u64>, &'a str)>) -> Result<Self, Malformed> {
        let mut seen = Vec::new();
        for (parent_id, node) in nodes {
            if node.starts_with('{') && !walk(node, parent_id, &mut seen)? {
                return Ok(Self { are_all: true, ..Self::default() });
            }
        }
        Ok(Self { fields: secret_fields(&mut seen)?, are_all: false })
    }

    /// Whether the field is one whose attributes `rest` begins with.
    pub(super) fn has(&self, rest: &str) -> bool {
        self.are_all || self.fields.contains(&rest.as_ptr().addr())
    }
}

/// Adds the nodes of a tree; `false` when there are too many.
fn walk<'a>(node: &'a str, parent_id: Option<u64>, seen: &mut Vec<Seen<'a>>) -> Result<bool, Malformed> {
    let mut scanner = Scanner::new(node);
    let mut open = vec![Open::Children(None)];
    while let Some(token) = scanner.next()? {
        match (open.last(), token) {
            (Some(Open::Children(parent)), Token::BeginObject) => {
                if seen.len() == NODES_MAX {
                    return Ok(false);
                }
                let parent_id = if parent.is_none() { parent_id } else { None };
                seen.push(Seen { parent: *parent, parent_id, ..Seen::default() });
                open.push(Open::Node(seen.len() - 1));
            }
            (_, Token::EndObject | Token::EndArray) => {
                open.pop();
            }
            (Some(Open::Node(at)), Token::Name(name)) => {
                let at = *at;
                let name = unquoted(name);
                if name == "childNodes" {
                    scanner.begin_array()?;
                    open.push(Open::Children(Some(at)));
                    continue;
                }
                let value = scanner.raw_value()?;
                let Some(node) = seen.get_mut(at) else { continue };
                match name.as_ref() {
                    "id" => node.id = whole(value).unwrap_or(0),
                    "attributes" if value.starts_with('{') => node.attributes = value,
                    "tagName" if value.starts_with('"') => node.tag = unquoted(value),
                    "textContent" if value.starts_with('"') => node.text = unquoted(value),
                    _ => {}
                }
            }
            // What is no node.
            _ => {}
        }
    }
    Ok(true)
}

/// Where the attributes of those fields are that a label says to be for a secret.
fn secret_fields(seen: &mut [Seen<'_>]) -> Result<HashSet<usize>, Malformed> {
    let places: HashMap<u64, usize> = seen.iter().enumerate().map(|(at, node)| (node.id, at)).collect();
    for node in &mut *seen {
        if let Some(parent) = node.parent_id.and_then(|id| places.get(&id)) {
            node.parent = Some(*parent);
        }
    }
    let seen = &*seen;
    let is_label = |node: &Seen<'_>| node.tag.eq_ignore_ascii_case("label");
    let label_around = |at: usize| {
        let mut around = seen[at].parent;
        for _ in 0..LEVELS_MAX {
            match around {
                Some(place) if is_label(&seen[place]) => break,
                Some(place) => around = seen[place].parent,
                None => break,
            }
        }
        around.filter(|place| is_label(&seen[*place]))
    };
    // What is in a label, and what stands right in another element, by which a field may be labelled.
    let mut said: HashMap<usize, String> = HashMap::new();
    for (at, node) in seen.iter().enumerate().filter(|(_, node)| !node.text.trim().is_empty()) {
        let label = label_around(at);
        for place in [label, node.parent.filter(|parent| Some(*parent) != label)].into_iter().flatten() {
            let text = said.entry(place).or_default();
            if text.len() < LABEL_MAX_BYTES {
                text.extend([" ", node.text.get(..LABEL_MAX_BYTES).unwrap_or(&node.text)]);
            }
        }
    }
    let is_secret = |place: usize| said.get(&place).is_some_and(|text| is_secret_name(text));
    let (mut named, mut names) = (HashSet::new(), HashSet::new());
    for place in said.keys().copied().filter(|place| is_secret(*place)) {
        each_member(seen[place].attributes_or_none(), |name, value| match name {
            "for" if is_label(&seen[place]) => {
                named.insert(unquoted(value));
            }
            "id" => {
                names.insert(unquoted(value));
            }
            _ => {}
        })?;
    }
    let mut fields = HashSet::new();
    for (at, node) in seen.iter().enumerate().filter(|(_, node)| !node.attributes.is_empty()) {
        let mut is_field = label_around(at).is_some_and(is_secret);
        each_member(node.attributes, |name, value| match name {
            "id" => is_field |= named.contains(&*unquoted(value)),
            "aria-labelledby" => is_field |= unquoted(value).split_whitespace().any(|id| names.contains(id)),
            _ => {}
        })?;
        if is_field {
            fields.insert(node.attributes.as_ptr().addr());
        }
    }
    Ok(fields)
}

impl<'a> Seen<'a> {
    fn attributes_or_none(&self) -> &'a str {
        if self.attributes.is_empty() { "{}" } else { self.attributes }
    }
}
