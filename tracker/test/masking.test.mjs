// Nothing that is typed leaves the browser: forms that are made up, with words that are nowhere else, in a real browser.
// What is sent is searched for every one of these words.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { beforeEach } from "node:test";
import { ALL, hide, open, ready, startCollector } from "./collector.mjs";
import { setUp, startBrowser } from "./harness.mjs";

const { collector, browser, test } = await setUp({ collector: startCollector, browser: startBrowser });
beforeEach(() => collector.clear());

/** Letters that are in nothing else, also not their first six. */
const word = () => [...randomBytes(14)].map((byte) => "bcdfghjkmnpqrstvwxz"[byte % 19]).join("");
/** Anything of a word, however it is written. */
const traces = (text, words) => {
  const lower = text.toLowerCase();
  return words.filter((word) => {
    const packed = Buffer.from(word).toString("base64").slice(2, -4);
    return lower.includes(word.slice(0, 6)) || lower.includes([...word].reverse().join("")) || text.includes(packed);
  });
};
const sent = () => collector.reports.filter(({ kind }) => kind !== "e").map(({ text }) => text).join("\n");

async function visit(path, body, settings) {
  collector.settings = settings;
  collector.page(path, body);
  const tab = await open(browser, collector, path);
  await ready(tab.page, "replay");
  return tab;
}
async function flush(tab) {
  const mark = "mark" + Math.random();
  await tab.page.evaluate((mark) => {
    document.body.className = mark;
    return new Promise((done) => setTimeout(done, 100));
  }, mark);
  await hide(tab.page);
  await collector.until(() => collector.text().includes(mark));
  await hide(tab.page, false);
}

const TYPES = ["text", "search", "email", "tel", "url", "password", "number", "date", "time", "color", "range", "hidden", "checkbox", "radio", "month", "week", "datetime-local", "unknown", "TEXT", "Password"];

/**
 * Makes fields of every kind in the page, in every kind of place, and puts the words into them in every way that a page
 * can. Returns the words that it could not use.
 */
