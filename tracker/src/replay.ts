/**
 * The recorder: what a page shows and what is done on it, masked before it is kept, sent in packed chunks. It is loaded
 * only where the website records, and begins only where the visitor allows it.
 */
import { record } from "@rrweb/record";
import type { Kit } from "./kit";
import { FULL, HIDDEN, INCREMENTAL, INPUT, MEDIA, META, MOUSE, MOUSE_MOVE, maskOf, type Recorded, RESIZE, SCROLL, TOUCH_MOVE } from "./mask";
import { scrubAddress, scrubTo } from "./scrub";
import { bytesOf, common, jsonOf, LEAVING_MAX_BYTES, verdictOf } from "./send";

const CHUNK_MS = 5_000;
/** Of JSON; little enough to be sent unpacked when the page is left. */
const CHUNK_CHARS = 48_000;
/** A packed chunk that browsers bring to its end when the page is left. */
const KEPT_MAX_BYTES = 16_000;
/** What waits to be sent, as characters of JSON. */
const WAITING_MAX_CHARS = 8_388_608;
/** One recording: how long, and how many packed bytes. */
const RECORDING_MAX_MS = 7_200_000;
const RECORDING_MAX_BYTES = 20_971_520;
/** Without an error, what happened longer ago than twice this is forgotten. */
const ROLL_MS = 30_000;
/** What is kept before an error, as characters of JSON. */
const ROLL_MAX_CHARS = 4_194_304;
/** After so long without anybody doing anything, changes are not recorded until somebody does. */
const IDLE_MS = 300_000;
/** A recording goes on in the next document of its visit within this time. */
const GAP_MS = 1_800_000;
const PAUSE_MS = 5_000;
const PAUSE_MAX_MS = 300_000;
const STORED = "zv_replay";
/** Of a page that the application shows instead of another one, the whole is written once it has stood for so long. */
const SHOWN_MS = 1_000;
/** Pages of one document that are written so. */
const SHOWN_MAX = 10;

/** Events that somebody causes. */
const DONE = new Set([MOUSE_MOVE, MOUSE, SCROLL, RESIZE, INPUT, TOUCH_MOVE, MEDIA]);

interface Chunk {
  /** Of the recording. */
  id: string;
  seq: number;
  /** The events as JSON, without brackets. */
  events: string;
  isFinal: boolean;
}

/** A number from 0 to 99 that is the same for all pages of a visit. */
const lotOf = (session: string) => {
  let sum = 0;
  for (const char of session) sum = (Math.imul(sum, 31) + char.charCodeAt(0)) >>> 0;
  return sum % 100;
};

const pack = (text: string): Promise<Blob> =>
  typeof CompressionStream === "function"
    ? new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"))).blob().then((packed) => packed.slice(0, packed.size, "text/plain"))
    : Promise.resolve(new Blob([text], { type: "text/plain" }));

