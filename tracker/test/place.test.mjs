// Addresses of elements: one that was written on one rendering of a page is found on another, or is said not to be there.
import assert from "node:assert/strict";
import { build } from "esbuild";
import { setUp, startBrowser } from "./harness.mjs";

const { browser, test } = await setUp({ browser: startBrowser });
const page = await (await browser.newContext()).newPage();
const source = new URL("../src/place.ts", import.meta.url).pathname;
const result = await build({ entryPoints: [source], bundle: true, format: "iife", globalName: "place", write: false });
await page.addInitScript(`${result.outputFiles[0].text}; window.place = place`);

const show = async (body) => {
  await page.goto("about:blank");
  await page.setContent(`<!doctype html><body>${body}</body>`);
};
/** The address of the element that has the attribute `data-me`, which is no part of it. */
const address = () => page.evaluate(() => {
  const find = (root) => root.querySelector("[data-me]") ?? [...root.querySelectorAll("*")].map((one) => one.shadowRoot && find(one.shadowRoot)).find(Boolean);
  return place.addressOf(find(document));
});
/** What an address leads to: the value of `data-me`, the tag of something else, or nothing. */
const found = (text) => page.evaluate((text) => {
  const element = new place.Finder(document).find(text);
  return element ? (element.getAttribute("data-me") ?? element.localName) : null;
}, text);

/** The address of `data-me` on the first page, looked for on the others. */
async function moved(first, others) {
  await show(first);
  const text = await address();
  assert.ok(text.length <= 512, text);
  assert.equal(await found(text), "1", `on the page itself: ${text}`);
  const all = [];
  for (const other of others) {
    await show(other);
    all.push(await found(text));
  }
  return all;
}

const card = (name, price, me = "") => `<li class="card"><h3>${name}</h3><p>${price}</p><button ${me}>Buy</button></li>`;

test("an element is found after what is around it was put in another order, came late or is gone", async () => {
  const button = '<button data-me="1">Start free trial</button>';
  assert.deepEqual(
    await moved(`<header><a href="/">Home</a></header><main><section><p>One</p></section><section>${button}</section></main>`, [
      `<div class="banner">Cookies?</div><header><a href="/">Home</a></header><main><section>${button}</section><section><p>One</p></section></main>`,
      `<main><div><div><section><section><section>${button}</section></section></section></div></div></main>`,
      `<main><section><p>One</p></section><section><button>Contact us</button></section></main>`,
      `<main></main>`,
    ]),
    ["1", "1", null, null],
  );
});

test("of several that look the same, the one is found by what is around it", async () => {
  const list = (...cards) => `<ul>${cards.join("")}</ul>`;
  const [apple, pear, plum] = [card("Apple", "€ 2"), card("Pear", "€ 3", 'data-me="1"'), card("Plum", "€ 4")];
  assert.deepEqual(
    await moved(list(apple, pear, plum), [
      list(plum, apple, pear),
      list(card("Cherry", "€ 9"), card("Melon", "€ 8"), apple, plum, pear),
      // The pears are sold out: no other button is theirs, not even the one in their place.
      list(apple, plum, card("Fig", "€ 1")),
      list(apple, plum),
      // Nothing is left but one that is in another place.
      list(plum),
    ]),
    ["1", "1", null, null, null],
  );
});

test("what is the same in all but its place is found at its place, unless the page is another", async () => {
  const stars = (me = "") => `<i></i><i ${me}></i><i></i>`;
  assert.deepEqual(await moved(`<p id="rating">${stars('data-me="1"')}</p>`, [`<div>New</div><p id="rating">${stars('data-me="1"')}</p>`, `<p id="rating"></p>`]), ["1", null]);
  const links = (me = "") => `<nav><a href="/a">More</a><a href="/b" ${me}>More</a><a href="/c">More</a></nav>`;
  assert.deepEqual(await moved(links('data-me="1"'), ['<nav><a href="/c">More</a><a href="/b?utm=1" data-me="1">More</a></nav>']), ["1"]);
});

