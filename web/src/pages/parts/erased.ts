// What goes with a visitor or a website when it is erased, in words.
import { useData, type Data } from "../../api/data";
import { list, plural } from "../../lib/format";
import { useFeatures } from "../../lib/websites";
import type { Replays } from "../replays/data";

/** The replays of a website, or of one of its visitors; nothing is asked where the plan has none. */
export function useReplays(website: string, visitor?: string): Data<Replays> {
  const has = useFeatures(website)?.includes("replays") === true;
  return useData(has ? "/api/websites/{website_id}/replays" : undefined, {
    path: { website_id: website },
    query: { range: "all", limit: 200, ...(visitor !== undefined && { visitor }) },
  });
}

/** "3 visits, 5 events and 1 replay"; what there is none of is left out, and replays when they are not counted yet. */
export const counted = (things: readonly (readonly [number | undefined, string])[]): string =>
  list(things.flatMap(([number, name], index) => (number === undefined || (number === 0 && index > 0) ? [] : [plural(number, name)])));

/** What pages reported beside events, and replays when it is not said how many there are. */
export const reported = (replays: number | undefined): string => `${replays === undefined ? "replays, " : ""}clicks, errors and page speed`;
