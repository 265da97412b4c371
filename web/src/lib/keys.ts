// Single keys: off in fields and dialogs, and for those who switched them off.
import { useEffect, useRef } from "preact/hooks";
import { session } from "./session";

/** What a key does. Names as the keyboard says them: `f`, `?`, `ArrowLeft`, `Shift+L`, `g a` for one after the other. */
export type KeyMap = Readonly<Record<string, (() => void) | undefined>>;

/** How long the second key of two may take, in milliseconds. */
const CHORD_MS = 1200;

const stack: { current: KeyMap }[] = [];
let first: { key: string; at: number } | undefined;

/** Whether a key typed here is a letter of a text, or moves within something that has keys of its own. */
function isTaken(target: EventTarget | null, key: string): boolean {
  if (!(target instanceof Element)) return false;
  // A switch and a checkbox take the space bar, and nothing that is a shortcut here.
  if (target.closest("input:not([type=checkbox]), textarea, select, [contenteditable=true], dialog, [role=menu]")) return true;
  return /^Arrow|^Home|^End|^Page/.test(key) && target.closest("[role=application], [role=radiogroup], [role=tablist], table, [role=toolbar], [role=region]") !== null;
}

/** Starts listening. Called once. */
export function startKeys(): void {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTaken(event.target, event.key)) return;
    const state = session.get();
    if (state.kind === "in" && !state.session.user.single_keys && event.key.length === 1) return;
    if (document.querySelector("dialog[open]")) return;
    const key = event.shiftKey && /^[a-z]$/i.test(event.key) ? `Shift+${event.key.toUpperCase()}` : event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const both = first && event.timeStamp - first.at < CHORD_MS ? `${first.key} ${key}` : undefined;
    first = undefined;
    for (const wanted of both ? [both, key] : [key]) {
      for (const { current } of [...stack].reverse()) {
        const act = current[wanted];
        if (!act) continue;
        event.preventDefault();
        act();
        return;
      }
    }
    if (key === "g") first = { key, at: event.timeStamp };
  });
}

/** These keys work while the component lives; the last component to come has the first say. */
export function useKeys(keys: KeyMap): void {
  const held = useRef(keys);
  held.current = keys;
  useEffect(() => {
    stack.push(held);
    return () => {
      stack.splice(stack.indexOf(held), 1);
    };
  }, []);
}
