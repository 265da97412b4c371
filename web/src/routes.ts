// Every address of the application and the page that belongs to it. A page is loaded when it is first shown.
import type { ComponentType } from "preact";
import { match } from "./lib/router";
import { pageRoutes } from "./pages/routes";

export interface PageProps {
  /** The values of `:names` in the address. */
  readonly params: Readonly<Record<string, string>>;
}

type Page = ComponentType<PageProps>;

interface PageModule {
  readonly default: Page;
  /** Asks for what the page shows first, before it is known who is signed in. */
  readonly ahead?: (params: PageProps["params"]) => void;
}

export interface Route {
  readonly path: string;
  readonly load: () => Promise<PageModule>;
  /** What is around it: the rail of a website (`:id`), the rail of the workspace, or nothing. */
  readonly frame: "website" | "workspace" | "none";
  /** Shown to those who are not signed in, too. */
  readonly open?: true;
}

export const routes: readonly Route[] = [
  ...pageRoutes,
  { path: "/", load: () => import("./pages/start"), frame: "workspace" },
  { path: "/websites/:id", load: () => import("./pages/analytics"), frame: "website" },
  { path: "/websites/:id/live", load: () => import("./pages/live"), frame: "website" },
  { path: "/websites/:id/visitors", load: () => import("./pages/visitors/list"), frame: "website" },
  { path: "/websites/:id/visitors/:vid", load: () => import("./pages/visitors/timeline"), frame: "website" },
  { path: "/share/:token", load: () => import("./pages/share"), frame: "none", open: true },
  { path: "/websites/:id/goals", load: () => import("./pages/goals"), frame: "website" },
  { path: "/websites/:id/goals/:gid", load: () => import("./pages/goals"), frame: "website" },
  { path: "/websites/:id/funnels/:fid", load: () => import("./pages/goals"), frame: "website" },
  { path: "/websites/:id/heatmaps", load: () => import("./pages/heatmaps"), frame: "website" },
  { path: "/websites/:id/replays", load: () => import("./pages/replays/list"), frame: "website" },
  { path: "/websites/:id/replays/:sid", load: () => import("./pages/replays/player"), frame: "website" },
  { path: "/websites/:id/performance", load: () => import("./pages/performance"), frame: "website" },
  { path: "/websites/:id/errors", load: () => import("./pages/errors/list"), frame: "website" },
  { path: "/websites/:id/errors/source-maps", load: () => import("./pages/errors/source-maps"), frame: "website" },
  { path: "/websites/:id/errors/:gid", load: () => import("./pages/errors/detail"), frame: "website" },
];

/** Addresses that are another's within the application. Older ones are known to the server, which answers them. */
const moved: Readonly<Record<string, string>> = { "/settings": "/settings/account" };

export type Found = { readonly route: Route; readonly params: Readonly<Record<string, string>> } | { readonly redirect: string };

/** The page of a path. */
export function findRoute(path: string): Found | undefined {
  const redirect = moved[path.replace(/(.)\/$/, "$1")];
  if (redirect) return { redirect };
  for (const route of routes) {
    const params = match(route.path, path);
    if (params) return { route, params };
  }
  return undefined;
}

const loaded = new Map<string, Page>();

/** The page, when it has been loaded. */
export const loadedPage = (route: Route): Page | undefined => loaded.get(route.path);

/** Loads a page. */
export async function loadPage(route: Route): Promise<PageModule> {
  const page = await route.load();
  loaded.set(route.path, page.default);
  return page;
}

/** Loads the page of a link that somebody points at, before they follow it. */
export function prefetchPage(path: string): void {
  const found = findRoute(path);
  if (found && "route" in found && !loaded.has(found.route.path)) loadPage(found.route).catch(() => {});
}
