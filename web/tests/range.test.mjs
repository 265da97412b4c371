import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { daysOf, step, named, readDay, bucketDays, bucketLabel, intervalFor } = await load("lib/range.ts");
const TODAY = "2026-06-13";

test("ranges are days of the website's zone", () => {
  assert.deepEqual(daysOf({ name: "28d" }, TODAY), { from: "2026-05-17", to: TODAY });
  assert.deepEqual(daysOf({ name: "last-month" }, TODAY), { from: "2026-05-01", to: "2026-05-31" });
  assert.deepEqual(daysOf({ name: "last-month" }, "2026-01-31"), { from: "2025-12-01", to: "2025-12-31" });
  assert.deepEqual(daysOf({ name: "year" }, TODAY), { from: "2026-01-01", to: TODAY });
  assert.deepEqual(daysOf({ name: "all" }, TODAY, "2024-02-03"), { from: "2024-02-03", to: TODAY });
});

test("a step goes by as many days, whole months or whole years, and never into the future", () => {
  assert.deepEqual(step({ name: "28d" }, -1, TODAY), { from: "2026-04-19", to: "2026-05-16" });
  assert.deepEqual(step({ from: "2026-04-19", to: "2026-05-16" }, 1, TODAY), { name: "28d" });
  assert.equal(step({ name: "28d" }, 1, TODAY), undefined);
  assert.deepEqual(step({ name: "today" }, -1, TODAY), { name: "yesterday" });
  assert.deepEqual(step({ name: "yesterday" }, 1, TODAY), { name: "today" });
  assert.deepEqual(step({ name: "month" }, -1, TODAY), { name: "last-month" });
  assert.deepEqual(step({ name: "last-month" }, -1, TODAY), { from: "2026-04-01", to: "2026-04-30" });
  assert.deepEqual(step({ name: "last-month" }, 1, TODAY), { name: "month" });
  assert.deepEqual(step({ from: "2026-01-01", to: "2026-01-31" }, 1, TODAY), { from: "2026-02-01", to: "2026-02-28" });
  assert.deepEqual(step({ name: "year" }, -1, TODAY), { from: "2025-01-01", to: "2025-12-31" });
  assert.deepEqual(step({ from: "2025-01-01", to: "2025-12-31" }, 1, TODAY), { name: "year" });
  assert.deepEqual(step({ name: "7d" }, -1, TODAY), { from: "2026-05-31", to: "2026-06-06" });
  assert.equal(step({ name: "7d" }, 1, TODAY), undefined);
  assert.equal(step({ name: "all" }, -1, TODAY), undefined);
  assert.deepEqual(named({ from: TODAY, to: TODAY }, TODAY), { name: "today" });
});

test("dates are read as people type them", () => {
  for (const [typed, day] of [
    ["2026-06-13", "2026-06-13"], ["2026/6/3", "2026-06-03"], ["13.6.2026", "2026-06-13"], ["13.06.", "2026-06-13"], ["1. 2. 25", "2025-02-01"],
    ["13 Jun", "2026-06-13"], ["13 June 2025", "2025-06-13"], ["Jun 13, 2026", "2026-06-13"], ["june 3", "2026-06-03"],
    ["6/13/2026", "2026-06-13"], ["today", TODAY], ["Yesterday", "2026-06-12"],
    ["2026-02-30", undefined], ["", undefined], ["soon", undefined], ["13", undefined], ["31 Jun", undefined],
  ]) assert.equal(readDay(typed, TODAY), day, typed);
});

test("buckets", () => {
  assert.deepEqual(bucketDays("2026-06-07T22:00:00Z", "week", "Europe/Berlin"), { from: "2026-06-08", to: "2026-06-14" });
  assert.deepEqual(bucketDays("2026-01-31T23:00:00Z", "month", "Europe/Berlin"), { from: "2026-02-01", to: "2026-02-28" });
  assert.match(bucketLabel("2026-06-03T22:00:00Z", "day", "Europe/Berlin", false, "2026"), /Thu.*4/);
  assert.match(bucketLabel("2025-06-03T22:00:00Z", "day", "Europe/Berlin", false, "2026"), /2025/);
  assert.deepEqual([2, 3, 92, 93, 731, 732].map(intervalFor), ["hour", "day", "day", "week", "week", "month"]);
});
