// How long people wait: from the load of the analytics page to its numbers, and from a filter to the new ones, beside the bare
// question. `npm run bench` prints it; the server is the one of ZENOVAY_BIN.
import { openTab, startBrowser, startServer } from "./tests/harness.mjs";
import { store, traffic } from "./tests/seed.mjs";
import { call } from "./tests/tour.mjs";

const ROUNDS = 20;
const p75 = (values) => values.sort((a, b) => a - b)[Math.floor(values.length * 0.75)];
const print = (what, values) => console.log(`${what}: median ${values.sort((a, b) => a - b)[Math.floor(values.length / 2)].toFixed(0)} ms, p75 ${p75(values).toFixed(0)} ms`);

const [server, browser] = await Promise.all([startServer(), startBrowser()]);
try {
  const { page } = await openTab(browser, server, { viewport: { width: 1440, height: 900 } });
  await page.goto("/login");
  const token = server.welcome.split("#")[1];
  const owner = { name: "Owner", email: "owner@example.com", password: "correct horse battery" };
  await call(page, "POST", "/api/welcome", { token, ...owner, website: { domain: "example.com", name: "Example" } });
  const { id, tracking_code: code } = (await call(page, "GET", "/api/websites")).websites[0];
  const { key } = await call(page, "POST", "/api/account/keys", { name: "Bench" });
  await store(server, key, code, traffic({ now: Date.now(), days: 60, perDay: 400 }));

  const first = [];
  for (let round = 0; round < ROUNDS; round++) {
    await page.goto(`/websites/${id}?range=30d`);
    await page.locator(".tile .v").first().waitFor();
    first.push(
      await page.evaluate(() => {
        const { loadEventEnd, startTime } = performance.getEntriesByType("navigation")[0];
        const last = performance.getEntriesByType("resource").filter(({ name }) => /\/api\/.*(totals|series|breakdown)/.test(name));
        return Math.max(...last.map(({ responseEnd }) => responseEnd)) - (loadEventEnd - startTime);
      }),
    );
  }
  print("from the load to the last numbers of the first view", first);

  const bare = [];
  const filtered = [];
  for (let round = 0; round < ROUNDS; round++) {
    const value = ["/pricing", "/changelog", "/compare", "/docs/api"][round % 4];
    // Another question each time, so that nothing is answered from memory.
    const days = `from=2026-0${1 + (round % 6)}-01&to=${new Date().toISOString().slice(0, 10)}`;
    bare.push(
      await page.evaluate(async (url) => {
        const begun = performance.now();
        await (await fetch(url)).json();
        return performance.now() - begun;
      }, `/api/websites/${id}/totals?${days}&f=browser:is:Firefox&f=page:is:${encodeURIComponent(value)}`),
    );
    await page.goto(`/websites/${id}?${days}`);
    const row = page.getByRole("region", { name: "Pages", exact: true }).getByRole("button", { name: value, exact: true });
    await row.waitFor();
    await page.waitForFunction(() => document.querySelector("[aria-busy=true]") === null);
    filtered.push(
      await row.evaluate((button) =>
        new Promise((resolve) => {
          const tiles = document.querySelector(".tiles");
          const shown = tiles.textContent;
          const begun = performance.now();
          const look = () => (tiles.ariaBusy === "false" && tiles.textContent !== shown ? resolve(performance.now() - begun) : requestAnimationFrame(look));
          button.click();
          requestAnimationFrame(look);
        }),
      ),
    );
  }
  print("the bare question", bare);
  print("from a filter to the new numbers", filtered);
  console.log(`a filter takes ${(p75(filtered) / p75(bare)).toFixed(1)} times the bare question`);
} finally {
  await browser.close();
  await server.stop();
}
