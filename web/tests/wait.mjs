// What a page does later is waited for: whoever looks once may look too early.
import assert from "node:assert/strict";

/** How long something is waited for, in milliseconds. What comes at all comes long before, also where much else is going on. */
export const MOST_MS = 30_000;

/** Looks again until `check` takes what `look` finds; if it never does, says what it said last. */
export async function eventually(look, check) {
  for (const end = Date.now() + MOST_MS; ; ) {
    try {
      const found = await look();
      check(found);
      return found;
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Looks again until what is found is what is expected. `what` says what that is. */
export const becomes = (look, expected, what) => eventually(look, (found) => assert.deepEqual(found, expected, what));

/** Waits until `condition` gives something that is true, and gives that. `what` says what is waited for. */
export const until = (condition, what) => eventually(condition, (found) => assert.ok(found, `never: ${what}`));

/** Waits until a toast says `words`, or has said so since the last of these words that was waited for. */
export async function said(page, words) {
  const find = (words) => {
    const at = window.said?.indexOf(words) ?? -1;
    return at >= 0 && window.said.splice(0, at + 1).length > 0;
  };
  await page.waitForFunction(find, words).catch(async (error) => {
    throw new Error(`no toast said “${words}”, but ${JSON.stringify(await page.evaluate(() => window.said))}`, { cause: error });
  });
}

/**
 * Waits until the address of the page matches `pattern`, and not for its documents as `waitForURL` does: those in the frames of a player are
 * made anew as it plays, and may never be loaded all at once.
 */
export const isAt = (page, pattern) => eventually(() => page.url(), (url) => assert.match(url, pattern));

/** Waits until the focus is on an element. */
export const focused = (locator) => becomes(() => locator.evaluate((one) => one === document.activeElement), true, `the focus is on ${locator}`);

/** Does what changes something, and waits until the server has taken the change. */
export async function changes(page, method, act) {
  const [answer] = await Promise.all([page.waitForResponse((answer) => answer.request().method() === method && new URL(answer.url()).pathname.startsWith("/api/")), act()]);
  assert.ok(answer.ok(), `${method} ${answer.url()}: ${answer.status()}`);
}

/** Waits until nothing is being loaded on the page. */
export const settled = (page) => page.waitForFunction(() => document.querySelector("[aria-busy=true], .skel") === null);

/** Waits until what was done is drawn, and what fades or slides has come to its end. */
export const calm = (page) =>
  page.waitForFunction(async () => {
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    return document.getAnimations().every((one) => one.playState !== "running" || one.effect?.getComputedTiming().endTime === Infinity);
  });
