// Ranges of time: what they are called, which days they are, the one before and the one after.
import * as format from "./format";
import { addDays, addMonths, daysBetween, type Day } from "./format";
import { RANGES, type Compare, type Interval, type Range, type RangeName } from "./view";

/** What a range is called. */
export const RANGE_LABELS: Readonly<Record<RangeName, string>> = {
  today: "Today",
  yesterday: "Yesterday",
  "24h": "Last 24 hours",
  "7d": "Last 7 days",
  "28d": "Last 28 days",
  "30d": "Last 30 days",
  "90d": "Last 90 days",
  month: "This month",
  "last-month": "Last month",
  year: "This year",
  "1y": "Last 12 months",
  all: "All time",
};

/** The key that chooses a range. */
export const RANGE_KEYS: readonly (readonly [string, RangeName])[] = [
  ["d", "today"], ["e", "yesterday"], ["w", "7d"], ["t", "28d"], ["q", "90d"], ["m", "month"], ["y", "year"], ["l", "1y"], ["a", "all"],
];

export interface Days {
  readonly from: Day;
  readonly to: Day;
}

/** The first day of a month. */
const monthOf = (day: Day): Day => `${day.slice(0, 7)}-01`;
const monthEnd = (day: Day): Day => addDays(addMonths(monthOf(day), 1), -1);

/** The days that a range touches, as the page knows them; `first` is the day of the website's first event. */
export function daysOf(range: Range, today: Day, first: Day = today): Days {
  if (!("name" in range)) return range;
  const back = (days: number): Days => ({ from: addDays(today, -days), to: today });
  switch (range.name) {
    case "today": return back(0);
    case "yesterday": return { from: addDays(today, -1), to: addDays(today, -1) };
    case "24h": return back(1);
    case "7d": return back(7);
    case "28d": return back(27);
    case "30d": return back(30);
    case "90d": return back(90);
    case "1y": return back(365);
    case "month": return { from: monthOf(today), to: today };
    case "last-month": {
      const from = addMonths(monthOf(today), -1);
      return { from, to: monthEnd(from) };
    }
    case "year": return { from: `${today.slice(0, 4)}-01-01`, to: today };
    case "all": return { from: first, to: today };
  }
}

/** Days as a range, by its name where it has one. */
export function named(days: Days, today: Day): Range {
  const name = (["today", "yesterday", "28d", "last-month"] as const).find((known) => {
    const same = daysOf({ name: known }, today);
    return same.from === days.from && same.to === days.to;
  });
  return name ? { name } : days;
}

/** How many days are stepped by for a window of elapsed time. */
const ROLLING: Partial<Record<RangeName, number>> = { "24h": 1, "7d": 7, "30d": 30, "90d": 90, "1y": 365 };

/** The range before (`-1`) or after (`1`); `undefined` when there is none. */
export function step(range: Range, direction: -1 | 1, today: Day): Range | undefined {
  if ("name" in range && range.name === "all") return undefined;
  const { from, to } = daysOf(range, today);
  const rolling = "name" in range ? ROLLING[range.name] : undefined;
  let next: Days;
  if (rolling !== undefined) {
    if (direction === 1) return undefined;
    // The days before the window, as many as it has.
    next = { from: addDays(from, 1 - rolling), to: from };
  } else if (isYear(range, from, to)) {
    const year = Number(from.slice(0, 4)) + direction;
    next = { from: `${year}-01-01`, to: `${year}-12-31` };
  } else if (isMonth(range, from, to)) {
    const start = addMonths(from, direction);
    next = { from: start, to: monthEnd(start) };
  } else {
    const days = daysBetween(from, to) * direction;
    next = { from: addDays(from, days), to: addDays(to, days) };
  }
  if (next.from > today) return undefined;
  if (isMonth(range, from, to) && next.from === monthOf(today)) return { name: "month" };
  if (isYear(range, from, to) && next.from.slice(0, 4) === today.slice(0, 4)) return { name: "year" };
  return named(next, today);
}

const isMonth = (range: Range, from: Day, to: Day): boolean =>
  "name" in range ? range.name === "month" || range.name === "last-month" : from === monthOf(from) && to === monthEnd(from);
const isYear = (range: Range, from: Day, to: Day): boolean =>
  "name" in range ? range.name === "year" : from.endsWith("-01-01") && to.endsWith("-12-31") && from.slice(0, 4) === to.slice(0, 4);

/** What a range is called, in words. */
export const rangeLabel = (range: Range, today: Day): string =>
  "name" in range ? RANGE_LABELS[range.name] : format.range(range.from, range.to, today.slice(0, 4));

/** What a comparison is called. */
export const compareLabel = (compare: Compare, today: Day): string =>
  compare === "previous" ? "previous period"
  : compare === "year" ? "year before"
  : compare === "weekday" ? "year before, by weekday"
  : format.range(compare.from, compare.to, today.slice(0, 4));

