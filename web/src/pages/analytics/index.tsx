import { useEffect } from "preact/hooks";
import type { PageProps } from "../../routes";
import { rememberWebsite, useWebsite } from "../../lib/websites";
import { Page, PageState } from "../../shell/page";
import { Badge } from "../../ui/basic";
import { Dashboard } from "./dashboard";

/** `/websites/:id`. */
export default function Analytics({ params }: PageProps) {
  const id = params.id ?? "";
  const { data, error, reload } = useWebsite(id);
  useEffect(() => {
    if (data) rememberWebsite(id);
  }, [id, data]);
  if (!data) return <PageState title="Analytics" error={error} onRetry={reload} />;
  return (
    <Dashboard
      base={`/api/websites/${id}`}
      home={`/websites/${id}`}
      domain={data.domain}
      zone={data.time_zone}
      lastEvent={data.last_event_at}
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
