// How numbers, times and names are written: one place, through Intl, in the language of the reader.

const NBSP = "\u00a0";
/** What stands for a number that does not exist. */
export const NOTHING = "–";

/** A civil date, `2026-06-13`. */
export type Day = string;

let locale: string | undefined;
let cache = new Map<string, unknown>();

/** Writes everything in `tag` from now on; `undefined` is the language of the browser. An unknown tag is ignored. */
export function setLocale(tag: string | undefined): void {
  try {
    locale = tag ? new Intl.Locale(tag).toString() : undefined;
  } catch {
    locale = undefined;
  }
  cache = new Map();
}

/** The language in which things are written. */
export const currentLocale = (): string => locale ?? (typeof navigator === "undefined" ? "en" : navigator.language) ?? "en";

function kept<T>(key: string, make: () => T): T {
  let found = cache.get(key) as T | undefined;
  if (found === undefined) cache.set(key, (found = make()));
  return found;
}

const number = (options: Intl.NumberFormatOptions) =>
  kept(`n${JSON.stringify(options)}`, () => new Intl.NumberFormat(currentLocale(), options));
const dates = (options: Intl.DateTimeFormatOptions) =>
  kept(`d${JSON.stringify(options)}`, () => new Intl.DateTimeFormat(currentLocale(), options));

/** A count, exactly: `14,208`. */
export const count = (value: number | null | undefined): string =>
  value == null ? NOTHING : number({ maximumFractionDigits: 0 }).format(value);

/** A count where there is little room: exact below 10,000, then `12.4K`. */
export const compact = (value: number | null | undefined): string =>
  value == null ? NOTHING
  : Math.abs(value) < 10_000 ? number({ maximumFractionDigits: 1 }).format(value)
  : number({ notation: "compact", maximumFractionDigits: 1 }).format(value);

/** A share from 0 to 1 in percent: one decimal, two below 1 %. */
export function percent(share: number | null | undefined): string {
  if (share == null || !Number.isFinite(share)) return NOTHING;
  const digits = share !== 0 && Math.abs(share) < 0.00995 ? 2 : 1;
  return number({ style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits }).format(share);
}

/** A share in whole percents: `48%`. */
export const wholePercent = (share: number): string => number({ style: "percent", maximumFractionDigits: 0 }).format(share);

/** A share without digits that say nothing: for axes, whose marks may be half a percent apart. */
export const shortPercent = (share: number): string => number({ style: "percent", maximumFractionDigits: 2 }).format(share);

const unit = (value: number, letter: string, pad = false) => `${pad ? String(value).padStart(2, "0") : number({}).format(value)}${letter}`;

/** A length of time in seconds: two units, seconds below an hour. */
export function duration(seconds: number | null | undefined): string {
  if (seconds == null || !Number.isFinite(seconds)) return NOTHING;
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return unit(whole, "s");
  if (whole < 3600) return whole % 60 === 0 ? unit(whole / 60, "m") : `${unit(Math.floor(whole / 60), "m")}${NBSP}${unit(whole % 60, "s")}`;
  if (whole < 86_400) return `${unit(Math.floor(whole / 3600), "h")}${NBSP}${unit(Math.floor((whole % 3600) / 60), "m", true)}`;
  return `${unit(Math.floor(whole / 86_400), "d")}${NBSP}${unit(Math.floor((whole % 86_400) / 3600), "h")}`;
}

/** A length of time in milliseconds: whole ones below a second, then seconds with two digits. */
export function milliseconds(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return NOTHING;
  const whole = Math.round(value);
  return whole < 1000 ? `${number({}).format(whole)}${NBSP}ms` : `${number({ minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(value / 1000)}${NBSP}s`;
}

/** A number without a unit, with at most three digits behind the point. */
export const decimal = (value: number | null | undefined, least = 0): string =>
  value == null || !Number.isFinite(value) ? NOTHING : number({ minimumFractionDigits: least, maximumFractionDigits: 3 }).format(value);

/** How a value stands to an earlier one. */
export interface Change {
  readonly direction: "up" | "down" | "same" | "none";
  /** `9%`, `new`, `>999%`, or `–`. */
  readonly words: string;
}

/** The change from `before` to `now` in whole percents. */
export function change(now: number | null | undefined, before: number | null | undefined): Change {
  if (now == null || before == null) return { direction: "none", words: NOTHING };
  if (before === 0) return now === 0 ? { direction: "same", words: wholePercent(0) } : { direction: "up", words: "new" };
  const share = (now - before) / before;
  const whole = Math.round(Math.abs(share) * 100) / 100;
  if (whole === 0) return { direction: "same", words: wholePercent(0) };
  return { direction: share > 0 ? "up" : "down", words: whole > 9.99 ? `>${wholePercent(9.99)}` : wholePercent(whole) };
}

