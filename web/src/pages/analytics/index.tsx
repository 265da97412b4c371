import { useEffect, useState } from "preact/hooks";
import type { PageProps } from "../../routes";
import { address, patch } from "../../api/client";
import { prefetch, refresh } from "../../api/data";
import { plural } from "../../lib/format";
import { lazy } from "../../lib/lazy";
import { atLeast } from "../../lib/session";
import { parseView } from "../../lib/view";
import { rememberWebsite, useWebsite, type Website } from "../../lib/websites";
import { Page, PageState } from "../../shell/page";
import { Badge, Button, Note } from "../../ui/basic";
import { FormFailure } from "../../ui/form";
import { useSaver } from "../parts/saver";
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
  const website = useWebsite(id);
  const { data } = website;
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
  if (!data) return <PageState title="Analytics" of={website} />;
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
            </>
          }
          actions={actions}
        >
          <StateNote website={data} />
          {children}
        </Page>
      )}
    />
  );
}

/** Why nothing new is counted, and what to do about it. */
function StateNote({ website: { id, state, role, last_event_at: last } }: { website: Website }) {
  const may = atLeast(role, "editor");
  const saver = useSaver(async () => {
    await patch("/api/websites/{website_id}", { path: { website_id: id }, body: { settings: { is_active: true } } });
    refresh("/api/websites");
  });
  if (state === "paused") {
    return (
      <div class="statenote">
        <Note tone="warn">
          <p class="row wrap">
            Paused. Events are dropped.
            {may && (
              <Button small onClick={() => void saver.save(undefined)}>
                Resume
              </Button>
            )}
          </p>
          <FormFailure error={saver.failure} />
        </Note>
      </div>
    );
  }
  if (state !== "silent" || last == null) return null;
  const days = Math.max(1, Math.floor((Date.now() - Date.parse(last)) / 86_400_000));
  return (
    <div class="statenote">
      <Note tone="warn">
        <p>
          Silent for {plural(days, "day")}. <a href={`/websites/${id}/settings/tracking`}>Check the install</a>
        </p>
      </Note>
    </div>
  );
}
