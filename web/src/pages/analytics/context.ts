// What all parts of an analytics page share: whose numbers they are, what is shown, and how that is changed.
import { createContext } from "preact";
import { useCallback, useContext, useMemo } from "preact/hooks";
import type { Answer } from "../../api/client";
import { address } from "../../api/client";
import { prefetch, useUrl, type Data } from "../../api/data";
import type { Day } from "../../lib/format";
import { go, usePlace } from "../../lib/router";
import type { MenuItem } from "../../ui/overlay";
import { parseView, printQuestion, printView, type Dimension, type Filter, type View } from "../../lib/view";

export interface Analytics {
  /** Where the numbers are asked for: `/api/websites/…` or `/api/shares/…`. */
  readonly base: string;
  /** The address of the page without its query string. */
  readonly home: string;
  readonly domain: string;
  readonly zone: string;
  /** Today in that zone. */
  readonly today: Day;
  readonly view: View;
  /** What can be filtered by, where that is not everything. */
  readonly dimensions?: readonly Dimension[];
  /** Nothing but the numbers: a shared dashboard. */
  readonly shared: boolean;
  /** Shows something else. A step back undoes it unless `replace`. */
  show(view: View, replace?: boolean): void;
  /** Adds a filter; a step that is told, with Undo where one was taken away. */
  filter(filter: Filter): void;
  unfilter(filter: Filter): void;
}

export const AnalyticsContext = createContext<Analytics | undefined>(undefined);

export function useAnalytics(): Analytics {
  const found = useContext(AnalyticsContext);
  if (!found) throw new Error("a part of the analytics page stands outside of it");
  return found;
}

export type Totals = Answer<"/api/websites/{website_id}/totals", "get">;
export type Series = Answer<"/api/websites/{website_id}/series", "get">;
export type Breakdown = Answer<"/api/websites/{website_id}/breakdown", "get">;
export type Row = Breakdown["rows"][number];
export type Values = Answer<"/api/websites/{website_id}/values", "get">;
export type Properties = Answer<"/api/websites/{website_id}/properties", "get">;
export type Goals = Answer<"/api/websites/{website_id}/goals", "get">;
export type Funnels = Answer<"/api/websites/{website_id}/funnels", "get">;
export type Live = Answer<"/api/websites/{website_id}/live", "get">;

interface Answers {
  totals: Totals;
  series: Series;
  breakdown: Breakdown;
  values: Values;
  properties: Properties;
  goals: Goals;
  funnels: Funnels;
}

/** The address of numbers of a view. `interval` is left out where nothing is cut into buckets, so that it is one question. */
export function numbersUrl(base: string, what: keyof Answers, view: View, query: object = {}): string {
  const { interval, ...rest } = view;
  return address(`${base}/${what}`, { raw: printQuestion(what === "series" && interval ? { ...rest, interval } : rest), query });
}

/** The files of something, as items of a menu; `url` is the address of a format. */
export const files = (url: (format: "csv" | "json" | "ndjson") => string, what = "Export"): MenuItem[] =>
  (["csv", "json", "ndjson"] as const).map((kind) => ({ label: `${what} as ${kind.toUpperCase()}`, icon: "download", href: url(kind), download: true }));

/** What the chart asks besides the view. */
export const seriesQuery = ({ metric }: View): object => (metric === "visitors" ? {} : { metric });

/** Asks for tiles and chart, before the panels ask and take the connections that a browser has to one server. */
export function askFirst(base: string, view: View): void {
  prefetch(numbersUrl(base, "totals", view));
  prefetch(numbersUrl(base, "series", view, seriesQuery(view)));
}

/** Numbers of the view that is shown; `undefined` asks nothing. */
export function useNumbers<W extends keyof Answers>(what: W, query: object | undefined, view?: View): Data<Answers[W]> {
  const analytics = useAnalytics();
  return useUrl<Answers[W]>(query === undefined ? undefined : numbersUrl(analytics.base, what, view ?? analytics.view, query));
}

/** The view that the address shows, and how to show another. */
export function useView(home: string): { view: View; dropped: number; show: (view: View, replace?: boolean) => void } {
  const { search } = usePlace();
  const { view, dropped } = useMemo(() => parseView(search), [search]);
  const show = useCallback((next: View, replace = false) => go(home + printView(next), { replace }), [home]);
  return { view, dropped, show };
}
