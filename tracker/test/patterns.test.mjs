// What integrations of frameworks and tag managers make of a page: routers that push and replace, effects that run twice,
// calls that come late, scripts that are put on the page by scripts. Every page and visit is counted exactly once.
import assert from "node:assert/strict";
import { openTab, setUp, startBrowser, startPages, startServer } from "./harness.mjs";

const { server, site, browser, test } = await setUp({ server: startServer, site: startPages, browser: startBrowser });

/** Puts the script on the page when it is called, as loaders of frameworks and tag managers do. */
const INJECT = `<script>
  window.inject = (attributes) => {
    const script = document.createElement("script");
    script.async = true;
    for (const [name, value] of Object.entries(attributes)) script.setAttribute(name, value);
    document.head.append(script);
  };
  window.zenovay = window.zenovay || function () { (zenovay.q = zenovay.q || []).push(arguments) };
</script>`;

/** Pageviews, visitors and visits of the website so far. */
async function totals() {
  const { summary } = await server.read("/analytics/ID?range=24h");
  return [summary.total_page_views, summary.unique_visitors, summary.total_visitors];
}

/** Opens a page of an application in which time stands still until it is moved. */
async function open(path, script, head = INJECT) {
  const inject = (attributes = {}) => `inject(${JSON.stringify({ src: `${server.origin}/z.js`, "data-tracking-code": server.code, ...attributes })})`;
  site.pages.set(path, `<!doctype html><html><head><title>${path}</title>${head}</head><body><script>${script(inject)}</script></body></html>`);
  const before = await totals();
  const tab = await openTab(browser, server);
  await tab.page.clock.install();
  await tab.page.goto(site.origin + path);
  await tab.page.waitForFunction(() => window.zenovay?.version);
  await tab.page.clock.runFor(100);
  await tab.answered(1);
  return { ...tab, before };
}

/** Runs a step in the page, then lets time pass. */
async function step(tab, ms, work, ...args) {
  await tab.page.evaluate(work, ...args);
  await tab.page.clock.runFor(ms);
}

/** Waits until the event with this name is answered. */
async function untilNamed(tab, name) {
  while (!tab.events().some(({ body }) => body.event_name === name)) await tab.answered(tab.reports.length + 1);
}

/** What was counted: the views of each page as the server has them, and that there was one visit with all of them. */
async function assertViews(tab, landing, views) {
  const total = Object.values(views).reduce((sum, count) => sum + count, 0);
  await step(tab, 10, () => zenovay("track", "last"));
  await untilNamed(tab, "last");
  await tab.settled();
  assert.equal(tab.events().filter(({ body }) => body.event_type === "pageview").length, total, "pageviews that were sent");
  for (const [path, count] of Object.entries(views)) assert.equal((await server.page(path))?.views, count, path);
  assert.deepEqual(tab.reports.filter(({ status }) => status !== 200), []);
  assert.deepEqual(tab.errors, []);
  const now = await totals();
  assert.deepEqual(now.map((count, index) => count - tab.before[index]), [total, 1, 1], "pageviews, visitors and visits");
  assert.ok(await server.visitor(landing), "where the visit began");
  await tab.context.close();
}

test("a server-rendered React application: state is replaced at hydration, pushes come before or after a slow render, an effect reports each URL", async () => {
  const tab = await open("/next", (inject) => `
    // The router puts its own state into the entry, and passes on what the page pushes.
    history.replaceState({ tree: 1 }, "", location.href);
    for (const name of ["pushState", "replaceState"]) {
      const native = history[name].bind(history);
      history[name] = (state, title, url) => native({ ...state, tree: 1 }, title, url);
    }
    ${inject()};
    let first = true;
    window.effect = () => {
      if (first) return void (first = false);
      zenovay("page");
    };
    effect();
    window.navigate = (url, slow) => {
      const render = () => { document.title = url; effect(); };
      if (slow === "before") { history.pushState({}, "", url); setTimeout(render, 2500); }
      else setTimeout(() => { history.pushState({}, "", url); render(); history.replaceState({ scroll: 0 }, "", url); }, 900);
    };`);
  await step(tab, 5_000, () => navigate("/next/a?tab=1", "before"));
  await step(tab, 5_000, () => navigate("/next/b", "after"));
  await step(tab, 5_000, () => navigate("/next/a?tab=2", "after"));
  await step(tab, 5_000, () => history.back());
  await tab.page.waitForURL("**/next/b");
  await step(tab, 3_000, () => effect());
  await step(tab, 5_000, () => history.replaceState({}, "", "/next/b#section"));
  await assertViews(tab, "/next", { "/next": 1, "/next/a": 2, "/next/b": 2 });
});

test("a Vue application whose plugin reports every finished page, the first one and slow ones too", async () => {
  const tab = await open("/nuxt", (inject) => `
    window.finish = () => zenovay("page");
    // The first page is finished before the script is there.
    finish();
    ${inject({ defer: "" })};
    window.navigate = (url, setupMs) => {
      // The router saves the scroll position in the entry that it leaves.
      history.replaceState({ scroll: { top: 10 } }, "");
      history.pushState({ position: 1 }, "", url);
      setTimeout(finish, setupMs);
    };`);
  await step(tab, 4_000, () => navigate("/nuxt/slow", 1_800));
  await step(tab, 20_000, () => navigate("/nuxt/slower", 15_000));
  await step(tab, 4_000, () => navigate("/nuxt/quick", 0));
  // A page that is left before it is finished, and the next one.
  await step(tab, 300, () => navigate("/nuxt/left", 1_000_000));
  await step(tab, 4_000, () => navigate("/nuxt/slow", 1_800));
  await step(tab, 4_000, () => history.go(-2));
  await tab.page.waitForURL("**/nuxt/quick");
  await step(tab, 4_000, () => finish());
  await assertViews(tab, "/nuxt", { "/nuxt": 1, "/nuxt/slow": 2, "/nuxt/slower": 1, "/nuxt/quick": 2, "/nuxt/left": 1 });
});

