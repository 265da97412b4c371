// Errors: what the server tells of them, and what is decided about them.
import { patch, type Answer } from "../../api/client";
import { refresh } from "../../api/data";
import { toast } from "../../ui/overlay";

export type Groups = Answer<"/api/websites/{website_id}/errors", "get">;
export type Group = Groups["groups"][number];
export type Detail = Answer<"/api/websites/{website_id}/errors/{group_id}", "get">;
export type Stack = Detail["stacks"][number];
export type Frame = Stack["frames"][number];
export type Occurrence = Detail["last"][number];

export const STATUSES = ["unresolved", "resolved", "ignored"] as const;
export type Status = (typeof STATUSES)[number];

export const STATUS_LABELS: Readonly<Record<Status, string>> = { unresolved: "Unresolved", resolved: "Resolved", ignored: "Ignored" };

const DONE: Readonly<Record<Status, string>> = { unresolved: "Reopened.", resolved: "Resolved. It comes back by itself when it happens again.", ignored: "Ignored." };

/** Decides about a group, and offers to take it back. */
export async function decide(website: string, group: { readonly id: string; readonly status: string }, status: Status, isUndo = false): Promise<void> {
  await patch("/api/websites/{website_id}/errors/{group_id}", { path: { website_id: website, group_id: group.id }, body: { status } });
  refresh(`/api/websites/${website}/errors`);
  const was = group.status as Status;
  if (isUndo) toast(DONE[status]);
  else toast(DONE[status], () => void decide(website, { id: group.id, status }, was, true).catch(() => toast("That could not be undone.")));
}
