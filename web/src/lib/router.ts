// Addresses of the application: where it is, going somewhere else, and which page belongs to an address.
import { createStore, useStore } from "./store";

export interface Place {
  readonly path: string;
  /** With its question mark, or empty. */
  readonly search: string;
  readonly hash: string;
}

const here = (): Place => ({ path: location.pathname, search: location.search, hash: location.hash });

/** Where the application is. */
export const place = createStore<Place>(here());

/** Where the application is, now and after every step. */
export const usePlace = (): Place => useStore(place);

/** What may hold a person back from leaving; `true` lets them go. */
let guard: (() => boolean) | undefined;

/** Asks `ask` before the page is left, until the function that is returned is called. */
export function guardLeaving(ask: () => boolean): () => void {
  guard = ask;
  return () => {
    if (guard === ask) guard = undefined;
  };
}

/** Goes to an address of the application. `replace` leaves no step behind for the Back button. */
export function go(href: string, options: { replace?: boolean } = {}): void {
  const target = new URL(href, location.href);
  if (guard && !guard()) return;
  const current = location.pathname + location.search + location.hash;
  const next = target.pathname + target.search + target.hash;
  if (next === current) return;
  const otherPage = target.pathname !== location.pathname;
  if (options.replace) history.replaceState(null, "", next);
  else history.pushState(null, "", next);
  place.set(here());
  if (otherPage) scrollTo(0, 0);
}

/** Whether the server, not the application, answers this path. */
export const isOfServer = (path: string): boolean => /^\/(api|e|mcp|oauth|docs|\.well-known|assets)(\/|$)/.test(path) || /\.(js|json)$/.test(path);

/** Follows the Back button and every link of the page. Called once. */
export function startRouter(): void {
  addEventListener("popstate", () => place.set(here()));
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element).closest?.("a[href]");
    if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute("download")) return;
    if (link.origin !== location.origin || isOfServer(link.pathname)) return;
    // A link within the page.
    if (link.pathname === location.pathname && link.search === location.search && link.hash) return;
    event.preventDefault();
    go(link.href);
  });
}

/** The values of a pattern's `:names` in `path`, or `undefined` when the path is another. */
export function match(pattern: string, path: string): Record<string, string> | undefined {
  const wanted = pattern.split("/");
  const given = path.replace(/(.)\/$/, "$1").split("/");
  if (wanted.length !== given.length) return undefined;
  const found: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const value = given[index] ?? "";
    if (!part.startsWith(":")) {
      if (part !== value) return undefined;
      continue;
    }
    if (value === "") return undefined;
    try {
      found[part.slice(1)] = decodeURIComponent(value);
    } catch {
      return undefined; // Not an address that the application makes.
    }
  }
  return found;
}
