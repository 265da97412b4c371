import { useEffect, useState } from "preact/hooks";
import type { PageProps } from "../../routes";
import { address } from "../../api/client";
import { prefetch, refresh } from "../../api/data";
import { lazy } from "../../lib/lazy";
import { atLeast } from "../../lib/session";
import { parseView } from "../../lib/view";
import { rememberWebsite, useWebsite } from "../../lib/websites";
import { Page, PageState } from "../../shell/page";
import { Badge } from "../../ui/basic";
import { askFirst } from "./context";
import { Dashboard } from "./dashboard";
import { askPanels } from "./panel";

/** In place of the numbers until there are any. */
const InstallView = lazy(async () => ({ default: (await import("../websites/install")).InstallView }));

/** The website, its tiles, its chart and the panels of the first view: one after the other, they would be three waits. */
export function ahead({ id = "" }: PageProps["params"]): void {
  const base = address("/api/websites/{website_id}", { path: { website_id: id } });
  prefetch(base);
  const { view } = parseView(location.search);
  askFirst(base, view);
  askPanels(base, view);
}

/** `/websites/:id`. */
export default function Analytics({ params }: PageProps) {
  const id = params.id ?? "";
  const { data, error, reload } = useWebsite(id);
  useEffect(() => {
    if (data) rememberWebsite(id);
  }, [id, data]);
  // Whoever watched the first event arrive decides when the numbers are shown.
  const [waiting, setWaiting] = useState(true);
  const hasNone = data?.state === "no_events";
  const [watched, setWatched] = useState(false);
  useEffect(() => {
    if (hasNone) setWatched(true);
  }, [hasNone]);
  if (!data) return <PageState title="Analytics" error={error} onRetry={reload} />;
  if (waiting && (hasNone || watched)) {
    const show = (): void => {
      setWaiting(false);
      refresh(`/api/websites/${id}`);
    };
    return <InstallView website={data} mayChange={atLeast(data.role, "editor")} onDone={show} />;
  }
  return (
    <Dashboard
      base={`/api/websites/${id}`}
      home={`/websites/${id}`}
      domain={data.domain}
      zone={data.settings.time_zone}
      lastEvent={data.last_event_at}
      menu={atLeast(data.role, "editor") ? ["line", { label: "Share…", icon: "people", href: `/websites/${id}/settings/sharing` }] : []}
      frame={({ beside, actions, children }) => (
        <Page
          title="Analytics"
          tab={data.domain}
          heading={data.domain}
          dash
          beside={
            <>
              {beside}
              {data.state === "paused" && <Badge tone="warn">Paused</Badge>}
              {data.state === "silent" && <Badge tone="warn">Silent</Badge>}
            </>
          }
          actions={actions}
        >
          {children}
        </Page>
      )}
    />
  );
}
