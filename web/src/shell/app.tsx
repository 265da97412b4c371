// The application: which page belongs to the address, what is around it, and what every page has.
import type { ComponentType } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { answeredAt, ApiError, online } from "../api/client";
import { refresh } from "../api/data";
import { time } from "../lib/format";
import { go, place, usePlace } from "../lib/router";
import { loadSession, session } from "../lib/session";
import { useStore } from "../lib/store";
import { useFeatures, useWebsite } from "../lib/websites";
import { useKeys } from "../lib/keys";
import { findRoute, loadedPage, loadPage, type PageProps, type Route } from "../routes";
import { Button, Failure, Skeleton, useCountdown } from "../ui/basic";
import { Toasts } from "../ui/overlay";
import { closeOverlay, openHelp, openPalette, overlay } from "./commands";
import { allWebsites, websiteNav, websiteSettings } from "./nav";
import { NotFound } from "./page";
import { Rail, TabBar, TopBar } from "./rail";

/** The whole application. */
export function App() {
  const { path } = usePlace();
  const who = useStore(session);
  const found = findRoute(path);
  useEffect(() => {
    if (found && "redirect" in found) go(found.redirect, { replace: true });
  });
  if (found && "redirect" in found) return null;
  if (who.kind === "asking") return null;
  if (who.kind === "away") return <Away error={who.error} />;
  if (who.kind === "out" && !found?.route.open) {
    // In place: after signing in, people are where they wanted to be.
    const signIn = findRoute("/login");
    return signIn && "route" in signIn ? <Bare route={signIn.route} params={{}} /> : <NotFound />;
  }
  if (found && (found.route.frame === "none" || who.kind === "out")) return <Bare route={found.route} params={found.params} />;
  return <Framed route={found?.route} params={found?.params ?? {}} />;
}

const Announcer = () => <p id="announcer" class="vh" role="status" aria-live="polite" />;

function Bare({ route, params }: { route: Route; params: PageProps["params"] }) {
  return (
    <>
      <a class="skip" href="#main">
        Skip to content
      </a>
      <main id="main" tabIndex={-1}>
        <Late route={route} params={params} />
      </main>
      <Toasts />
      <Announcer />
    </>
  );
}

function Framed({ route, params }: { route: Route | undefined; params: PageProps["params"] }) {
  const asked = route?.frame === "website" ? params.id : undefined;
  // Around a website that is not theirs, or not there, people have what is.
  const website = useWebsite(asked).error === undefined ? asked : undefined;
  const answers = useStore(online);
  const to = (href: string | undefined) => (href === undefined ? undefined : () => go(href));
  const features = useFeatures(website);
  const nav = website === undefined ? [] : websiteNav(website, features);
  useKeys({
    "?": openHelp,
    "g w": to(allWebsites.href),
    "g s": to(website === undefined ? "/settings/account" : websiteSettings(website).href),
    ...Object.fromEntries(nav.map((item) => [`g ${item.key}`, to(item.href)])),
  });
  return (
    <>
      <a class="skip" href="#main">
        Skip to content
      </a>
      <div class="app">
        <Rail website={website} />
        <TopBar website={website} />
        <main class="main" id="main" tabIndex={-1}>
          {!answers && <Offline />}
          {route ? <Late route={route} params={params} /> : <Lost />}
        </main>
        <TabBar website={website} />
      </div>
      <Toasts />
      <Announcer />
      <Overlays website={website} />
    </>
  );
}

/** An unknown address, with the palette open. */
function Lost() {
  useEffect(openPalette, []);
  return <NotFound onSearch={openPalette} />;
}