test("numbers that count and names that are made up are no part of what an element is", async () => {
  assert.deepEqual(
    await moved('<div class="css-1x2y3z" id="radix-:r1:"><a href="/cart" id="ember123" data-me="1" class="sc-bdVaJa">Cart (3)</a></div>', [
      '<div class="css-9k8j7h" id="radix-:r7:"><a href="/cart" id="ember456" data-me="1" class="sc-xyzabc">Cart (12)</a></div>',
    ]),
    ["1"],
  );
  await show('<div id="radix-:r1:"><button id="btn-8f3a2b91c" data-me="1">Go</button></div>');
  assert.doesNotMatch(await address(), /radix|8f3a/);
  await show('<div><button id="checkout" data-me="1">Pay € 10</button></div>');
  assert.match(await address(), /^#checkout\|/);
});

test("what is named is found although it shows something else; what is not is not", async () => {
  assert.deepEqual(
    await moved('<button data-testid="buy-now" data-me="1">Buy now</button><button>Other</button>', ['<button>Other</button><p></p><button data-testid="buy-now" data-me="1">Jetzt kaufen</button>']),
    ["1"],
  );
  assert.deepEqual(await moved('<button id="buy" data-me="1">Buy now</button>', ['<div><button id="buy" data-me="1">Acheter</button></div>']), ["1"]);
  assert.deepEqual(await moved("<div><button>A</button><button data-me=1>B</button></div>", ["<div><button>A</button><button>C</button></div>"]), [null]);
});

test("an element in shadow trees is found", async () => {
  const host = (inner) => `<div><x-card><template shadowrootmode="open"><x-foot><template shadowrootmode="open">${inner}</template></x-foot></template></x-card></div>`;
  const show = async (body) => {
    await page.goto("about:blank");
    await page.evaluate((body) => document.body.setHTMLUnsafe(body), body);
  };
  await show(host('<button>No</button><button data-me="1">Yes</button>'));
  const text = await address();
  assert.match(text, / >>> .* >>> /);
  assert.equal(await found(text), "1");
  await show(`<p>New</p><section>${host('<button data-me="1">Yes</button><button>No</button>')}</section>`);
  assert.equal(await found(text), "1");
  await show(host("<button>No</button>"));
  assert.equal(await found(text), null);
});

test("nothing private is in an address", async () => {
  // The same address whatever is written there.
  const page = (text) => `<form><label>Name <input name="who" value="${text}" title="${text}" data-me="1"></label></form>`;
  await show(page("Ada"));
  const one = await address();
  await show(page("Grace"));
  assert.equal(await address(), one);
  const note = (text) => `<div class="zenovay-mask-replay"><button title="${text}" data-me="1">${text}</button></div><div data-private>${text}</div>`;
  await show(note("Ada"));
  const masked = await address();
  await show(note("Grace"));
  assert.equal(await address(), masked);
  const editor = (text) => `<div><div contenteditable>${text}</div><button data-me="1">Save</button><button>Save</button></div>`;
  await show(editor("Ada"));
  const edited = await address();
  await show(editor("Grace Hopper"));
  assert.equal(await address(), edited);
});

test("a link is the same one where a record of the page has its whole address", async () => {
  const page = (here) => `<base href="https://example.com/docs/"><nav>${["install.html", "#top", "../pricing?plan=pro", "//other.example/a"].map((href, at) => `<a href="${here(href)}" ${at === 1 ? 'data-me="1"' : ""}>More</a>`).join("")}</nav>`;
  const whole = (href) => new URL(href, "https://example.com/docs/").href;
  assert.deepEqual(await moved(page((href) => href), [page(whole), `<div>New</div>${page(whole)}`]), ["1", "1"]);
});

test("an address of a deep page is short, and found", async () => {
  const deep = (inner, extra = "") => `${'<div class="a"><div></div>'.repeat(60)}${extra}${inner}${"</div>".repeat(60)}`;
  assert.deepEqual(await moved(deep('<a href="/deep" data-me="1">Deep</a>'), [deep('<a href="/deep" data-me="1">Deep</a>', "<div>New</div>")]), ["1"]);
});

test("the structure of a page is the same for another text, and another for another structure", async () => {
  const of = async (body) => (await show(body), page.evaluate(() => place.structureOf(document)));
  const one = await of("<main><h1>A</h1><p>B</p></main>");
  assert.match(one, /^[0-9a-f]{16}$/);
  assert.equal(await of("<main><h1>C</h1><p>D</p></main>"), one);
  assert.notEqual(await of("<main><p>B</p><h1>A</h1></main>"), one);
});

test("random pages that are laid out again: every element is found as itself, or not at all", async () => {
  await show("");
  const outcome = await page.evaluate(() => {
    let seed = 1;
    const random = (n) => ((seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) >>> 8) % n;
    const words = ["Buy", "More", "Start", "Pricing", "Docs", "Login", "Apple", "Pear", "Plum", "Delete", "Edit"];
    const tags = ["div", "section", "p", "a", "button", "li", "span"];
    const build = (depth) => {
      const element = document.createElement(tags[random(tags.length)]);
      if (random(3) === 0) element.append(words[random(words.length)] + (random(2) ? " " + words[random(words.length)] : ""));
      if (element.localName === "a") element.href = "/" + words[random(words.length)].toLowerCase();
      if (random(12) === 0) element.id = "id-" + words[random(words.length)].toLowerCase();
      if (depth) for (let i = random(4); i--; ) element.append(build(depth - 1));
      return element;
    };
    let wrong = 0;
    let right = 0;
    let lost = 0;
    let gone = 0;
    for (let round = 0; round < 60; round++) {
      document.body.textContent = "";
      for (let i = 0; i < 6; i++) document.body.append(build(4));
      const all = [...document.body.querySelectorAll("*")];
      const addresses = all.map((one) => place.addressOf(one));
      // Another order, things that came, things that went.
      for (let i = 0; i < 6; i++) {
        const one = all[random(all.length)];
        const kind = random(3);
        if (kind === 0) one.parentNode?.append(one);
        else if (kind === 1) one.before(build(2));
        else one.remove();
      }
      const finder = new place.Finder(document);
      all.forEach((one, i) => {
        const found = finder.find(addresses[i]);
        if (!one.isConnected) return void (found ? wrong++ : gone++);
        if (found === one) right++;
        else if (found) wrong++;
        else lost++;
      });
    }
    return { right, wrong, lost, gone };
  });
  // Some cannot be told apart, such as an empty box in a row of empty boxes.
  const { right, wrong, lost, gone } = outcome;
  assert.ok(right / (right + wrong + lost) > 0.6, JSON.stringify(outcome));
  assert.ok(wrong / (right + wrong + lost + gone) < 0.1, JSON.stringify(outcome));
});
