/** The words and rules of keys (S1 to S3). */
import type { Role } from "./roles";

export const SCOPES = ["read", "write", "admin"] as const;
export type Scope = (typeof SCOPES)[number];
export type StoredScope = Scope | "full_access";

const SCOPE_LABELS: Record<Scope, string> = { read: "Read", write: "Write", admin: "Admin" };
export const scopeLabel = (scope: Scope): string => SCOPE_LABELS[scope];

export const SCOPE_HINTS: Record<Scope, string> = {
  read: "Analytics and website configuration",
  write: "POST, PATCH, DELETE and batch events",
  admin: "Members, keys and plan, where you are owner or admin",
};

/** The badge of a row: "Full access", "Read", "Read, Write". */
export const scopesLabel = (scopes: readonly string[]): string =>
  scopes.includes("full_access") ? "Full access" : SCOPES.filter((scope) => scopes.includes(scope)).map(scopeLabel).join(", ");

export interface KeyTeam {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
}

/**
 * Why the scope "admin" cannot be had for a key that reaches `teams`: the names of those in which the person is neither
 * owner nor admin (S2). `undefined` when it can.
 */
export const adminRefusal = (teams: readonly KeyTeam[]): string | undefined => {
  const without = teams.filter((team) => team.role === "editor" || team.role === "viewer").map((team) => team.name);
  if (without.length === 0) return undefined;
  const [first = "", ...others] = without;
  const last = others.pop();
  const names = last === undefined ? first : `${[first, ...others].join(", ")} and ${last}`;
  return `You are not owner or admin in ${names}`;
};

/** Who may create personal keys that reach a workspace. */
export const KEY_POLICIES = [
  { value: "all_members", label: "All members" },
  { value: "owners_and_admins", label: "Owners and admins only" },
  { value: "no_one", label: "No one" },
] as const;
export type KeyPolicy = (typeof KEY_POLICIES)[number]["value"];

export const PAID_PLAN_REQUIRED = "The Zenovay API requires a paid plan. Upgrade to Pro or higher to use API keys.";
export const SHOWN_ONCE = "This API key will not be visible in the future. Please copy it now.";
export const CLOSE_WITHOUT_COPY = "Close without copying? The key cannot be shown again.";
