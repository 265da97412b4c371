import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { parseView, printView, parseFilter, printFilter, addFilter, removeFilter, DEFAULT_VIEW, RANGES, METRICS, INTERVALS, OPERATORS } =
  await load("lib/view.ts");

/** The same numbers for the same seed. */
function random(seed) {
  let state = seed;
  return (most) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % most;
  };
}

const PIECES = ["US", "", "a|b", "\\", "\\|", "|", ":", "is:", "/docs/ä?x=1&y=2", "100%", "+", " ", "#", "日本", "a:is:b", "\n", "%7C", "😀"];

function randomView(pick) {
  const one = (list) => list[pick(list.length)];
  const word = () => Array.from({ length: 1 + pick(3) }, () => one(PIECES)).join("");
  const values = () => [...new Set(Array.from({ length: 1 + pick(3) }, word))];
  let view = {
    range: pick(3) ? { name: one(RANGES) } : { from: "2026-05-01", to: `2026-05-${10 + pick(20)}` },
    metric: one(METRICS),
    filters: [],
    tabs: pick(2) ? { pages: "entry", events: `prop_${word() || "x"}`, sources: "utm_medium" } : {},
  };
  for (let index = pick(4); index > 0; index--) {
    const dimension = pick(3) ? one(["page", "country", "utm_source", "goal"]) : `prop.${one(["plan", "a:b", "ü", "is"])}`;
    const filter = { dimension, operator: dimension === "goal" ? one(["is", "is_not"]) : one(OPERATORS.filter((name) => !/match/.test(name))), values: values() };
    if (!view.filters.some((known) => printFilter(known) === printFilter(filter))) view.filters.push(filter);
  }
  view.filters.sort((a, b) => (printFilter(a) < printFilter(b) ? -1 : 1));
  if (pick(2)) view.compare = one(["previous", "year", "weekday", { from: "2025-01-01", to: "2025-01-31" }]);
  if (pick(2)) view.interval = one(INTERVALS);
  if (pick(3) === 0) {
    view.show = "pages";
    if (pick(2)) view.sort = "-pageviews";
    if (pick(2)) view.q = word() || "x";
  }
  return view;
}

test("every view comes back from its address, which is the only one of it", () => {
  const pick = random(7);
  for (let round = 0; round < 5000; round++) {
    const view = randomView(pick);
    const address = printView(view);
    const { view: read, dropped } = parseView(address);
    if (view.q === "") delete view.q;
    assert.deepEqual(read, view, address);
    assert.equal(dropped, 0, address);
    assert.equal(printView(read), address);
    // As a link in a page reads it.
    assert.equal(new URL(address, "http://a/b").search, address.replace(/'/g, "%27") || "");
  }
});

test("any garbage is a view, and what of it was understood is kept when it is written again", () => {
  const pick = random(11);
  const letters = "f=range:|\\&%?+.prop is_not from to 2026-05-01 show tab.".split("");
  for (let round = 0; round < 5000; round++) {
    const search = Array.from({ length: pick(60) }, () => letters[pick(letters.length)]).join("");
    const { view } = parseView(search);
    const again = parseView(printView(view));
    assert.equal(printView(again.view), printView(view), search);
    assert.equal(again.dropped, 0, search);
  }
});

test("the order of the parts does not matter, and defaults are left out", () => {
  const one = parseView("?f=device:is:desktop&compare=previous&f=country:is_not:US&range=28d&metric=visitors");
  const other = parseView("?range=28d&compare=previous&f=country:is_not:US&f=device:is:desktop");
  assert.equal(printView(one.view), printView(other.view));
  assert.equal(printView(one.view), "?compare=previous&f=country:is_not:US&f=device:is:desktop");
  assert.equal(printView(DEFAULT_VIEW), "");
});

test("what is not understood is dropped and counted", () => {
  for (const [search, dropped] of [
    ["?range=tomorrow", 1],
    ["?from=2026-02-30&to=2026-03-01", 1],
    ["?from=2026-03-01", 1],
    ["?from=2026-03-02&to=2026-03-01", 1],
    ["?f=nothing:is:x", 1],
    ["?f=country:equals:x&f=country:is:DE", 1],
    ["?f=page:is:a\\x", 1],
    ["?f=page:matches:(&f=page:matches:a(%3F=b)&f=page:does_not_match:[&f=page:matches:*", 4],
    ["?f=page:matches:^/docs/(%3Fi)x&f=page:matches:(%3FP<n>a)&f=page:matches:\\\\d{2}", 0],
    ["?f=goal:contains:x&f=event_type:contains:link&f=event_type:is:link&f=event_type:is:click", 3],
    ["?compare=2025-01-01", 1],
    ["?interval=second&metric=money", 2],
    ["?utm_source=newsletter", 0],
    [`?f=page:is:${"x".repeat(3000)}`, 1],
  ]) assert.equal(parseView(search).dropped, dropped, search);
  assert.deepEqual(parseView("?f=country:equals:x&f=country:is:DE").view.filters, [{ dimension: "country", operator: "is", values: ["DE"] }]);
});

test("a filter's values: several, empty, with the separator in them", () => {
  assert.deepEqual(parseFilter("page:is:a\\|b|\\\\|").values, ["a|b", "\\", ""]);
  assert.deepEqual(parseFilter("prop.a:is:b:is:c"), { dimension: "prop.a", operator: "is", values: ["b:is:c"] });
});

test("filters on one dimension join, and never contradict each other", () => {
  const is = (operator, ...values) => ({ dimension: "country", operator, values });
  let view = addFilter(DEFAULT_VIEW, is("is", "DE"));
  view = addFilter(view, is("is", "AT"));
  assert.deepEqual(view.filters, [is("is", "DE", "AT")]);
  view = addFilter(view, is("is_not", "DE"));
  assert.deepEqual(view.filters, [is("is", "AT"), is("is_not", "DE")]);
  view = addFilter(view, is("is", "DE"));
  assert.deepEqual(view.filters, [is("is", "AT", "DE")]);
  view = addFilter(view, is("contains", "D"));
  view = addFilter(view, is("contains", "D"));
  assert.equal(view.filters.length, 2);
  assert.deepEqual(removeFilter(view, is("contains", "D")).filters, [is("is", "AT", "DE")]);
});
