// What the routes answer that the document does not describe yet. The document wins: what it has is taken from it.

type Route<Data, Query = {}, Path = {}, Body = never> = {
  parameters: { query?: Query; path: Path };
  requestBody?: { content: { "application/json": Body } };
  responses: { 200: { content: { "application/json": { data: Data } } } };
};
type Id<N extends string> = Record<N, string>;

export interface Planned {
  "/api/session/passkey/options": { post: Route<any, {}, {}, {}> };
  "/api/session/passkey": { post: Route<{}, {}, {}, object> };
  "/api/account/passkeys": { get: Route<{ passkeys: { id: string; name: string; created_at: string; last_used_at: string | null }[] }>; post: Route<{}, {}, {}, { name: string; credential: object }> };
  "/api/account/passkeys/options": { post: Route<any> };
  "/api/account/passkeys/{passkey_id}": { delete: Route<{}, {}, Id<"passkey_id">> };
}
