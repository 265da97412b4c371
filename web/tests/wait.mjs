// What a page does later is waited for: whoever looks once may look too early.
import assert from "node:assert/strict";

/** So long something is waited for, in milliseconds. */
const LONGEST = 15_000;

/** Looks again until `check` takes what `look` finds; if it never does, says what it said last. */
export async function eventually(look, check) {
  for (const end = Date.now() + LONGEST; ; ) {
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

/** Looks again until what is found is what is expected. */
export const becomes = (look, expected) => eventually(look, (found) => assert.deepEqual(found, expected));
