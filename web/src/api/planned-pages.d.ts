// What the routes of people, workspaces, keys and website settings answer, until the document describes them. The document wins.

type Route<Data, Query = {}, Path = {}, Body = never> = {
  parameters: { query?: Query; path: Path };
  requestBody?: { content: { "application/json": Body } };
  responses: { 200: { content: { "application/json": { data: Data } } } };
};
type Id<N extends string> = Record<N, string>;
interface Settings {
  is_active: boolean; cookieless: boolean; allow_localhost: boolean; allowed_domains: string[]; excluded_ips: string[]; excluded_paths: string[];
  allowed_bots: string[]; time_zone: string; currency: string; opt_out_on_gpc: boolean; track_outbound_links: boolean; track_downloads: boolean; public_dashboard: boolean;
}
type State = "live" | "silent" | "paused" | "no_events";
interface Facts { id: string; domain: string; name: string; team_id: string; role: string; tracking_code: string; created_at: string; state: State; last_event_at: string | null }
interface Detail extends Facts { settings: Settings }
interface Key {
  id: string; name: string; prefix: string; kind: "personal" | "workspace"; scopes: string[]; team_id: string | null; team_ids: string[] | null; website_ids: string[] | null;
  created_at: string; last_used_at: string | null; revoked_at: string | null;
}
interface KeyBody { name: string; scopes?: ("full_access" | "read" | "write" | "admin")[]; team_ids?: string[] | null; website_ids?: string[] | null }
interface Plan { name: string; api_access: boolean; events_per_month: number | null; websites: number | null; members: number | null; requests_per_minute: number; requests_per_month: number; retention_days: number | null }
interface Used { used: number; limit: number | null }
interface Counts { last_24h: number; last_7d: number; all: number }
interface Incident { id: string; title: string; state: string; started_at: string; resolved_at: string | null; updates: { at: string; phase: string; text: string }[] }
export interface PlannedPages {
  "/api/welcome": { post: Route<{ website?: { id: string } }, {}, {}, { token: string; name: string; email: string; password: string; website?: { domain: string; name?: string } }> };
  "/api/session/totp": { post: Route<{}, {}, {}, { code: string }> };
  "/api/session/backup": { post: Route<{}, {}, {}, { code: string }> };
  "/api/session/passkey/options": { post: Route<any, {}, {}, {}> };
  "/api/session/passkey": { post: Route<{}, {}, {}, object> };
  "/api/users": { post: Route<{}, {}, {}, { name: string; email: string; password: string; invitation?: string }> };
  "/api/password-resets": { post: Route<{}, {}, {}, { email: string }> };
  "/api/password-resets/{token}": { put: Route<{}, {}, Id<"token">, { password: string }> };
  "/api/invitations/{token}": { get: Route<{ team: string; role: string; email?: string | null; invited_by: string }, {}, Id<"token">>; post: Route<{}, {}, Id<"token">> };
  "/api/account": {
    get: Route<{ id: string; email: string; name: string; locale: string | null; theme: "system" | "light" | "dark"; time_zone: string | null; single_keys: boolean; totp: boolean; passkeys: number; backup_codes: number; created_at: string }>;
    patch: Route<{}, {}, {}, { name?: string; email?: string; password?: string; locale?: string | null; theme?: string; time_zone?: string | null; single_keys?: boolean }>;
    delete: Route<{}, {}, {}, { password: string }>;
  };
  "/api/account/password": { put: Route<{}, {}, {}, { current: string; new: string }> };
  "/api/account/totp": { post: Route<{ secret: string; otpauth_url: string; qr_svg: string }>; put: Route<{ backup_codes: string[] }, {}, {}, { code: string }>; delete: Route<{}, {}, {}, { password: string }> };
  "/api/account/backup-codes": { post: Route<{ backup_codes: string[] }, {}, {}, { password: string }> };
  "/api/account/passkeys": { get: Route<{ passkeys: { id: string; name: string; created_at: string; last_used_at: string | null }[] }>; post: Route<{}, {}, {}, { name: string; credential: object }> };
  "/api/account/passkeys/options": { post: Route<any> };
  "/api/account/passkeys/{passkey_id}": { delete: Route<{}, {}, Id<"passkey_id">> };
  "/api/account/sessions": { get: Route<{ sessions: { id: string; current: boolean; browser: string; os: string; device: string; created_at: string; last_seen_at: string }[] }>; delete: Route<{}> };
  "/api/account/sessions/{session_id}": { delete: Route<{}, {}, Id<"session_id">> };
  "/api/account/keys": { get: Route<{ keys: Key[] }>; post: Route<{ id: string; key: string }, {}, {}, KeyBody> };
  "/api/keys/{key_id}": { get: Route<Key, {}, Id<"key_id">>; patch: Route<{}, {}, Id<"key_id">, Partial<KeyBody>>; delete: Route<{}, {}, Id<"key_id">> };
  "/api/keys/{key_id}/activity": {
    get: Route<{ accepted: Counts; counted: Counts; requests: { at: string; method: string; route: string; status: number; ms: number; accepted: number | null; rejected: number | null }[] }, {}, Id<"key_id">>;
  };
  "/api/teams": { post: Route<{ id: string }, {}, {}, { name: string }> };
  "/api/teams/{team_id}": {
    get: Route<{ id: string; name: string; plan: string; role: string; key_policy: string; created_at: string }, {}, Id<"team_id">>;
    patch: Route<{}, {}, Id<"team_id">, { name?: string; key_policy?: string }>;
    delete: Route<{}, {}, Id<"team_id">>;
  };
  "/api/teams/{team_id}/members": { get: Route<{ members: { user_id: string; email: string; name: string; role: string; joined_at: string; keys: number }[] }, {}, Id<"team_id">> };
  "/api/teams/{team_id}/members/{user_id}": { patch: Route<{}, {}, Id<"team_id" | "user_id">, { role: string }>; delete: Route<{}, {}, Id<"team_id" | "user_id">> };
  "/api/teams/{team_id}/transfer": { post: Route<{}, {}, Id<"team_id">, { user_id: string }> };
  "/api/teams/{team_id}/leave": { post: Route<{}, {}, Id<"team_id">> };
  "/api/teams/{team_id}/invitations": {
    get: Route<{ invitations: { id: string; email: string | null; role: string; invited_by: string; created_at: string; expires_at: string }[] }, {}, Id<"team_id">>;
    post: Route<{ url: string }, {}, Id<"team_id">, { email?: string; role: string }>;
  };
  "/api/teams/{team_id}/invitations/{invitation_id}": { delete: Route<{}, {}, Id<"team_id" | "invitation_id">> };
  "/api/teams/{team_id}/keys": { get: Route<{ keys: Key[] }, {}, Id<"team_id">>; post: Route<{ id: string; key: string }, {}, Id<"team_id">, KeyBody> };
  "/api/teams/{team_id}/plan": { get: Route<{ plan: string; plans: Plan[]; limits: Plan; locked: boolean }, {}, Id<"team_id">>; put: Route<{}, {}, Id<"team_id">, { plan: string }> };
  "/api/teams/{team_id}/usage": {
    get: Route<{ plan: string; since: string; events: Used; websites: Used; members: Used; keys: number }, {}, Id<"team_id">>;
  };
  "/api/teams/{team_id}/audit": { get: Route<{ entries: { id: string; at: string; actor: string; user_id: string | null; key_id: string | null; action: string; target: string; details: Record<string, unknown> }[]; next: string | null }, { before?: string }, Id<"team_id">> };
  "/api/websites": {
    get: Route<
      { websites: (Facts & { live: number; totals: { visitors: number; pageviews: number; change: number | null }; series: number[] })[]; totals: { live: number; visitors: number; pageviews: number; visitors_before: number | null; pageviews_before?: number | null } },
      { team?: string; range?: string; compare?: string }
    >;
    post: Route<Detail, {}, {}, { team_id: string; domain: string; name?: string; time_zone?: string }>;
  };
  "/api/websites/{website_id}": {
    get: Route<Detail, {}, Id<"website_id">>;
    patch: Route<Detail, {}, Id<"website_id">, { name?: string; domain?: string; settings?: Partial<Settings> }>;
    delete: Route<{}, {}, Id<"website_id">, { domain: string }>;
  };
  "/api/websites/{website_id}/tracking-code": { post: Route<Detail, {}, Id<"website_id">> };
  "/api/websites/{website_id}/install": {
    get: Route<
      {
        first_event?: { at: string; path: string } | null;
        last_event_at: string | null;
        refused: { host: string; events: number; last_at: string; remedy: "allow_host" | "allow_localhost" | "none" }[];
        state: State;
        dropped_agents: { agent: string; reason: string; rule: string; hits: number; last_at: string }[];
        health: { last_event_seen_at: string | null; last_event_count_5m: number; last_event_count_24h: number; issues: { code: string; message: string }[] };
      },
      {},
      Id<"website_id">
    >;
  };
  "/api/websites/{website_id}/install/allow": { post: Route<{}, {}, Id<"website_id">, { host: string }> };
  "/api/websites/{website_id}/shares": { get: Route<{ shares: { id: string; token: string; name: string | null; has_password: boolean; embed: boolean; created_at: string }[] }, {}, Id<"website_id">>; post: Route<{}, {}, Id<"website_id">, { name?: string; password?: string; embed?: boolean }> };
  "/api/websites/{website_id}/shares/{share_id}": { delete: Route<{}, {}, Id<"website_id" | "share_id">> };
  "/status.json": { get: Route<{ state: string; checked_at: string; components: { id: string; name: string; state: string; uptime: number | null; days: { day: string; state: string | null }[] }[]; incidents: Incident[] }> };
  "/api/status/incidents": { post: Route<{}, {}, {}, { title: string; state: string; components: string[]; text: string }> };
  "/api/status/incidents/{id}/updates": { post: Route<{}, {}, Id<"id">, { phase: string; text: string }> };
}
