// The settings of one website: one address a part.
import { useData } from "../../../api/data";
import { Page, PageState, NotFound } from "../../../shell/page";
import { atLeast } from "../../../lib/session";
import type { PageProps } from "../../../routes";
import { Badge } from "../../../ui/basic";
import { NavTabs } from "../../parts/nav-tabs";
import { DangerSettings } from "./danger";
import { FeatureSettings } from "./features";
import { GeneralSettings } from "./general";
import { PrivacySettings } from "./privacy";
import type { PartProps } from "./save";
import { SharingSettings } from "./sharing";
import { TrackingSettings } from "./tracking";

const PARTS = [
  { part: "general", label: "General", view: GeneralSettings },
  { part: "tracking", label: "Tracking", view: TrackingSettings },
  { part: "privacy", label: "Privacy", view: PrivacySettings },
  { part: "features", label: "Features", view: FeatureSettings },
  { part: "sharing", label: "Sharing", view: SharingSettings },
  { part: "danger", label: "Danger", view: DangerSettings },
] as const;

export default function WebsiteSettingsPage({ params: { id = "", part = "" } }: PageProps) {
  const website = useData("/api/websites/{website_id}", { path: { website_id: id } });
  const shown = PARTS.find((one) => one.part === part);
  if (shown === undefined) return <NotFound />;
  if (website.data === undefined) return <PageState title="Website settings" error={website.error} onRetry={website.reload} narrow />;
  const props: PartProps = { website: website.data, mayChange: atLeast(website.data.role, "editor"), mayDelete: atLeast(website.data.role, "admin") };
  const View = shown.view;
  const addressOf = (part: string): string => `/websites/${id}/settings/${part}`;
  return (
    <Page
      title={shown.label}
      tab={website.data.domain}
      crumbs={[
        { label: website.data.domain, href: `/websites/${id}` },
        { label: "Settings", href: `/websites/${id}/settings/general` },
      ]}
      beside={!website.data.settings.is_active && <Badge tone="warn">Paused</Badge>}
      narrow
    >
      <div class="stack stack-16">
        <NavTabs label="Website settings" tabs={PARTS.map(({ part, label }) => ({ href: addressOf(part), label }))} current={addressOf(shown.part)} />
        <View key={website.data.id} {...props} />
      </div>
    </Page>
  );
}
