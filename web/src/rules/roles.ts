/** Who may do what in a workspace (SPEC G4), and the words for whoever may not. */

export const ROLES = ["viewer", "editor", "admin", "owner"] as const;
export type Role = (typeof ROLES)[number];

/** What pages offer and the least role that may do it. The server decides; this only keeps absent what would be refused. */
const NEEDED = {
  "change-websites": "editor",
  "delete-websites": "admin",
  "manage-members": "admin",
  "manage-workspace-keys": "admin",
  "see-billing": "admin",
  "read-audit": "admin",
  "change-plan": "owner",
  "change-owners": "owner",
  "transfer-workspace": "owner",
  "delete-workspace": "owner",
} as const satisfies Record<string, Role>;

export type Action = keyof typeof NEEDED;

const rank = (role: Role): number => ROLES.indexOf(role);

export const may = (role: Role, action: Action): boolean => rank(role) >= rank(NEEDED[action]);

const LABELS: Record<Role, string> = { owner: "Owner", admin: "Admin", editor: "Editor", viewer: "Viewer" };
export const roleLabel = (role: Role): string => LABELS[role];

const MEANINGS: Record<Role, string> = {
  owner: "Everything, with the plan, transfer and deletion",
  admin: "Members, workspace keys and everything an editor may",
  editor: "Websites, goals and funnels",
  viewer: "Sees the numbers of every website",
};
export const roleMeaning = (role: Role): string => MEANINGS[role];

const PLURALS: Record<Role, string> = { owner: "owners", admin: "admins", editor: "editors", viewer: "viewers" };

/** "editors, admins and owners": all who may. */
export const whoMay = (action: Action): string => {
  const names = ROLES.slice(rank(NEEDED[action])).map((role) => PLURALS[role]);
  const last = names.pop() ?? "";
  return names.length === 0 ? last : `${names.join(", ")} and ${last}`;
};

/** The roles that a person with `own` may give to a member who has `present`, or to somebody invited. */
export const rolesToGive = (own: Role, present?: Role): Role[] => {
  if (own === "owner") return ["owner", "admin", "editor", "viewer"];
  if (own === "admin" && (present === undefined || present === "editor" || present === "viewer")) return ["editor", "viewer"];
  return [];
};

/** Whether a person with `own` may take a member with `other` out of the workspace. */
export const mayRemove = (own: Role, other: Role): boolean => own === "owner" || (own === "admin" && other !== "owner" && other !== "admin");