/** The change of a rate, both 0 to 1, in points of percent: `+1.7 points`. */
export function points(now: number, before: number): string {
  const sign = number({ signDisplay: "exceptZero", minimumFractionDigits: 1, maximumFractionDigits: 1 });
  return `${sign.format((now - before) * 100)}${NBSP}points`;
}

// --- dates: a civil date is a string, and is never moved by a time zone ---

const asUtc = (day: Day): Date => new Date(`${day}T00:00:00Z`);
const utc = { timeZone: "UTC" } as const;

/** `day` moved by `days`. */
export const addDays = (day: Day, days: number): Day => new Date(asUtc(day).getTime() + days * 86_400_000).toISOString().slice(0, 10);

/** Days from `from` to `to`, both included. */
export const daysBetween = (from: Day, to: Day): number => Math.round((asUtc(to).getTime() - asUtc(from).getTime()) / 86_400_000) + 1;

/** `day` moved by `months`; the 31st becomes the last day of a shorter month. */
export function addMonths(day: Day, months: number): Day {
  const from = asUtc(day);
  const first = new Date(Date.UTC(from.getUTCFullYear(), from.getUTCMonth() + months, 1));
  const last = new Date(Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + 1, 0)).getUTCDate();
  first.setUTCDate(Math.min(from.getUTCDate(), last));
  return first.toISOString().slice(0, 10);
}

