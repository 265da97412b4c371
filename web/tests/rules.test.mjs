// The rules of fields, roles and keys, and the tag for each framework, without a browser.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { load } from "./load.mjs";

const fields = await load("rules/fields.ts");
const roles = await load("rules/roles.ts");
const keys = await load("rules/keys.ts");
const { snippetsOf } = await load("rules/snippets.ts");
const { nextOf } = await load("rules/next.ts");
const status = await load("rules/status.ts");
const doctor = await load("rules/doctor.ts");

const website = { origin: "https://stats.example.com", code: "ZV_8KQ2M4X7TRB", domain: "shop.example.com" };

test("a domain is a host and nothing more", () => {
  for (const good of ["shop.example.com", " Example.COM ", "bücher.example", "localhost:3000", "my_site.example.com", "192.0.2.1", "[::1]:3000", "2001:db8::1"]) {
    assert.equal(fields.domain(good), undefined, good);
  }
  for (const more of ["https://shop.example.com/", "http://a.example", "shop.example.com/path", "a.example?x", "a.example#x", "https:"]) {
    assert.equal(fields.domain(more), "Write the domain without https:// – “shop.example.com”.", more);
  }
  for (const bad of ["-a.example", "a-.example", "a..example", "exa mple.com", "*.example.com", "a@example.com", "exa%6Dple.com", `${"a".repeat(64)}.example`, "a.".repeat(127) + "example"]) {
    assert.equal(fields.domain(bad), "That is not a domain. Write it like “shop.example.com”.", bad);
  }
  assert.match(fields.domain("  "), /^Write the domain, such as/);
  assert.equal(fields.normalDomain(" Bücher.Example:8080 "), "xn--bcher-kva.example");
});

test("a password has at least twelve characters, as people count them", () => {
  assert.equal(fields.newPassword("correct horse"), undefined);
  assert.equal(fields.newPassword("🦊🐢🐙🦉🐝🦋🐞🦀🐬🦩🐘🦔"), undefined, "twelve characters, 24 units");
  assert.equal(fields.newPassword("short"), "Use at least 12 characters, 7 more.");
  assert.equal(fields.newPassword("abcabcabcabc"), fields.COMMON_PASSWORD);
  assert.equal(fields.newPassword("AaaaAaaaAaaa"), fields.COMMON_PASSWORD);
  assert.equal(fields.newPassword("a1".repeat(513)), "Use at most 1,024 bytes.");
  assert.equal(fields.newPassword(""), "Choose a password.");
});

test("names have the words of the server when they are too long", () => {
  assert.equal(fields.websiteName("n".repeat(100)), undefined);
  assert.equal(fields.websiteName("n".repeat(101)), "Name too long (max 100 characters)");
  assert.equal(fields.keyName("n".repeat(65)), "Name too long (max 64 characters)");
  assert.equal(fields.keyName("  "), "Name the key after what uses it.");
});

test("addresses", () => {
  for (const good of ["owner@example.com", " a+b@sub.example ", "ü@bücher.example"]) assert.equal(fields.email(good), undefined, good);
  for (const bad of ["owner", "@example.com", "owner@", "a b@example.com", "a@b.example, c@d.example", `${"a".repeat(250)}@b.example`]) assert.notEqual(fields.email(bad), undefined, bad);
});

test("lists are read line by line and name the line that is wrong", () => {
  assert.deepEqual(fields.linesOf(" a \n\n b"), ["a", "b"]);
  assert.equal(fields.eachLine(fields.network, 10)("10.0.0.0/8\n2001:db8::/32\n192.0.2.1"), undefined);
  assert.equal(fields.eachLine(fields.network, 10)("10.0.0.0/8\n10.0.0.0/33"), "“10.0.0.0/33” is neither an IP address nor a range such as 10.0.0.0/8.");
  for (const bad of ["300.1.1.1", "10.0.0.0/8/8", "example.com", "10.0.0.0/", "2001:db8::/129"]) assert.notEqual(fields.network(bad), undefined, bad);
  assert.equal(fields.eachLine(fields.hostRule, 10)("*.example.com\nshop.example.net"), undefined);
  assert.notEqual(fields.hostRule("https://example.com"), undefined);
  assert.equal(fields.eachLine(fields.pathPattern, 10)("/admin/*\n*.pdf"), undefined);
  assert.notEqual(fields.pathPattern("admin"), undefined);
  assert.equal(fields.eachLine(fields.botName, 2)("abc\nabd\nabe"), "At most 2 lines; these are 3.");
});

