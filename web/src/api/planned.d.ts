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
  "/api/websites/{website_id}/goals": {
    get: Route<{ range: ShownRange; goals: GoalWithNumbers[] }, {}, { website_id: string }>;
    post: Route<ShownGoal, {}, { website_id: string }, Step & { name: string }>;
  };
  "/api/websites/{website_id}/goals/{goal_id}": {
    patch: Route<ShownGoal, {}, { website_id: string; goal_id: string }, { name?: string; target?: Step }>;
    delete: Route<undefined, {}, { website_id: string; goal_id: string }>;
  };
  "/api/websites/{website_id}/funnels": {
    get: Route<{ range: ShownRange; funnels: FunnelWithNumbers[] }, {}, { website_id: string }>;
    post: Route<ShownFunnel, {}, { website_id: string }, { name: string; steps: Step[] }>;
  };
  "/api/websites/{website_id}/funnels/{funnel_id}": {
    patch: Route<ShownFunnel, {}, { website_id: string; funnel_id: string }, { name?: string; steps?: Step[] }>;
    delete: Route<undefined, {}, { website_id: string; funnel_id: string }>;
  };
  "/api/websites/{website_id}/funnels/{funnel_id}/report": { get: Route<FunnelReport, {}, { website_id: string; funnel_id: string }> };
  "/api/websites/{website_id}/live": { get: Route<LiveAnswer, {}, { website_id: string }> };
  "/api/websites/{website_id}/visitors": {
    get: Route<{ range: ShownRange; visitors: ListedVisitor[]; next_cursor: string | null }, { cursor?: string; limit?: number }, { website_id: string }>;
  };
  "/api/websites/{website_id}/visitors/{visitor}": {
    get: Route<Timeline, {}, { website_id: string; visitor: string }>;
    delete: Route<undefined, {}, { website_id: string; visitor: string }>;
  };
  "/api/shares/{token}": { get: Route<{ website: { domain: string; name: string; time_zone: string; last_event_at: string | null } | null; needs_password: boolean }, {}, { token: string }> };
  "/api/shares/{token}/unlock": { post: Route<undefined, {}, { token: string }, { password: string }> };
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

interface Step {
  type: string;
  match_type?: string | null;
  value: string;
}

interface ShownGoal extends Step {
  id: string;
  name: string;
  created_at: string;
}

interface GoalNumbers {
  conversions: number;
  visitors: number;
  events: number;
  conversion_rate: number | null;
}

interface GoalWithNumbers extends ShownGoal {
  numbers: GoalNumbers;
  before?: GoalNumbers;
  series: number[];
}

interface ShownFunnel {
  id: string;
  name: string;
  automatic: boolean;
  steps: (Step & { label: string })[];
}

interface FunnelWithNumbers extends ShownFunnel {
  entered: number;
  completed: number;
  conversion_rate: number | null;
}

interface StepNumbers {
  visitors: number;
  sessions: number;
  left: number;
  of_previous: number | null;
  of_first: number | null;
}

interface FunnelReport {
  range: ShownRange;
  funnel: ShownFunnel;
  steps: StepNumbers[];
  conversion_rate: number | null;
  before?: { steps: StepNumbers[]; conversion_rate: number | null };
}

interface LiveAnswer {
  visitors: number;
  people: {
    visitor: string;
    began_at: string;
    entry_page: string;
    referrer: string;
    country: string;
    city: string;
    device: string;
    browser: string;
    pageviews: number;
    duration: number;
  }[];
  pages: { page: string; visitors: number }[];
  last_event_at: string | null;
  state: string;
}

interface ListedVisitor {
  id: string;
  visited_at: string;
  entry_page: string;
  referrer: string;
  country: string;
  city: string;
  device: string;
  browser: string;
  os: string;
  pageviews: number;
  duration: number;
  interacted: boolean;
  value_score: number;
}

interface Timeline {
  id: string;
  first_seen_at: string;
  last_seen_at: string;
  first_source: string;
  country: string;
  region: string;
  city: string;
  device: string;
  browser: string;
  os: string;
  language: string;
  pageviews: number;
  truncated: boolean;
  visits: {
    id: string;
    began_at: string;
    last_at: string;
    channel: string;
    source: string;
    events: { at: string; type: string; page: string; title: string; name: string; properties: Record<string, unknown> }[];
  }[];
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
