// Where one can go: the rail, the bar of phones and the palette show the same list.
import type { IconName } from "../ui/icons";

export interface NavItem {
  readonly label: string;
  readonly href: string;
  readonly icon: IconName;
  /** The second key after G. */
  readonly key?: string;
  /** The heading that it stands under. */
  readonly group?: string;
  /** What a plan must include for it. */
  readonly feature?: string;
}

/** Pages that stand together under a name. */
export interface NavGroup {
  readonly group: string;
  readonly items: readonly NavItem[];
}

/** The pages of a website that a plan with `features` has; all of them until these are known. */
export const websiteNav = (id: string, features?: readonly string[]): readonly NavItem[] =>
  websitePages(id).filter(({ feature }) => feature === undefined || features === undefined || features.includes(feature));

const websitePages = (id: string): readonly NavItem[] => [
  { label: "Analytics", href: `/websites/${id}`, icon: "analytics", key: "a" },
  { label: "Live", href: `/websites/${id}/live`, icon: "live", key: "l" },
  { label: "Visitors", href: `/websites/${id}/visitors`, icon: "person", key: "v" },
  { label: "Goals and funnels", href: `/websites/${id}/goals`, icon: "goal", key: "o" },
  { label: "Heatmaps", href: `/websites/${id}/heatmaps`, icon: "pointer", key: "h", group: "Behaviour", feature: "heatmaps" },
  { label: "Replays", href: `/websites/${id}/replays`, icon: "play", key: "p", group: "Behaviour", feature: "replays" },
  { label: "Performance", href: `/websites/${id}/performance`, icon: "gauge", group: "Health" },
  { label: "Errors", href: `/websites/${id}/errors`, icon: "warning", key: "r", group: "Health", feature: "errors" },
];

/** The keys of the pages that the bar of phones shows: the first of these that there are, as many as it has room for. */
const IN_BAR: readonly (string | undefined)[] = ["a", "l", "p", "r", "v", "o"];
const ROOM_IN_BAR = 4;

/** The pages of a website in the bar of phones, and those that stand under its "More". */
export function inBar(pages: readonly NavItem[]): { readonly shown: readonly NavItem[]; readonly others: readonly NavItem[] } {
  const wanted = IN_BAR.filter((key) => pages.some((page) => page.key === key)).slice(0, ROOM_IN_BAR);
  const isShown = ({ key }: NavItem) => key !== undefined && wanted.includes(key);
  return { shown: pages.filter(isShown), others: pages.filter((page) => !isShown(page)) };
}

export const websiteSettings = (id: string): NavItem => ({ label: "Website settings", href: `/websites/${id}/settings/general`, icon: "settings", key: "s" });
/** The parts of the settings of a website. */
export const SETTINGS_PARTS = [
  { part: "general", label: "General" },
  { part: "tracking", label: "Tracking" },
  { part: "privacy", label: "Privacy" },
  { part: "features", label: "Features" },
  { part: "sharing", label: "Sharing" },
  { part: "danger", label: "Danger" },
] as const;
export type SettingsPart = (typeof SETTINGS_PARTS)[number]["part"];
export const settingsAddress = (website: string, part: SettingsPart): string => `/websites/${website}/settings/${part}`;
export const allWebsites: NavItem = { label: "All websites", href: "/websites", icon: "home", key: "w" };

/** The pages that belong to no website, with the status page where the server has one. */
export const workspaceNav = (hasStatus: boolean): readonly NavItem[] => [
  { label: "Websites", href: "/websites", icon: "home", key: "w" },
  ...(hasStatus ? ([{ label: "Status", href: "/status", icon: "live" }] as const) : []),
  { label: "Settings", href: "/settings/account", icon: "settings", key: "s" },
];

/** The settings of a person, of the workspace that is chosen, and of the server; what a role may not see is absent. */
export const settingsNav = (role: string | undefined, seesHealth: boolean): readonly NavGroup[] => {
  const manages = role === "admin" || role === "owner";
  return [
    {
      group: "Account",
      items: [
        { label: "Profile", href: "/settings/account", icon: "person" },
        { label: "Security & access", href: "/settings/account/security", icon: "shield" },
      ],
    },
    {
      group: "Workspace",
      items: [
        { label: "General", href: "/settings/workspace", icon: "home" },
        { label: "Members", href: "/settings/workspace/members", icon: "people" },
        ...(manages
          ? ([
              { label: "API keys", href: "/settings/api-keys", icon: "key" },
              { label: "Billing", href: "/settings/billing", icon: "card" },
              { label: "Usage", href: "/settings/usage", icon: "usage" },
              { label: "Audit", href: "/settings/audit", icon: "clock" },
            ] as const)
          : []),
      ],
    },
    ...(seesHealth
      ? ([
          {
            group: "Server",
            items: [
              { label: "Health", href: "/settings/server", icon: "gauge" },
              { label: "Activity", href: "/settings/server/activity", icon: "analytics" },
            ],
          },
        ] as const)
      : []),
  ];
};

/** The one of `items` whose page is shown: the longest address that the present one begins with. */
export const currentOf = (items: readonly NavItem[], path: string): NavItem | undefined =>
  items.filter(({ href }) => path === href || path.startsWith(`${href}/`)).sort((one, other) => other.href.length - one.href.length)[0];

/** Whether a page is at `href` or below it. The page of a website itself has no pages below it. */
export function isCurrent(item: NavItem, path: string): boolean {
  if (path === item.href) return true;
  if (/^\/websites(\/[^/]+)?$/.test(item.href)) return false;
  const section = item.href.replace(/\/(general|account)$/, "");
  return path.startsWith(`${section}/`) || (item.icon === "goal" && path.startsWith(`${section.replace(/goals$/, "funnels")}/`));
}