test("a Svelte application: entries are numbered by replacing them, anchors are pushed, each navigation is reported but the first", async () => {
  const tab = await open("/svelte", () => `
    history.replaceState({ index: 1 }, "", location.href);
    window.afterNavigate = (type) => type !== "enter" && zenovay("page");
    afterNavigate("enter");
    let index = 1;
    window.goto = async (url, replace) => {
      await Promise.resolve();
      history[replace ? "replaceState" : "pushState"]({ index: ++index }, "", url);
      await Promise.resolve();
      afterNavigate("goto");
    };
    addEventListener("popstate", async () => { await Promise.resolve(); afterNavigate("popstate"); });`,
    `${INJECT}<script defer data-tracking-code="${server.code}" src="${server.origin}/z.js"></script>`);
  await step(tab, 3_000, () => goto("/svelte/one"));
  await step(tab, 3_000, () => goto("/svelte/two", true));
  await step(tab, 3_000, () => history.back());
  await tab.page.waitForURL("**/svelte");
  await step(tab, 3_000, () => history.forward());
  await tab.page.waitForURL("**/svelte/two");
  await tab.page.clock.runFor(3_000);
  await assertViews(tab, "/svelte", { "/svelte": 2, "/svelte/one": 1, "/svelte/two": 2 });
});

test("a React application in strict mode: the loader and every effect run twice", async () => {
  const tab = await open("/vite", (inject) => `
    // The effect that loads the script runs twice and does not look whether it is there.
    for (let run = 0; run < 2; run++) ${inject()};
    let path = location.pathname;
    const effect = () => { if (location.pathname !== path) { path = location.pathname; } zenovay("page"); };
    const mount = () => { effect(); effect(); };
    mount();
    window.navigate = (url, ms = 0) => { history.pushState({ key: "k" }, "", url); setTimeout(mount, ms); };`);
  await step(tab, 3_000, () => navigate("/vite/one"));
  await step(tab, 5_000, () => navigate("/vite/lazy", 2_000));
  await step(tab, 5_000, () => history.back());
  await tab.page.waitForURL("**/vite/one");
  await step(tab, 3_000, () => (zenovay("page"), zenovay("page")));
  await assertViews(tab, "/vite", { "/vite": 1, "/vite/one": 2, "/vite/lazy": 1 });
});

test("a tag manager: configuration in a global, the script injected late and for every tag that fires, events queued before", async () => {
  const tab = await open("/gtm", () => `
    window.ZENOVAY_TRACKER_CONFIG = { trackingCode: "${server.code}", apiUrl: "${server.origin}", cookielessMode: true, trackOutboundLinks: false, debugMode: false };
    zenovay("track", "consent_shown");
    const load = () => inject({ src: "${server.origin}/z.js", id: "zenovay-script" });
    load();
    window.fire = (name) => { load(); zenovay("track", name); };`);
  await step(tab, 3_000, () => fire("first_tag"));
  await step(tab, 3_000, () => history.pushState({}, "", "/gtm/step"));
  await step(tab, 3_000, () => fire("second_tag"));
  // Each is a request of its own, and the later one may be there first.
  for (const name of ["first_tag", "second_tag"]) await untilNamed(tab, name);
  const names = tab.events().map(({ body }) => body.event_name).filter(Boolean);
  assert.deepEqual(names.sort(), ["consent_shown", "first_tag", "second_tag"]);
  await assertViews(tab, "/gtm", { "/gtm": 1, "/gtm/step": 1 });
});

test("a tag manager that injects the script seconds after the page was changed by its router counts from there", async () => {
  const tab = await open("/late", (inject) => `history.replaceState({}, "", "/late/home"); ${inject()}`);
  await step(tab, 2_000, () => history.pushState({}, "", "/late/next"));
  await assertViews(tab, "/late/home", { "/late/home": 1, "/late/next": 1 });
});

test("a Vue application with routes in the hash: the first one is put there after the script started, each is reported when it is finished", async () => {
  const tab = await open("/hash", () => `
    history.replaceState({ position: 0 }, "", location.pathname + "#/");
    setTimeout(() => zenovay("page"), 1_500);
    window.navigate = (route, setupMs) => {
      history.replaceState({ scroll: 10 }, "");
      history.pushState({ position: 1 }, "", "#" + route);
      setTimeout(() => zenovay("page"), setupMs);
    };`, `${INJECT}<script data-tracking-code="${server.code}" src="${server.origin}/z.js"></script>`);
  await step(tab, 5_000, () => 0);
  assert.equal(tab.events().length, 1);
  await step(tab, 5_000, () => navigate("/about", 1_800));
  await step(tab, 5_000, () => navigate("/", 0));
  await assertViews(tab, "/hash", { "/hash": 3 });
});