test("a pasted code keeps its digits", () => {
  assert.equal(fields.normalCode(" 481 019"), "481019");
  assert.equal(fields.normalCode("4810199"), "481019");
  assert.equal(fields.totpCode("481019"), undefined);
  assert.notEqual(fields.totpCode("48101"), undefined);
});

test("rights are those of the table of roles", () => {
  const table = [
    ["change-websites", true, true, true, false],
    ["manage-members", true, true, false, false],
    ["manage-workspace-keys", true, true, false, false],
    ["change-plan", true, false, false, false],
    ["transfer-workspace", true, false, false, false],
    ["delete-workspace", true, false, false, false],
  ];
  for (const [action, ...allowed] of table) {
    assert.deepEqual(["owner", "admin", "editor", "viewer"].map((role) => roles.may(role, action)), allowed, action);
  }
  assert.equal(roles.whoMay("change-websites"), "editors, admins and owners");
  assert.equal(roles.whoMay("manage-members"), "admins and owners");
  assert.equal(roles.whoMay("change-plan"), "owners");
  assert.deepEqual(roles.rolesToGive("admin"), ["editor", "viewer"]);
  assert.deepEqual(roles.rolesToGive("admin", "owner"), []);
  assert.deepEqual(roles.rolesToGive("viewer"), []);
  assert.equal(roles.mayRemove("admin", "admin"), false);
  assert.equal(roles.mayRemove("admin", "editor"), true);
  assert.equal(roles.mayRemove("editor", "viewer"), false);
});

test("scopes read as in the source documents", () => {
  assert.equal(keys.scopesLabel(["full_access"]), "Full access");
  assert.equal(keys.scopesLabel(["write", "read"]), "Read, Write");
  const team = (name, role) => ({ id: name, name, role });
  assert.equal(keys.adminRefusal([team("Studio", "owner"), team("Client A", "admin")]), undefined);
  assert.equal(keys.adminRefusal([team("Studio", "owner"), team("Client A", "viewer")]), "You are not owner or admin in Client A");
  assert.equal(keys.adminRefusal([team("A", "viewer"), team("B", "editor"), team("C", "viewer")]), "You are not owner or admin in A, B and C");
});

test("every tag names the code and the script", () => {
  const snippets = snippetsOf(website);
  assert.deepEqual(snippets.map((snippet) => snippet.label), ["HTML", "Next.js", "React", "Vue", "Astro", "WordPress", "Tag manager", "Server"]);
  for (const snippet of snippets) {
    assert.ok(snippet.text.includes(website.code), snippet.id);
    assert.ok(snippet.text.includes(snippet.id === "server" ? `${website.origin}/e/` : `${website.origin}/z.js`), snippet.id);
  }
});

test("signing in leads to a page of this application, and nowhere else", () => {
  const next = (value) => nextOf(`?next=${encodeURIComponent(value)}`);
  for (const own of ["/websites/7f3a?range=28d&f=country:is:DE", "/settings/api-keys", "/invite/abc"]) assert.equal(next(own), own);
  for (const other of ["//evil.example", "/\\evil.example", "/\t/evil.example", "/\n/evil.example", "https://evil.example", "javascript:alert(1)", "evil", "", "/login", "/welcome"]) {
    assert.equal(next(other), "/", JSON.stringify(other));
  }
  assert.equal(nextOf(""), "/");
});

