/** Clicks, scrolling and pointer moves, for the heatmaps of a page: what was pointed at, never what was typed. */
import type { Kit, View } from "./kit";
import { addressOf, structureOf } from "./place";
import { ACTIVE, BLOCKED, closest, FIELDS, labelOf } from "./private";
import { scrubAddress } from "./scrub";
import { common, onLeave, outbox } from "./send";

const BATCH_MS = 10_000;
/** Clicks of one report. */
const CLICKS_MAX = 100;
/** Clicks of one page view. */
const VIEW_CLICKS_MAX = 1_000;
const BANDS = 20;
const TICK_MS = 1_000;
/** Nobody looks at a page for longer than this without moving anything. */
const ATTENTION_IDLE_MS = 30_000;
const MOVE_MS = 100;
const MOVES_MAX = 200;
/** Of 100 page views, those whose moves are recorded. */
const MOVES_PERCENT = 10;
/** A rage click: so many in so short a time in so small a place. */
const RAGE_CLICKS = 3;
const RAGE_MS = 1_000;
const RAGE_PX = 30;
/** A click on something active that nothing follows within this time is dead. */
const DEAD_MS = 1_500;

interface Click {
  at: number;
  x: number;
  y: number;
  /** The address of the element. */
  s: string;
  /** Where in the element, 0 to 1. */
  ox: number;
  oy: number;
  label?: string;
  rage?: true;
  dead?: true;
  /** How many clicks in a row these were. */
  n?: number;
}

const thousandth = (value: number) => Math.round(Math.min(1, Math.max(0, value)) * 1_000) / 1_000;

