// The one way to the server: typed by its document, with its refusals as values that the page can show.
import type { paths as Paths } from "./schema";
import { createStore } from "../lib/store";

type Method = "get" | "post" | "put" | "patch" | "delete";

type Operation<P extends keyof Paths, M extends Method> = M extends keyof Paths[P] ? NonNullable<Paths[P][M]> : never;
/** Paths of the server that answer a method. */
export type PathOf<M extends Method> = { [P in keyof Paths]: [Operation<P, M>] extends [never] ? never : P }[keyof Paths] & string;

type Parameters<O, K extends "path" | "query"> = O extends { parameters: infer All } ? (K extends keyof All ? NonNullable<All[K]> : {}) : {};
type JsonOf<T> = T extends { content: { "application/json": infer Body } } ? Body : never;
type Body<O> = O extends { requestBody?: infer B } ? JsonOf<NonNullable<B>> : never;
type Good<O> = O extends { responses: infer R } ? JsonOf<R[keyof R & (200 | 201)]> : never;
/** What a route answers, out of its envelope. */
export type Answer<P extends keyof Paths, M extends Method> = Good<Operation<P, M>> extends { data: infer Data } ? Data : Good<Operation<P, M>>;

/** Values of `{names}` in a path, of the query string, and the body. */
export interface Ask<P extends keyof Paths, M extends Method> {
  path?: Parameters<Operation<P, M>, "path">;
  query?: Parameters<Operation<P, M>, "query">;
  /** Parts of the query string as they are, before `query`. */
  raw?: readonly string[];
  body?: Body<Operation<P, M>>;
  signal?: AbortSignal;
  /** How far a long question is. */
  onProgress?: (done: number, parts: number) => void;
}

/** One field that the server refused. */
export interface FieldError {
  readonly field: string;
  readonly message: string;
}

/** The server refused, or did not answer (`status` 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: readonly FieldError[] = [],
    readonly requestId?: string,
    /** Seconds after which another try is worth making. */
    readonly retryAfter?: number,
    /** The one word that some refusals give beside their sentence. */
    readonly reason?: string,
  ) {
    super(message);
  }
}

/** Whether the server answers: `false` from a failed request until one succeeds. */
export const online = createStore(true);
/** When the server answered last, in milliseconds since 1970. */
export let answeredAt = Date.now();
/** Called when the server answered that it does not know who asks. */
let refused: () => void = () => {};
export const onRefused = (listener: () => void): void => {
  refused = listener;
};

/** The address of a question. */
export function address(path: string, ask: { path?: object; query?: object; raw?: readonly string[] } = {}): string {
  const values = (ask.path ?? {}) as Record<string, string>;
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`${path}: no value for ${name}`);
    return encodeURIComponent(value);
  });
  const parts = [...(ask.raw ?? [])];
  for (const [name, value] of Object.entries(ask.query ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null) parts.push(`${encodeURIComponent(name)}=${encodeURIComponent(String(one))}`);
    }
  }
  return parts.length === 0 ? filled : `${filled}?${parts.join("&")}`;
}

/** The fields that an answer names: a list of them, or an object by their names. */
function fields(details: unknown): FieldError[] {
  if (Array.isArray(details)) return details.filter((one): one is FieldError => typeof one?.field === "string");
  if (details === null || typeof details !== "object") return [];
  return Object.entries(details).map(([field, message]) => ({ field, message: String(message) }));
}

async function refusal(response: Response): Promise<ApiError> {
  const id = response.headers.get("x-request-id") ?? undefined;
  const after = Number(response.headers.get("retry-after")) || undefined;
  try {
    const { code, message, details } = await response.json();
    return new ApiError(response.status, String(code), String(message), fields(details), id, after, typeof details === "string" ? details : undefined);
  } catch {
    return new ApiError(response.status, "UNREADABLE", `The server answered ${response.status}`, [], id, after);
  }
}

async function send(method: Method, url: string, body: unknown, signal: AbortSignal | undefined): Promise<Response> {
  const init: RequestInit = { method: method.toUpperCase(), credentials: "same-origin", headers: { Accept: "application/json" } };
  if (signal) init.signal = signal;
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { ...init.headers, "Content-Type": "application/json" };
  }
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    online.set(false);
    throw new ApiError(0, "OFFLINE", "The server does not answer");
  }
  answeredAt = Date.now();
  online.set(true);
  if (response.ok) return response;
  const error = await refusal(response);
  if (error.status === 401 && url !== "/api/session" && !url.startsWith("/api/session/") && !url.startsWith("/api/shares/")) refused();
  throw error;
}

