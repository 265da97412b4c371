//! The pages of the demo's websites as a browser shows them: what is on each, and where. Everything has its place in pixels, so that
//! what is done on a page can be told without a browser.

use serde_json::{Value, json};

/// How a page is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Device {
    Desktop,
    Tablet,
    Phone,
}

impl Device {
    pub(super) const ALL: [Self; 3] = [Self::Desktop, Self::Tablet, Self::Phone];

    /// By the name that events have for it.
    pub(super) fn named(name: &str) -> Self {
        match name {
            "mobile" => Self::Phone,
            "tablet" => Self::Tablet,
            _ => Self::Desktop,
        }
    }

    /// Width and height of its window.
    pub(super) const fn window(self) -> [u32; 2] {
        match self {
            Self::Desktop => [1_440, 900],
            Self::Tablet => [820, 1_180],
            Self::Phone => [390, 844],
        }
    }

    /// Where what is on a page begins, and how wide that is.
    const fn column(self) -> [u32; 2] {
        match self {
            Self::Desktop => [240, 960],
            Self::Tablet => [40, 740],
            Self::Phone => [20, 350],
        }
    }
}

/// Something that can be clicked.
pub(super) struct Thing {
    /// Its path in the page.
    pub(super) address: String,
    pub(super) label: &'static str,
    /// The number of its node.
    pub(super) node: u64,
    /// The pixels from the left and from the top of the page at which it begins.
    pub(super) at: [u32; 2],
    pub(super) size: [u32; 2],
    /// What a click changes: the number of a text, and what it is then.
    pub(super) changes: Option<(u64, &'static str)>,
    /// It is written into.
    pub(super) is_field: bool,
}

/// A page.
pub(super) struct Sheet {
    /// The document, as the recorder writes nodes.
    pub(super) node: Value,
    pub(super) things: Vec<Thing>,
    pub(super) size: [u32; 2],
    pub(super) device: Device,
}

impl Sheet {
    pub(super) fn thing(&self, label: &str) -> Option<&Thing> {
        self.things.iter().find(|thing| thing.label == label)
    }
}

/// What the pages look like; places stand in each element.
const STYLE: &str = "*{margin:0;box-sizing:border-box}body{position:static;background:#fbfaf7;color:#20302c;font:16px/1.5 system-ui,sans-serif}
.at{position:absolute;overflow:hidden}header>.at,h3{font-weight:600}h1{font-size:34px;line-height:1.2}h3{font-size:19px}p{color:#4b5a55}
a{color:#20302c;text-decoration:none}.start,button,td a{background:#20594c;color:#fff;border:0;border-radius:8px;font:600 16px system-ui,sans-serif;text-align:center;padding:9px 4px}
article.at,.row{background:#fff;border:1px solid #dfe3dc;border-radius:10px;padding:18px}figure.at{background:#e3ebe4;border-radius:12px;padding:20px;color:#4b5a55}
pre.at{background:#20302c;color:#dfeee7;border-radius:10px;padding:20px;font:14px/1.6 monospace}input,select,textarea{border:1px solid #b9c2ba;border-radius:8px;background:#fff;padding:8px;font:16px system-ui,sans-serif}
footer .at{color:#7b8781;font-size:14px}nav .at{padding:4px 0}main nav .at{border-bottom:2px solid #20594c}";

/// A page that is being put together, from its top to its end.
struct Draft {
    device: Device,
    /// The numbers of nodes that are given.
    nodes: u64,
    /// How far from the top the next thing stands.
    y: u32,
    things: Vec<Thing>,
}

type Nodes = Vec<Value>;

impl Draft {
    fn next(&mut self) -> u64 {
        self.nodes += 1;
        self.nodes
    }

    fn text(&mut self, text: &str) -> Value {
        json!({ "type": 3, "id": self.next(), "textContent": text })
    }

    fn element(&mut self, tag: &str, attributes: Value, children: Nodes) -> Value {
        json!({ "type": 2, "id": self.next(), "tagName": tag, "attributes": attributes, "childNodes": children })
    }

    /// An element with words in it, at a place.
    fn put(&mut self, (tag, class): (&str, &str), words: &str, at: [u32; 2], size: [u32; 2]) -> Value {
        let children = if words.is_empty() { Vec::new() } else { vec![self.text(words)] };
        self.put_with(tag, json!({ "class": format!("at {class}").trim_end() }), children, at, size)
    }

    fn put_with(
        &mut self,
        tag: &str,
        mut attributes: Value,
        children: Nodes,
        [x, y]: [u32; 2],
        [width, height]: [u32; 2],
    ) -> Value {
        attributes["style"] = format!("left:{x}px;top:{y}px;width:{width}px;height:{height}px").into();
        self.element(tag, attributes, children)
    }

    /// An element as [`put`](Self::put) makes it that can be clicked.
    fn active(
        &mut self,
        (tag, class): (&str, &str),
        label: &'static str,
        address: impl Into<String>,
        at: [u32; 2],
        size: [u32; 2],
    ) -> Value {
        let element = self.put((tag, class), label, at, size);
        let (address, node) = (address.into(), self.nodes);
        self.things.push(Thing { address, label, node, at, size, changes: None, is_field: false });
        element
    }

    /// Says that a click on the last thing changes the text `node`, or its own.
    fn changing(&mut self, node: Option<u64>, text: &'static str) {
        if let Some(thing) = self.things.last_mut() {
            thing.changes = Some((node.unwrap_or(thing.node - 1), text));
        }
    }

    fn header(&mut self, brand: &str) -> Value {
        let [x, width] = self.device.column();
        let is_narrow = self.device == Device::Phone;
        let logo = self.put(("a", "logo"), brand, [x, 22], [180, 32]);
        let node = self.nodes;
        self.things.push(Thing {
            address: "header>a".to_owned(),
            label: "Home",
            node,
            at: [x, 22],
            size: [180, 32],
            changes: None,
            is_field: false,
        });
        let (from, y) = if is_narrow { (x, 62) } else { (x + width - 330, 22) };
        let links: Nodes = ["Features", "Pricing", "Docs"]
            .into_iter()
            .zip(0_u32..)
            .map(|(label, place)| {
                let address = format!("header>nav>a:nth-of-type({})", place + 1);
                self.active(("a", ""), label, address, [from + place * 115, y], [96, 32])
            })
            .collect();
        let nav = self.element("nav", json!({}), links);
        self.y = if is_narrow { 120 } else { 96 };
        self.element("header", json!({}), vec![logo, nav])
    }

    /// A heading and a line below it.
    fn heading(&mut self, title: &str, words: &str) -> Nodes {
        let [x, width] = self.device.column();
        let tall = if self.device == Device::Phone { 90 } else { 48 };
        let title = self.put(("h1", ""), title, [x, self.y + 40], [width, tall]);
        let words = self.put(("p", ""), words, [x, self.y + 56 + tall], [width.min(640), 54]);
        self.y += tall + 140;
        vec![title, words]
    }

    /// The beginning of the first page.
    fn hero(&mut self) -> Value {
        let mut parts =
            self.heading("See what your visitors do", "Numbers that you can trust, of people whom you do not know.");
        let [x, _] = self.device.column();
        let address = "main>section:nth-of-type(1)>a.start";
        parts.push(self.active(("a", "start"), "Start free", address, [x, self.y], [180, 48]));
        self.y += 110;
        self.element("section", json!({}), parts)
    }

    /// Boxes beside each other, or one below the other where there is no room.
    fn cards(&mut self, cards: &[(&str, &str)]) -> Value {
        let [x, width] = self.device.column();
        let is_narrow = self.device == Device::Phone;
        let count = u32::try_from(cards.len()).unwrap_or(1).max(1);
        let wide = if is_narrow { width } else { (width - 20 * (count - 1)) / count };
        let parts: Nodes = cards
            .iter()
            .zip(0_u32..)
            .map(|((title, words), place)| {
                let at = if is_narrow { [x, self.y + place * 190] } else { [x + place * (wide + 20), self.y] };
                let title = self.text(title);
                let inner = [self.element("h3", json!({}), vec![title]), self.text(words)];
                let [title, words] = inner;
                let words = self.element("p", json!({}), vec![words]);
                self.put_with("article", json!({ "class": "at" }), vec![title, words], at, [wide, 170])
            })
            .collect();
        self.y += if is_narrow { 190 * count } else { 190 } + 40;
        self.element("section", json!({}), parts)
    }

    /// A picture in a section, which looks like something to press.
    fn picture(&mut self, address: &str) -> Value {
        let [x, width] = self.device.column();
        let tall = width * 7 / 16;
        let at = [x, self.y];
        let figure = self.put(("figure", ""), "A week in one picture", at, [width, tall]);
        let (address, node) = (address.to_owned(), self.nodes);
        let size = [width, tall];
        self.things.push(Thing { address, label: "", node, at, size, changes: None, is_field: false });
        self.y += tall + 60;
        self.element("section", json!({}), vec![figure])
    }

    /// What is offered at which price, in a currency that can be chosen.
    fn prices(&mut self) -> Nodes {
        let [x, width] = self.device.column();
        let options: Nodes = ["EUR", "USD"]
            .into_iter()
            .map(|name| {
                let name = self.text(name);
                self.element("option", json!({}), vec![name])
            })
            .collect();
        let place = ([x + width - 130, self.y], [120, 40]);
        let select = self.put_with("select", json!({ "class": "at" }), options, place.0, place.1);
        let currency = self.nodes;
        let label = self.element("label", json!({}), vec![select]);
        self.y += 64;
        let mut rows = Vec::new();
        let mut price_of_pro = 0;
        for ((name, price, button), row) in
            [("Free", "0.00", "Choose Free"), ("Pro", "19.00", "Choose Pro"), ("Scale", "79.00", "Choose Scale")]
                .into_iter()
                .zip(1_u32..)
        {
            let y = self.y;
            let cell = |draft: &mut Self, part: Value| draft.element("td", json!({}), vec![part]);
            let name = self.put(("p", "row"), name, [x, y], [width, 84]);
            let name = cell(self, name);
            let price = self.put(("p", ""), price, [x + width / 3, y + 26], [110, 30]);
            if row == 2 {
                price_of_pro = self.nodes - 1;
            }
            let price = cell(self, price);
            let address = format!("main>table>tbody>tr:nth-of-type({row})>td>a");
            let button = self.active(("a", ""), button, address, [x + width - 150, y + 20], [130, 44]);
            let button = cell(self, button);
            rows.push(self.element("tr", json!({}), vec![name, price, button]));
            self.y += 100;
        }
        self.things.push(Thing {
            address: "main>label>select".to_owned(),
            label: "Currency",
            node: currency,
            at: place.0,
            size: place.1,
            changes: Some((price_of_pro, "21.00")),
            is_field: false,
        });
        self.y += 40;
        let body = self.element("tbody", json!({}), rows);
        vec![label, self.element("table", json!({}), vec![body])]
    }

    /// Fields with their labels, and a button.
    fn form(&mut self, fields: &[(&'static str, &str)], button: &'static str, done: &'static str) -> Value {
        let [x, width] = self.device.column();
        let width = width.min(420);
        let mut parts = Vec::new();
        for (&(label, kind), place) in fields.iter().zip(1_u32..) {
            let words = self.put(("span", ""), label, [x, self.y], [width, 24]);
            let at = [x, self.y + 28];
            let tag = if kind == "textarea" { "textarea" } else { "input" };
            let mut attributes = json!({ "class": "at" });
            if tag == "input" {
                attributes["type"] = kind.into();
            }
            let field = self.put_with(tag, attributes, Vec::new(), at, [width, 42]);
            let (address, node) = (format!("main>form>label:nth-of-type({place})>{tag}"), self.nodes);
            let size = [width, 42];
            self.things.push(Thing { address, label, node, at, size, changes: None, is_field: true });
            parts.push(self.element("label", json!({}), vec![words, field]));
            self.y += 92;
        }
        parts.push(self.active(("button", ""), button, "main>form>button", [x, self.y], [180, 46]));
        self.changing(None, done);
        self.y += 110;
        self.element("form", json!({}), parts)
    }

    /// Paragraphs.
    fn words(&mut self, paragraphs: &[&str]) -> Nodes {
        let [x, width] = self.device.column();
        let width = width.min(680);
        let tall = if self.device == Device::Phone { 170 } else { 104 };
        let put = |words: &&str| {
            let at = [x, self.y];
            self.y += tall + 16;
            self.put(("p", ""), words, at, [width, tall])
        };
        paragraphs.iter().map(put).collect()
    }

    /// An example to copy.
    fn example(&mut self) -> Value {
        let [x, width] = self.device.column();
        let code = "curl https://stats.example/api/v1/stats/overview \\\n  -H 'Authorization: Bearer …'";
        let code = self.put(("pre", ""), code, [x, self.y], [width, 130]);
        let address = "main>figure>button";
        let button = self.active(("button", ""), "Copy", address, [x + width - 96, self.y + 14], [80, 40]);
        self.changing(None, "Copied");
        self.y += 170;
        self.element("figure", json!({}), vec![code, button])
    }

    /// Parts of a page that lead to each other.
    fn tabs(&mut self) -> Value {
        let [x, width] = self.device.column();
        let wide = width.min(560) / 4;
        let links: Nodes = ["Overview", "Goals", "Visitors", "Funnels"]
            .into_iter()
            .zip(0_u32..)
            .map(|(label, place)| {
                let address = format!("main>nav>a:nth-of-type({})", place + 1);
                self.active(("a", ""), label, address, [x + place * wide, self.y], [wide - 12, 36])
            })
            .collect();
        self.y += 76;
        self.element("nav", json!({}), links)
    }
}

const CARDS: [&[(&str, &str)]; 3] = [
    &[
        ("Fast", "Every number is there before you ask twice."),
        ("Yours", "All of it stays on your own server."),
        ("Plain", "What is counted is said beside each number."),
    ],
    &[
        ("Goals", "Say what counts as a success, and see who got there."),
        ("Funnels", "Where people leave on the way to it."),
    ],
    &[
        ("Counting without cookies", "How visitors are told apart for a day, and forgotten."),
        ("What is a bounce?", "A visit of one page is not always a bad one."),
    ],
];
const WORDS: [&str; 4] = [
    "A number is only worth something when everybody who reads it knows what it counts. So each has a definition, and the same one everywhere.",
    "A visit begins with the first page, and ends when nothing happened for half an hour. What happened in between belongs together.",
    "Nothing is kept that would tell who somebody is. What is needed to tell two visitors apart is thrown away at the end of the day.",
    "Try it with your own website: one line in its head is enough, and the first visit is there within a second.",
];

/// The page `path` of a website, as `device` shows it.
pub(super) fn page(brand: &str, path: &str, title: &str, device: Device) -> Sheet {
    // The document is the first node.
    let mut draft = Draft { device, nodes: 1, y: 0, things: Vec::new() };
    let header = draft.header(brand);
    let mut main = Vec::new();
    match path {
        "/" => {
            main.push(draft.hero());
            main.push(draft.cards(CARDS[0]));
            main.push(draft.picture("main>section:nth-of-type(3)>figure"));
            main.push(draft.cards(CARDS[1]));
        }
        "/pricing" => {
            main.extend(draft.heading("Pricing", "Begin for nothing, and pay when it is worth it."));
            main.extend(draft.prices());
            main.push(draft.cards(CARDS[0]));
        }
        "/features" => {
            main.extend(draft.heading("Features", "Everything that a page tells, in one place."));
            main.push(draft.tabs());
            main.push(draft.cards(CARDS[1]));
            main.push(draft.picture("main>section:nth-of-type(2)>figure"));
            main.push(draft.cards(CARDS[0]));
        }
        "/signup" => {
            main.extend(draft.heading("Create an account", "It takes a minute."));
            let fields = [("Work e-mail", "email"), ("Password", "password"), ("Company", "text")];
            main.push(draft.form(&fields, "Create account", "Welcome"));
        }
        "/contact" => {
            main.extend(draft.heading(title, "An answer comes within a day."));
            let fields = [("Name", "text"), ("E-mail", "email"), ("Message", "textarea")];
            main.push(draft.form(&fields, "Send", "Sent"));
        }
        "/blog" => {
            main.extend(draft.heading(title, "What was learned on the way."));
            main.push(draft.cards(CARDS[2]));
            main.push(draft.cards(CARDS[1]));
        }
        _ => {
            main.extend(draft.heading(title, "Five minutes to read."));
            main.extend(draft.words(&WORDS[..2]));
            if matches!(path, "/docs/api" | "/docs/getting-started") {
                main.push(draft.example());
            }
            main.extend(draft.words(&WORDS));
            if path == "/blog/counting-without-cookies" {
                main.push(draft.form(&[("Your e-mail", "email")], "Join", "Joined"));
            }
        }
    }
    let main = draft.element("main", json!({}), main);
    let [x, width] = device.column();
    let foot = draft.put(("p", ""), "Made for the demo of zenovay", [x, draft.y + 20], [width, 30]);
    let footer = draft.element("footer", json!({}), vec![foot]);
    let [window, tall] = device.window();
    let height = tall.max(draft.y + 80);
    let name = draft.text(title);
    let name = draft.element("title", json!({}), vec![name]);
    let style = draft.element("link", json!({ "_cssText": STYLE }), Vec::new());
    let width = json!({ "name": "viewport", "content": "width=device-width, initial-scale=1" });
    let meta = draft.element("meta", width, Vec::new());
    let head = draft.element("head", json!({}), vec![meta, name, style]);
    let body = draft.element("body", json!({ "style": format!("height:{height}px") }), vec![header, main, footer]);
    let html = draft.element("html", json!({ "lang": "en" }), vec![head, body]);
    let kind = json!({ "type": 1, "id": draft.next(), "name": "html", "publicId": "", "systemId": "" });
    let node = json!({ "type": 0, "id": 1, "childNodes": [kind, html] });
    Sheet { node, things: draft.things, size: [window, height], device }
}
