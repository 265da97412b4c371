// The document of the player, as the page around it sees it: what is sent to it, and what it says.
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { address, ApiError, askAt } from "../../api/client";
import { whyNot, type FromPlayer, type Recorded, type ToPlayer } from "../../player/messages";
import type { Chunks } from "./data";

/** What has been asked for of a recording. */
export interface Loaded {
  readonly events: readonly Recorded[];
  /** Up to where it is known, in milliseconds. */
  readonly until: number;
  readonly isAll: boolean;
  readonly error: ApiError | undefined;
  reload(): void;
}

/** Asks for the events of a recording, part after part, from the beginning. */
export function useEvents(website: string, replay: string, clock: number, end: number): Loaded {
  const [turn, setTurn] = useState(0);
  const [state, setState] = useState<Omit<Loaded, "reload">>({ events: [], until: 0, isAll: false, error: undefined });
  const known = useRef<{ events: Recorded[]; next: number | null }>({ events: [], next: 0 });
  useEffect(() => {
    const left = new AbortController();
    const { current } = known;
    const load = async () => {
      while (current.next !== null) {
        const url = address("/api/websites/{website_id}/replays/{replay_id}/chunks", { path: { website_id: website, replay_id: replay }, query: { from: current.next, limit: 100 } });
        const { chunks, next } = (await askAt("get", url, { signal: left.signal })) as Chunks;
        if (left.signal.aborted) return;
        // Parts overlap where the clock of the browser was set back: the replayer wants the events in order.
        const added = chunks.flatMap(({ events }) => events as unknown as Recorded[]);
        current.events = [...current.events, ...added].sort((one, other) => one.timestamp - other.timestamp);
        current.next = next;
        const last = current.events.at(-1);
        setState({ events: current.events, until: next === null ? end : last ? last.timestamp - clock : 0, isAll: next === null, error: undefined });
      }
    };
    load().catch((error: unknown) => {
      if (!left.signal.aborted) setState((before) => ({ ...before, error: error as ApiError }));
    });
    return () => left.abort();
  }, [website, replay, turn]);
  return {
    ...state,
    reload: () => {
      setState((before) => ({ ...before, error: undefined }));
      setTurn(turn + 1);
    },
  };
}

export interface Stage {
  readonly frame: RefObject<HTMLIFrameElement | null>;
  readonly isReady: boolean;
  readonly size: { readonly width: number; readonly height: number } | undefined;
  readonly failed: string | undefined;
  send(message: ToPlayer): void;
}

/** Listens to the player, and to nothing else that may send messages. */
export function useStage(onTime: (at: number) => void, onEnd: () => void): Stage {
  const frame = useRef<HTMLIFrameElement | null>(null);
  const [isReady, setReady] = useState(false);
  const [size, setSize] = useState<Stage["size"]>();
  const [failed, setFailed] = useState<string>();
  const held = useRef({ onTime, onEnd });
  held.current = { onTime, onEnd };
  useLayoutEffect(() => {
    const listen = (event: MessageEvent<FromPlayer>) => {
      if (event.source === null || event.source !== frame.current?.contentWindow || event.origin !== location.origin) return;
      const message = event.data;
      switch (message.kind) {
        case "ready":
          setReady(true);
          break;
        case "size":
          setSize({ width: message.width, height: message.height });
          break;
        case "time":
          held.current.onTime(message.at);
          break;
        case "end":
          held.current.onEnd();
          break;
        case "failed":
          setFailed(message.what);
          break;
      }
    };
    addEventListener("message", listen);
    return () => removeEventListener("message", listen);
  }, []);
  return {
    frame,
    isReady,
    size,
    failed,
    send: (message) => {
      try {
        frame.current?.contentWindow?.postMessage(message, location.origin);
      } catch (error) {
        // What is nested deeper than a message may be.
        setFailed(whyNot(error));
      }
    },
  };
}
