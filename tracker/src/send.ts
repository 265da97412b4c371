/** Sends the reports of one kind: one at a time, again when the server was busy, and by beacon when the page is left. */
import type { Fields } from "./core";
import type { Kit } from "./kit";

const PAUSE_MS = 5_000;
const PAUSE_MAX_MS = 300_000;
const RETRY_AFTER_MAX_MS = 3_600_000;
/** Reports that wait, as characters of JSON. */
const QUEUE_MAX_CHARS = 262_144;
/** What browsers take from a page that is left is 64 KiB for all that is on its way. */
export const LEAVING_MAX_BYTES = 60_000;

export const bytesOf = (text: string) => new Blob([text]).size;

/**
 * JSON of what is reported. A string that a page cut in the middle of a character has half a surrogate pair, which is no Unicode;
 * what a browser writes for it, such as `\ud83d`, is written for nothing else.
 */
export const jsonOf = (value: unknown) => JSON.stringify(value).replace(/(\\\\)|\\ud.../g, (_, backslash) => backslash || "\ufffd");

/** The members of every report. */
export const common = (kit: Kit, view = kit.view()): Fields => ({
  ...kit.sender(),
  url: view.url,
  view_id: view.id,
});

/** What an answer asks of the script: to go on, as the report was taken or never will be, to send the same again after a pause, or to stop. */
export const verdictOf = async (answer: Response | undefined): Promise<"taken" | "refused" | "stop" | number> => {
  const { status } = answer || { status: 0 };
  if (!answer || status === 429 || (status > 501 && status < 505)) {
    return Math.min((Number(answer?.headers.get("retry-after")) || 0) * 1_000, RETRY_AFTER_MAX_MS);
  }
  // A route that is not there, and a website that does not take this, will not change their minds on this page.
  if (status === 401 || status === 403 || status === 404) return "stop";
  const body = await answer.json().catch(() => undefined);
  if (body?.accepted === false) return "stop";
  return answer.ok ? "taken" : "refused";
};

export interface Outbox {
  /** Sends a report, or keeps it until it can be sent. */
  send: (fields: Fields, leaving?: boolean) => void;
  /** Sends by beacon what waits. */
  leave: () => void;
}

/** `stopped` is called when the website does not want this kind of report. */
export const outbox = (kit: Kit, kind: string, stopped: () => void): Outbox => {
  const queue: Fields[] = [];
  let chars = 0;
  let busy = false;
  /** Whether the browser brings to its end what is on its way when the page is left. */
  let isKept = false;
  let timer = 0;
  let pause = PAUSE_MS;
  let over = false;

  const bodyOf = (fields: Fields) => jsonOf({ ...fields, sent_at: kit.now() });
  const url = kit.endpoint + kind;

  const next = kit.guarded(() => {
    if (busy || timer || !queue.length || !kit.isActive()) return;
    const fields = queue[0]!;
    const text = bodyOf(fields);
    busy = true;
    isKept = bytesOf(text) < 30_000;
    const init = { method: "POST", body: text, credentials: "omit", keepalive: isKept } as RequestInit;
    (kit.fetch?.(url, init) || Promise.reject())
      .then(verdictOf, () => verdictOf(undefined))
      .then((verdict) => {
        busy = false;
        kit.log(kind, verdict, fields);
        if (typeof verdict === "number") {
          if (navigator.onLine === false) return;
          timer = window.setTimeout(() => {
            timer = 0;
            next();
          }, verdict || pause);
          pause = Math.min(pause * 2, PAUSE_MAX_MS);
          return;
        }
        pause = PAUSE_MS;
        if (queue[0] === fields) {
          queue.shift();
          chars -= text.length;
        }
        if (verdict === "stop") {
          over = true;
          queue.length = 0;
          stopped();
        }
        next();
      })
      .catch((error) => kit.log("error", error));
  });

  addEventListener("online", next);

  const leave = kit.guarded(() => {
    if (!kit.isActive()) return;
    let left = LEAVING_MAX_BYTES;
    // What comes twice is known by its ids.
    for (const fields of queue.splice(busy && isKept ? 1 : 0)) {
      const text = bodyOf(fields);
      left -= bytesOf(text);
      if (left > 0) navigator.sendBeacon?.(url, text);
    }
    chars = 0;
  }) as () => void;

  return {
    send(fields, leaving) {
      if (over || !kit.isActive()) return;
      const size = bodyOf(fields).length;
      if (chars + size > QUEUE_MAX_CHARS) return kit.log("lost: too much waits to be sent", kind);
      queue.push(fields);
      chars += size;
      if (leaving) leave();
      else next();
    },
    leave,
  };
};

/** Calls `work` when the page is hidden or left. */
export const onLeave = (kit: Kit, work: () => void) => {
  document.addEventListener(
    "visibilitychange",
    kit.guarded(() => {
      if (document.hidden) work();
    }),
  );
  addEventListener("pagehide", kit.guarded(work));
};
