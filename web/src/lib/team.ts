// The workspace whose pages are shown, where the address does not say.
import { useSession, type Session } from "./session";
import { createStore, useStore } from "./store";

export type Team = Session["teams"][number];

const KEY = "zenovay.team";

function stored(): string | undefined {
  try {
    return localStorage.getItem(KEY) ?? undefined;
  } catch {
    return undefined;
  }
}

/** The id of the workspace that was chosen last. */
export const chosenTeam = createStore<string | undefined>(stored());
chosenTeam.follow(() => {
  try {
    localStorage.setItem(KEY, chosenTeam.get() ?? "");
  } catch {
    // The first workspace is shown next time.
  }
});

/** The workspace that is shown: the chosen one, else the first. `undefined` for people without any. */
export function useTeam(): Team | undefined {
  const { teams } = useSession();
  const chosen = useStore(chosenTeam);
  return teams.find(({ id }) => id === chosen) ?? teams[0];
}
