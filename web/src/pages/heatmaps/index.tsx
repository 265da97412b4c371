// `/websites/:id/heatmaps`: the pages that were clicked, and with `?page=` one of them.
import { useMemo } from "preact/hooks";
import "../../styles/analytics.css";
import "../../styles/heatmaps.css";
import * as format from "../../lib/format";
import { addFilter, removeFilter } from "../../lib/view";
import { useFeatures, useWebsite, type Website } from "../../lib/websites";
import type { PageProps } from "../../routes";
import { Page, PageState } from "../../shell/page";
import { toast } from "../../ui/overlay";
import { AnalyticsContext, type Analytics } from "../analytics/context";
import { filterLabel } from "../analytics/dimensions";
import { NotInPlan } from "../parts/switched-off";
import { ListPage } from "./list";
import { OnePage } from "./page";
import { useHeat } from "./parts";

export default function HeatmapsPage({ params }: PageProps) {
  const website = useWebsite(params.id);
  const features = useFeatures(params.id);
  if (!website.data) return <PageState title="Heatmaps" of={website} />;
  if (features && !features.includes("heatmaps")) {
    return (
      <Page title="Heatmaps" tab={website.data.domain} narrow>
        <NotInPlan website={website.data} what="Heatmaps" icon="pointer" />
      </Page>
    );
  }
  return <Loaded website={website.data} />;
}

function Loaded({ website }: { website: Website }) {
  const home = `/websites/${website.id}/heatmaps`;
  const { heat, dropped, show } = useHeat(home);
  const today = format.dayIn(new Date(), website.settings.time_zone);
  const analytics = useMemo(
    (): Analytics => ({
      base: `/api/websites/${website.id}`,
      home,
      domain: website.domain,
      zone: website.settings.time_zone,
      today,
      view: heat.view,
      shared: false,
      show: (view, replace) => show({ ...heat, view }, replace),
      filter: (filter) => show({ ...heat, view: addFilter(heat.view, filter) }),
      unfilter: (filter) => {
        show({ ...heat, view: removeFilter(heat.view, filter) });
        toast(`Filter “${filterLabel(filter)}” removed.`, () => show(heat));
      },
    }),
    [website, home, today, heat, show],
  );
  const props = { website, heat, dropped, show };
  return (
    <AnalyticsContext.Provider value={analytics}>
      {heat.page === undefined ? <ListPage {...props} /> : <OnePage key={heat.page} {...props} page={heat.page} />}
    </AnalyticsContext.Provider>
  );
}
