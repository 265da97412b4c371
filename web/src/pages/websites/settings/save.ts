// Changing settings of a website: at once for a switch, with a button for what is typed.
import { ApiError, patch, type Answer, type Ask } from "../../../api/client";
import { refresh } from "../../../api/data";
import { toast } from "../../../ui/overlay";
import { useChoices } from "../../parts/saver";

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

/** Settings that are switched at once. */
export function useSwitches(website: Website) {
  const { failure, choose, shown } = useChoices<Changes>(website, (changes) => save(website, changes));
  return {
    failure,
    change: choose,
    /** For `<Switch label="…" {...bind("name", stored)} />`. */
    bind: (name: keyof Changes, stored: boolean) => ({ checked: shown(name, stored), onChecked: (on: boolean) => choose(name, on) }),
  };
}
