// What rows and filters are of: names, how values are shown, which panel has them.
import * as format from "../../lib/format";
import type { Dimension, EventType, Filter, Metric, Operator } from "../../lib/view";

const LABELS: Record<string, readonly [one: string, many: string]> = {
  page: ["Page", "pages"],
  entry_page: ["Entry page", "entry pages"],
  exit_page: ["Exit page", "exit pages"],
  hostname: ["Hostname", "hostnames"],
  channel: ["Channel", "channels"],
  source: ["Source", "sources"],
  referrer: ["Referrer", "referrers"],
  utm_source: ["UTM source", "UTM sources"],
  utm_medium: ["UTM medium", "UTM mediums"],
  utm_campaign: ["UTM campaign", "UTM campaigns"],
  utm_term: ["UTM term", "UTM terms"],
  utm_content: ["UTM content", "UTM contents"],
  country: ["Country", "countries"],
  region: ["Region", "regions"],
  city: ["City", "cities"],
  language: ["Language", "languages"],
  browser: ["Browser", "browsers"],
  browser_version: ["Browser version", "browser versions"],
  os: ["System", "systems"],
  os_version: ["System version", "system versions"],
  device: ["Device", "devices"],
  screen_class: ["Screen", "screens"],
  event_name: ["Event", "events"],
  event_type: ["Kind of event", "kinds of events"],
  goal: ["Goal", "goals"],
};

/** What a dimension is called. */
export const dimensionLabel = (dimension: string): string =>
  LABELS[dimension]?.[0] ?? (dimension.startsWith("prop.") ? dimension.slice(5) : dimension);

/** `212 pages`. */
export const countOf = (dimension: string, rows: number): string => {
  const [one, many] = LABELS[dimension] ?? ["value", "values"];
  return format.plural(rows, one.charAt(0) === "U" ? one : one.toLowerCase(), many);
};

/** Dimensions that a filter can be of, as they are offered. */
export const FILTER_DIMENSIONS: readonly Dimension[] = [
  "page", "entry_page", "exit_page", "hostname", "channel", "source", "referrer", "utm_source", "utm_medium", "utm_campaign", "utm_term",
  "utm_content", "country", "region", "city", "language", "browser", "browser_version", "os", "os_version", "device", "screen_class",
  "event_name", "event_type", "goal",
];

/** The kinds of events as people read them. */
const EVENT_KINDS: Record<EventType, string> = {
  pageview: "Pageview",
  custom: "Event of the page's own",
  goal: "Goal",
  revenue: "Revenue",
  identify: "Identified visitor",
  click: "Click",
  form_submission: "Form sent",
  file_upload: "File uploaded",
  video_progress: "Video watched",
  scroll_depth: "Scrolled",
  outbound_link: "Outbound link",
  file_download: "Download",
  consent: "Consent",
  error: "Error",
  page_exit: "Page left",
};

const MISSING: Record<string, string> = {
  referrer: "(no referrer)",
  source: "Direct",
  channel: "Unknown",
  "prop.href": "(no address)",
};

/** Whether a value stands for what is not known. */
export const isMissing = (value: string): boolean => value === "";

/** A value as people read it. `label` is what the server calls it. */
export function valueLabel(dimension: string, value: string, label?: string | null): string {
  if (isMissing(value)) return MISSING[dimension] ?? (dimension.startsWith("utm_") || dimension.startsWith("prop.") ? "(none)" : "Unknown");
  switch (dimension) {
    case "country":
      return format.country(value);
    case "language":
      return format.language(value);
    case "device":
    case "screen_class":
      return value.charAt(0).toUpperCase() + value.slice(1);
    case "page":
    case "entry_page":
    case "exit_page":
      return format.path(value);
    case "event_type":
      return EVENT_KINDS[value as EventType] ?? value;
    default:
      return label && dimension !== "page" ? label : value;
  }
}