test("what is wrong with a server is counted, and notes are no worry", () => {
  const of = (...states) => doctor.verdict(states.map((state) => ({ state })));
  assert.equal(of("ok", "note", "not_checked"), "The server is healthy.");
  assert.equal(of("ok", "warning"), "1 warning.");
  assert.equal(of("fault", "warning", "fault"), "2 faults and 1 warning.");
  const groups = doctor.grouped([{ group: "A", n: 1 }, { group: "A", n: 2 }, { group: "B", n: 3 }]);
  assert.deepEqual(groups.map(({ group, checks }) => [group, checks.map(({ n }) => n)]), [["A", [1, 2]], ["B", [3]]]);
  assert.deepEqual(["open_files", "dns"].map(doctor.checkWords), ["Open files", "DNS"]);
  assert.deepEqual(doctor.pieces("Run `zenovay backup`."), ["Run ", "zenovay backup", "."]);
  const told = "Since 2026-11-29T19:12:59.854Z; it says 2026-11-29T19:14:54.555Z (UTC), as expected.";
  assert.equal(doctor.withInstants(told, (instant) => `[${instant}]`), "Since [2026-11-29T19:12:59.854Z]; it says 2026-11-29T19:14:54.555Z (UTC), as expected.");
  assert.equal(doctor.pageProblem("https://example.com/a"), undefined);
  for (const bad of ["", "example.com", "http://example.com/", "https://localhost/"]) assert.match(doctor.pageProblem(bad), /^Write an address/, bad);
});

test("the server's health is in the settings of those alone who can open it, whatever their role in the workspace that is chosen", async () => {
  const { settingsNav } = await load("shell/nav.ts");
  const addresses = (role, health) => settingsNav(role, health).flatMap(({ items }) => items.map(({ href }) => href));
  for (const role of [undefined, "viewer", "editor", "admin", "owner"]) {
    assert.ok(addresses(role, true).includes("/settings/server"), role);
    assert.ok(!addresses(role, false).includes("/settings/server"), role);
    assert.equal(addresses(role, true).includes("/settings/server/activity"), true, role);
    assert.equal(addresses(role, false).includes("/settings/server/activity"), false, role);
  }
});

test("what the server did is told in words, and what is its own fault is", async () => {
  const { ACTIVITY_MEANINGS, byteUnit, ENDS, fullWords, isFault, reasonWords, REQUEST_CLASSES } = await load("rules/activity.ts");
  assert.deepEqual(["bot", "queue_full", "gpc_opted_out"].map(reasonWords), ["Bot", "Queue full", "Opted out (GPC or DNT)"]);
  assert.deepEqual(["disk_full", "internal", "bot", "rate_limited"].map(isFault), [true, true, false, false]);
  // A disk fills: it is said when, and not before it is known.
  assert.deepEqual([fullWords(3, false), fullWords(null, true)].map(({ words, soon }) => [words, soon]), [["Known six hours after the start", false], ["Not in sight", false]]);
  assert.deepEqual([0, 1, 29, 30, 729, 900].map((days) => [fullWords(days, true).words, fullWords(days, true).soon]), [["Less than a day", true], ["About 1 day", true], ["About 29 days", true], ["About 30 days", false], ["About 729 days", false], ["About 2 years", false]]);
  assert.deepEqual([[], [null, 1023], [1024], [5, 3 * 1024 ** 3], [1024 ** 6]].map(byteUnit), [1, 1, 1024, 1024 ** 3, 1024 ** 4]);
  const { of } = ACTIVITY_MEANINGS.lost;
  assert.deepEqual([of({ dropped: 2, refused: 3 }), of({ dropped: null, refused: null })], [5, null]);
  // What the API can say has words.
  const { components } = JSON.parse(readFileSync(new URL("../../api/openapi.json", import.meta.url), "utf8"));
  assert.deepEqual(Object.keys(ENDS), components.schemas.SlowEndName.enum);
  assert.deepEqual(Object.keys(REQUEST_CLASSES), components.schemas.RequestClassName.enum);
});

test("the status page says the worst, and never rounds an outage away", () => {
  const part = (name, state) => ({ name, state });
  assert.equal(status.summary([part("API", "operational"), part("Sign-in", "operational")]), "All parts operational");
  assert.equal(status.summary([part("API", "degraded"), part("Sign-in", "outage")]), "Sign-in: out of order");
  assert.equal(status.summary([part("API", "degraded"), part("Sign-in", "degraded"), part("Dashboard", "operational")]), "API and Sign-in: degraded");
  assert.equal(status.summary([part("API", "maintenance")]), "All parts: under maintenance");
  assert.equal(status.uptimeWords(1), "100%");
  assert.equal(status.uptimeWords(0.999999), "99.99%");
  assert.equal(status.uptimeWords(0), "0.00%");
});

