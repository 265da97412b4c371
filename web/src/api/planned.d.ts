// What the routes answer that the document does not describe yet. The document wins: what it has is taken from it.

type Route<Data, Query = {}, Path = {}, Body = never> = {
  parameters: { query?: Query; path: Path };
  requestBody?: { content: { "application/json": Body } };
  responses: { 200: { content: { "application/json": { data: Data } } } };
};

interface Planned {
  "/api/instance": { get: Route<Instance> };
  "/api/session": {
    get: Route<SessionAnswer>;
    post: Route<{ state: "signed_in" | "second_factor"; methods?: ("totp" | "backup" | "passkey")[] }, {}, {}, { email: string; password: string }>;
    delete: Route<undefined>;
  };
  "/api/websites": {
    get: Route<{ websites: ListedWebsite[]; totals: Totals }, { team?: string; range?: string }>;
    post: Route<{ id: string; tracking_code: string }, {}, {}, { team_id: string; domain: string; name?: string; time_zone?: string }>;
  };
  "/api/websites/{website_id}/totals": { get: Route<ShownTotals, {}, { website_id: string }> };
  "/api/websites/{website_id}/series": { get: Route<ShownSeries, { metric?: string }, { website_id: string }> };
  "/api/websites/{website_id}/breakdown": {
    get: Route<ShownBreakdown, { dimension: string; limit?: number; offset?: number; sort?: string; q?: string }, { website_id: string }>;
  };
  "/api/websites/{website_id}/values": { get: Route<{ values: { value: string; label?: string; visitors: number }[] }, { dimension: string; q?: string }, { website_id: string }> };
  "/api/websites/{website_id}/properties": { get: Route<{ properties: string[] }, {}, { website_id: string }> };
  "/api/websites/{website_id}/goals": { get: Route<{ goals: Goal[] }, {}, { website_id: string }> };
  "/api/websites/{website_id}/live": { get: Route<{ visitors: number; latest: LiveVisit[] }, {}, { website_id: string }> };
  "/api/websites/{website_id}": { get: Route<WebsiteDetail, {}, { website_id: string }> };
}

interface Instance {
  first_run: boolean;
  sign_up: "open" | "invitation" | "closed";
  mail: boolean;
  status_page: "public" | "signed_in" | "off";
  passkeys: boolean;
}

interface SessionAnswer {
  user: {
    id: string;
    email: string;
    name: string;
    locale: string;
    theme: "system" | "light" | "dark";
    time_zone?: string | null;
    single_keys: boolean;
    totp: boolean;
    passkeys: number;
  };
  teams: { id: string; name: string; plan: string; role: string; api_access: boolean }[];
}

interface ShownRange {
  from: string;
  to: string;
  time_zone: string;
  complete: boolean;
}

interface ShownTotals {
  range: ShownRange;
  before_range?: ShownRange;
  now: Totals;
  before?: Totals;
}

interface Point {
  start: string;
  value: number | null;
  complete: boolean;
}

interface ShownSeries {
  range: ShownRange;
  before_range?: ShownRange;
  interval: "hour" | "day" | "week" | "month";
  points: Point[];
  before?: Point[];
}

interface RowNumbers {
  visitors: number;
  pageviews: number;
  sessions: number;
  events: number;
  bounce_rate: number | null;
  duration: number | null;
  share: number | null;
}

interface ShownBreakdown {
  range: ShownRange;
  before_range?: ShownRange;
  rows: (RowNumbers & { value: string; label?: string; before?: RowNumbers })[];
  total_rows: number;
}

interface Goal {
  id: string;
  name: string;
  kind: "page" | "event";
  converted: number;
  rate: number | null;
  before?: { converted: number; rate: number | null };
  series: number[];
}

interface LiveVisit {
  visitor: string;
  at: string;
  path: string | null;
  country: string | null;
  channel: string | null;
  source: string | null;
  browser: string | null;
  os: string | null;
  online: boolean;
}

interface Totals {
  visitors: number;
  sessions: number;
  pageviews: number;
  bounce_rate: number | null;
  duration: number | null;
  conversion_rate: number | null;
  events: number;
}

interface ListedWebsite {
  id: string;
  domain: string;
  name: string;
  team_id: string;
  role: string;
  live: number;
  totals: { visitors: number; pageviews: number; bounce_rate: number | null; duration: number | null; change: number | null };
  series: number[];
  state: "live" | "silent" | "paused" | "no_events";
  last_event_at: string | null;
}

interface WebsiteDetail {
  id: string;
  domain: string;
  name: string;
  team_id: string;
  role: string;
  tracking_code: string;
  time_zone: string;
  currency: string;
  state: "live" | "silent" | "paused" | "no_events";
  last_event_at: string | null;
  first_event_at: string | null;
}

export type { Planned, Instance, SessionAnswer, ListedWebsite, WebsiteDetail };