/** A page that may have to be loaded first. */
function Late({ route, params }: { route: Route; params: PageProps["params"] }) {
  const [failed, setFailed] = useState<string>();
  const [, render] = useState({});
  const Page = loadedPage(route);
  useEffect(() => {
    if (Page) return;
    let wanted = true;
    loadPage(route).then(
      () => wanted && render({}),
      () => wanted && setFailed(route.path),
    );
    return () => {
      wanted = false;
    };
  }, [route]);
  const shown = route.path + JSON.stringify(params);
  const before = useRef<string | undefined>(undefined);
  useEffect(() => {
    if (!Page) return;
    const isStep = before.current !== undefined && before.current !== shown;
    before.current = shown;
    if (!isStep || (document.activeElement !== document.body && document.activeElement !== null)) return;
    // What was followed is gone with its page: the keyboard goes on at the beginning of this one.
    const main = document.getElementById("main");
    (main?.querySelector<HTMLElement>("[autofocus]") ?? main)?.focus({ preventScroll: true });
  }, [shown, Page]);
  // Another website, another visitor: another page, with nothing left of the one before.
  if (Page) return <Page key={shown} params={params} />;
  return (
    <div class="page">
      <div class="bar" />
      <section class="card" aria-busy={failed !== route.path}>
        <div class="card-body stack">
          {failed === route.path ? (
            <>
              <p>This page could not be loaded. The server may have been upgraded, or does not answer.</p>
              <div>
                <Button onClick={() => location.reload()} icon="reload">
                  Load again
                </Button>
              </div>
            </>
          ) : (
            <Skeleton lines={6} />
          )}
        </div>
      </section>
    </div>
  );
}

function Away({ error }: { error: ApiError }) {
  return (
    <main class="page narrow" id="main">
      <div class="bar">
        <h1>zenovay</h1>
      </div>
      <Failure error={error} what="Nothing can be shown." onRetry={() => void loadSession()} />
    </main>
  );
}

/** The first and the longest wait before the server is asked again, in seconds. */
const WAITS = { first: 5, most: 60 };

function Offline() {
  const [tries, setTries] = useState(0);
  const left = useCountdown(Math.min(WAITS.first * 2 ** tries, WAITS.most), tries);
  const [since] = useState(() => new Date(answeredAt));
  const retry = () => {
    void loadSession();
    setTries((made) => made + 1);
  };
  useEffect(() => {
    if (left === 0) retry();
  }, [left]);
  useEffect(() => {
    addEventListener("focus", retry);
    addEventListener("online", retry);
    return () => {
      removeEventListener("focus", retry);
      removeEventListener("online", retry);
      // It answers again: what is shown may have changed meanwhile.
      refresh("/api/");
    };
  }, []);
  return (
    <div class="offline">
      <span role="status">The server does not answer. Numbers are from {time(since, undefined)}.</span>
      <span>
        Trying again in {left}s.{" "}
        <button type="button" class="linklike" onClick={retry}>
          Now
        </button>
      </span>
    </div>
  );
}

type Overlay = ComponentType<{ website: string | undefined; typed: string; onClose(): void }>;
const late = new Map<string, Overlay>();
const loaders = {
  palette: () => import("./palette"),
  help: () => import("./help"),
};

async function load(which: keyof typeof loaders): Promise<void> {
  if (!late.has(which)) late.set(which, (await loaders[which]()).default as Overlay);
}

function Overlays({ website }: { website: string | undefined }) {
  const open = useStore(overlay);
  const [, render] = useState({});
  const early = useRef("");
  // From the first moment on at which the page is seen.
  useLayoutEffect(() => {
    const key = (event: KeyboardEvent) => {
      // The next key may be the one that opens it.
      if (event.key === "Control" || event.key === "Meta") load("palette").catch(() => {});
      const waits = overlay.get() !== undefined && !document.querySelector("dialog[open]");
      if (waits && !event.ctrlKey && !event.metaKey && !event.altKey) {
        // What is typed until it is there is meant for it.
        if (event.key === "Escape") closeOverlay();
        else if (event.key.length === 1) early.current += event.key;
        event.preventDefault();
        event.stopPropagation();
        return;
      }
      if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
      event.preventDefault();
      if (overlay.get() === undefined && document.querySelector("dialog[open]")) return;
      overlay.set(overlay.get() === "palette" ? undefined : "palette");
    };
    addEventListener("keydown", key, true);
    // Wherever one goes, nothing stays open above it.
    const stop = place.follow(closeOverlay);
    return () => {
      removeEventListener("keydown", key, true);
      stop();
    };
  }, []);
  const Shown = open && late.get(open);
  useEffect(() => {
    if (!open) early.current = "";
    // By what was drawn, and not by what is there by now: it may have come since.
    else if (!Shown) load(open).then(() => render({}), closeOverlay);
  }, [open]);
  return Shown ? <Shown website={website} typed={early.current} onClose={closeOverlay} /> : null;
}
