import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { ticks } = await load("lib/scale.ts");

test("the axis ends at a round number that is not below the greatest value, and begins at zero", () => {
  assert.deepEqual(ticks(1189, "count"), [1200, 900, 600, 300, 0]);
  assert.deepEqual(ticks(0, "count"), [4, 3, 2, 1, 0]);
  assert.deepEqual(ticks(3, "count"), [4, 3, 2, 1, 0]);
  assert.deepEqual(ticks(5, "count"), [8, 6, 4, 2, 0]);
  assert.deepEqual(ticks(232, "count"), [240, 180, 120, 60, 0]);
  assert.deepEqual(ticks(0.412, "rate"), [0.6, 0.45, 0.3, 0.15, 0]);
  assert.deepEqual(ticks(1, "rate"), [1, 0.75, 0.5, 0.25, 0]);
  assert.deepEqual(ticks(0, "rate"), [1, 0.75, 0.5, 0.25, 0]);
  assert.deepEqual(ticks(167, "duration"), [240, 180, 120, 60, 0]);
  for (let most = 0.5; most < 1e9; most *= 1.37) {
    for (const measure of ["count", "duration"]) {
      const [top, , , step] = ticks(most, measure);
      assert.ok(top >= most && top <= Math.max(4, most * 4), `${most} ${measure} ${top}`);
      assert.ok(measure !== "count" || Number.isInteger(step), `${most} ${step}`);
      // At most a third of the chart is empty above the line.
      assert.ok(measure !== "count" || most < 10 || top <= most * 1.5, `${most} ${top}`);
    }
  }
});
