/** Stacks and places in them, as people read them. */

export interface Frame {
  readonly function: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly in_app: boolean;
}

/** A file without the address that it was loaded from: `src/checkout/total.ts`, `assets/app-3f2a.js`. */
export function shortFile(file: string): string {
  const path = file.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*\//i, "").replace(/[?#].*$/s, "");
  return path === "" ? file : path.replace(/^(\.{1,2}\/)+/, "");
}

/** A file with the line and the column that are known: `src/checkout/total.ts:43:30`. */
export function placeOf({ file, line, column }: Frame, withColumn = true): string {
  if (file === "") return "";
  return [shortFile(file), ...(line > 0 ? [line, ...(withColumn && column > 0 ? [column] : [])] : [])].join(":");
}

/** What a function is called; those without a name say so. */
export const functionName = (name: string): string => name || "(anonymous)";

/** `total · src/checkout/total.ts:43`; nothing for what is not known. */
export function culpritWords(frame: Frame | null | undefined): string {
  if (!frame) return "";
  return [frame.function, placeOf(frame, false)].filter(Boolean).join(" · ");
}

/** An error in one line: `TypeError: cart.plan is undefined`. */
export const errorTitle = (type: string, message: string): string => (message === "" ? type || "Error" : type === "" ? message : `${type}: ${message}`);

/** A stack as text, as it is copied. */
export function stackText(type: string, message: string, frames: readonly Frame[]): string {
  return [errorTitle(type, message), ...frames.map((frame) => `    at ${functionName(frame.function)} (${frame.file || "unknown"}${frame.line > 0 ? `:${frame.line}` : ""}${frame.column > 0 ? `:${frame.column}` : ""})`)].join("\n");
}

/** Frames in runs: each of the app for itself, others together. */
export type Run<F extends Frame> = { readonly kind: "app"; readonly frame: F; readonly at: number } | { readonly kind: "others"; readonly frames: readonly F[]; readonly at: number };

export function runsOf<F extends Frame>(frames: readonly F[]): Run<F>[] {
  const runs: Run<F>[] = [];
  frames.forEach((frame, at) => {
    const last = runs.at(-1);
    if (frame.in_app) runs.push({ kind: "app", frame, at });
    else if (last?.kind === "others") runs[runs.length - 1] = { ...last, frames: [...last.frames, frame] };
    else runs.push({ kind: "others", frames: [frame], at });
  });
  return runs;
}

/** How long before an error: `−00:25`, and `−1:02:05` from an hour on. */
export function before(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const pad = (value: number) => String(value).padStart(2, "0");
  const rest = `${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}`;
  const clock = seconds >= 3600 ? `${Math.floor(seconds / 3600)}:${rest}` : rest;
  return seconds === 0 ? clock : `−${clock}`;
}
