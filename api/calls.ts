// One call for each tag of the API document, by the client whose types are generated from it. What is read from an answer
// is read by its type: a member that is not in the document does not compile.
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

declare const process: { env: Record<string, string | undefined>; exit(code: number): never };

function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
}

const [baseUrl, key, team, website, code] = ["ZENOVAY_URL", "ZENOVAY_KEY", "ZENOVAY_TEAM", "ZENOVAY_WEBSITE", "ZENOVAY_CODE"].map(setting) as [
  string,
  string,
  string,
  string,
  string,
];
// Lists are CSV and NDJSON, too: this client takes JSON, the other one pages.
const client = createClient<paths, "application/json">({ baseUrl, headers: { "X-API-Key": key } });
const pages = createClient<paths, "text/html">({ baseUrl });
const text = { parseAs: "text" } as const;
const path = { website_id: website };
const teamPath = { team_id: team };
/** Somebody without a key: what stands before signing in. */
const nobody = createClient<paths, "application/json">({ baseUrl });
/** Somebody who is signed in, once `signIn` was called. */
const person = createClient<paths, "application/json">({ baseUrl });
let cookie: string | undefined;
person.use({
  onRequest({ request }) {
    if (cookie !== undefined) request.headers.set("Cookie", cookie);
    return request;
  },
});