export default (kit: Kit) => {
  const { now, guarded } = kit;
  let view: View = kit.view();
  let seq = 0;
  let clicks: Click[] = [];
  let viewClicks = 0;
  let attention = new Array<number>(BANDS).fill(0);
  let reached = 0;
  let reportedReach = 0;
  let moves: [number, number][] = [];
  let viewMoves = 0;
  let followsMoves = false;
  let lastMove = 0;
  /** When somebody last did something. */
  let lastSign = now();
  let lastTick = now();
  /** Whether the page was shown until now. */
  let isShown = !document.hidden;
  let structure = "";
  let isOver = false;

  const { send, leave } = outbox(kit, "heatmap", () => (isOver = true));

  const begin = () => {
    view = kit.view();
    seq = viewClicks = viewMoves = reached = reportedReach = 0;
    structure = "";
    followsMoves = Math.random() * 100 < MOVES_PERCENT;
    lastTick = now();
  };

  const page = () => {
    const { scrollWidth, scrollHeight } = document.documentElement;
    return [scrollWidth, scrollHeight] as const;
  };

  const flush = (leaving?: boolean) => {
    // Of a click that waits it is not known yet whether it was dead.
    const held = leaving ? [] : clicks.filter((click) => waiting.some((one) => one.click === click));
    const ready = clicks.filter((click) => !held.includes(click));
    const hasAttention = attention.some((ms) => ms > 0);
    if (isOver || !(ready.length || moves.length || hasAttention || reached > reportedReach)) return;
    structure ||= structureOf(document);
    const body = {
      ...common(kit, view),
      url: scrubAddress(view.url),
      seq: seq++,
      viewport: [innerWidth, innerHeight],
      page: page(),
      dom: structure,
      clicks: ready,
      scroll: { max: reached, attention: attention.map(Math.round) },
      moves,
    };
    clicks = held;
    moves = [];
    attention = new Array<number>(BANDS).fill(0);
    reportedReach = reached;
    send(body, leaving);
  };

  // Attention: how long which part of the page was in the window while somebody was there.

  const tick = () => {
    const at = now();
    const ms = Math.min(at - lastTick, 2 * TICK_MS);
    lastTick = at;
    if (isOver || !isShown || !kit.isActive() || at - lastSign > ATTENTION_IDLE_MS || ms <= 0) return;
    const [, height] = page();
    const top = scrollY;
    const bottom = Math.min(height, top + innerHeight);
    if (!height) return;
    reached = Math.max(reached, Math.round(bottom));
    const band = height / BANDS;
    for (let i = 0; i < BANDS; i++) {
      // A part that is half in the window gets half of the time.
      const seen = Math.min(bottom, (i + 1) * band) - Math.max(top, i * band);
      if (seen > 0) attention[i]! += (ms * seen) / band;
    }
  };

  const signed = () => {
    lastSign = now();
  };

  // Dead clicks: nothing on the page changes, nothing is loaded, nobody goes anywhere.

  let waiting: { click: Click; until: number }[] = [];
  let timer = 0;
  const changes = new MutationObserver(() => alive());

  const settle = guarded(() => {
    timer = 0;
    const at = now();
    for (const { click } of waiting.filter(({ until }) => until <= at)) click.dead = true;
    waiting = waiting.filter(({ until }) => until > at);
    if (waiting.length) timer = window.setTimeout(settle, Math.max(50, waiting[0]!.until - at));
    else changes.disconnect();
  });
  const alive = guarded(() => {
    waiting = [];
    clearTimeout(timer);
    timer = 0;
    changes.disconnect();
  });

  /** Whether something is expected to happen on the page after a click. */
  const promises = (element: Element, event: MouseEvent) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button) return false;
    const active = closest(element, ACTIVE);
    if (!active) return getComputedStyle(element).cursor === "pointer" && !closest(element, FIELDS);
    if (active.matches(":disabled,[aria-disabled=true],label")) return false;
    const href = active.getAttribute("href");
    // What opens a window, a file or a program changes nothing here.
    return !(href && (active.hasAttribute("download") || active.hasAttribute("target") || !/^(https?:|[/?#.]|[^:]*$)/i.test(href)));
  };

  const watch = (click: Click, root: Node) => {
    if (!waiting.length) {
      const what = { childList: true, subtree: true, attributes: true, characterData: true };
      changes.observe(document, what);
      if (root !== document) changes.observe(root, what);
    }
    waiting.push({ click, until: now() + DEAD_MS });
    if (!timer) timer = window.setTimeout(settle, DEAD_MS);
  };

  /** The last click, and the next ones at its place. */
  let last: { click: Click; clientX: number; clientY: number; at: number; n: number } | undefined;

  const clicked = (event: MouseEvent) => {
    signed();
    if (isOver || !kit.isActive() || !event.isTrusted) return;
    // A click that a label hands on to its field, and one by key, is at no place.
    if (!event.detail || viewClicks >= VIEW_CLICKS_MAX) return;
    const target = event.composedPath()[0];
    if (!(target instanceof Element)) return;
    // Of what is private only that it was clicked; of what is active the whole, not the picture in it.
    const blocked = closest(target, BLOCKED);
    const active = closest(target, ACTIVE.replace(",label", ""));
    const element = blocked || (active?.getRootNode() === target.getRootNode() ? active : target);
    const box = element.getBoundingClientRect();
    const at = now();
    const s = addressOf(element);
    if (last?.click.s === s && at - last.at < RAGE_MS && Math.hypot(event.clientX - last.clientX, event.clientY - last.clientY) < RAGE_PX) {
      last.at = at;
      last.n++;
      if (!clicks.includes(last.click)) {
        last.click = { ...last.click, n: 0 };
        clicks.push(last.click);
      }
      last.click.n = (last.click.n ?? 1) + 1;
      if (last.n >= RAGE_CLICKS) last.click.rage = true;
      return;
    }
    viewClicks++;
    const label = labelOf(element);
    const click: Click = {
      at,
      x: Math.round(event.clientX + scrollX),
      y: Math.round(event.clientY + scrollY),
      s,
      ox: thousandth((event.clientX - box.left) / (box.width || 1)),
      oy: thousandth((event.clientY - box.top) / (box.height || 1)),
      ...(label && { label }),
    };
    last = { click, clientX: event.clientX, clientY: event.clientY, at, n: 1 };
    clicks.push(click);
    if (promises(target, event)) watch(click, target.getRootNode());
    if (clicks.length >= CLICKS_MAX) flush();
  };

  const on = (type: string, handler: (event: never) => void) => addEventListener(type, guarded(handler) as EventListener, { capture: true, passive: true });

  on("click", clicked as never);
  on("auxclick", clicked as never);
  on("scroll", (event: Event) => {
    signed();
    if (event.target !== document) return;
    reached = Math.max(reached, Math.round(scrollY + innerHeight));
    alive();
  });
  for (const type of ["keydown", "pointerdown", "touchstart"]) on(type, signed);
  for (const type of ["focusin", "submit", "toggle", "play", "pause", "change"]) on(type, () => alive());
  on("selectionchange", () => getSelection()?.isCollapsed || alive());
  on("pointermove", (event: PointerEvent) => {
    signed();
    const at = now();
    if (!followsMoves || isOver || event.pointerType === "touch" || at - lastMove < MOVE_MS || viewMoves >= MOVES_MAX || !kit.isActive()) return;
    lastMove = at;
    viewMoves++;
    moves.push([Math.round(event.clientX + scrollX), Math.round(event.clientY + scrollY)]);
  });

  kit.listen(([signal]) => {
    if (signal !== "view") return;
    // A click that brought another page was not dead, and what is counted so far is of the page before.
    alive();
    tick();
    flush();
    begin();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    isShown = true;
    lastTick = now();
  });
  onLeave(kit, () => {
    alive();
    tick();
    isShown = !document.hidden;
    flush(true);
    leave();
  });
  setInterval(guarded(tick), TICK_MS);
  setInterval(
    guarded(() => flush()),
    BATCH_MS,
  );
  begin();
};
