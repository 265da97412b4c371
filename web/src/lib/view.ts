// What of an analytics page is shown, and its address: the grammar of the query string, read and written in one place.
// Equal views have equal addresses. What is not understood is dropped and counted, never an error.

export const RANGES = ["today", "yesterday", "24h", "7d", "28d", "30d", "90d", "month", "last-month", "year", "1y", "all"] as const;
export type RangeName = (typeof RANGES)[number];
export const METRICS = ["visitors", "sessions", "pageviews", "bounce_rate", "duration", "conversion_rate", "events"] as const;
export type Metric = (typeof METRICS)[number];
export const INTERVALS = ["hour", "day", "week", "month"] as const;
export type Interval = (typeof INTERVALS)[number];
export const OPERATORS = [
  "is", "is_not", "contains", "does_not_contain", "starts_with", "ends_with", "matches", "does_not_match",
] as const;
export type Operator = (typeof OPERATORS)[number];
const DIMENSIONS = [
  "page", "entry_page", "exit_page", "hostname", "channel", "source", "referrer", "utm_source", "utm_medium", "utm_campaign",
  "utm_term", "utm_content", "country", "region", "city", "language", "browser", "browser_version", "os", "os_version", "device",
  "screen_class", "event_name", "event_type", "goal",
] as const;
/** Dimensions whose values are a list that is known: one is it or is not. */
const LISTED: readonly string[] = ["event_type", "goal"];
/** The kinds of events. */
export const EVENT_TYPES = [
  "pageview", "custom", "goal", "revenue", "identify", "click", "form_submission", "file_upload", "video_progress", "scroll_depth",
  "outbound_link", "file_download", "consent", "error", "page_exit",
] as const;
export type EventType = (typeof EVENT_TYPES)[number];
/** What a filter asks about: one of the server's dimensions, or `prop.` and the key of a property. */
export type Dimension = (typeof DIMENSIONS)[number] | `prop.${string}`;

export interface Filter {
  readonly dimension: Dimension;
  readonly operator: Operator;
  /** One of them is enough. The empty string is what is not known. */
  readonly values: readonly string[];
}

export type Range = { readonly name: RangeName } | { readonly from: string; readonly to: string };
/** `weekday` is the year before, each day with that of the same weekday. */
export type Compare = "previous" | "year" | "weekday" | { readonly from: string; readonly to: string };

export interface View {
  readonly range: Range;
  readonly compare?: Compare;
  readonly metric: Metric;
  /** `undefined` is by the length of the range. */
  readonly interval?: Interval;
  readonly filters: readonly Filter[];
  /** The open tab of each panel, where it is not the first. */
  readonly tabs: Readonly<Record<string, string>>;
  /** The panel whose whole table is open. */
  readonly show?: string;
  readonly sort?: string;
  readonly q?: string;
}

export const DEFAULT_RANGE: RangeName = "28d";
export const DEFAULT_VIEW: View = { range: { name: DEFAULT_RANGE }, metric: "visitors", filters: [], tabs: {} };
/** The most filters that an address may have, and the most characters of a value. */
const MOST_FILTERS = 20;
const MOST_CHARS = 2000;

const oneOf = <T extends string>(values: readonly T[], value: string | null): T | undefined =>
  values.find((known) => known === value);

