// A recording from the page to the console: recorded by the real scripts, kept by the real server, read back and put together again.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { hide } from "./collector.mjs";
import { openTab, setUp, startBrowser, startPages, startServer } from "./harness.mjs";
import { played } from "./played.mjs";

const { server, site, browser, test } = await setUp({ server: startServer, site: startPages, browser: startBrowser });

/** What a page shows, in the words of `played`. */
const shown = () => {
  const write = (node) => {
    if (node.nodeType === 3) return node.textContent.trim();
    if (node.nodeType !== 1 || ["SCRIPT", "META", "LINK"].includes(node.tagName)) return "";
    const children = [...(node.shadowRoot?.childNodes ?? []), ...node.childNodes];
    return `<${node.tagName.toLowerCase()}${node.id ? " #" + node.id : ""}>${children.map(write).join("")}`;
  };
  return write(document.documentElement);
};

async function until(read, isRight) {
  for (;;) {
    const found = await read();
    if (isRight(found)) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** All events of the recordings of the website that is not cookieless. */
async function recorded() {
  const { id } = server.storing;
  const { replays } = await server.console("/replays?range=24h", id);
  const events = [];
  for (const replay of replays) {
    for (let from = 0; from !== null; ) {
      const { chunks, next } = await server.console(`/replays/${replay.id}/chunks?from=${from}&limit=2`, id);
      for (const chunk of chunks) events.push(...chunk.events);
      from = next;
    }
  }
  return { replays, events };
}

const filesIn = (directory) =>
  readdirSync(directory, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? filesIn(join(directory, entry.name)) : entry.isFile() ? [join(directory, entry.name)] : [],
  );

test("a page with a form, a shadow tree, a route and an error is kept as it was shown, without what was typed", async () => {
  server.storing.set("session_replay=true", "session_replay_consent=false");
  const tag = `<script defer data-tracking-code="${server.storing.code}" src="${server.origin}/z.js"></script>`;
  site.pages.set(
    "/shop",
    `<!doctype html><html><head><title>Shop</title>${tag}<style>h1 { color: red }</style>
     <script>customElements.define("x-box", class extends HTMLElement { constructor() { super().attachShadow({ mode: "open" }).innerHTML = "<p>In the <b>shade</b></p>" } })</script>
     </head><body><h1 id="title">Shop</h1><x-box></x-box><ul><li>One</li></ul>
     <form><input name="who" value="canary-value"><input type="password"><textarea>canary-note</textarea><button type="button" id="pay">Pay</button></form></body></html>`,
  );
  const tab = await openTab(browser, server, { viewport: { width: 1_000, height: 600 } });
  await tab.page.goto(`${site.origin}/shop?token=canary-token`);
  await tab.page.waitForFunction(() => performance.getEntriesByType("resource").some(({ name }) => name.includes("/z-replay.js")));
  await until(() => server.console("/replays?range=24h", server.storing.id), ({ total }) => total === 1);
  await tab.page.fill("[name=who]", "canary-name");
  await tab.page.fill("[type=password]", "canary-password");
  await tab.page.fill("textarea", "canary-text");
  await tab.page.click("#pay");
  await tab.page.evaluate(() => {
    history.pushState(0, 0, "/shop/second?secret=canary-secret");
    document.querySelector("#title").textContent = "Cart";
    document.querySelector("ul").prepend(Object.assign(document.createElement("li"), { textContent: "Zero" }));
    document.querySelector("x-box").shadowRoot.querySelector("b").textContent = "sun";
    setTimeout(() => null.member);
  });
  const failure = (events) => events.some(({ type, data }) => type === 5 && data.tag === "zenovay.error");
  await until(
    async () => {
      await hide(tab.page);
      await hide(tab.page, false);
      return recorded();
    },
    ({ events }) => failure(events) && JSON.stringify(events).includes("sun"),
  );
  const expected = await tab.page.evaluate(shown);
  const { replays, events } = await recorded();
  assert.equal(replays.length, 1);
  // What is typed is masked, and style sheets are told otherwise than as text.
  const fields = (page) => page.replace(/<(textarea|style)>[^<]*/g, "<$1>");
  assert.equal(fields(played(events).replace(/^<#>(<#>)?/, "")), fields(expected));
  const text = JSON.stringify(events);
  assert.match(text, /••••••/);
  assert.doesNotMatch(text, /canary/);
  for (const file of filesIn(server.directory)) assert.doesNotMatch(readFileSync(file, "latin1"), /canary-(value|note|name|password|text|token|secret)/, file);

  const [replay] = replays;
  const whole = await server.console(`/replays/${replay.id}`, server.storing.id);
  const kinds = whole.markers.map(({ kind, text }) => (kind === "page" ? text : kind));
  assert.ok(kinds.includes("/shop") && kinds.includes("/shop/second") && kinds.includes("click") && kinds.includes("error"), kinds.join());
  assert.deepEqual([replay.entry_page, replay.exit_page, replay.missing, replay.width], ["/shop", "/shop/second", 0, 1_000]);
  assert.equal(replay.masked_inputs, true);
  const { groups } = await until(() => server.console("/errors?range=24h", server.storing.id), ({ total }) => total === 1);
  const found = await server.console(`/replays?range=24h&error=${groups[0].id}`, server.storing.id);
  assert.equal(found.replays[0]?.id, replay.id);
  const again = await server.console(`/replays/${replay.id}`, server.storing.id);
  assert.equal(again.markers.find(({ kind }) => kind === "error").group, groups[0].id);
  const { last } = await server.console(`/errors/${groups[0].id}?range=24h`, server.storing.id);
  assert.equal(last[0].replay.id, replay.id);
  const external = await server.read("/replays/ID/sessions", server.storing.id);
  assert.deepEqual(external.sessions.map(({ id, page_url }) => [id, page_url]), [[replay.id, "/shop"]]);
  await tab.context.close();
});

test("nothing is kept before the visitor agrees where the website asks for it", async () => {
  server.storing.set("session_replay=true", "session_replay_consent=true");
  const tag = `<script defer data-tracking-code="${server.storing.code}" src="${server.origin}/z.js"></script>`;
  site.pages.set("/asks", `<!doctype html><html><head><title>Asks</title>${tag}</head><body><p id="p">Before</p></body></html>`);
  const { total: before } = await server.console("/replays?range=24h", server.storing.id);
  const tab = await openTab(browser, server);
  const scripts = () => tab.page.waitForFunction(() => performance.getEntriesByType("resource").some(({ name }) => name.includes("/z-replay.js")));
  await tab.page.goto(`${site.origin}/asks`);
  await scripts();
  await tab.page.evaluate(() => (document.querySelector("#p").textContent = "Without consent"));
  await hide(tab.page);
  await hide(tab.page, false);
  await tab.page.evaluate(() => {
    document.querySelector("#p").textContent = "With consent";
    zenovay("consent", "granted");
  });
  await until(
    async () => {
      await hide(tab.page);
      await hide(tab.page, false);
      return server.console("/replays?range=24h", server.storing.id);
    },
    ({ total }) => total === before + 1,
  );
  const { events } = await recorded();
  const text = JSON.stringify(events);
  assert.match(text, /With consent/);
  assert.doesNotMatch(text, /Without consent/);
  await tab.context.close();
});