/** The days of a bucket of a series that begins at `start`. */
export function bucketDays(start: string, interval: Interval, zone: string): Days {
  const from = format.dayIn(new Date(start), zone);
  switch (interval) {
    case "hour":
    case "day": return { from, to: from };
    case "week": return { from, to: addDays(from, 6) };
    case "month": return { from, to: monthEnd(from) };
  }
}

/** What a bucket is called: in full, and on the axis. */
export function bucketLabel(start: string, interval: Interval, zone: string, axis: boolean, thisYear: string): string {
  const day = format.dayIn(new Date(start), zone);
  switch (interval) {
    case "hour": return axis ? format.time(start, zone) : `${format.dayWithWeekday(day)}, ${format.time(start, zone)}`;
    case "day": return axis ? format.day(day, thisYear) : format.dayWithWeekday(day) + (day.startsWith(thisYear) ? "" : ` ${day.slice(0, 4)}`);
    case "week": return axis ? format.day(day, thisYear) : `Week of ${format.day(day, thisYear)}`;
    case "month": return axis ? format.shortMonth(day) : format.month(day);
  }
}

/** The instant at which a day begins in a zone. */
function midnight(day: Day, zone: string): Date {
  let at = Date.parse(`${day}T00:00:00Z`);
  // Zones are whole quarters of an hour from UTC, and at most 14 hours: the last instant of the day before is near.
  const shown = (instant: number) => format.dayIn(new Date(instant), zone);
  at -= 14 * 3_600_000;
  while (shown(at) < day) at += 900_000;
  return new Date(at);
}

/** Where `count` buckets begin, of which the first has the instant `from` in it. */
export function bucketStarts(from: string, interval: Interval, zone: string, count: number): string[] {
  const first = format.dayIn(new Date(from), zone);
  const start = (at: number): Date => {
    switch (interval) {
      case "hour": return new Date(Math.floor(Date.parse(from) / 3_600_000) * 3_600_000 + at * 3_600_000);
      case "day": return midnight(addDays(first, at), zone);
      case "week": return midnight(addDays(first, 1 - format.weekday(first) + 7 * at), zone);
      case "month": return midnight(addMonths(monthOf(first), at), zone);
    }
  };
  return Array.from({ length: count }, (_, at) => start(at).toISOString());
}

/** The interval that the server chooses for so many days. */
export const intervalFor = (days: number): Interval => (days <= 2 ? "hour" : days <= 92 ? "day" : days <= 731 ? "week" : "month");

const MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split(" ");

/** Reads a date as people type it: `2026-06-13`, `13.6.2026`, `13 Jun`, `June 13, 2026`, `6/13/2026`, `today`. */
export function readDay(text: string, today: Day): Day | undefined {
  const typed = text.trim().toLowerCase();
  if (typed === "today") return today;
  if (typed === "yesterday") return addDays(today, -1);
  const year = today.slice(0, 4);
  const build = (y: string | undefined, m: number, d: string | undefined): Day | undefined => {
    const full = y === undefined ? year : y.length === 2 ? `20${y}` : y;
    const day = `${full}-${String(m).padStart(2, "0")}-${(d ?? "").padStart(2, "0")}`;
    const date = new Date(`${day}T00:00:00Z`);
    return !Number.isNaN(date.getTime()) && date.toISOString().slice(0, 10) === day ? day : undefined;
  };
  let found = /^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})$/.exec(typed);
  if (found) return build(found[1], Number(found[2]), found[3]);
  found = /^(\d{1,2})\.\s*(\d{1,2})\.?\s*(\d{4}|\d{2})?$/.exec(typed);
  if (found) return build(found[3], Number(found[2]), found[1]);
  found = /^(\d{1,2})\/(\d{1,2})(?:\/(\d{4}|\d{2}))?$/.exec(typed);
  if (found) {
    const monthFirst = /^(en-US|en$|fil|en-PH)/.test(format.currentLocale());
    return monthFirst ? build(found[3], Number(found[1]), found[2]) : build(found[3], Number(found[2]), found[1]);
  }
  // Names of months in English and in the language of the reader.
  const month = (name: string | undefined): number => {
    const word = (name ?? "").replace(/\.$/, "");
    const english = MONTHS.findIndex((known) => word.startsWith(known));
    if (english >= 0) return english + 1;
    for (let at = 1; at <= 12 && word.length >= 3; at++) {
      if (format.month(`2026-${String(at).padStart(2, "0")}-01`).toLowerCase().startsWith(word)) return at;
    }
    return 0;
  };
  found = /^(\d{1,2})\.?\s+(\p{L}{3,}\.?),?\s*(\d{4})?$/u.exec(typed);
  if (found) return build(found[3], month(found[2]), found[1]);
  found = /^(\p{L}{3,}\.?)\s+(\d{1,2}),?\s*(\d{4})?$/u.exec(typed);
  if (found) return build(found[3], month(found[1]), found[2]);
  return undefined;
}

/** The presets, in the order in which they are offered. */
export const PRESETS: readonly RangeName[] = RANGES;