function expect(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

/** An answer of the console to a question that takes no time: those that do are answered later, by another type. */
function atOnce<A extends { data: object }>(answer: A | undefined): Exclude<A["data"], { query_id: string }> {
  if (answer === undefined || "query_id" in answer.data) throw new Error("no answer at once");
  return answer.data as Exclude<A["data"], { query_id: string }>;
}

async function signIn(): Promise<void> {
  if (cookie !== undefined) return;
  const body = { email: setting("ZENOVAY_EMAIL"), password: setting("ZENOVAY_PASSWORD") };
  const { data, response } = await nobody.POST("/api/session", { body });
  expect(data?.data.state === "signed_in", "signed in");
  cookie = response.headers.getSetCookie().map((one) => one.split(";")[0])[0];
  expect(cookie !== undefined, "a cookie");
}

/** An invitation to the team, by the last part of its link. */
async function invite(role: "viewer" | "editor"): Promise<{ id: string; token: string }> {
  const { data, response } = await client.POST("/api/teams/{team_id}/invitations", { params: { path: teamPath }, body: { role } });
  expect(response.status === 201 && data !== undefined, "the invitation");
  return { id: data!.data.id, token: data!.data.url.split("/").pop() ?? "" };
}

const calls: Record<string, () => Promise<void>> = {
  async Account() {
    const { data } = await client.GET("/api/external/v1/usage");
    expect(data !== undefined && data.data.usage.monthly_requests > 0, "requests are counted");
    expect(data?.data.plan === "enterprise", "the plan");
  },
  async Websites() {
    const { data } = await client.GET("/api/external/v1/websites");
    expect(data?.data.websites.some(({ id }) => id === website) === true && data.data.total === 2, "the website");
    const unknown = await client.GET("/api/external/v1/websites/{website_id}", {
      params: { path: { website_id: "00000000-0000-4000-8000-000000000000" } },
    });
    expect(unknown.error?.error.code === "NOT_FOUND", "a typed error");
  },
  async Analytics() {
    const { data } = await client.GET("/api/external/v1/analytics/{website_id}", { params: { path, query: { range: "24h" } } });
    expect(data !== undefined && data.data.summary.total_page_views > 0, "pageviews");
    expect(data?.data.daily_stats.every((day) => day.bounce_rate === null || day.bounce_rate <= 1) === true, "rates");
  },
  async Visitors() {
    const { data } = await client.GET("/api/external/v1/websites/{website_id}/visitors/{visitor}/export", {
      params: { path: { ...path, visitor: "visitor-nobody" } },
    });
    expect(data?.data.sessions.length === 0 && data.data.user.website_id === website, "nothing of nobody");
  },
  async Stats() {
    const query = { site_id: website, metrics: "visitors,bounce_rate", range: "7d" } as const;
    const { data } = await client.GET("/api/external/v1/stats/aggregate", { params: { query } });
    expect(data?.data.results.visitors !== undefined, "visitors");
    const rows = await client.GET("/api/external/v1/stats/breakdown", { params: { query: { ...query, property: "event:page" } } });
    expect(rows.data?.data.pagination.limit === 100, "the limit");
    const { data: errors } = await client.GET("/api/external/v1/stats/errors", { params: { query: { site_id: website, range: "7d" } } });
    expect(errors?.data.pagination.total_rows === 0 && errors.data.counts.resolved === 0, "no errors");
    const page = { site_id: website, path: "/pricing", device: "phone" } as const;
    const { data: heat } = await client.GET("/api/external/v1/stats/heatmaps/page", { params: { query: page } });
    expect(heat?.data.results.device === "phone" && heat.data.results.last_at === null, "nothing of phones");
  },
  async Exports() {
    const { data } = await client.GET("/api/external/v1/export/{website_id}/events", { params: { path } });
    expect(data?.data.columns[0]?.name === "at", "the columns");
  },
  async Plausible() {
    const { data } = await client.GET("/api/v1/sites");
    expect(data?.sites.length === 2 && data.meta.limit === 100, "the website");
  },
  async Heatmaps() {
    const { data } = await client.GET("/api/external/v1/heatmaps/{website_id}/pages", { params: { path } });
    expect(data?.data.pages.length === 0, "no heatmaps");
  },
  async Replays() {
    const { data } = await client.GET("/api/external/v1/replays/{website_id}/sessions", { params: { path, query: { limit: 7 } } });
    expect(data?.data.pagination.limit === 7, "the limit");
  },
  async Errors() {
    const query = { status: "resolved" } as const;
    const { data } = await client.GET("/api/external/v1/errors/{website_id}/groups", { params: { path, query } });
    expect(data?.data.error_groups.length === 0, "no errors");
  },
  async Events() {
    const event = { type: "pageview", ts: Date.now(), visitorId: "visitor-ts", sessionId: "session-ts" };
    const events = [{ ...event, props: { url: "https://example.com/" } }];
    const { data } = await client.POST("/api/v1/events", { body: { trackingCode: code, events } });
    expect(data?.data.accepted === 1 && data.data.errors.length === 0, "the event");
  },
  async Tracking() {
    const { data, response } = await client.POST("/e/{code}", {
      params: { path: { code } },
      body: {
        url: "https://example.com/pricing",
        session_id: "session-of-typescript",
        user_agent: "MyServer/1.0",
        device_type: "desktop",
        browser: "Firefox",
        os: "Linux",
      },
    });
    expect(data?.success === true && response.headers.get("x-zenovay-outcome") === "stored", "the hit");
  },
  async Public() {
    const { data } = await client.GET("/e/live/{code}", { params: { path: { code } } });
    expect(data !== undefined && data.liveCount === data.count, "the live count");
  },
  async Script() {
    const { data } = await pages.GET("/", text);
    expect(data?.includes("zenovay") === true, "the start page");
  },
  async Application() {
    const { data } = await pages.GET("/", text);
    expect(data?.includes("zenovay") === true, "the application");
  },
  async Server() {
    const { data } = await nobody.GET("/api/instance");
    expect(data?.data.first_run === false && data.data.sign_up === "invitation", "the server");
  },
  async Teams() {
    const { data } = await client.GET("/api/teams/{team_id}", { params: { path: teamPath } });
    expect(data?.data.role === "owner" && data.data.plan === "enterprise", "the team");
    const members = await client.GET("/api/teams/{team_id}/members", { params: { path: teamPath } });
    expect(members.data?.data.members.some(({ role }) => role === "owner") === true, "its owner");
    const wrong = await client.PATCH("/api/teams/{team_id}", { params: { path: teamPath }, body: { name: "" } });
    expect(wrong.response.status === 422 && wrong.error?.error.code === "UNPROCESSABLE_ENTITY", "a rule of a field");
  },
  async Keys() {
    const { data } = await client.GET("/api/teams/{team_id}/keys", { params: { path: teamPath } });
    expect(data?.data.keys.length === 0, "no workspace keys");
    const own = await client.GET("/api/account/keys");
    expect(own.error?.error.code !== undefined && [401, 403].includes(own.response.status), "keys are of people");
  },
  async Plans() {
    const { data } = await client.GET("/api/teams/{team_id}/plan", { params: { path: teamPath } });
    expect(data?.data.plan === "enterprise" && data.data.limits.api_access, "the plan");
  },
  async "Audit trail"() {
    const { data } = await client.GET("/api/teams/{team_id}/audit", { params: { path: teamPath, query: { limit: 5 } } });
    expect(data !== undefined && data.data.entries.length <= 5, "the trail");
  },
  async "Signing in"() {
    await signIn();
    const { data } = await person.GET("/api/session");
    expect(data?.data.teams[0]?.role === "owner", "the team");
    const refused = await nobody.POST("/api/session", { body: { email: setting("ZENOVAY_EMAIL"), password: "a wrong passphrase" } });
    expect(refused.response.status === 401 && refused.error !== undefined, "a wrong password");
  },
  async "Own account"() {
    await signIn();
    const { data } = await person.GET("/api/account");
    expect(data?.data.email === setting("ZENOVAY_EMAIL") && !data.data.totp, "the account");
  },
  async "Second factor"() {
    await signIn();
    const { data } = await person.POST("/api/account/totp");
    expect(data?.data.otpauth_url.startsWith("otpauth://totp/") === true, "the secret");
  },
  async Invitations() {
    const { id, token } = await invite("viewer");
    const { data } = await nobody.GET("/api/invitations/{token}", { params: { path: { token } } });
    expect(data?.data.role === "viewer", "the role");
    const done = await client.DELETE("/api/teams/{team_id}/invitations/{invitation_id}", { params: { path: { ...teamPath, invitation_id: id } } });
    expect(done.response.status === 204, "taken back");
  },
  async "Sign-up"() {
    const { token } = await invite("editor");
    const body = { email: "typescript@example.com", name: "TypeScript", password: "a long enough passphrase", invitation: token };
    const { data } = await nobody.POST("/api/users", { body });
    expect(data?.data.state === "signed_in", "signed up");
  },
  async "Lost passwords"() {
    const { data } = await nobody.POST("/api/password-resets", { body: { email: "nobody@example.com" } });
    expect(data?.data.mail === false, "no mail");
  },
  async "First run"() {
    const body = { token: "not-the-one", email: "late@example.com", name: "Late", password: "a long enough passphrase" };
    const { error, response } = await nobody.POST("/api/welcome", { body });
    expect(response.status === 404 && error !== undefined, "the link was used");
  },
  async "Websites of the console"() {
    const { data, response } = await client.POST("/api/websites", { body: { team_id: team, domain: "typescript.example.com" } });
    const made = data!.data;
    expect(response.headers.get("location") === `/api/websites/${made.id}`, "where it is");
    const params = { path: { website_id: made.id } };
    const changed = await client.PATCH("/api/websites/{website_id}", { params, body: { settings: { time_zone: "Europe/Berlin" } } });
    expect(changed.data?.data.settings.time_zone === "Europe/Berlin", "the zone");
    const listed = await client.GET("/api/websites", { params: { query: { team } } });
    expect(atOnce(listed.data).websites.some(({ id, live }) => id === made.id && live === 0), "it is listed");
    const deleted = await client.DELETE("/api/websites/{website_id}", { params, body: { domain: made.domain } });
    expect(deleted.response.status === 204, "it is deleted");
  },
  async "Install check"() {
    const { data } = await client.GET("/api/websites/{website_id}/install", { params: { path } });
    expect(data?.data.first_event?.path === "/" && data.data.health.last_event_count_24h > 0, "the first event");
  },
  async Live() {
    const { data } = await client.GET("/api/websites/{website_id}/live", { params: { path } });
    expect(data !== undefined && data.data.people.length > 0, "somebody is there");
    const ended = new AbortController();
    const stream = await client.GET("/api/websites/{website_id}/live/events", { params: { path }, parseAs: "stream", signal: ended.signal });
    const reader = (stream.data as unknown as ReadableStream<BufferSource>).pipeThrough(new TextDecoderStream()).getReader();
    let read = "";
    while (!read.includes("event: count")) {
      const { value, done } = await reader.read();
      expect(!done, "the stream goes on");
      read += value;
    }
    ended.abort();
  },
  async People() {
    const { data } = await client.GET("/api/websites/{website_id}/visitors", { params: { path, query: { limit: 1 } } });
    const visitor = atOnce(data).visitors[0]!.id;
    const timeline = await client.GET("/api/websites/{website_id}/visitors/{visitor}", { params: { path: { ...path, visitor } } });
    expect(atOnce(timeline.data).visits[0]!.events.length > 0, "what they did");
  },
  async Dashboard() {
    const { data } = await client.GET("/api/websites/{website_id}/totals", { params: { path, query: { range: "today", compare: "previous" } } });
    expect(atOnce(data).now.pageviews > 0 && atOnce(data).before != null, "the totals");
    const pageRows = await client.GET("/api/websites/{website_id}/breakdown", { params: { path, query: { dimension: "page" } } });
    expect(atOnce(pageRows.data).rows.some(({ value }) => value === "/"), "the pages");
  },
  async "Public links"() {
    const made = await client.POST("/api/websites/{website_id}/shares", { params: { path }, body: { name: "TypeScript" } });
    const { id, token } = made.data!.data;
    const { data } = await nobody.GET("/api/shares/{token}", { params: { path: { token } } });
    expect(data?.data.website?.domain === "example.com", "what is shared");
    const totals = await nobody.GET("/api/shares/{token}/totals", { params: { path: { token } } });
    expect(atOnce(totals.data).now.pageviews > 0, "its numbers");
    await client.DELETE("/api/websites/{website_id}/shares/{share_id}", { params: { path: { ...path, share_id: id } } });
    const ended = await nobody.GET("/api/shares/{token}", { params: { path: { token } } });
    expect(ended.response.status === 404 && ended.error?.error.code === "NOT_FOUND", "it has ended");
  },
  async Goals() {
    const body = { name: "TypeScript", type: "page", value: "/pricing" } as const;
    const made = await client.POST("/api/websites/{website_id}/goals", { params: { path }, body });
    const { data } = await client.GET("/api/websites/{website_id}/goals", { params: { path } });
    const id = made.data!.data.id;
    expect(atOnce(data).goals.find((goal) => goal.id === id)?.numbers.conversions !== undefined, "the goal is counted");
    const twice = await client.POST("/api/websites/{website_id}/goals", { params: { path }, body });
    expect(twice.response.status === 409, "a name once");
    await client.DELETE("/api/websites/{website_id}/goals/{goal_id}", { params: { path: { ...path, goal_id: id } } });
  },
  async Funnels() {
    const steps = ["/", "/pricing"].map((value) => ({ type: "page", value }));
    const made = await client.POST("/api/websites/{website_id}/funnels", { params: { path }, body: { name: "TypeScript", steps } });
    const params = { path: { ...path, funnel_id: made.data!.data.id } };
    const { data } = await client.GET("/api/websites/{website_id}/funnels/{funnel_id}/report", { params });
    expect(atOnce(data).steps.length === 2, "two steps");
    await client.DELETE("/api/websites/{website_id}/funnels/{funnel_id}", { params });
  },
  async "Long questions"() {
    const params = { path: { query_id: "0".repeat(32) } };
    const { error, response } = await client.GET("/api/queries/{query_id}", { params });
    expect(response.status === 404 && error?.error.code === "NOT_FOUND", "it has ended");
  },
  async Captures() {
    const { data, response } = await client.POST("/api/track/{code}/performance", {
      params: { path: { code } },
      body: { url: "https://example.com/pricing", session_id: "session-of-typescript", view_id: "view-ts-1", lcp: 1843.2 },
    });
    expect(data?.success === true && response.headers.get("x-zenovay-outcome") !== null, "the page's speed");
  },
  async "Page speed"() {
    const { data } = await client.GET("/api/websites/{website_id}/performance", { params: { path } });
    expect(data?.data.metrics !== undefined, "the metrics");
    const days = await client.GET("/api/external/v1/performance/{website_id}", { params: { path, query: { range: "24h" } } });
    expect(days.data?.data.summary.views === days.data?.data.daily_stats.reduce((sum, { views }) => sum + views, 0), "the days");
  },
  async "Errors of the console"() {
    const { data } = await client.GET("/api/websites/{website_id}/errors", { params: { path } });
    expect(data?.data.counts.resolved === 0, "the counts");
  },
  async "Source maps"() {
    const { data } = await client.GET("/api/errors/{website_id}/sourcemaps", { params: { path } });
    expect(data?.data.source_maps.length === 0, "no source maps");
  },
  async Recordings() {
    const event = { type: 3, data: {}, timestamp: Date.now() };
    const { data, response } = await client.POST("/api/track/{code}/replay", {
      params: { path: { code } },
      body: { url: "https://example.com/pricing", session_id: "session-of-typescript", replay_id: "0".repeat(32), seq: 0, events: [event] },
    });
    expect(data?.success === true && response.headers.get("x-zenovay-outcome") !== null, "nothing is recorded where it is off");
  },
  async "Replays of the console"() {
    const { data } = await client.GET("/api/websites/{website_id}/replays", { params: { path } });
    expect(data?.data.replays.length === 0, "no recordings");
  },
  async Passkeys() {
    await signIn();
    const { data } = await person.GET("/api/account/passkeys");
    expect(data?.data.passkeys.length === 0, "no passkeys");
  },
  async "MCP clients"() {
    await signIn();
    const { data } = await person.GET("/api/account/mcp-clients");
    expect(data?.data.clients.length === 0, "no clients");
  },
  async OAuth() {
    const { data } = await nobody.GET("/.well-known/oauth-authorization-server");
    expect(data?.code_challenge_methods_supported.includes("S256") === true, "the ways to prove a code");
  },
  async Assistants() {
    const headers = { Authorization: `Bearer ${key}` };
    const { data } = await nobody.POST("/mcp", { headers, body: { jsonrpc: "2.0", id: 1, method: "tools/list" } });
    expect(data?.result !== undefined && data.error === undefined, "the tools");
  },
  async "Status page"() {
    const { data } = await nobody.GET("/status.json");
    expect(data !== undefined && data.components.length > 0, "the components");
  },
  async Doctor() {
    const { data } = await client.GET("/api/doctor");
    const clock = data?.data.checks.find(({ check }) => check === "clock");
    expect(clock?.state === "ok" && clock.problem === null, "the clock");
  },
  async Activity() {
    const { data } = await client.GET("/api/server/activity", { params: { query: { range: "24h" } } });
    expect(data?.data.step_seconds === 300 && data.data.requests.length === 3, "the last day");
  },
  async Operations() {
    const { data } = await client.GET("/readyz");
    expect(data?.status === "ready", "ready");
  },
  async Documents() {
    const { data } = await pages.GET("/docs/changelog", text);
    expect(data?.includes("<h1>") === true, "the changelog");
  },
};

const tags: string[] = JSON.parse(setting("ZENOVAY_TAGS"));
const uncalled = tags.filter((tag) => !(tag in calls));
if (uncalled.length > 0) throw new Error(`api/calls.ts has no call for: ${uncalled.join(", ")}`);
for (const tag of tags) {
  await calls[tag]?.();
}