/** Whether `value` is a date that exists, `2026-02-28`. */
export function isDay(value: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(value)) return false;
  const date = new Date(`${value}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().slice(0, 10) === value;
}

/** The parts of `text` between `separator`; `\` takes the next character as it is. */
function split(text: string, separator: string): string[] | undefined {
  const parts: string[] = [];
  let part = "";
  for (let index = 0; index < text.length; index++) {
    const letter = text.charAt(index);
    if (letter === "\\") {
      const next = text.charAt(++index);
      if (next !== "|" && next !== "\\") return undefined;
      part += next;
    } else if (letter === separator) {
      parts.push(part);
      part = "";
    } else part += letter;
  }
  return [...parts, part];
}

const escape = (value: string) => value.replace(/[\\|]/g, (letter) => `\\${letter}`);

/** Whether the values of an operator are regular expressions. */
export const isMatch = (operator: string): boolean => operator === "matches" || operator === "does_not_match";

/** Whether a filter by a dimension takes a part of a value, and patterns. */
export const takesText = (dimension: Dimension): boolean => !LISTED.includes(dimension);

export function isDimension(name: string): name is Dimension {
  return (DIMENSIONS as readonly string[]).includes(name) || (name.startsWith("prop.") && name.length > 5);
}

/** Whether the server takes `text` as a regular expression: without what is around and what was before. */
export function isPattern(text: string): boolean {
  if (/\(\?<?[=!]|\\[1-9]/.test(text)) return false;
  try {
    // Flags and names that are written otherwise there.
    new RegExp(text.replace(/\(\?[imsUx-]+\)/g, "").replace(/\(\?[imsUx-]+:/g, "(?:").replace(/\(\?P</g, "(?<"));
    return true;
  } catch {
    return false;
  }
}

/** Reads one filter, `country:is_not:US|CA`. A key of a property may have colons: the operator is looked for. */
export function parseFilter(text: string): Filter | undefined {
  if (text.length > MOST_CHARS) return undefined;
  const found = new RegExp(`^(prop\\..+?|[a-z_]+):(${OPERATORS.join("|")}):(.*)$`, "s").exec(text);
  if (!found) return undefined;
  const [, dimension = "", operator = "", rest = ""] = found;
  const values = split(rest, "|");
  if (!isDimension(dimension) || values === undefined) return undefined;
  if (!takesText(dimension) && !/^is(_not)?$/.test(operator)) return undefined;
  if (dimension === "event_type" && !values.every((value) => (EVENT_TYPES as readonly string[]).includes(value))) return undefined;
  if (isMatch(operator) && !values.every(isPattern)) return undefined;
  return { dimension, operator: operator as Operator, values: [...new Set(values)] };
}

export const printFilter = (filter: Filter): string =>
  `${filter.dimension}:${filter.operator}:${filter.values.map(escape).join("|")}`;

/** Two filters that ask the same. */
export const sameFilter = (one: Filter, other: Filter): boolean => printFilter(one) === printFilter(other);

function parseRange(query: URLSearchParams): Range | "none" | undefined {
  const [name, from, to] = [query.get("range"), query.get("from"), query.get("to")];
  if (from !== null || to !== null) {
    return from !== null && to !== null && isDay(from) && isDay(to) && from <= to ? { from, to } : undefined;
  }
  if (name === null) return "none";
  const known = oneOf(RANGES, name);
  return known && { name: known };
}

function parseCompare(text: string, byWeekday: boolean): Compare | undefined {
  if (text === "year" && byWeekday) return "weekday";
  if (text === "previous" || text === "year") return text;
  const [from = "", to = "", ...rest] = text.split("..");
  return rest.length === 0 && isDay(from) && isDay(to) && from <= to ? { from, to } : undefined;
}

/** Reads a query string. `dropped` counts the parts that were not understood. */
export function parseView(search: string): { view: View; dropped: number } {
  const query = new URLSearchParams(search);
  let dropped = 0;
  const read = <T>(name: string, parse: (text: string) => T | undefined): T | undefined => {
    const text = query.get(name);
    if (text === null) return undefined;
    const value = parse(text);
    if (value === undefined) dropped++;
    return value;
  };
  let range = parseRange(query);
  if (range === undefined) dropped++;
  if (range === undefined || range === "none") range = DEFAULT_VIEW.range;
  const filters: Filter[] = [];
  for (const text of query.getAll("f")) {
    const filter = parseFilter(text);
    if (!filter || filters.length === MOST_FILTERS) dropped++;
    else if (!filters.some((known) => sameFilter(known, filter))) filters.push(filter);
  }
  const tabs: Record<string, string> = {};
  for (const [name, value] of query) {
    if (/^tab\.[a-z]+$/.test(name) && value !== "" && value.length <= 200) tabs[name.slice(4)] = value;
  }
  const name = (text: string) => (/^[a-z_.-]{1,40}$/.test(text) ? text : undefined);
  const compare = read("compare", (text) => parseCompare(text, query.get("align") === "weekday"));
  const interval = read("interval", (text) => oneOf(INTERVALS, text));
  const show = read("show", name);
  const sort = read("sort", (text) => (/^-?[a-z_]{1,40}$/.test(text) ? text : undefined));
  const q = read("q", (text) => text.slice(0, 200) || undefined);
  const view: View = {
    range,
    metric: read("metric", (text) => oneOf(METRICS, text)) ?? "visitors",
    filters,
    tabs,
    ...(compare && { compare }),
    ...(interval && { interval }),
    ...(show && { show }),
    ...(show && sort && { sort }),
    ...(show && q && { q }),
  };
  return { view, dropped };
}

/** As a value of a query string, with the characters left readable that need no escaping there. */
const encode = (value: string) =>
  encodeURIComponent(value).replace(/%(3A|2F|2C|40|24|3B|3F)/g, (escaped) => decodeURIComponent(escaped)).replace(/%20/g, "+");

/** Filters in the order in which a server is asked with them. */
export const inOrder = (filters: readonly Filter[]): Filter[] =>
  filters
    .map((filter) => ({ filter, text: printFilter(filter) }))
    .sort((one, other) => (one.text < other.text ? -1 : 1))
    .map(({ filter }) => filter);

/** What a server is asked with: range, compare, filters, interval. */
export function printQuestion(view: Pick<View, "range" | "compare" | "filters" | "interval">): string[] {
  const parts: string[] = [];
  if ("name" in view.range) {
    if (view.range.name !== DEFAULT_RANGE) parts.push(`range=${view.range.name}`);
  } else parts.push(`from=${view.range.from}`, `to=${view.range.to}`);
  if (view.compare === "weekday") parts.push("compare=year", "align=weekday");
  else if (view.compare) {
    parts.push(`compare=${typeof view.compare === "string" ? view.compare : `${view.compare.from}..${view.compare.to}`}`);
  }
  if (view.interval) parts.push(`interval=${view.interval}`);
  for (const filter of inOrder(view.filters)) parts.push(`f=${encode(printFilter(filter))}`);
  return parts;
}

/** Writes a query string, with its question mark when it is not empty. Defaults are left out; the order is always the same. */
export function printView(view: View): string {
  const { interval, ...rest } = view;
  const parts = printQuestion(rest);
  const at = parts.findIndex((part) => part.startsWith("f="));
  const middle: string[] = [];
  if (view.metric !== "visitors") middle.push(`metric=${view.metric}`);
  if (interval) middle.push(`interval=${interval}`);
  parts.splice(at < 0 ? parts.length : at, 0, ...middle);
  for (const [panel, tab] of Object.entries(view.tabs).sort(([one], [other]) => (one < other ? -1 : 1))) parts.push(`tab.${panel}=${encode(tab)}`);
  if (view.show) {
    parts.push(`show=${view.show}`);
    if (view.sort) parts.push(`sort=${view.sort}`);
    if (view.q) parts.push(`q=${encode(view.q)}`);
  }
  return parts.length === 0 ? "" : `?${parts.join("&")}`;
}

// --- changes of a view ---

/** Adds a filter. `is` joins the values of another `is` on the same dimension, and `is_not` those of an `is_not`. */
export function addFilter(view: View, filter: Filter): View {
  const joins = filter.operator === "is" || filter.operator === "is_not";
  const opposite = filter.operator === "is" ? "is_not" : "is";
  let found = false;
  const filters = view.filters.flatMap((known): Filter[] => {
    if (!joins || known.dimension !== filter.dimension) return [known];
    if (known.operator === filter.operator) {
      found = true;
      return [{ ...known, values: [...new Set([...known.values, ...filter.values])] }];
    }
    if (known.operator !== opposite) return [known];
    // "is A" and "is not A" together would show nothing.
    const left = known.values.filter((value) => !filter.values.includes(value));
    return left.length === 0 ? [] : [{ ...known, values: left }];
  });
  if (!found && !filters.some((known) => sameFilter(known, filter))) filters.push(filter);
  return { ...view, filters };
}

export const removeFilter = (view: View, filter: Filter): View => ({
  ...view,
  filters: view.filters.filter((known) => !sameFilter(known, filter)),
});

export const replaceFilter = (view: View, old: Filter, next: Filter): View => {
  const rest = removeFilter(view, old);
  return addFilter(rest, next);
};
