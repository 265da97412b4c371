import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { density, marks, shareAt, shortSelector, withRoom } = await load("rules/heat.ts");
const { calmCss } = await load("lib/recorded.ts");
const { parseHeat, printHeat } = await load("pages/heatmaps/view.ts");

test("what is dense is where the spots are, and nothing is lost but what is outside", () => {
  const { columns, rows, values, max } = density([{ x: 50, y: 20, n: 3 }, { x: 90, y: 90, n: 1 }, { x: 200, y: 5, n: 9 }, { x: -1, y: 5, n: 9 }], 100, 100, 10, 2);
  assert.deepEqual([columns, rows], [10, 10]);
  assert.equal(values.indexOf(max), 2 * 10 + 5);
  assert.ok(values[9 * 10 + 9] > 0 && values[9 * 10 + 9] < max);
  assert.equal(values[0], 0);
  // As wide as high.
  assert.equal(values[2 * 10 + 4].toFixed(6), values[3 * 10 + 5].toFixed(6));
  assert.deepEqual(density([], 100, 100, 10, 2).max, 0);
  // A page of any length has no more cells.
  const long = density([{ x: 1, y: 9e6, n: 1 }], 2000, 1e7, 3, 9);
  assert.ok(long.values.length <= 1.1 * (1 << 20) && long.max > 0, String(long.values.length));
});

test("how many saw a depth is between those who saw the steps around it", () => {
  const reach = [100, 80, 40, 40, 10];
  assert.deepEqual([0, 0.125, 0.25, 0.5, 1, 2].map((depth) => shareAt(reach, depth)), [1, 0.9, 0.8, 0.4, 0.1, 0.1]);
  assert.equal(shareAt([0, 0], 0.5), 0);
  assert.deepEqual(marks(reach, null, 800).map(({ depth, isAbove }) => [depth, isAbove]), [[0.25, false], [0.5, false], [0.75, false], [1, true]]);
  // The line of the fold takes the place of one that is near.
  assert.deepEqual(marks(reach, 0.27, 800).map(({ depth, isFold }) => [depth, isFold]), [[0.27, true], [0.5, false], [0.75, false], [1, false]]);
  assert.deepEqual(marks(reach, 0.4, 800).map(({ depth }) => depth), [0.25, 0.4, 0.5, 0.75, 1]);
  // All saw the page down to the fold, and nobody what is below the next step.
  assert.deepEqual(marks([2, 2, 2, 2, 0, 0, 0, 0, 0], 0.43, 800).find(({ isFold }) => isFold), { depth: 0.43, share: 1, isFold: true, isAbove: false });
  assert.equal(marks(reach, 1, 800).some(({ isFold }) => isFold), false);
});

test("the words of no line stand on those of another, whatever the height of the picture", () => {
  for (let height = 30; height < 1200; height += 7) {
    for (const fold of [null, 0.05, 0.25, 0.5, 0.74, 0.9, 0.93, 0.97, 0.99]) {
      const shown = marks([100, 80, 40, 40, 10], fold, height);
      const at = `${fold} of ${height}`;
      assert.equal(shown.some(({ isFold }) => isFold), fold !== null, at);
      const boxes = shown.map(({ depth, isAbove }) => (isAbove ? [depth * height - 22, depth * height - 3] : [depth * height + 3, depth * height + 22]));
      for (const [place, [top, bottom]] of boxes.entries()) {
        assert.ok(bottom <= height, at);
        if (!shown[place].isFold) assert.ok(top >= 22, `${at}: on the words at the top`);
        for (const [above, below] of boxes.slice(place + 1)) assert.ok(bottom <= above || below <= top, `${at}: ${top}–${bottom} and ${above}–${below}`);
      }
    }
  }
});

test("pins stand within the picture, and none on another", () => {
  const pin = (x, y, text = "12", kind = "clicks") => ({ x, y, text, kind });
  const shown = withRoom([pin(-5, -5), pin(500, 500), pin(505, 505, "3"), pin(500, 540), pin(2000, 100, "1,204")], 1000, 600, 40);
  assert.deepEqual(shown.map(({ text }) => text), ["12", "12", "12", "1,204"]);
  for (const { x, y } of shown) assert.ok(x >= 0 && x <= 1000 && y >= 12 && y <= 588);
  assert.equal(withRoom(Array.from({ length: 90 }, (_, at) => pin(100, at * 40)), 1000, 9000, 40).length, 40);
});

test("an element is called by the end of its path", () => {
  assert.equal(shortSelector("body>main>section:nth-of-type(2)>button.buy"), "main > section:nth-of-type(2) > button.buy");
  assert.equal(shortSelector("#offers"), "#offers");
  assert.equal(shortSelector("a[name=x>y]>b"), "a[name=x>y] > b");
  assert.equal([...shortSelector(`div>${"x".repeat(90)}`)].length, 44);
});

test("a recorded style sheet loads nothing, and its heights are those of the window", () => {
  const viewport = { width: 1200, height: 800 };
  const calm = (css) => calmCss(css, viewport);
  assert.equal(calm("@import url(//a.example/x.css);p{color:red}"), "p{color:red}");
  assert.equal(calm('@import "x.css" screen;p{}'), "p{}");
  assert.equal(calm("p{background:url(https://a.example/i.png) red}"), 'p{background:url("data:,") red}');
  assert.equal(calm("p{background:URL( 'x(1).png' )}"), 'p{background:url("data:,")}');
  assert.equal(calm("p{fill:url(#g);background:url(data:image/png;base64,AA==)}"), "p{fill:url(#g);background:url(data:image/png;base64,AA==)}");
  assert.equal(calm("p{background:u\\72l(//a.example/i.png)}"), 'p{background:url("data:,")}');
  assert.equal(calm('p{background:image-set("a.png" 1x)}'), 'p{background:none("a.png" 1x)}');
  assert.equal(calm("p{height:100vh;margin:-50vh 0;top:calc(100dvh - 2rem);width:10vw;left:5vmin;right:1vmax}"), "p{height:800px;margin:-400px 0;top:calc(800px - 2rem);width:10vw;left:40px;right:12px}");
  // Names of classes are as they were.
  for (const same of [".h-100vh{top:0}", ".h-\\[100vh\\]{top:0}", ".h-\\[calc\\(100vh-4rem\\)\\]{top:0}"]) assert.equal(calm(same), same);
});

test("the address of a heatmap comes back, and what is unknown in it is counted", () => {
  for (const search of ["", "?page=/pricing", "?page=/a+b%26c&device=phone&map=scroll&range=7d&f=country:is:DE", "?find=doc&f=page:contains:x", "?page=/x&show=elements"]) {
    const { heat, dropped } = parseHeat(search);
    assert.equal(dropped, 0, search);
    assert.equal(printHeat(heat), search);
  }
  assert.equal(parseHeat("?page=/a%20b").heat.page, "/a b");
  const { heat, dropped } = parseHeat("?device=watch&map=smell&range=soon");
  assert.deepEqual([heat.device, heat.map, dropped], ["desktop", "clicks", 3]);
});
