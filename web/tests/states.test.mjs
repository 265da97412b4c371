// What every page shows before its answers are there, when they are refused, and after another try; and what of it is for others.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { join } from "node:path";
import { openTab, overflow, startBrowser, startServer, violations } from "./harness.mjs";
import { store, traffic, visits } from "./seed.mjs";
import { call } from "./tour.mjs";
import { becomes, calm, focused, said, settled, until } from "./wait.mjs";

const OWNER = { name: "Ada Owner", email: "owner@example.com", password: "correct horse battery" };
const VIEWER = { name: "Vera Viewer", email: "viewer@example.com", password: "another horse battery" };
const SHOTS = process.env.SCREENSHOTS;
if (SHOTS) mkdirSync(SHOTS, { recursive: true });

let server;
let browser;
let known;
before(async () => {
  [server, browser] = await Promise.all([startServer("--trusted-proxies", "127.0.0.1/32"), startBrowser()]);
  const { page, context } = await openTab(browser, server);
  await page.goto("/login");
  const token = server.welcome.split("#")[1];
  await call(page, "POST", "/api/welcome", { token, ...OWNER, website: { domain: "example.com", name: "Example" } });
  const team = (await call(page, "GET", "/api/session")).teams[0].id;
  const { id, tracking_code: code } = (await call(page, "GET", "/api/websites")).websites[0];
  const { key, id: kid } = await call(page, "POST", "/api/account/keys", { name: "Production" });
  await store(server, key, code, traffic({ now: Date.now(), days: 3, perDay: 5 }));
  await visits(server, code);
  const { path: share } = await call(page, "POST", `/api/websites/${id}/shares`, { name: "For everybody" });
  const { url } = await call(page, "POST", `/api/teams/${team}/invitations`, { role: "viewer" });
  const { url: open } = await call(page, "POST", `/api/teams/${team}/invitations`, { role: "viewer" });
  const { visitors } = await call(page, "GET", `/api/websites/${id}/visitors`);
  const owner = await context.storageState();
  const other = await openTab(browser, server);
  await other.page.goto("/login");
  await call(other.page, "POST", "/api/users", { ...VIEWER, invitation: new URL(url).pathname.split("/").pop() });
  const viewer = await other.context.storageState();
  await Promise.all([context.close(), other.context.close()]);
  known = { owner, viewer, home: `/websites/${id}`, kid, share, invite: new URL(open).pathname, visitor: visitors[0].id };
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Every page that asks for something: who sees it, a name, its address, its heading, and what it asks for. */
const pages = () => [
  ["owner", "websites", "/websites", "Websites", /\/api\/websites\?/],
  ["owner", "analytics", known.home, "example.com", /\/api\/.*\/(totals|series|breakdown|goals|live)\b/],
  ["owner", "live", `${known.home}/live`, "Live", /\/api\/.*\/(live|breakdown)(\?|$)/],
  ["owner", "visitors", `${known.home}/visitors`, "Visitors", /\/api\/.*\/visitors\b/],
  ["owner", "visitor", `${known.home}/visitors/${known.visitor}`, /^Visitor/, /\/api\/.*\/visitors\//],
  ["owner", "goals", `${known.home}/goals`, "Goals and funnels", /\/api\/.*\/(goals|funnels)\b/],
  ["owner", "website-settings", `${known.home}/settings/general`, /^(General|Website settings)$/, /\/api\/websites\/[^/?]+$/],
  ["owner", "tracking", `${known.home}/settings/tracking`, "Tracking", /\/api\/.*\/install$/],
  ["owner", "sharing", `${known.home}/settings/sharing`, "Sharing", /\/api\/.*\/shares$/],
  ["owner", "account", "/settings/account", "Profile", /\/api\/account$/],
  ["owner", "security", "/settings/account/security", "Security & access", /\/api\/account\//],
  ["owner", "key", `/settings/account/security/keys/${known.kid}`, /^(Production|Key)$/, /\/api\/keys\//],
  ["owner", "members", "/settings/workspace/members", "Members", /\/api\/.*\/members$/],
  ["owner", "invitations", "/settings/workspace/members/invitations", "Members", /\/api\/.*\/invitations$/],
  ["owner", "api-keys", "/settings/api-keys", "API keys", /\/api\/teams\/[^/]+\/keys/],
  ["owner", "billing", "/settings/billing", "Billing", /\/api\/.*\/plan$/],
  ["owner", "usage", "/settings/usage", "Usage", /\/api\/.*\/usage/],
  ["owner", "limits", "/settings/usage/limits", "Usage", /\/api\/.*\/plan$/],
  ["owner", "audit", "/settings/audit", "Audit", /\/api\/.*\/audit/],
  ["owner", "server-activity", "/settings/server/activity", "Server activity", /\/api\/server\/activity/],
  ["nobody", "status", "/status", "Status", /\/status\.json/],
  ["nobody", "share", known.share, "example.com", /\/api\/shares\/.*\/(totals|series|breakdown|goals|live)\b/],
  ["nobody", "share-itself", known.share, undefined, /\/api\/shares\/[^/]+$/],
  ["nobody", "invite", known.invite, undefined, /\/api\/invitations\//],
];

/** Presses "Try again" wherever it stands, until nothing is said to have failed. */
const tryAgain = (page) =>
  page.waitForFunction(() => {
    const buttons = [...document.querySelectorAll("button")].filter(({ textContent }) => textContent === "Try again");
    for (const button of buttons) button.click();
    return buttons.length === 0 && !document.body.innerText.includes("could not be") && document.querySelector("[aria-busy=true], .skel") === null;
  });

for (const { look, ...options } of [
  { look: "light-1440", colorScheme: "light", viewport: { width: 1440, height: 900 } },
  { look: "dark-360", colorScheme: "dark", viewport: { width: 360, height: 780 }, hasTouch: true },
]) {
  const isWide = options.viewport.width > 720;
  test(`every page ${isWide ? "waits, " : ""}says what failed, and tries again, ${look}`, async () => {
    const found = [];
    for (const who of ["owner", "nobody"]) {
      const { page, context, problems } = await openTab(browser, server, { ...options, reducedMotion: "reduce", ...(known[who] && { storageState: known[who] }) });
      const look_at = async (name, state, heading) => {
        await calm(page);
        if (SHOTS) await page.screenshot({ path: join(SHOTS, `state-${name}-${state}-${look}.png`), fullPage: true });
        const wrong = [...(await violations(context, page)), ...problems.splice(0)];
        if ((await overflow(page)) > 0) wrong.push("something stands beyond the window");
        if (heading && (await page.getByRole("heading", { name: heading, level: 1 }).count()) !== 1) wrong.push("it has another heading");
        if (wrong.length > 0) found.push(`${name}, ${state}: ${wrong.join("; ")}`);
      };
      for (const [reader, name, path, heading, asked] of pages()) {
        if (reader !== who) continue;
        try {
          const json = { success: false, code: "INTERNAL", message: "Something went wrong on the server.", request_id: "0b9f2c1e" };
          const refuse = (route) => route.fulfill({ status: 400, json, headers: { "X-Request-Id": json.request_id } }).catch(() => {}); // Given up meanwhile.
          const held = [];
          let isHeld = isWide;
          await page.route(asked, (route) => (isHeld ? void held.push(route) : refuse(route)));
          await page.goto(path);
          if (isWide) {
            // With the page that asks, not with what stands for it before.
            await until(() => held.length > 0, `${name} asks`);
            if (heading) await page.getByRole("heading", { name: heading, level: 1 }).waitFor();
            await page.locator(".skel").first().waitFor();
            await look_at(name, "waiting", heading);
            isHeld = false;
            await Promise.all(held.map(refuse));
          }
          await page.getByText("could not be").first().waitFor();
          await page.getByText("Request 0b9f2c1e").first().waitFor();
          await look_at(name, "failed", heading);
          await page.unrouteAll({ behavior: "ignoreErrors" });
          await tryAgain(page);
        } catch (error) {
          found.push(`${name}: ${String(error).slice(0, 300)}`);
        }
      }
      await context.close();
    }
    assert.deepEqual(found, []);
  });
}

test("pages that are for other roles say for which, and whom to ask", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.viewer });
  for (const [path, heading, needs] of [
    ["/settings/workspace/members/invitations", "Invitations", "admins and owners"],
    ["/settings/api-keys", "API keys", "admins and owners"],
    ["/settings/billing", "Billing", "admins and owners"],
    ["/settings/usage", "Usage", "admins and owners"],
    ["/settings/usage/limits", "Limits", "admins and owners"],
    ["/settings/audit", "Audit", "admins and owners"],
    ["/websites/new", "Add a website", "editors, admins and owners"],
  ]) {
    await page.goto(path);
    await page.getByRole("heading", { name: heading, level: 1 }).waitFor();
    await page.getByText("Your role here is viewer.").waitFor();
    await page.getByText(needs).first().waitFor();
    await page.getByText(OWNER.name).first().waitFor();
    assert.deepEqual(await violations(context, page), [], path);
  }
  for (const part of ["general", "tracking", "privacy", "features", "sharing", "danger"]) {
    await page.goto(`${known.home}/settings/${part}`);
    await page.getByText("Your role here is viewer.").waitFor();
    await settled(page);
    const open = await page.locator("main").evaluate((main) => [...main.querySelectorAll("input:not([disabled]):not([readonly]), textarea:not([readonly]):not([disabled]), select:not([disabled])")].map((one) => one.labels?.[0]?.textContent ?? one.name));
    assert.deepEqual(open, [], part);
  }
  assert.deepEqual(problems, []);
  await context.close();
});

for (const { where, path, name, asked } of [
  { where: "of a website", path: () => `${known.home}/settings/features`, name: "Downloads", asked: /\/api\/websites\/[^/?]+$/ },
  { where: "of an account", path: () => "/settings/account", name: "Single keys are shortcuts", asked: /\/api\/account$/ },
]) {
  test(`a switch ${where} stands where it was put, whenever the answers come`, async () => {
    const { page, context, problems } = await openTab(browser, server, { storageState: known.owner });
    const held = { GET: [], PATCH: [] };
    const isHeld = { GET: false, PATCH: false };
    const sent = [];
    await page.route(asked, (route) => {
      const method = route.request().method();
      if (method === "PATCH") sent.push(Object.values(route.request().postDataJSON().settings ?? route.request().postDataJSON())[0]);
      if (isHeld[method]) held[method].push(route);
      else void route.continue();
    });
    const release = (method) => Promise.all(held[method].splice(0).map((route) => route.continue().catch(() => {}))); // Given up meanwhile.
    await page.goto(path());
    const toggle = page.getByRole("switch", { name, exact: true });
    await toggle.waitFor();
    await settled(page);
    const first = await toggle.isChecked();
    /** Puts it there, and remembers each place in which it is from now on. */
    const put = (on) =>
      toggle.evaluate((input, on) => {
        input.click();
        window.places = [on];
        const look = () => {
          if (window.places.at(-1) !== input.checked) window.places.push(input.checked);
          if (input.isConnected) requestAnimationFrame(look);
        };
        look();
      }, on);
    const stands = async (on, when) => {
      await calm(page);
      assert.deepEqual(await page.evaluate(() => window.places), [on], when);
    };

    // The change is taken, and what is there now is long in coming.
    isHeld.GET = true;
    await put(!first);
    await said(page, "Saved.");
    await until(() => held.GET.length > 0, "what is there now is asked for");
    await stands(!first, "before the answer");
    isHeld.GET = false;
    const answer = page.waitForResponse((answer) => asked.test(answer.url()) && answer.request().method() === "GET");
    await release("GET");
    await answer;
    await stands(!first, "after the answer");

    // Put back and there again while the first of these changes is on its way: the last one is the last one sent.
    isHeld.PATCH = true;
    await put(first);
    await until(() => held.PATCH.length === 1, "the change is sent");
    await put(!first);
    await stands(!first, "while both are on their way");
    await release("PATCH");
    await said(page, "Saved.");
    await until(() => held.PATCH.length === 1, "the next change is sent");
    await stands(!first, "between the two");
    isHeld.PATCH = false;
    await release("PATCH");
    await said(page, "Saved.");
    await stands(!first, "after both");
    assert.deepEqual(sent, [!first, first, !first]);
    await page.reload();
    await toggle.waitFor();
    await becomes(() => toggle.isChecked(), !first, "the server has it");

    // What is refused goes back to where it was, and says so.
    await page.route(asked, (route) =>
      route.request().method() === "PATCH" ? route.fulfill({ status: 500, json: { success: false, code: "INTERNAL", message: "Something went wrong on the server." } }) : route.continue(),
    );
    await toggle.evaluate((input) => input.click());
    await page.getByRole("alert").getByText("Something went wrong on the server.").waitFor();
    await becomes(() => toggle.isChecked(), !first, "it is where the server has it");
    assert.deepEqual(problems.filter((problem) => !problem.includes("500")), []);
    await context.close();
  });
}

test("a phone reaches every page of a website from its bar, by touch and by the keyboard", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner, viewport: { width: 360, height: 780 }, hasTouch: true, reducedMotion: "reduce" });
  await page.goto(known.home);
  await page.getByRole("heading", { name: "example.com", level: 1 }).waitFor();
  const bar = page.getByRole("navigation", { name: "Main" });
  const button = bar.getByRole("button", { name: "More" });
  const sheet = page.getByRole("dialog", { name: "More pages" });
  const others = sheet.getByRole("navigation", { name: "More pages" });
  const addresses = (nav) => nav.locator("a").evaluateAll((all) => all.map((one) => one.pathname));
  await button.tap();
  await others.waitFor();
  assert.deepEqual(await violations(context, page), []);
  const reached = [...(await addresses(bar)), ...(await addresses(others))];
  const inRail = await addresses(page.locator(".rail nav"));
  assert.ok(inRail.length > 9, `${inRail.length} pages at a desk`);
  assert.deepEqual(inRail.filter((path) => !reached.includes(path)), []);
  assert.equal(await bar.locator("[aria-current]").innerText(), "Analytics");

  // Beside it, where the menu of websites lies beneath: nothing but the sheet takes the touch.
  const beneath = await page.locator(".topbar button").first().boundingBox();
  await page.touchscreen.tap(beneath.x + beneath.width / 2, beneath.y + beneath.height / 2);
  await sheet.waitFor({ state: "detached" });
  await focused(button);
  assert.equal(await page.getByRole("menu").count(), 0);
  await button.tap();
  await others.waitFor();

  await others.getByRole("link", { name: "Heatmaps" }).tap();
  await page.getByRole("heading", { name: "Heatmaps", level: 1 }).waitFor();
  await sheet.waitFor({ state: "detached" });
  assert.equal(await bar.locator("[aria-current]").innerText(), "More", "where the page is found");

  await button.press("Enter");
  await others.waitFor();
  assert.equal(await others.locator("[aria-current=page]").innerText(), "Heatmaps");
  await page.keyboard.press("Escape");
  await sheet.waitFor({ state: "detached" });
  await focused(button);
  await page.keyboard.press("Enter");
  await others.waitFor();
  const visitors = others.getByRole("link", { name: "Visitors" });
  await page.keyboard.press("Tab"); // Past "Close".
  await focused(visitors);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Visitors", level: 1 }).waitFor();
  await sheet.waitFor({ state: "detached" });
  // What gets the focus is not below the bar.
  await settled(page);
  await page.setViewportSize({ width: 360, height: 400 });
  const last = page.getByRole("row").last().getByRole("link");
  const below = await bar.boundingBox();
  const covered = await last.evaluate((one) => {
    scrollBy(0, one.getBoundingClientRect().bottom - innerHeight);
    return one.getBoundingClientRect().bottom;
  });
  assert.ok(covered > below.y, "it stands there at first");
  await last.focus();
  const link = await last.boundingBox();
  assert.ok(link.y + link.height <= below.y, `${link.y + link.height} and ${below.y}`);
  assert.deepEqual(problems, []);
  await context.close();
});