/** The date of an instant in a time zone. */
export function dayIn(instant: Date, zone: string): Day {
  const parts = kept(`day${zone}`, () => new Intl.DateTimeFormat("en-CA", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" }));
  return parts.format(instant);
}

/** Which day the week begins with: 1 is Monday, 7 is Sunday. */
export function firstDayOfWeek(): number {
  return kept("week", () => {
    const info = new Intl.Locale(currentLocale()) as Intl.Locale & { getWeekInfo?: () => { firstDay: number }; weekInfo?: { firstDay: number } };
    return (info.getWeekInfo?.() ?? info.weekInfo)?.firstDay ?? 1;
  });
}

/** Monday is 1, Sunday is 7. */
export const weekday = (day: Day): number => asUtc(day).getUTCDay() || 7;

/** A date: `13 Jun`, with its year when that is not `thisYear`. */
export function day(value: Day, thisYear?: string): string {
  const year = thisYear === value.slice(0, 4) ? undefined : "numeric";
  return dates({ day: "numeric", month: "short", ...(year && { year }), ...utc }).format(asUtc(value));
}

/** A date with its weekday: `Thu 4 Jun`. */
export const dayWithWeekday = (value: Day): string =>
  dates({ weekday: "short", day: "numeric", month: "short", ...utc }).format(asUtc(value)).replace(/,/g, "");

/** A date in full, for those who hear it: `Thursday 4 June 2026`. */
export const dayInFull = (value: Day): string => dates({ weekday: "long", day: "numeric", month: "long", year: "numeric", ...utc }).format(asUtc(value));

/** A month: `June 2026`. */
export const month = (value: Day): string => dates({ month: "long", year: "numeric", ...utc }).format(asUtc(value));

/** A month where there is little room: `Jun 2026`. */
export const shortMonth = (value: Day): string => dates({ month: "short", year: "numeric", ...utc }).format(asUtc(value));

/** The names of the days of a week in two letters, beginning with `first`. */
export const weekdayNames = (first: number): { short: string; long: string }[] =>
  Array.from({ length: 7 }, (_, index) => {
    const date = asUtc(addDays("2024-01-01", first - 1 + index)); // A Monday.
    const short = dates({ weekday: "short", ...utc }).format(date);
    return { short: [...short].slice(0, 2).join(""), long: dates({ weekday: "long", ...utc }).format(date) };
  });

/** Two dates as one range: `17 May – 13 Jun 2026`. `thisYear` leaves the year out when both are in it. */
export function range(from: Day, to: Day, thisYear?: string): string {
  const noYear = thisYear === from.slice(0, 4) && thisYear === to.slice(0, 4);
  if (from === to) return day(from, noYear ? thisYear : undefined);
  const format = dates({ day: "numeric", month: "short", ...(!noYear && { year: "numeric" as const }), ...utc });
  return format.formatRange(asUtc(from), asUtc(to)).replace(/\u2009|\u202f/g, " ");
}

/** The time of an instant: `14:20`, with seconds where events are listed. */
export const time = (instant: Date | string, zone: string | undefined, seconds = false): string =>
  dates({ timeStyle: seconds ? "medium" : "short", ...(zone && { timeZone: zone }) }).format(new Date(instant));

/** An instant with date and time: `13 Jun 2026, 14:20`. */
export const dateTime = (instant: Date | string, zone?: string): string =>
  dates({ dateStyle: "medium", timeStyle: "short", ...(zone && { timeZone: zone }) }).format(new Date(instant));

/** An instant as a date alone, in the zone of the reader or `zone`; without the year when that is the present one. */
export const dateOf = (instant: Date | string, zone: string = readerZone(), now: Date = new Date()): string =>
  day(dayIn(new Date(instant), zone), dayIn(now, zone).slice(0, 4));

/** How long ago: `now`, `2m ago`, `1h ago`, `5d ago`, and the date from a week on. */
export function ago(instant: Date | string, now: number = Date.now(), zone?: string): string {
  const seconds = Math.floor((now - new Date(instant).getTime()) / 1000);
  if (seconds < 60) return "now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h ago`;
  if (seconds < 7 * 86_400) return `${Math.floor(seconds / 86_400)}d ago`;
  return day(dayIn(new Date(instant), zone ?? readerZone()), String(new Date(now).getFullYear()));
}

/** The time zone of the reader. */
export const readerZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone;

/** How far a zone is from UTC at an instant: `UTC+2`. */
export function offset(zone: string, instant: Date = new Date()): string {
  const parts = new Intl.DateTimeFormat("en", { timeZone: zone, timeZoneName: "shortOffset" }).formatToParts(instant);
  return (parts.find((part) => part.type === "timeZoneName")?.value ?? "GMT").replace("GMT", "UTC").replace(/^UTC\+0$/, "UTC");
}

/** A zone with how far it is from UTC now, where its name does not say that: `Europe/Berlin (UTC+2)`, `UTC`. */
export const zoneName = (zone: string, instant?: Date): string => {
  const name = zone.replace(/_/g, " ");
  return offset(zone, instant) === name ? name : `${name} (${offset(zone, instant)})`;
};

/** Bytes, binary: `64 KB`. */
export function bytes(value: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let left = value;
  let at = 0;
  while (left >= 1024 && at < units.length - 1) {
    left /= 1024;
    at++;
  }
  return `${number({ maximumFractionDigits: left < 10 && at > 0 ? 1 : 0 }).format(left)}${NBSP}${units[at]}`;
}

/** An amount in a currency, `EUR`. */
export const money = (value: number, currency: string): string => number({ style: "currency", currency }).format(value);

/** The name of a country by its two letters; the letters themselves when they are none. */
export function country(code: string): string {
  if (!/^[A-Z]{2}$/.test(code)) return code;
  return kept("country", () => new Intl.DisplayNames([currentLocale()], { type: "region", fallback: "code" })).of(code) ?? code;
}

/** The name of a language by its tag. */
export function language(tag: string): string {
  try {
    return kept("language", () => new Intl.DisplayNames([currentLocale()], { type: "language", fallback: "code" })).of(tag) ?? tag;
  } catch {
    return tag;
  }
}

/** A path as a person reads it: decoded where that is unambiguous. */
export function path(value: string): string {
  try {
    const decoded = decodeURI(value);
    // Characters that would hide what the address is: controls, directions, spaces of any kind.
    return /[\p{C}\p{Z}]/u.test(decoded) ? value : decoded;
  } catch {
    return value;
  }
}

/** Cuts the middle out of a long path, whole parts where that is enough: `/docs/install/…/domain`. */
export function shortPath(value: string, most: number): string {
  if ([...value].length <= most) return value;
  const parts = value.split("/");
  const last = parts.at(-1) ?? "";
  for (let keep = parts.length - 2; keep >= 2; keep--) {
    const short = `${parts.slice(0, keep).join("/")}/…/${last}`;
    if ([...short].length <= most) return short;
  }
  const letters = [...value];
  const head = Math.ceil((most - 1) / 2);
  return `${letters.slice(0, head).join("")}…${letters.slice(letters.length - (most - 1 - head)).join("")}`;
}

/** The first four characters of an id. */
export const shortId = (id: string): string => id.replace(/-/g, "").slice(0, 4);

/** `1 visitor`, `2 visitors`. */
export const plural = (value: number, one: string, many: string = `${one}s`): string => `${count(value)} ${value === 1 ? one : many}`;

/** Words joined as a list: `a, b and c`. The sentences around it are English, whatever numbers are written in. */
export const list = (words: readonly string[]): string => kept("list", () => new Intl.ListFormat("en-GB", { type: "conjunction" })).format(words);
