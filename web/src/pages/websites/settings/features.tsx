// What the tag reports besides pageviews.
import { Card } from "../../../ui/basic";
import { useFeatures } from "../../../lib/websites";
import { FormFailure, Switch } from "../../../ui/form";
import { ReplaySettings } from "./replays";
import { useSwitches, type PartProps } from "./save";

export function FeatureSettings({ website, mayChange, mayDelete }: PartProps) {
  const switches = useSwitches(website);
  const features = useFeatures(website.id);
  return (
    <div class="stack stack-16">
      <Card title="What the tag reports" foot="Pageviews, time on page and scroll depth are always counted. Pages take a change within five minutes.">
        <Switch
          label="Outbound links"
          hint="Clicks on links to other hosts, as the event outbound_link."
          {...switches.bind("track_outbound_links", website.settings.track_outbound_links)}
          disabled={!mayChange}
        />
        <Switch
          label="Downloads"
          hint="Clicks on files such as .pdf and .zip, as the event file_download."
          {...switches.bind("track_downloads", website.settings.track_downloads)}
          disabled={!mayChange}
        />
        <Switch
          label="Web vitals"
          hint="How fast each page was for whoever saw it, shown under Performance."
          {...switches.bind("web_vitals", website.settings.web_vitals)}
          disabled={!mayChange}
        />
        {(features === undefined || features.includes("errors")) && (
          <Switch
            label="Errors"
            hint="Errors that nobody caught, with their stack and the names of what was clicked and viewed before. Nothing that was typed."
            {...switches.bind("errors", website.settings.errors)}
            disabled={!mayChange}
          />
        )}
        {(features === undefined || features.includes("heatmaps")) && (
          <Switch
            label="Heatmaps"
            hint="Where people click and how far they scroll. Nothing that is typed, and nobody with Global Privacy Control or Do Not Track."
            {...switches.bind("heatmaps", website.settings.heatmaps)}
            disabled={!mayChange}
          />
        )}
        <FormFailure error={switches.failure} />
      </Card>
      {(features === undefined || features.includes("replays")) && <ReplaySettings website={website} mayChange={mayChange} mayDelete={mayDelete} />}
    </div>
  );
}