test("every change of the API that the audit trail can have has words", async () => {
  const { actionWords } = await load("rules/audit.ts");
  const document = JSON.parse(readFileSync(new URL("../../api/openapi.json", import.meta.url), "utf8"));
  // Steps on the way to a change, and what is counted and asked, change nothing that people own.
  const others = /^(batch|capture(_\w+)?|mcp|oauth|plausible|queries|session|tracking)\.|\.(begin|begin_sign_in|prepare|sign_in_with_\w+|unlock)$/;
  const silent = [];
  for (const operations of Object.values(document.paths)) {
    for (const [method, { operationId }] of Object.entries(operations)) {
      if (!/^(post|put|patch|delete)$/.test(method)) continue;
      const [, module, handler] = /^([a-z_]+?)([A-Z]\w*)$/.exec(operationId);
      const name = `${module}.${handler.replace(/(?<!^)[A-Z]/g, "_$&").toLowerCase()}`;
      if (!others.test(name) && actionWords(name) === name.replace(/[._]/g, " ")) silent.push(name);
    }
  }
  assert.deepEqual(silent, []);
  assert.equal(actionWords("oauth.grant"), "MCP client connected");
});

test("stacks are written as people read them", async () => {
  const { before, culpritWords, errorTitle, placeOf, runsOf, shortFile, stackText } = await load("rules/stacks.ts");
  const frame = (name, file, line = 3, in_app = true) => ({ function: name, file, line, column: 7, in_app });
  assert.equal(shortFile("https://shop.example/assets/app-3f2a.js?v=1"), "assets/app-3f2a.js");
  assert.equal(shortFile("../src/cart.ts"), "src/cart.ts");
  assert.equal(placeOf(frame("a", "src/cart.ts", 0)), "src/cart.ts");
  assert.equal(culpritWords(frame("total", "https://shop.example/src/cart.ts")), "total · src/cart.ts:3");
  assert.equal(culpritWords(null), "");
  assert.deepEqual([errorTitle("TypeError", "x is gone"), errorTitle("TypeError", ""), errorTitle("", "x"), errorTitle("", "")], ["TypeError: x is gone", "TypeError", "x", "Error"]);
  const frames = [frame("a", "a.ts"), frame("b", "node_modules/b.js", 1, false), frame("c", "node_modules/c.js", 1, false), frame("", "d.ts")];
  assert.deepEqual(runsOf(frames).map((run) => (run.kind === "app" ? run.frame.function : run.frames.length)), ["a", 2, ""]);
  assert.equal(stackText("E", "m", frames).split("\n")[4], "    at (anonymous) (d.ts:3:7)");
  assert.deepEqual([before(25_000), before(0), before(3_725_000)], ["−00:25", "00:00", "−1:02:05"]);
});

test("buckets begin where days of the zone begin, also where the clocks change", async () => {
  const { bucketStarts } = await load("lib/range.ts");
  const zone = "Europe/Berlin";
  assert.deepEqual(bucketStarts("2026-03-28T10:00:00Z", "day", zone, 3), ["2026-03-27T23:00:00.000Z", "2026-03-28T23:00:00.000Z", "2026-03-29T22:00:00.000Z"]);
  assert.deepEqual(bucketStarts("2026-06-10T10:00:00Z", "week", zone, 2), ["2026-06-07T22:00:00.000Z", "2026-06-14T22:00:00.000Z"]);
  assert.deepEqual(bucketStarts("2026-06-10T10:00:00Z", "month", "Pacific/Auckland", 2), ["2026-05-31T12:00:00.000Z", "2026-06-30T12:00:00.000Z"]);
  assert.deepEqual(bucketStarts("2026-06-10T10:20:00Z", "hour", zone, 2), ["2026-06-10T10:00:00.000Z", "2026-06-10T11:00:00.000Z"]);
});

