// How long people wait: from the load of the analytics page to its numbers, and from a filter to the new ones, beside the bare
// questions. `npm run bench` prints it; the server is the one of ZENOVAY_BIN. With ROUNDS=3 it is a trial.
import { openTab, startBrowser, startServer } from "./tests/harness.mjs";
import { store, traffic } from "./tests/seed.mjs";
import { call } from "./tests/tour.mjs";

const ROUNDS = Number(process.env.ROUNDS ?? 20);
/** Milliseconds at the 75th percentile. */
const AIMS = { first: 300, filter: 150 };

const quantile = (values, part) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))];
const p75 = (values) => quantile(values, 0.75);
const print = (what, values) => console.log(`${what}: median ${quantile(values, 0.5).toFixed(0)} ms, p75 ${p75(values).toFixed(0)} ms`);

/** Runs in the page from its beginning: when the numbers of the first view were drawn. */
function watch() {
  const look = () => {
    const drawn =
      document.querySelectorAll(".tile .v").length === 6 && document.querySelector(".plot .ln")?.getAttribute("d") && document.querySelectorAll(".panel:has(.bars tbody tr)").length >= 3;
    if (drawn) window.drawnAt = performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}

/** Asks in the page, past its memory; how long the answer took. */
const ask = (page, url) =>
  page.evaluate(async (url) => {
    const begun = performance.now();
    await (await fetch(url, { cache: "no-store" })).json();
    return performance.now() - begun;
  }, url);

const [server, browser] = await Promise.all([startServer(), startBrowser()]);
try {
  const { page } = await openTab(browser, server, { viewport: { width: 1440, height: 900 } });
  await page.addInitScript(watch);
  await page.goto("/login");
  const token = server.welcome.split("#")[1];
  const owner = { name: "Owner", email: "owner@example.com", password: "correct horse battery" };
  await call(page, "POST", "/api/welcome", { token, ...owner, website: { domain: "example.com", name: "Example" } });
  const { id, tracking_code: code } = (await call(page, "GET", "/api/websites")).websites[0];
  const { key } = await call(page, "POST", "/api/account/keys", { name: "Bench" });
  await store(server, key, code, traffic({ now: Date.now(), days: 60, perDay: 400 }));

  const first = [];
  const load = [];
  const totals = [];
  let asked;
  for (let round = 0; round <= ROUNDS; round++) {
    totals.push(await ask(page, `/api/websites/${id}/totals?range=30d&f=page:is_not:/${round}`));
    await page.goto(`/websites/${id}?range=30d&f=page:is_not:/first-${round}`);
    await page.waitForFunction(() => window.drawnAt !== undefined);
    const { drawn, loaded, requests } = await page.evaluate(() => ({
      drawn: window.drawnAt,
      loaded: performance.getEntriesByType("navigation")[0].loadEventEnd,
      requests: performance.getEntriesByType("resource").length,
    }));
    asked = requests;
    first.push(Math.max(0, drawn - loaded));
    load.push(loaded);
  }
  // The first round warms the server and the caches of the browser.
  for (const values of [first, load, totals]) values.shift();

  const bare = [];
  const filtered = [];
  const whole = [];
  for (let round = 0; round < ROUNDS; round++) {
    const value = ["/pricing", "/changelog", "/compare", "/docs/api"][round % 4];
    // Another question each time, so that nothing is answered from memory.
    const view = `range=30d&f=page:is_not:/again-${round}`;
    await page.goto(`/websites/${id}?${view}`);
    const row = page.getByRole("region", { name: "Pages", exact: true }).getByRole("button", { name: value, exact: true });
    await row.waitFor();
    await page.waitForFunction(() => document.querySelector("[aria-busy=true]") === null);
    bare.push(await ask(page, `/api/websites/${id}/totals?${view}&f=browser:is_not:Other-${round}&f=page:is:${encodeURIComponent(value)}`));
    const { tiles, all } = await row.evaluate(
      (button) =>
        new Promise((resolve) => {
          const tiles = document.querySelector(".tiles");
          const shown = tiles.textContent;
          const begun = performance.now();
          let first;
          const look = () => {
            if (first === undefined && tiles.ariaBusy === "false" && tiles.textContent !== shown) first = performance.now() - begun;
            if (first !== undefined && document.querySelector("[aria-busy=true]") === null) resolve({ tiles: first, all: performance.now() - begun });
            else requestAnimationFrame(look);
          };
          button.click();
          requestAnimationFrame(look);
        }),
    );
    filtered.push(tiles);
    whole.push(all);
  }

  console.log(`${ROUNDS} rounds, 24,000 visits in 60 days; ${asked} requests a load`);
  print("from the click to the load of the page", load);
  print(`from the load to the numbers of the first view (aim ${AIMS.first} ms)`, first);
  print("the bare question for the totals", totals);
  console.log(`the first view takes ${(p75(first) / p75(totals)).toFixed(1)} times the bare question`);
  print(`from a filter to the new totals (aim ${AIMS.filter} ms)`, filtered);
  print("from a filter to every new number", whole);
  print("the bare question with the filter", bare);
  console.log(`a filter takes ${(p75(filtered) / p75(bare)).toFixed(1)} times the bare question`);
} finally {
  await browser.close();
  await server.stop();
}
