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

const [baseUrl, key, website, code] = ["ZENOVAY_URL", "ZENOVAY_KEY", "ZENOVAY_WEBSITE", "ZENOVAY_CODE"].map(setting) as [
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

function expect(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

const calls: Record<string, () => Promise<void>> = {
  async Account() {
    const { data } = await client.GET("/api/external/v1/usage");
    expect(data !== undefined && data.data.usage.monthly_requests > 0, "requests are counted");
    expect(data?.data.plan === "enterprise", "the plan");
  },
  async Websites() {
    const { data } = await client.GET("/api/external/v1/websites");
    expect(data?.data.websites[0]?.id === website && data.data.total === 1, "the website");
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
  },
  async Exports() {
    const { data } = await client.GET("/api/external/v1/export/{website_id}/events", { params: { path } });
    expect(data?.data.columns[0]?.name === "at", "the columns");
  },
  async Plausible() {
    const { data } = await client.GET("/api/v1/sites");
    expect(data?.sites.length === 1 && data.meta.limit === 100, "the website");
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