/** Long questions that are followed by a stream at a time: a browser has six connections to a server, and the answers need some. */
const MOST_STREAMS = 2;
/** How often the others are asked how far they are, in milliseconds. */
const ASKED_MS = 500;
let streams = 0;

type OnProgress = ((done: number, parts: number) => void) | undefined;

/** Waits for `done` in the stream of a long question. */
async function stream(place: string, signal: AbortSignal, onProgress: OnProgress): Promise<void> {
  const events = new EventSource(`${place}/events`);
  streams++;
  try {
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      events.addEventListener("progress", (event) => {
        const { done, parts } = JSON.parse(event.data);
        onProgress?.(done, parts);
      });
      events.addEventListener("done", () => resolve());
      // A refusal ends the stream for good, and what the answer is asked for says why.
      events.addEventListener("error", () => events.readyState === EventSource.CLOSED && resolve());
    });
  } finally {
    streams--;
    // Who closes it before the answer is there ends the question.
    events.close();
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });

/** Follows a long question, whose answer will be at `place`, until it is answered. */
async function follow(place: string, signal: AbortSignal | undefined, onProgress: OnProgress): Promise<unknown> {
  const left = new AbortController();
  const leave = () => left.abort(signal?.reason ?? new DOMException("The page is left", "AbortError"));
  signal?.addEventListener("abort", leave, { once: true });
  addEventListener("pagehide", leave);
  try {
    if (signal?.aborted) leave();
    left.signal.throwIfAborted();
    if (streams < MOST_STREAMS) await stream(place, left.signal, onProgress);
    for (;;) {
      const response = await send("get", place, undefined, left.signal);
      const { data } = await read(response);
      if (response.status !== 202) return data;
      const { done, parts } = data as { done: number; parts: number };
      onProgress?.(done, parts);
      await pause(ASKED_MS, left.signal);
    }
  } catch (error) {
    // Nobody waits for it any more: the server may stop.
    if (left.signal.aborted) void fetch(place, { method: "DELETE", credentials: "same-origin", keepalive: true }).catch(() => {});
    throw error;
  } finally {
    signal?.removeEventListener("abort", leave);
    removeEventListener("pagehide", leave);
  }
}

async function read(response: Response): Promise<{ data: unknown }> {
  if (response.status === 204) return { data: undefined };
  const body = await response.json();
  return { data: body !== null && typeof body === "object" && "data" in body ? body.data : body };
}

/** Asks the server. Rejects with an [`ApiError`], or with the reason of `signal`. */
export async function ask<P extends keyof Paths & string, M extends Method>(method: M, path: P, what: Ask<P, M> = {}): Promise<Answer<P, M>> {
  return askAt(method, address(path, what as object), what) as Promise<Answer<P, M>>;
}

/** Asks at an address that [`address`] made. */
export async function askAt(
  method: Method,
  url: string,
  what: { body?: unknown; signal?: AbortSignal; onProgress?: (done: number, parts: number) => void } = {},
): Promise<unknown> {
  for (let isFirst = true; ; isFirst = false) {
    const response = await send(method, url, what.body, what.signal);
    const place = response.headers.get("location");
    if (response.status !== 202 || place === null) return (await read(response)).data;
    try {
      return await follow(place, what.signal, what.onProgress);
    } catch (error) {
      // The connection broke, or the server began anew: the question is gone, and can be asked again.
      if (!isFirst || !(error instanceof ApiError) || error.status !== 404) throw error;
    }
  }
}

export const get = <P extends PathOf<"get">>(path: P, what?: Ask<P, "get">): Promise<Answer<P, "get">> => ask("get", path, what);
export const post = <P extends PathOf<"post">>(path: P, what?: Ask<P, "post">): Promise<Answer<P, "post">> => ask("post", path, what);
export const put = <P extends PathOf<"put">>(path: P, what?: Ask<P, "put">): Promise<Answer<P, "put">> => ask("put", path, what);
export const patch = <P extends PathOf<"patch">>(path: P, what?: Ask<P, "patch">): Promise<Answer<P, "patch">> => ask("patch", path, what);
export const remove = <P extends PathOf<"delete">>(path: P, what?: Ask<P, "delete">): Promise<Answer<P, "delete">> => ask("delete", path, what);
