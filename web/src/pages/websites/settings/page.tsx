// The settings of one website: one address a part.
import type { ComponentType } from "preact";
import { useData } from "../../../api/data";
import { useOwners } from "../../../lib/owners";
import { Page, PageState, NotFound } from "../../../shell/page";
import { SETTINGS_PARTS, settingsAddress, type SettingsPart } from "../../../shell/nav";
import { atLeast } from "../../../lib/session";
import type { PageProps } from "../../../routes";
import { whoMay } from "../../../rules/roles";
import { Badge, Note } from "../../../ui/basic";
import { NavTabs } from "../../parts/nav-tabs";
import { DangerSettings } from "./danger";
import { FeatureSettings } from "./features";
import { GeneralSettings } from "./general";
import { PrivacySettings } from "./privacy";
import type { PartProps } from "./save";
import { SharingSettings } from "./sharing";
import { TrackingSettings } from "./tracking";

const VIEWS: Readonly<Record<SettingsPart, ComponentType<PartProps>>> = {
  general: GeneralSettings,
  tracking: TrackingSettings,
  privacy: PrivacySettings,
  features: FeatureSettings,
  sharing: SharingSettings,
  danger: DangerSettings,
};

export default function WebsiteSettingsPage({ params: { id = "", part = "" } }: PageProps) {
  const website = useData("/api/websites/{website_id}", { path: { website_id: id } });
  const owners = useOwners(website.data && !atLeast(website.data.role, "editor") ? website.data.team_id : undefined);
  const shown = SETTINGS_PARTS.find((one) => one.part === part);
  if (shown === undefined) return <NotFound />;
  if (website.data === undefined) return <PageState title="Website settings" of={website} narrow />;
  const props: PartProps = { website: website.data, mayChange: atLeast(website.data.role, "editor"), mayDelete: atLeast(website.data.role, "admin") };
  const View = VIEWS[shown.part];
  return (
    <Page
      title={shown.label}
      tab={website.data.domain}
      crumbs={[
        { label: website.data.domain, href: `/websites/${id}` },
        { label: "Settings", href: settingsAddress(id, "general") },
      ]}
      beside={!website.data.settings.is_active && <Badge tone="warn">Paused</Badge>}
      narrow
    >
      <div class="stack stack-16">
        <NavTabs label="Website settings" tabs={SETTINGS_PARTS.map(({ part, label }) => ({ href: settingsAddress(id, part), label }))} current={settingsAddress(id, shown.part)} />
        {!props.mayChange && (
          <Note icon="shield">
            <p>
              <b>Your role here is {website.data.role}.</b> Settings of websites are changed by {whoMay("change-websites")}.
            </p>
            {owners.length > 0 && <p class="dim">Ask an owner: {owners.join(", ")}</p>}
          </Note>
        )}
        <View key={website.data.id} {...props} />
      </div>
    </Page>
  );
}
