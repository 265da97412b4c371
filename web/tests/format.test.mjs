import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { load } from "./load.mjs";

const f = await load("lib/format.ts");
const plain = (text) => text.replace(/[\u00a0\u202f\u2009]/g, " ");
const each = (format, cases) => {
  for (const [value, expected] of cases) assert.equal(plain(format(...[].concat(value))), expected, `${value}`);
};
beforeEach(() => f.setLocale("en"));

test("counts are exact, and compact from 10,000 where there is little room", () => {
  each(f.count, [[0, "0"], [14208, "14,208"], [undefined, "–"], [null, "–"]]);
  each(f.compact, [[9999, "9,999"], [12408, "12.4K"], [1_250_000, "1.3M"], [undefined, "–"]]);
});

test("rates have one decimal, two below one percent, and nothing is not zero", () => {
  each(f.percent, [[0.4124, "41.2%"], [0.0042, "0.42%"], [0.00999, "1.0%"], [0, "0.0%"], [1, "100.0%"], [undefined, "–"], [NaN, "–"]]);
  each(f.shortPercent, [[0.25, "25%"], [0.015, "1.5%"], [0.0025, "0.25%"], [0, "0%"]]);
});

test("lengths of time have two units", () => {
  each(f.duration, [[9, "9s"], [0, "0s"], [167, "2m 47s"], [120, "2m"], [3840, "1h 04m"], [3599.6, "1h 00m"], [266_400, "3d 2h"], [null, "–"]]);
});

test("changes are whole percents", () => {
  each((now, before) => f.change(now, before).words, [
    [[109, 100], "9%"], [[96, 100], "4%"], [[5, 0], "new"], [[0, 0], "0%"], [[2000, 1], ">999%"], [[100.2, 100], "0%"],
    [[undefined, 1], "–"], [[1, undefined], "–"],
  ]);
  assert.equal(f.change(96, 100).direction, "down");
  assert.equal(f.change(100.2, 100).direction, "same");
  assert.equal(f.change(0, 4).words, "100%");
  each(f.points, [[[0.412, 0.429], "-1.7 points"], [[0.02, 0.01], "+1.0 points"]]);
});

test("dates leave this year out, and ranges merge", () => {
  assert.equal(f.day("2026-06-13", "2026").replace(/(\w+) (\d+)/, "$1 $2"), "Jun 13");
  assert.equal(plain(f.range("2026-05-17", "2026-06-13", "2026")), "May 17 – Jun 13");
  assert.match(plain(f.range("2025-12-17", "2026-01-13", "2026")), /2025 – .*2026/);
  f.setLocale("en-GB");
  assert.equal(plain(f.range("2026-05-17", "2026-06-13")), "17 May – 13 Jun 2026");
  assert.equal(f.dayWithWeekday("2026-06-04"), "Thu 4 Jun");
  f.setLocale("de");
  assert.equal(f.count(14208), "14.208");
  assert.equal(plain(f.percent(0.412)), "41,2 %");
});

test("civil dates are not moved by a time zone or a change of the clock", () => {
  assert.equal(f.addDays("2026-03-28", 2), "2026-03-30");
  assert.equal(f.daysBetween("2026-03-01", "2026-03-31"), 31);
  assert.equal(f.addMonths("2026-01-31", 1), "2026-02-28");
  assert.equal(f.addMonths("2026-03-31", -1), "2026-02-28");
  assert.equal(f.addMonths("2026-12-15", 1), "2027-01-15");
  assert.equal(f.dayIn(new Date("2026-06-13T22:30:00Z"), "Europe/Berlin"), "2026-06-14");
  assert.equal(f.weekday("2026-06-14"), 7);
});

test("the week begins where the reader's does", () => {
  f.setLocale("en-US");
  assert.equal(f.firstDayOfWeek(), 7);
  f.setLocale("de-DE");
  assert.equal(f.firstDayOfWeek(), 1);
  assert.deepEqual(f.weekdayNames(1).map(({ short }) => short), ["Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"]);
});

test("how long ago", () => {
  const now = Date.parse("2026-06-13T12:20:00Z");
  each((seconds) => f.ago(new Date(now - seconds * 1000), now, "UTC"), [
    [5, "now"], [120, "2m ago"], [3600, "1h ago"], [5 * 86_400, "5d ago"], [8 * 86_400, "Jun 5"],
  ]);
});

test("bytes, money, zones", () => {
  each(f.bytes, [[65_536, "64 KB"], [1536, "1.5 KB"], [12, "12 B"], [3 * 1024 ** 3, "3 GB"]]);
  assert.equal(plain(f.money(49, "EUR")), "€49.00");
  assert.equal(f.offset("Europe/Berlin", new Date("2026-06-13T12:00:00Z")), "UTC+2");
  assert.equal(f.offset("UTC"), "UTC");
  assert.equal(f.zoneName("America/New_York", new Date("2026-06-13T12:00:00Z")), "America/New York (UTC-4)");
  assert.equal(f.zoneName("UTC"), "UTC");
});

test("paths are decoded unless that would hide something, and cut in the middle", () => {
  assert.equal(f.path("/caf%C3%A9"), "/café");
  assert.equal(f.path("/a%20b"), "/a%20b");
  assert.equal(f.path("/%E2%80%AEgnp"), "/%E2%80%AEgnp");
  assert.equal(f.path("/%zz"), "/%zz");
  assert.equal(f.shortPath("/docs/install/reverse-proxy/with/your/own/domain", 30), "/docs/install/…/domain");
  assert.equal(f.shortPath("/blog", 30), "/blog");
  assert.equal([...f.shortPath("x".repeat(80), 30)].length, 30);
});

test("times are written as the language writes them", () => {
  const at = "2026-06-13T07:05:09Z";
  f.setLocale("en-GB");
  assert.equal(f.time(at, "UTC"), "07:05");
  assert.equal(f.time(at, "UTC", true), "07:05:09");
  assert.equal(f.dateTime(at, "UTC"), "13 Jun 2026, 07:05");
  assert.equal(f.dateOf(at, "UTC", new Date("2027-01-01T12:00:00Z")), "13 Jun 2026");
  assert.equal(f.dateOf(at, "UTC", new Date("2026-12-31T12:00:00Z")), "13 Jun");
  f.setLocale("en-US");
  assert.equal(f.time(at, "UTC").replace(/\s/g, " "), "7:05 AM");
  f.setLocale("de-DE");
  assert.equal(f.time(at, "UTC"), "07:05");
});

test("names of countries and languages, and a few words", () => {
  assert.equal(f.country("DE"), "Germany");
  assert.equal(f.country(""), "");
  assert.equal(f.language("de-AT"), "Austrian German");
  assert.equal(f.language("not a tag"), "not a tag");
  assert.equal(f.plural(1, "visitor"), "1 visitor");
  assert.equal(f.plural(2000, "visitor"), "2,000 visitors");
  assert.equal(f.list(["a", "b", "c"]), "a, b and c");
  f.setLocale("de-DE");
  assert.equal(f.list(["a", "b"]), "a and b", "the sentence around it is English");
  f.setLocale("en-GB");
});