test("a row is pressed anywhere, and a switch as easily as a button", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner });
  await page.goto(`${known.home}/visitors`);
  const row = page.getByRole("row").filter({ has: page.getByRole("link") }).first();
  const { pathname } = new URL(await row.getByRole("link").evaluate((link) => link.href));
  await row.getByRole("cell").nth(2).click();
  await page.waitForURL((url) => url.pathname === pathname);
  await page.getByRole("heading", { name: /^Visitor /, level: 1 }).waitFor();
  await page.goto(`${known.home}/settings/features`);
  await page.getByRole("switch").first().waitFor();
  const sizes = await page.getByRole("switch").evaluateAll((all) => all.map((one) => [one.offsetWidth, one.offsetHeight]));
  assert.ok(sizes.length > 4 && sizes.flat().every((pixels) => pixels >= 24), JSON.stringify(sizes));
  assert.deepEqual(problems, []);
  await context.close();
});

test("what comes quickly shows no skeleton, and a skeleton that is seen stays for a moment", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner });
  let held = [];
  await page.route(/\/api\/teams\/[^/]+\/(members|audit)(\?|$)/, (route) => void held.push(route));
  await page.clock.install();
  await page.goto("/settings/account");
  await page.getByRole("heading", { name: "Profile", level: 1 }).waitFor();
  await settled(page);
  // From here on time goes by only as it is told.
  await page.clock.pauseAt(Date.now() + 3_600_000);
  const open = async (name) => {
    held = [];
    await page.getByRole("link", { name, exact: true }).first().click();
    // A page that is loaded first needs some frames for it.
    await until(async () => held.length > 0 || (await page.clock.runFor(1), false), `${name} asks`);
  };
  const release = async () => {
    const asked = held[0].request().url();
    const answer = page.waitForResponse((answer) => answer.url() === asked);
    await Promise.all(held.splice(0).map((route) => route.continue()));
    await (await answer).finished();
    // What is asked after it is answered after it.
    await call(page, "GET", "/api/session");
  };
  const shapes = () => page.locator(".skel").evaluateAll((all) => all.map((one) => one.classList.contains("early")));

  await open("Members");
  await page.clock.runFor(90);
  const early = await shapes();
  assert.ok(early.length > 0 && early.every((one) => one), "its space is there, and nothing is seen");
  await release();
  await page.getByText(VIEWER.email).first().waitFor();

  await open("Audit");
  await page.clock.runFor(130);
  await becomes(async () => (await shapes()).includes(false), true, "it is seen");
  await release();
  assert.ok((await shapes()).includes(false), "the answer is there, and the skeleton stays");
  await page.clock.runFor(150);
  assert.ok((await shapes()).includes(false), "the skeleton stays");
  await page.clock.runFor(100);
  await becomes(shapes, [], "the answer is shown");
  assert.deepEqual(problems, []);
  await context.close();
});
