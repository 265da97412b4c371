// What the address of the heatmaps says: the view of all numbers, and of which page, device and map.
import { address, type Answer } from "../../api/client";
import type { RecordedNode } from "../../lib/recorded";
import { parseView, printQuestion, printView, type View } from "../../lib/view";

export const DEVICES = ["desktop", "tablet", "phone"] as const;
export type Device = (typeof DEVICES)[number];
export const MAPS = ["clicks", "scroll", "attention", "moves"] as const;
export type MapKind = (typeof MAPS)[number];

export const DEVICE_LABELS: Readonly<Record<Device, string>> = { desktop: "Desktop", tablet: "Tablet", phone: "Phone" };
export const MAP_LABELS: Readonly<Record<MapKind, string>> = { clicks: "Clicks", scroll: "Scroll", attention: "Attention", moves: "Moves" };

export interface HeatView {
  readonly view: View;
  /** The path of the page that is shown. */
  readonly page?: string;
  readonly device: Device;
  readonly map: MapKind;
  /** What the paths of the list have in them. */
  readonly find?: string;
}

const oneOf = <T extends string>(known: readonly T[], text: string | null): T | undefined => known.find((one) => one === text);

/** Reads a query string. */
export function parseHeat(search: string): { heat: HeatView; dropped: number } {
  const { view, dropped } = parseView(search);
  const query = new URLSearchParams(search);
  const [page, device, map, find] = [query.get("page"), query.get("device"), query.get("map"), query.get("find")];
  const unknown = [device !== null && !oneOf(DEVICES, device), map !== null && !oneOf(MAPS, map)].filter(Boolean).length;
  return {
    heat: { view, ...(page && { page: page.slice(0, 2000) }), device: oneOf(DEVICES, device) ?? "desktop", map: oneOf(MAPS, map) ?? "clicks", ...(find && { find: find.slice(0, 200) }) },
    dropped: dropped + unknown,
  };
}

const encode = (value: string): string => encodeURIComponent(value).replace(/%2F/g, "/").replace(/%20/g, "+");

/** Writes a query string. Defaults are left out. */
export function printHeat({ view, page, device, map, find }: HeatView): string {
  const own = [page && `page=${encode(page)}`, device !== "desktop" && `device=${device}`, map !== "clicks" && `map=${map}`, find && `find=${encode(find)}`].filter(Boolean);
  const rest = printView(view).slice(1);
  const all = [...own, ...(rest ? [rest] : [])];
  return all.length === 0 ? "" : `?${all.join("&")}`;
}

/** The address of a question. */
export function heatUrl(base: string, what: "" | "/page" | "/snapshot", view: View, query: object): string {
  const { compare: _, interval: _interval, ...asked } = view;
  return address(`${base}/heatmaps${what}`, { raw: what === "/snapshot" ? [] : printQuestion(asked), query });
}

export type PageList = Answer<"/api/websites/{website_id}/heatmaps", "get">;
export type ListedPage = PageList["pages"][number];
export type PageHeat = Answer<"/api/websites/{website_id}/heatmaps/page", "get">;
/** Clicks on an element, where in it they were, and where it stood on the page. */
export type ClickedElement = PageHeat["elements"][number];
/** Counts in the cells of a grid over the whole page: column, row and count. */
export type Grid = PageHeat["moves"];

/** A page as a replay has it. */
export interface Snapshot {
  readonly recorded_at: string;
  readonly viewport: readonly number[];
  readonly node: RecordedNode;
}
