// The websites that a person may see.
import { useData, type Data } from "../api/data";
import type { Answer } from "../api/client";
import { useMaybeSession } from "./session";

export type WebsiteList = Answer<"/api/websites", "get">;
export type ListedWebsite = WebsiteList["websites"][number];
export type Website = Answer<"/api/websites/{website_id}", "get">;

/** All websites of the person, with their numbers of the last week. */
export const useWebsites = (): Data<WebsiteList> => useData("/api/websites");

/** One website with its settings. */
export const useWebsite = (id: string | undefined): Data<Website> =>
  useData(id === undefined ? undefined : "/api/websites/{website_id}", { path: { website_id: id ?? "" } });

/** What the plan of a website's workspace includes; `undefined` until that is known. */
export function useFeatures(id: string | undefined): readonly string[] | undefined {
  const team = useWebsite(id).data?.team_id;
  return useMaybeSession()?.teams.find((one) => one.id === team)?.features;
}

const LAST = "zenovay.website";

/** The website that was seen last in this browser. */
export function lastWebsite(): string | undefined {
  try {
    return localStorage.getItem(LAST) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Keeps in mind which website was seen last. */
export function rememberWebsite(id: string): void {
  try {
    localStorage.setItem(LAST, id);
  } catch {
    // The list of websites comes first next time.
  }
}