test("a recording is cleaned of what runs and of what would be loaded", async () => {
  const { cleaner, cleanCss, PLACEHOLDER } = await load("player/clean.ts");
  assert.equal(cleanCss(`@import "https://x.example/a.css"; a { background: url(https://x.example/a.png) no-repeat; }`).trim(), "a { background: none no-repeat; }");
  assert.equal(cleanCss(`a { background: url("data:image/png;base64,AA"); mask: url(#m) }`), `a { background: url("data:image/png;base64,AA"); mask: url(#m) }`);
  // What browsers read as that, however it is written; a backslash that is one, and signs in names of classes, stay.
  const none = 'a { background: none(1x) }';
  for (const css of ["u\\72l(http://x.example/a)", "\\75rl('http://x.example/a')", "\\000075\\52 l(http://x.example/a)", "u\\rl(http://x.example/a)"]) assert.equal(cleanCss(`a { cursor: ${css} }`), "a { cursor: none }", css);
  assert.equal(cleanCss("@\\69mport 'http://x.example/a'; a { top: 0 }").trim(), "a { top: 0 }");
  for (const css of ["image-set('http://x.example/a' 1x)", "-webkit-image-set('http://x.example/a' 1x)", "im\\61ge-set('http://x.example/a' 1x)", "src('http://x.example/a' 1x)"]) {
    assert.equal(cleanCss(`a { background: ${css} }`).replace("'http://x.example/a' ", ""), none, css);
  }
  for (const same of [".h-\\[1px\\]{top:0}", 'a::before{content:"\\f101 \\\\72"}', ".\\31 0{top:0}"]) assert.equal(cleanCss(same), same);
  const clean = cleaner();
  const element = (id, tagName, attributes, ...childNodes) => ({ type: 2, id, tagName, attributes, childNodes });
  const node = { type: 0, id: 1, childNodes: [element(2, "body", { onload: "x()" },
    element(3, "IMG", { src: "https://x.example/a.png", srcset: "https://x.example/b.png 2x", onerror: "x()" }),
    element(4, "a", { href: "javascript:x()", ping: "https://x.example" }),
    element(5, "script", { src: "https://x.example/a.js" }, { type: 3, id: 6, textContent: "x()" }),
    element(7, "link", { rel: "preconnect", href: "https://x.example" }),
    element(8, "link", { rel: "stylesheet", href: "https://x.example/a.css", _cssText: "a { color: red; }" }),
    element(9, "style", {}, { type: 3, id: 10, textContent: "@import url(https://x.example/a.css);" }),
    element(11, "svg", {}, element(12, "use", { "xlink:href": "#a" }), element(13, "image", { href: "https://x.example/a.png" })),
    element(14, "bad name><script", {}),
  )] };
  const [{ data }] = clean([{ type: 2, timestamp: 1, data: { node, initialOffset: {} } }]);
  const [body] = data.node.childNodes;
  const attributes = body.childNodes.map((one) => one.attributes);
  assert.deepEqual(body.attributes, {});
  assert.deepEqual(attributes.slice(0, 5), [{ src: PLACEHOLDER }, { href: "#" }, { hidden: "" }, {}, { rel: "stylesheet", _cssText: "a { color: red; }" }]);
  assert.equal(body.childNodes[2].tagName, "span");
  assert.deepEqual(body.childNodes[2].childNodes, []);
  assert.equal(body.childNodes[5].childNodes[0].textContent, "");
  assert.deepEqual(body.childNodes[6].childNodes.map((one) => one.attributes), [{ "xlink:href": "#a" }, {}]);
  assert.equal(body.childNodes[7].tagName, "span");
  const change = { source: 0, removes: [], texts: [{ id: 10, value: "a { background: url(//x.example) }" }], attributes: [{ id: 3, attributes: { onclick: "x()", style: { background: ["url(https://x.example)", "important"] } } }], adds: [{ parentId: 9, node: { type: 3, id: 20, textContent: "@import 'https://x.example';" } }] };
  const [changed] = clean([{ type: 3, timestamp: 2, data: change }]);
  assert.deepEqual(changed.data.attributes, [{ id: 3, attributes: { style: { background: ["none", "important"] } } }]);
  assert.deepEqual([changed.data.texts[0].value, changed.data.adds[0].node.textContent], ["a { background: none }", ""]);
  assert.deepEqual(clean([{ type: 6, timestamp: 3, data: {} }, { type: 3, timestamp: 3, data: { source: 9 } }, { type: 3, timestamp: 3, data: { source: 10 } }]), []);
});