function fill({ words, seed, types, isEarly }) {
  let state = seed;
  const random = (n) => ((state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8) % n;
  const pick = (list) => list[random(list.length)];
  const unused = [...words];
  const next = () => unused.pop() ?? "";
  const roots = [document.body];
  const ended = [];
  const closed = new Set();
  const form = document.body.appendChild(document.createElement("form"));
  roots.push(form);
  for (let i = 0; i < 3; i++) {
    const around = pick(roots);
    const tree = around.appendChild(document.createElement(pick(["div", "x-host", "section"]))).attachShadow({ mode: pick(["open", "open", "closed"]) });
    if (tree.mode === "closed" || closed.has(around)) closed.add(tree);
    roots.push(tree);
  }
  const frame = document.body.appendChild(document.createElement("iframe"));
  roots.push(frame.contentDocument.body);
  const fire = (node, ...names) => names.forEach((name) => node.dispatchEvent(new Event(name, { bubbles: true, composed: true })));
  const says = (node) => {
    for (const name of ["title", "aria-label", "placeholder", "alt", "data-value", "aria-valuetext", "data-initial"]) if (random(3) === 0) node.setAttribute(name, next());
  };
  const setValue = (node, value) => {
    const way = random(5);
    if (way === 0) node.value = value;
    else if (way === 1) (node.value = value), fire(node, "input", "change");
    else if (way === 2) node.setAttribute("value", value);
    else if (way === 3) (node.defaultValue = value);
    // As frameworks do, past what the instance has of its own.
    else Object.getOwnPropertyDescriptor(Object.getPrototypeOf(node), "value").set.call(node, value), fire(node, "input");
  };
  /** Pages that show elsewhere what was typed, at once or later. */
  const echo = (root, value) => {
    const way = random(9);
    const span = root.appendChild(document.createElement("span"));
    if (way === 0) span.textContent = value;
    else if (way === 1) span.textContent = `Hello ${value}, welcome`;
    else if (way === 2) span.setAttribute("data-replicated-value", value);
    else if (way === 3) span.title = `for ${value.toUpperCase()}`;
    // Nobody but the page knows what is typed in a closed tree.
    else if (way === 4 && !closed.has(root)) document.title = `${value} - search`;
    else if (way === 5) span.innerHTML = `<a href="/search?q=${encodeURIComponent(value)}">again</a>`;
    else if (way === 6) span.style.setProperty("--shown", `"${value}"`);
    else if (way === 7) setTimeout(() => (span.textContent = `Late ${value}`), 40);
    else span.append(Object.assign(document.createElement("style"), { textContent: `i::after { content: "${value}" }` }));
  };
  const kinds = [
    (root) => {
      const input = document.createElement("input");
      const type = pick(types);
      input.setAttribute("type", type);
      const isFirst = random(2);
      if (isFirst) root.append(input);
      const value = next();
      setValue(input, value);
      if (!isFirst) root.append(input);
      says(input);
      // The page shows a password, or makes a button of a field. What was typed before the recorder came and is nowhere any
      // more, nobody could know.
      const changes = random(3);
      if (changes === 0) setTimeout(() => ((input.type = pick(["text", "password", "search"])), random(2) && !isEarly && setValue(input, next())), random(50));
      if (changes === 1 && !isEarly) setTimeout(() => (input.type = pick(["button", "submit"])), 150 + random(50));
      if (!["checkbox", "radio", "hidden"].includes(input.type) && input.value === value && random(2)) {
        fire(input, "input");
        setTimeout(() => echo(root, value), random(30));
      }
    },
    (root) => {
      const area = root.appendChild(document.createElement("textarea"));
      if (random(2)) area.textContent = next();
      else area.value = `${next()}\n${next()}`;
      fire(area, "input");
      says(area);
      if (random(2)) setTimeout(() => (area.textContent = next()), random(40));
    },
    (root) => {
      const select = root.appendChild(document.createElement("select"));
      for (let i = 0; i < 3; i++) {
        const group = random(4) ? select : select.appendChild(Object.assign(document.createElement("optgroup"), { label: next() }));
        group.append(Object.assign(document.createElement("option"), { value: next(), textContent: next(), label: random(2) ? next() : "" }));
      }
      select.selectedIndex = random(3);
      fire(select, "input", "change");
      says(select);
      setTimeout(() => (select.options[0].textContent = next()), random(40));
    },
    (root) => {
      const list = root.appendChild(document.createElement("datalist"));
      list.innerHTML = `<option value="${next()}" label="${next()}">${next()}</option>`;
    },
    (root) => {
      const editor = root.appendChild(document.createElement(pick(["div", "p", "article"])));
      editor.setAttribute("contenteditable", pick(["", "true", "plaintext-only", "TRUE"]));
      editor.innerHTML = `<p title="${next()}">${next()} <b>${next()}</b></p>`;
      setTimeout(() => {
        editor.querySelector("b").firstChild.nodeValue = next();
        editor.append(Object.assign(document.createElement("i"), { textContent: next() }));
      }, random(40));
      // Edited in place: afterwards it is no field any more; of one that ended before the recorder came nobody could know.
      if (random(2) && !isEarly) ended.push(() => editor.removeAttribute("contenteditable"));
    },
    (root) => {
      const box = root.appendChild(document.createElement("div"));
      box.setAttribute("role", pick(["textbox", "searchbox", "combobox", "spinbutton", "TextBox"]));
      box.textContent = next();
      setTimeout(() => (box.firstChild.nodeValue = next()), random(40));
    },
    (root) => {
      const own = root.appendChild(document.createElement("x-field"));
      own.setAttribute("value", next());
      setTimeout(() => own.setAttribute("value", next()), random(40));
    },
    (root) => {
      const shell = root.appendChild(document.createElement("div"));
      const [name, value] = pick([["class", "zenovay-mask-replay"], ["class", "a zenovay-block-replay b"], ["data-private", ""]]);
      const isLate = name === "class" && !value.includes("block") ? 0 : random(2);
      if (!isLate) shell.setAttribute(name, value);
      else shell.setAttribute(name, value);
      shell.innerHTML = `<p title="${next()}">${next()}</p><img alt="${next()}" src="/${next()}.png"><a href="/${next()}">${next()}</a><div></div>`;
      const inner = shell.lastChild;
      if (random(2)) inner.attachShadow({ mode: "open" }).innerHTML = `<p>${next()}</p><input value="${next()}">`;
      setTimeout(() => {
        const to = inner.shadowRoot ?? inner;
        to.append(Object.assign(document.createElement("p"), { textContent: next() }));
        shell.querySelector("p").firstChild.nodeValue = next();
        shell.querySelector("a").setAttribute("title", next());
        shell.querySelector("img").src = `/${next()}.png`;
      }, random(50));
    },
  ];
  for (let i = 0; i < 30; i++) pick(kinds)(pick(roots));
  // Things that are moved, and put on the page again.
  setTimeout(() => {
    const fields = [...document.querySelectorAll("input,select,textarea")];
    for (const field of fields.slice(0, 5)) document.body.append(field);
    const copy = form.cloneNode(true);
    document.body.append(copy);
    setTimeout(() => ended.forEach((end) => end()), 20);
  }, 60);
  return unused;
}

test("of made-up forms nothing that is in a field or marked is sent", async () => {
  const settings = { ...ALL, session_replay_mask_inputs: true };
  for (let round = 0; round < 12; round++) {
    collector.clear();
    const control = word();
    const words = Array.from({ length: 900 }, word);
    const path = "/forms/" + round;
    // Half of the forms are there before the recorder is.
    const isEarly = round % 2 === 0;
    const script = `<script>window.fill = ${fill}; ${isEarly ? `window.unused = fill(${JSON.stringify({ words, seed: round + 1, types: TYPES, isEarly })})` : ""}</script>`;
    const tab = await visit(path, `<p>${control}</p><input id="keys"><output></output>${script}`, settings);
    const unused = isEarly ? await tab.page.evaluate(() => window.unused) : await tab.page.evaluate(([words, seed, types]) => window.fill({ words, seed, types }), [words, round + 1, TYPES]);
    // By keys, shown elsewhere with each.
    const typed = word();
    words.push(typed);
    await tab.page.evaluate(() => {
      const field = document.querySelector("#keys");
      field.addEventListener("input", () => {
        document.querySelector("output").textContent = field.value;
        document.body.dataset.draft = field.value;
        setTimeout(() => (document.querySelector("p").title = `Draft: ${field.value}`), 20);
      });
    });
    await tab.page.locator("#keys").pressSequentially(typed);
    await tab.page.mouse.click(20, 20);
    await tab.page.evaluate(() => new Promise((done) => setTimeout(done, 400)));
    await flush(tab);
    const used = words.filter((word) => !unused.includes(word));
    assert.ok(used.length > 60, `${used.length} words`);
    const text = sent();
    assert.deepEqual(traces(text, used), [], `round ${round}: ${traces(text, used).map((word) => text.slice(text.toLowerCase().indexOf(word.slice(0, 6)) - 200, text.toLowerCase().indexOf(word.slice(0, 6)) + 60)).join("\n---\n")}`);
    // The page itself was recorded.
    assert.ok(text.includes(control));
    assert.deepEqual(tab.errors, []);
    await tab.close();
  }
});

test("where a website records what is typed, secrets are not: passwords, cards, codes, and what was one", async () => {
  const settings = { ...ALL, session_replay_mask_inputs: false };
  const shown = Array.from({ length: 4 }, word);
  const secret = Array.from({ length: 23 }, word);
  const card = "4111 1111 1111 1111";
  const field = (attributes, value) => `<input ${attributes} value="${value}">`;
  const body = `${field('name="city"', shown[0])}<textarea>${shown[1]}</textarea>
    ${field('type="password"', secret[0])}${field('autocomplete="section-a cc-number"', secret[1])}${field('autocomplete="current-password"', secret[2])}
    ${field('autocomplete="one-time-code"', secret[3])}${field('name="card[number]"', secret[4])}${field('id="cvc"', secret[5])}${field('aria-label="Security code"', secret[6])}
    <div class="zenovay-mask-replay">${field("", secret[7])}</div><div data-private>${field("", secret[8])}</div><input class="zenovay-mask-replay" value="${secret[9]}">
    <select autocomplete="cc-exp-month"><option>${secret[10]}</option></select><input id="show" type="password"><input id="plain"><input id="none" autocomplete="cc-csc"><textarea id="note"></textarea>
    <div id="edited" contenteditable><p>Write</p></div><input id="phone"><output></output>
    <label>Password <span>${field("", secret[14])}</span></label><label for="l1">PIN</label>${field('id="l1"', secret[15])}${field('id="l2"', secret[16])}<label for="l2"><b>Security</b> code:</label>
    <b id="l3">Passphrase</b>${field('aria-labelledby="none l3"', secret[17])}<label>Mot de passe <textarea>${secret[18]}</textarea></label>
    <label>IBAN <b contenteditable>${secret[19]}</b></label><label>Note <input id="labelled"></label>`;
  const tab = await visit("/typed", body, settings);
  await tab.page.locator("#show").pressSequentially(secret[11]);
  await tab.page.evaluate(() => {
    const field = document.querySelector("#show");
    field.type = "text";
  });
  await tab.page.locator("#show").pressSequentially(secret[12]);
  // Of a card no more than its first digits, whatever it is typed in.
  for (const id of ["plain", "note", "edited"]) await tab.page.locator(`#${id}`).pressSequentially(card);
  await tab.page.locator("#plain").fill("1111 11");
  await tab.page.locator("#phone").pressSequentially("0301234567");
  await tab.page.locator("#labelled").fill(shown[3]);
  // A form that comes later, its label after it.
  await tab.page.evaluate(([one, other]) => {
    document.body.insertAdjacentHTML("beforeend", `<p><input id="late"></p><label>Card number <i></i></label>`);
    document.querySelector("#late").value = one;
    document.querySelector("label i").append(Object.assign(document.createElement("input"), { value: other }));
    document.body.append(Object.assign(document.createElement("label"), { htmlFor: "late", textContent: "Kreditkarte" }));
  }, secret.slice(20));
  await tab.page.locator("#late").fill(secret[22]);
  await tab.page.locator("#none").fill(secret[13]);
  await tab.page.locator("[name=city]").fill(shown[2]);
  await flush(tab);
  const text = sent();
  assert.deepEqual(traces(text, secret), []);
  assert.doesNotMatch(text, /4111\s1111\s111|"1111 11"/);
  assert.ok(text.includes("4111 1111 11") && text.includes("0301234567"));
  for (const one of shown) assert.ok(text.includes(one), one);
  await tab.close();
});

test("what becomes private later is private from then on", async () => {
  const tab = await visit("/later", '<div id="a"><p>one</p></div><div id="b"><p>two</p></div><div id="c"><p>three</p></div>', ALL);
  await flush(tab);
  const words = Array.from({ length: 6 }, word);
  await tab.page.evaluate(async (words) => {
    const [a, b, c] = ["a", "b", "c"].map((id) => document.getElementById(id));
    a.setAttribute("data-private", "");
    b.className = "zenovay-mask-replay";
    c.contentEditable = "true";
    [a, b, c].forEach((one, i) => (one.querySelector("p").firstChild.nodeValue = words[i]));
    [a, b, c].forEach((one, i) => one.append(Object.assign(document.createElement("p"), { textContent: words[i + 3] })));
  }, words);
  await flush(tab);
  assert.deepEqual(traces(sent(), words), []);
  await tab.close();
});

test("a page that is edited as a whole is not recorded as text", async () => {
  const words = [word(), word()];
  const tab = await visit("/design-mode", `<p>${words[0]}</p><script>document.designMode = "on"</script>`, ALL);
  await tab.page.evaluate((word) => document.querySelector("p").append(word), words[1]);
  await flush(tab);
  assert.deepEqual(traces(sent(), words), []);
  await tab.close();
});

test("labels of buttons and the page's own words are shown", async () => {
  const words = Array.from({ length: 4 }, word);
  const tab = await visit("/labels", `<input type="submit" value="${words[0]}"><button>${words[1]}</button><label>${words[2]} <input></label><a href="/x" title="${words[3]}">x</a>`, ALL);
  await flush(tab);
  const text = sent();
  for (const one of words) assert.ok(text.includes(one));
  await tab.close();
});

test("addresses and what is shown lose secrets, numbers of cards and code", async () => {
  const tab = await visit("/scrubbed", `<a href="/reset?token=canary-1&page=2">a</a><img src="/i.png?sig=canary-2"><a href="mailto:ada@canary-3.example">b</a>
    <p>Card 4111 1111 1111 1111</p><p>key sk_live_canary400000</p><a href="javascript:canary-5()" onclick="canary6()" nonce="canary-7">c</a><iframe srcdoc="<p>canary-8</p>" style="display:none"></iframe>
    <script>const canary9 = 1</script><noscript>no script</noscript><!-- canary-10 --><meta name="csrf-token" content="token=canary-11">`, ALL);
  await flush(tab);
  const text = sent().replace(/<p>canary-8|"textContent":"canary-8"/g, "");
  assert.doesNotMatch(text, /canary|4111 1111/);
  assert.match(text, /\/reset\?token=\[token\]&page=2/);
  await tab.close();
});
