// Replays: what the server tells of them.
import type { Answer } from "../../api/client";

export type Replays = Answer<"/api/websites/{website_id}/replays", "get">;
export type Replay = Replays["replays"][number];
export type Detail = Answer<"/api/websites/{website_id}/replays/{replay_id}", "get">;
export type Chunks = Answer<"/api/websites/{website_id}/replays/{replay_id}/chunks", "get">;

/** How long before a linked moment it begins, in seconds. */
export const LEAD_S = 3;