test("the timeline says what was clicked on the page as it was then", async () => {
  const { afterIdle, clockOf, timeline } = await load("rules/replay.ts");
  const element = (id, tagName, attributes, ...childNodes) => ({ type: 2, id, tagName, attributes, childNodes });
  const text = (id, textContent) => ({ type: 3, id, textContent });
  const node = { type: 0, id: 1, childNodes: [element(2, "body", {}, element(3, "main", {}, element(4, "button", { class: "buy big" }, element(5, "span", {}, text(6, "Start  free")))), element(8, "label", {}, text(9, "E-mail "), element(7, "input", {})), element(10, "select", { id: "currency" }, element(11, "option", {}, text(12, "••••••"))))] };
  const events = [
    { type: 2, timestamp: 1000, data: { node } },
    { type: 3, timestamp: 3000, data: { source: 5, id: 7, text: "●" } },
    { type: 3, timestamp: 3500, data: { source: 5, id: 7, text: "●●" } },
    { type: 3, timestamp: 4000, data: { source: 0, texts: [{ id: 6, value: "Stop" }], adds: [], removes: [], attributes: [] } },
  ];
  const marks = [
    { at_ms: 0, kind: "page", text: "/" },
    { at_ms: 1500, kind: "click", text: "", node: 5 },
    { at_ms: 3500, kind: "rage", text: "", node: 5, count: 4 },
    { at_ms: 3600, kind: "error", text: "TypeError: x", group: "eg_1" },
    { at_ms: 3700, kind: "click", text: "", node: 99 },
    { at_ms: 3800, kind: "click", text: "", node: 10 },
    { at_ms: 3900, kind: "goal", text: "Signed up" },
  ];
  const lines = timeline(marks, [{ from_ms: 5000, to_ms: 20_000 }], [{ from_ms: 20_000, to_ms: 22_000 }], events, 1000, { path: (path) => path, span: (ms) => `${ms / 1000}s` });
  assert.deepEqual(lines.map(({ at, kind, text }) => [at, kind, text]), [
    [0, "page", "/"],
    [1500, "click", "Clicked “Start free”"],
    [2000, "typed", "Typed into “E-mail”"],
    [3500, "rage", "Rage click, 4 times"],
    [3600, "error", "TypeError: x"],
    [3700, "click", "Clicked"],
    [3800, "click", "Clicked select#currency"],
    [3900, "goal", "Goal: Signed up"],
    [5000, "idle", "Idle for 15s"],
    [20_000, "gap", "2s never arrived"],
  ]);
  assert.equal(lines[1].hint, "main button.buy");
  assert.equal(lines[3].hint, "“Stop” main button.buy");
  assert.equal(afterIdle(7000, [{ from_ms: 5000, to_ms: 20_000 }]), 19_000);
  assert.equal(afterIdle(19_500, [{ from_ms: 5000, to_ms: 20_000 }]), undefined);
  assert.deepEqual([clockOf(34_999), clockOf(3_725_000)], ["00:34", "1:02:05"]);
});

test("a recording says what was clicked however it was made up", async () => {
  const { timeline } = await load("rules/replay.ts");
  const words = { path: (path) => path, span: (ms) => `${ms}` };
  const said = (node, clicked) => timeline([{ at_ms: 1, kind: "click", text: "", node: clicked }], [], [], [{ type: 2, timestamp: 0, data: { node } }], 0, words)[0].text;
  const button = (id, ...childNodes) => ({ type: 2, id, tagName: "button", attributes: {}, childNodes });
  // Elements that are within themselves, and with them twice.
  assert.equal(said(button(2, { type: 3, id: 3, textContent: "Buy" }, button(2, button(2), button(2))), 2), "Clicked button");
  assert.equal(said(button(1, button(4, { type: 3, id: 3, textContent: "Buy" }, button(5, button(4)))), 5), "Clicked button");
  let deep = button(1, { type: 3, id: 3, textContent: "Buy" });
  for (let level = 0; level < 20_000; level++) deep = button(level + 10, deep);
  assert.equal(said(deep, 12), "Clicked “Buy”");
});
