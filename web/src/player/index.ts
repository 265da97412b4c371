// The document in which a recording is played. It is one of its own, with a policy of its own: it can ask for nothing, and gets its events
// from the dashboard around it. The recorded page is in a frame within, in which no script runs.
import { Replayer } from "@rrweb/replay";
import { cleaner } from "./clean";
import { whyNot, type FromPlayer, type ToPlayer } from "./messages";

/** How often the dashboard is told how far it is, in milliseconds. */
const TOLD_MS = 100;

const tell = (message: FromPlayer): void => parent.postMessage(message, location.origin);

let replayer: Replayer | undefined;
let clean = cleaner();
/** What the replayer's times are counted from, against those of the recording. */
let base = 0;
let isPlaying = false;
let told = 0;

/** As large as there is room for. */
function fit(): void {
  const wrapper = replayer?.wrapper;
  const frame = replayer?.iframe;
  if (!wrapper || !frame) return;
  const [width, height] = [Number(frame.width) || frame.offsetWidth, Number(frame.height) || frame.offsetHeight];
  if (width === 0 || height === 0) return;
  const scale = Math.min(innerWidth / width, innerHeight / height);
  wrapper.style.transform = `translate(${Math.max(0, (innerWidth - width * scale) / 2)}px, ${Math.max(0, (innerHeight - height * scale) / 2)}px) scale(${scale})`;
}

function follow(): void {
  if (!isPlaying || !replayer) return;
  const now = performance.now();
  if (now - told >= TOLD_MS) {
    told = now;
    tell({ kind: "time", at: replayer.getCurrentTime() + base });
  }
  requestAnimationFrame(follow);
}

const within = (at: number): number => Math.max(0, at - base);

function load({ events, clock, at, speed }: Extract<ToPlayer, { kind: "load" }>): void {
  replayer?.destroy();
  clean = cleaner();
  const shown = clean(events);
  const first = shown[0];
  if (first === undefined || shown.length < 2) {
    tell({ kind: "failed", what: "There is nothing to show in this replay." });
    return;
  }
  base = first.timestamp - clock;
  replayer = new Replayer(shown as ConstructorParameters<typeof Replayer>[0], {
    root: document.getElementById("stage") ?? document.body,
    speed,
    // The keyboard stays with the controls around it.
    triggerFocus: false,
    showWarning: false,
    showDebug: false,
    UNSAFE_replayCanvas: false,
    mouseTail: { duration: 500, lineCap: "round", lineWidth: 3, strokeStyle: "#0b6b6e" },
  });
  replayer.on("resize", (size) => {
    const { width, height } = size as { width: number; height: number };
    fit();
    tell({ kind: "size", width, height });
  });
  replayer.on("finish", () => {
    isPlaying = false;
    tell({ kind: "end" });
  });
  replayer.pause(within(at));
  fit();
}

function take(message: ToPlayer): void {
  switch (message.kind) {
    case "load":
      load(message);
      break;
    case "add":
      for (const event of clean(message.events)) replayer?.addEvent(event as Parameters<Replayer["addEvent"]>[0]);
      break;
    case "play":
      replayer?.setConfig({ speed: message.speed });
      replayer?.play(within(message.at));
      if (!isPlaying) {
        isPlaying = true;
        requestAnimationFrame(follow);
      }
      break;
    case "pause":
      isPlaying = false;
      replayer?.pause(within(message.at));
      break;
  }
}

addEventListener("message", (event: MessageEvent<ToPlayer>) => {
  if (event.source !== parent || event.origin !== location.origin) return;
  try {
    take(event.data);
  } catch (error) {
    isPlaying = false;
    tell({ kind: "failed", what: whyNot(error) });
  }
});
addEventListener("resize", fit);
tell({ kind: "ready" });