export default (kit: Kit, failures: unknown[][]) => {
  const { now, guarded, settings } = kit;
  const trigger = settings.session_replay_trigger ?? "all";
  const masksAll = settings.session_replay_mask_inputs !== false;
  if (kit.isOptedOut || (trigger === "sampled" && lotOf(String(kit.sender().session_id)) >= (settings.session_replay_sample_percent ?? 100))) return;

  const url = kit.endpoint + "replay";
  const mask = maskOf(masksAll, (id) => record.mirror.getNode(id), now);

  let stop: (() => void) | undefined;
  /** Whether the first snapshot was taken: the recorder waits for the document. */
  let isRecording = false;
  /** The website takes no more of it, or there is too much. */
  let isOver = false;
  /** Whether what is recorded is sent, and not only kept for the case of an error. */
  let isSent = trigger !== "errors_only" || failures.length > 0;
  let id = kit.newId();
  let seq = 0;
  let since = now();
  let sentBytes = 0;
  /** What is not JSON yet, and what is. */
  let fresh: Recorded[] = [];
  let ready: string[] = [];
  let readyChars = 0;
  /** Places in `ready` at which one can begin to play. */
  let starts: number[] = [];
  let startedAt = 0;
  let lastDone = now();
  let isIdle = false;
  let writing = 0;

  // Kept for the next document of the visit, where the website and the visitor allow it. Another tab is another recording.
  guarded(() => {
    if (!kit.mayStore()) return;
    const [last, next, begun, at, sends] = (sessionStorage.getItem(STORED) || "").split(".");
    sessionStorage.removeItem(STORED);
    if (!last || now() - Number(at) > GAP_MS || now() - Number(begun) > RECORDING_MAX_MS) return;
    id = last;
    seq = Number(next);
    since = Number(begun);
    isSent ||= sends === "1";
  })();

  const isAllowed = () => !isOver && kit.isActive() && (kit.consent() ?? !settings.session_replay_consent);

  // Recording.

  const write = guarded(() => {
    clearTimeout(writing);
    writing = 0;
    for (const event of fresh.splice(0)) {
      if (event.type === META) starts.push(ready.length);
      if (event.type === FULL) mask.clean(event);
      const text = JSON.stringify(event);
      readyChars += text.length;
      ready.push(text);
    }
    if (isSent) {
      if (readyChars >= CHUNK_CHARS) flush();
      return;
    }
    // Before an error: from the last but one start on.
    const from = starts.length > 2 ? starts[starts.length - 2]! : 0;
    if (from) {
      for (const text of ready.splice(0, from)) readyChars -= text.length;
      starts = starts.map((place) => place - from).filter((place) => place >= 0);
    }
    if (readyChars > ROLL_MAX_CHARS) end();
  });

  const forget = () => {
    fresh = [];
    ready = [];
    starts = [];
    readyChars = 0;
  };

  const keep = guarded((event: Recorded) => {
    if (!isAllowed()) return end();
    const { type, data } = event;
    const isDone = type === INCREMENTAL && DONE.has(data.source);
    if (isDone) {
      lastDone = event.timestamp;
      if (isIdle) {
        isIdle = false;
        // What changed meanwhile was not recorded.
        window.setTimeout(guarded(() => isRecording && (mark("zenovay.resume"), record.takeFullSnapshot(true))));
      }
    } else if (type === INCREMENTAL && !isIdle && event.timestamp - lastDone > IDLE_MS) {
      mark("zenovay.pause");
      isIdle = true;
    }
    if (isIdle && type === INCREMENTAL) return;
    // The task in which the page was written is long enough.
    if (type !== FULL && !mask.clean(event)) return;
    fresh.push(event);
    if (type === META) startedAt = event.timestamp;
    if (type === FULL && !isRecording) {
      isRecording = true;
      window.setTimeout(guarded(markPage));
    }
    if (!isSent && type === INCREMENTAL && event.timestamp - startedAt > ROLL_MS) {
      startedAt = event.timestamp;
      window.setTimeout(guarded(() => isRecording && record.takeFullSnapshot(true)));
    }
    // Not in the task in which the page changed, and after the frames of a snapshot, which tell what was typed in them.
    if (type !== META) writing ||= window.setTimeout(write);
  });

  const mark = (tag: string, payload?: unknown) => {
    if (isRecording) record.addCustomEvent(tag, payload);
  };
  const markPage = () => mark("zenovay.page", { url: scrubAddress(kit.view().url) });

  /** The paths of which the whole is written, for heatmaps. */
  const shownPaths = new Set([location.pathname]);
  let showing = 0;

  const showPage = () => {
    clearTimeout(showing);
    showing = window.setTimeout(
      guarded(() => {
        const { pathname } = location;
        if (!isRecording || !isSent || isIdle || shownPaths.size > SHOWN_MAX || shownPaths.has(pathname)) return;
        shownPaths.add(pathname);
        record.takeFullSnapshot(true);
      }),
      SHOWN_MS,
    );
  };

  const begin = guarded(() => {
    if (stop || document.hidden || !isAllowed()) return;
    lastDone = now();
    isIdle = false;
    stop = record({
      emit: keep as never,
      blockClass: "zenovay-block-replay",
      // Asked of every element: the class has its own, faster way.
      blockSelector: "[data-private]",
      maskTextClass: "zenovay-mask-replay",
      maskInputOptions: { input: true, textarea: true, select: true } as never,
      maskInputFn: (text, element) => guarded(mask.field)(text, element) ?? HIDDEN,
      maskTextFn: (text) => text,
      slimDOMOptions: "all",
      recordAfter: "DOMContentLoaded",
      sampling: { mousemove: 100, scroll: 200, media: 800 },
      // What goes wrong in here is nobody's error.
      errorHandler: (error: unknown) => (kit.log("error", error), true),
    });
  });

  /** Stops recording; what is not sent yet is thrown away. */
  const end = () => {
    stop?.();
    stop = undefined;
    isRecording = false;
    forget();
  };

  // Sending: one chunk at a time, in order.

  const waiting: Chunk[] = [];
  let waitingChars = 0;
  let busy: { chunk: Chunk; isKept: boolean } | undefined;
  let timer = 0;
  let pause = PAUSE_MS;

  const bodyOf = ({ id, seq, events, isFinal }: Chunk) => {
    const head = { ...common(kit), url: scrubAddress(kit.view().url), replay_id: id, seq, consent: kit.consent() ? "granted" : undefined, final: isFinal, sent_at: now() };
    return `${jsonOf(head).slice(0, -1)},"events":[${events}]}`;
  };

  const take = (chunk: Chunk) => {
    const place = waiting.indexOf(chunk);
    if (place < 0) return;
    waiting.splice(place, 1);
    waitingChars -= chunk.events.length;
  };

  const giveUp = () => {
    isOver = true;
    waiting.length = waitingChars = 0;
    end();
  };

  const send = () => {
    const chunk = waiting[0];
    if (!chunk || busy || timer || !isAllowed()) return;
    const mine = (busy = { chunk, isKept: false as boolean });
    pack(bodyOf(chunk))
      .then((body) => {
        // Meanwhile the page was left or the visitor said no.
        if (!waiting.includes(chunk)) return "taken" as const;
        mine.isKept = body.size <= KEPT_MAX_BYTES;
        sentBytes += body.size;
        const init = { method: "POST", body, credentials: "omit", keepalive: mine.isKept } as RequestInit;
        return (kit.fetch?.(url, init) || Promise.reject()).then(verdictOf, () => verdictOf(undefined));
      })
      .then((verdict) => {
        busy = undefined;
        kit.log("replay", chunk.seq, verdict);
        if (verdict === "stop") return giveUp();
        if (typeof verdict === "number") {
          timer = window.setTimeout(() => {
            timer = 0;
            guarded(send)();
          }, verdict || pause);
          pause = Math.min(pause * 2, PAUSE_MAX_MS);
          return;
        }
        pause = PAUSE_MS;
        take(chunk);
        send();
      })
      .catch((error) => {
        busy = undefined;
        kit.log("error", error);
      });
  };

  const flush = (isFinal = false) => {
    if (!isSent || !ready.length) return;
    const chunk = { id, seq: seq++, events: ready.join(), isFinal };
    ready = [];
    starts = [];
    readyChars = 0;
    waiting.push(chunk);
    waitingChars += chunk.events.length;
    if (waitingChars > WAITING_MAX_CHARS || sentBytes > RECORDING_MAX_BYTES || now() - since > RECORDING_MAX_MS) return giveUp();
    if (!isFinal) send();
  };

  /** From now on what is recorded is sent, with what there is from before. */
  const failed = () => {
    if (isSent) return;
    isSent = true;
    write();
    flush();
  };

  const leave = guarded(() => {
    write();
    if (!isAllowed()) return;
    flush(true);
    let left = LEAVING_MAX_BYTES;
    for (const chunk of [...waiting]) {
      if (busy?.chunk === chunk && busy.isKept) continue;
      const text = bodyOf(chunk);
      left -= bytesOf(text);
      // The rest cannot be played without what is missing.
      if (left < 0) break;
      navigator.sendBeacon?.(url, text);
      take(chunk);
    }
    if (kit.mayStore() && stop) sessionStorage.setItem(STORED, [id, seq, since, now(), isSent ? 1 : 0].join("."));
  });

  kit.listen(
    guarded((signal) => {
      const [name] = signal;
      if (name === "view") {
        markPage();
        showPage();
      } else if (name === "reported") {
        mark("zenovay.error", { id: signal[1], type: signal[2], message: signal[3] });
        failed();
      } else if (name === "error" && !settings.errors) {
        const [first] = signal[1];
        const message = first instanceof ErrorEvent ? first.message : String((first as PromiseRejectionEvent).reason ?? first);
        if (/^(ResizeObserver loop|script error)/i.test(message)) return;
        mark("zenovay.error", { type: "Error", message: scrubTo(message, 200) });
        failed();
      } else if (name === "consent") {
        if (signal[1]) return begin();
        // Nothing of what was recorded leaves any more.
        waiting.length = waitingChars = 0;
        end();
      } else if (name === "reset") {
        const was = !!stop;
        write();
        flush(true);
        end();
        id = kit.newId();
        seq = 0;
        since = now();
        if (was) begin();
      }
    }),
  );

  addEventListener(
    "focusin",
    guarded((event: Event) => mask.note(event.composedPath()[0])),
    true,
  );
  addEventListener("pagehide", leave as () => void);
  addEventListener(
    "pageshow",
    guarded((shown: PageTransitionEvent) => shown.persisted && sessionStorage.removeItem(STORED)),
  );
  const flushed = guarded(() => {
    write();
    flush();
    send();
  });
  // The next document is on its way: what waits can be packed until it comes.
  (window as { navigation?: EventTarget }).navigation?.addEventListener("navigate", (event) => {
    if (!(event as Event & { destination?: { sameDocument: boolean } }).destination?.sameDocument) flushed();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) flushed();
    else begin();
  });
  setInterval(
    guarded(() => {
      // A page that was disabled and is enabled again begins anew.
      begin();
      flushed();
    }),
    CHUNK_MS,
  );
  begin();
};
