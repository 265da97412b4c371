// What the scripts that are loaded on demand report, read back from the real server: a shop from a real bundler, in two builds
// with other names of files and functions, of which each has the same mistake.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { openTab, setUp, startBrowser, startPages, startServer } from "./harness.mjs";

const APP = new URL("fixtures/app/", import.meta.url);
const stacks = JSON.parse(readFileSync(new URL("stacks.json", APP), "utf8"));

const { server, site, browser, test } = await setUp({ server: startServer, site: startPages, browser: startBrowser });
for (const { release } of stacks) {
  for (const file of readdirSync(new URL(`${release}/`, APP))) {
    const content = readFileSync(new URL(`${release}/${file}`, APP), "utf8");
    if (file.endsWith(".js")) site.pages.set(`/${release}/${file}`, (_, response) => response.writeHead(200, { "Content-Type": "text/javascript" }).end(content));
    if (file !== "index.html") continue;
    const tag = `<script defer data-tracking-code="${server.code}" data-release="${release}" src="${server.origin}/z.js"></script>`;
    site.pages.set(`/${release}/`, content.replace("<title>", `${tag}<title>`));
  }
}

/** Opens a build of the shop and presses the button that fails; what the server said to the report of it. */
async function pay(release) {
  const tab = await openTab(browser, server);
  await tab.page.goto(`${site.origin}/${release}/`);
  await tab.answered(1);
  const answer = tab.page.waitForResponse((response) => response.url().endsWith(`/api/track/${server.code}/error`));
  await tab.page.click("#pay");
  const told = await (await answer).json();
  await tab.context.close();
  return told;
}

test("errors of two builds of one shop are one group, by the functions that people wrote", async () => {
  for (const { release, map } of stacks.slice(0, 2)) {
    const fileName = map.split("/")[1].replace(/\.map$/, "");
    const upload = { fileName, fileUrl: `${site.origin}/${release}/${fileName}`, release, mapContent: readFileSync(new URL(map, APP), "utf8") };
    await server.write(`/api/errors/${server.id}/sourcemap`, upload);
  }
  for (const release of ["1.0.0", "1.1.0"]) {
    const told = await pay(release);
    assert.deepEqual([told.success, told.accepted], [true, undefined]);
  }
  let groups = [];
  while (groups.reduce((sum, { occurrence_count: count }) => sum + count, 0) < 2) {
    ({ error_groups: groups } = await server.read("/errors/ID/groups"));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.deepEqual(groups.map(({ type, occurrence_count: count }) => [type, count]), [["TypeError", 2]]);
});

test("how fast a page was is taken when it is hidden", async () => {
  const tab = await openTab(browser, server);
  await tab.page.goto(`${site.origin}/1.0.0/`);
  await tab.answered(1);
  const script = await tab.page.waitForFunction(() => performance.getEntriesByType("resource").map(({ name }) => name).find((name) => name.includes("/z-vitals.js")));
  // The same module: what waited for it first has been told of it first.
  await tab.page.evaluate((address) => import(address).then(() => {}), await script.jsonValue());
  await tab.page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint").length > 0);
  const answer = tab.page.waitForResponse((response) => response.url().endsWith(`/api/track/${server.code}/performance`));
  await tab.page.evaluate(() => {
    // By fetch, of which the page learns the answer.
    Object.defineProperty(navigator, "sendBeacon", { value: (url, body) => !!fetch(url, { method: "POST", body, keepalive: true }) });
    Object.defineProperty(document, "hidden", { get: () => true });
    Object.defineProperty(document, "visibilityState", { get: () => "hidden" });
    document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
  });
  const told = await (await answer).json();
  assert.deepEqual([told.success, told.accepted], [true, undefined]);
  await tab.context.close();
});
