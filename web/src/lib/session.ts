// Who is signed in, and what they may do.
import { ApiError, get, onRefused, remove, type Answer } from "../api/client";
import { forgetAll } from "../api/data";
import { setLocale } from "./format";
import { createStore, useStore } from "./store";
import { go } from "./router";
import { chooseTheme, storedTheme, type Theme } from "./theme";

export type Session = Answer<"/api/session", "get">;
export type Role = "owner" | "admin" | "editor" | "viewer";

export type SessionState =
  | { readonly kind: "asking" }
  | { readonly kind: "away"; readonly error: ApiError }
  /** `ended`: there was a session, which somebody or time put an end to. */
  | { readonly kind: "out"; readonly ended?: true }
  | { readonly kind: "in"; readonly session: Session };

/** Who is signed in. */
export const session = createStore<SessionState>({ kind: "asking" });

function take(answer: Session): void {
  setLocale(answer.user.locale || undefined);
  const theme = answer.user.theme as Theme;
  if (theme !== storedTheme()) chooseTheme(theme);
  session.set({ kind: "in", session: answer });
}

/** Asks the server who is signed in. To be called after everything that changes the answer: signing in, a team, a profile. */
export async function loadSession(): Promise<void> {
  try {
    take(await get("/api/session"));
  } catch (error) {
    const refused = error as ApiError;
    if (refused.status === 401) session.set({ kind: "out" });
    // What is shown to somebody stays while the server does not answer.
    else if (session.get().kind !== "in") session.set({ kind: "away", error: refused });
  }
}

/** Ends the session. */
export async function signOut(): Promise<void> {
  await remove("/api/session");
  forgetAll();
  session.set({ kind: "out" });
  go("/login");
}

// A wrong password or code is refused with 401, too: whether the session has ended is what it says itself.
onRefused(() => {
  if (session.get().kind !== "in") return;
  get("/api/session").catch((error: unknown) => {
    if (!(error instanceof ApiError) || error.status !== 401 || session.get().kind !== "in") return;
    forgetAll();
    session.set({ kind: "out", ended: true });
  });
});

/** The session of a page that is only shown to those who are signed in. */
export function useSession(): Session {
  const state = useStore(session);
  if (state.kind !== "in") throw new Error("a page for people who are signed in is shown to somebody else");
  return state.session;
}

/** The session where there may be none: public pages. */
export function useMaybeSession(): Session | undefined {
  const state = useStore(session);
  return state.kind === "in" ? state.session : undefined;
}

/** Whether there was a session that has ended by itself. */
export const useEnded = (): boolean => {
  const state = useStore(session);
  return state.kind === "out" && state.ended === true;
};

const RANKS: Record<Role, number> = { viewer: 0, editor: 1, admin: 2, owner: 3 };

/** Whether a role includes another. */
export const atLeast = (role: string | undefined, wanted: Role): boolean =>
  role !== undefined && role in RANKS && RANKS[role as Role] >= RANKS[wanted];