/** Which page of the website a row is, where it is one. */
export function pageAddress(dimension: string, value: string, domain: string): string | undefined {
  if ((dimension === "page" || dimension === "entry_page" || dimension === "exit_page") && value.startsWith("/")) return `https://${domain}${value}`;
  if (dimension === "referrer" && /^[\w.-]+\.\w+(\/|$)/.test(value)) return `https://${value}`;
  if (dimension.startsWith("prop.") && /^https?:\/\//.test(value)) return value;
  return undefined;
}

export const OPERATOR_LABELS: Record<Operator, string> = {
  is: "is",
  is_not: "is not",
  contains: "contains",
  does_not_contain: "does not contain",
  starts_with: "starts with",
  ends_with: "ends with",
  matches: "matches",
  does_not_match: "does not match",
};

export const isNegative = (operator: Operator): boolean => operator === "is_not" || operator.startsWith("does_not");

/** The values of a filter in words: "Germany or 2 more". */
export function filterValues(filter: Filter, most = 2): string {
  const exact = filter.operator === "is" || filter.operator === "is_not";
  const words = filter.values.map((value) => (exact ? valueLabel(filter.dimension, value) : value));
  return words.length <= most ? words.join(" or ") : `${words[0]} or ${words.length - 1} more`;
}

/** A filter in words. */
export const filterLabel = (filter: Filter): string =>
  `${dimensionLabel(filter.dimension)} ${OPERATOR_LABELS[filter.operator]} ${filterValues(filter)}`;

/** A number on the dashboard: its name, how it is written, what it is. */
export interface MetricMeaning {
  readonly label: string;
  readonly measure: "count" | "rate" | "duration";
  readonly lower?: boolean;
  readonly definition: string;
  /** Its name in the External API and in the Stats API. */
  readonly field: string;
  format(value: number | null | undefined): string;
  axis(value: number): string;
}

const whole = { format: format.count, axis: format.compact, measure: "count" } as const;
const share = { format: format.percent, axis: format.shortPercent, measure: "rate" } as const;

export const METRICS: Record<Metric, MetricMeaning> = {
  visitors: { ...whole, label: "Visitors", field: "visitors", definition: "Distinct people in the whole range. Somebody who comes on two days counts once." },
  sessions: { ...whole, label: "Visits", field: "visits", definition: "Sessions with at least one counted event. A visit ends after 30 minutes without any." },
  pageviews: { ...whole, label: "Pageviews", field: "pageviews", definition: "Pages that were viewed, each view counted." },
  bounce_rate: { ...share, label: "Bounce rate", lower: true, field: "bounce_rate", definition: "Visits with one pageview, no other event and less than ten seconds of attention, of all visits." },
  duration: { label: "Visit duration", measure: "duration", field: "visit_duration", format: format.duration, axis: format.duration, definition: "The mean length of a visit, from its first event to its last sign of attention." },
  conversion_rate: { ...share, label: "Conversion rate", field: "conversion_rate", definition: "Visits in which a goal was reached, of all visits: the goals that a filter names, otherwise any of them." },
  events: { ...whole, label: "Events", field: "events", definition: "Events of every kind, pageviews too." },
};

/** The tiles, in their order. */
export const TILES: readonly Metric[] = ["visitors", "sessions", "pageviews", "bounce_rate", "duration", "conversion_rate"];

export interface PanelTab {
  readonly value: string;
  readonly label: string;
  readonly dimension: Dimension | "property";
  /** Where only events of a kind are counted: the kind, and what a row is and many are. */
  readonly only?: { readonly kind: EventType; readonly one: string; readonly many: string };
}

export interface PanelMeaning {
  readonly id: "pages" | "sources" | "tech" | "places" | "events";
  readonly title: string;
  readonly tabs: readonly PanelTab[];
}

export const UTM: readonly { readonly value: Dimension; readonly label: string }[] = [
  { value: "utm_campaign", label: "Campaign" },
  { value: "utm_source", label: "Source" },
  { value: "utm_medium", label: "Medium" },
  { value: "utm_term", label: "Term" },
  { value: "utm_content", label: "Content" },
];

export const PANELS: Record<PanelMeaning["id"], PanelMeaning> = {
  pages: {
    id: "pages",
    title: "Pages",
    tabs: [
      { value: "top", label: "Top", dimension: "page" },
      { value: "entry", label: "Entry", dimension: "entry_page" },
      { value: "exit", label: "Exit", dimension: "exit_page" },
    ],
  },
  sources: {
    id: "sources",
    title: "Sources",
    tabs: [
      { value: "channel", label: "Channel", dimension: "channel" },
      { value: "source", label: "Source", dimension: "source" },
      { value: "referrer", label: "Referrer", dimension: "referrer" },
      { value: "utm_campaign", label: "UTM", dimension: "utm_campaign" },
    ],
  },
  tech: {
    id: "tech",
    title: "Technology",
    tabs: [
      { value: "browser", label: "Browser", dimension: "browser" },
      { value: "os", label: "System", dimension: "os" },
      { value: "device", label: "Device", dimension: "device" },
      { value: "screen", label: "Screen", dimension: "screen_class" },
    ],
  },
  places: {
    id: "places",
    title: "Places",
    tabs: [
      { value: "country", label: "Country", dimension: "country" },
      { value: "region", label: "Region", dimension: "region" },
      { value: "city", label: "City", dimension: "city" },
      { value: "language", label: "Language", dimension: "language" },
    ],
  },
  events: {
    id: "events",
    title: "Events",
    tabs: [
      { value: "event", label: "Event", dimension: "event_name" },
      { value: "property", label: "Property", dimension: "property" },
      { value: "outbound", label: "Outbound", dimension: "prop.href", only: { kind: "outbound_link", one: "link", many: "outbound links" } },
      { value: "download", label: "Download", dimension: "prop.href", only: { kind: "file_download", one: "file", many: "downloads" } },
    ],
  },
};
