// What is open above every page: the palette and the list of keys.
import { createStore } from "../lib/store";

export const overlay = createStore<"palette" | "help" | undefined>(undefined);
export const openPalette = (): void => overlay.set("palette");
export const openHelp = (): void => overlay.set("help");
export const closeOverlay = (): void => overlay.set(undefined);

/** Something that the palette offers besides pages. */
export interface Command {
  readonly group: string;
  readonly label: string;
  readonly run: () => void;
}

/** What the page that is shown adds to the palette for a search, such as filters. */
export const pageCommands = createStore<((typed: string) => readonly Command[]) | undefined>(undefined);
