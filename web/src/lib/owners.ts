// Whom to ask where one's own role is not enough.
import { useData } from "../api/data";

/** The names of the owners of a workspace, or their addresses; `undefined` asks for none. */
export function useOwners(team: string | undefined): readonly string[] {
  const { data } = useData(team === undefined ? undefined : "/api/teams/{team_id}/members", { path: { team_id: team ?? "" } });
  return data?.members.filter(({ role }) => role === "owner").map(({ name, email }) => name || email) ?? [];
}
