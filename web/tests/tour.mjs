// Looking at pages: in several looks and widths, for what no page may do. With SCREENSHOTS=DIRECTORY each look is written there.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import { join } from "node:path";
import { openTab, overflow, violations } from "./harness.mjs";
import { calm, settled } from "./wait.mjs";

const SHOTS = process.env.SCREENSHOTS;
if (SHOTS) mkdirSync(SHOTS, { recursive: true });

/**
 * How pages are looked at. Each of the first list is loaded once at a desk, and then looked at as it is, in the dark, and on a
 * narrow screen; each is loaded once more on a phone.
 */
const DESK = [
  { name: "light-1440", colorScheme: "light", viewport: { width: 1440, height: 900 } },
  { name: "dark-1440", colorScheme: "dark", viewport: { width: 1440, height: 900 }, recoloured: true },
  { name: "light-800", colorScheme: "light", viewport: { width: 800, height: 900 } },
];
const PHONE = [{ name: "dark-360", colorScheme: "dark", viewport: { width: 360, height: 780 }, hasTouch: true }];
/** Other widths at which nothing of a page may stand beyond the window. */
const WIDTHS = [320, 700, 1000, 2560];

/** A route of the console, as the page would ask it. */
export const call = (page, method, path, body) =>
  page.evaluate(
    async ({ method, path, body }) => {
      let answer = await fetch(path, { method, headers: body && { "Content-Type": "application/json" }, body: body && JSON.stringify(body) });
      // A question that takes long is answered elsewhere.
      for (const place = answer.headers.get("location"); answer.status === 202; answer = await fetch(place)) await new Promise((resolve) => setTimeout(resolve, 200));
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
      return answer.status === 204 ? undefined : (await answer.json()).data;
    },
    { method, path, body },
  );

/** Presses the first of a name. */
export const press = (name, role = "button") => async (page) => {
  await page.getByRole(role, { name, exact: true }).first().click();
  await calm(page);
};

/** Presses the first of a name, and waits for what opens: a dialog, a menu. */
export const opens = (name, role = "button") => async (page) => {
  await page.getByRole(role, { name, exact: true }).first().click();
  await opened(page);
};
/** Waits until a dialog or a menu is open. */
export async function opened(page) {
  await page.locator("dialog[open], :popover-open").first().waitFor();
  await calm(page);
}

/** The page while its answers at `pattern` are awaited. */
export const waiting = (pattern) => async (page) => {
  await page.route(pattern, () => {});
  await page.reload();
  await page.locator(".skel").first().waitFor();
};

/** The page when its answers at `pattern` are refused. */
export const refused = (pattern) => async (page) => {
  const json = { success: false, code: "QUERY_TIMEOUT", message: "The query took longer than 30 seconds.", request_id: "0b9f2c1e" };
  await page.route(pattern, (route) => route.fulfill({ status: 400, json, headers: { "X-Request-Id": json.request_id } }));
  await page.reload();
  await page.getByText("could not be").first().waitFor();
};

async function arrive(page, { path, heading }) {
  // What differs behind its # alone would not be loaded anew.
  if (path.includes("#")) await page.goto("about:blank");
  await page.goto(path);
  await page.getByRole("heading", { name: heading, level: 1 }).waitFor();
  await settled(page);
}

/**
 * Tests of pages. `world()` has `server`, `browser`, and the storage of each reader; `pages()` lists who sees the page, its name,
 * its address, its heading, and what is done on it first.
 */
export function tour(world, pages) {
  for (const [where, looks, widths] of [
    ["at a desk", DESK, WIDTHS],
    ["on a phone", PHONE, []],
  ]) {
    test(`every page, ${where}`, async () => {
      const { server, browser, storage } = world();
      const found = [];
      for (const who of new Set(pages().map(([reader]) => reader))) {
        const { name: _, ...options } = looks[0];
        const { page, context, problems } = await openTab(browser, server, { ...options, reducedMotion: "reduce", ...(storage[who] && { storageState: storage[who] }) });
        for (const [reader, name, path, heading, act] of pages()) {
          if (reader !== who) continue;
          const wrong = [];
          const check = async (look, wrongs) => {
            const beyond = await overflow(page);
            if (beyond > 0) wrongs.push(`${beyond} pixels beyond the window`);
            wrongs.push(...problems.splice(0));
            if (wrongs.length > 0) wrong.push(`${look}: ${wrongs.join("; ")}`);
          };
          await page.unrouteAll();
          await page.emulateMedia({ colorScheme: looks[0].colorScheme });
          await page.setViewportSize(looks[0].viewport);
          await arrive(page, { path, heading });
          await act?.(page);
          for (const { name: look, colorScheme, viewport, recoloured } of looks) {
            await page.emulateMedia({ colorScheme });
            await page.setViewportSize(viewport);
            await calm(page);
            if (SHOTS) await page.screenshot({ path: join(SHOTS, `${name}-${look}.png`), fullPage: true });
            await check(look, await violations(context, page, { recoloured }));
          }
          // What was opened on it has been seen in each look; the page itself is looked at in all widths.
          for (const width of act ? [] : widths) {
            await page.setViewportSize({ width, height: 900 });
            await calm(page);
            await check(`${width} wide`, []);
          }
          if (wrong.length > 0) found.push(`${name}: ${wrong.join("; ")}`);
        }
        await context.close();
      }
      assert.deepEqual(found, []);
    });
  }
}
