// Changing settings of a website: at once for a switch, with a button for what is typed.
import { useState } from "preact/hooks";
import { ApiError, patch, type Answer, type Ask } from "../../../api/client";
import { refresh } from "../../../api/data";
import { toast } from "../../../ui/overlay";
import { useSaver } from "../../parts/saver";

export type Website = Answer<"/api/websites/{website_id}", "get">;
type Body = NonNullable<Ask<"/api/websites/{website_id}", "patch">["body"]>;
export type Changes = Omit<Body, "settings"> & NonNullable<Body["settings"]>;

/** What every part of the settings is given. */
export interface PartProps {
  readonly website: Website;
  /** Whether the role of the reader may change it, and delete it. */
  readonly mayChange: boolean;
  readonly mayDelete: boolean;
}

/** Fields of the settings have their own names on the page. */
const bare = (error: ApiError): ApiError =>
  new ApiError(
    error.status,
    error.code,
    error.message,
    error.details.map(({ field, message }) => ({ field: field.replace(/^settings\./, ""), message })),
    error.requestId,
    error.retryAfter,
  );

/** Sends changes, and shows everything that reads the website anew. */
export async function save(website: Website, { name, domain, ...settings }: Changes): Promise<void> {
  const body: Body = { ...(name && { name }), ...(domain && { domain }), settings };
  try {
    await patch("/api/websites/{website_id}", { path: { website_id: website.id }, body });
  } catch (error) {
    throw error instanceof ApiError ? bare(error) : error;
  }
  refresh("/api/websites");
  toast("Saved.");
}

/** Settings that are changed at once. A switch stands where it was put until the server has answered. */
export function useSwitches(website: Website) {
  const [asked, setAsked] = useState<Readonly<Record<string, boolean>>>({});
  const saver = useSaver((changes: Changes) => save(website, changes));
  const change = async (name: string, on: boolean): Promise<void> => {
    setAsked((before) => ({ ...before, [name]: on }));
    await saver.save({ [name]: on } as Changes);
    setAsked(({ [name]: _, ...others }) => others);
  };
  return {
    failure: saver.failure,
    change,
    /** For `<Switch label="…" {...bind("name", stored)} />`. */
    bind: (name: string, stored: boolean) => ({ checked: asked[name] ?? stored, onChecked: (on: boolean) => void change(name, on) }),
  };
}
