// Where one can go: the rail, the bar of phones and the palette show the same list.
import type { IconName } from "../ui/icons";

export interface NavItem {
  readonly label: string;
  readonly href: string;
  readonly icon: IconName;
  /** The second key after G. */
  readonly key?: string;
}

/** The pages of a website. */
export const websiteNav = (id: string): readonly NavItem[] => [
  { label: "Analytics", href: `/websites/${id}`, icon: "analytics", key: "a" },
  { label: "Live", href: `/websites/${id}/live`, icon: "live", key: "l" },
  { label: "Visitors", href: `/websites/${id}/visitors`, icon: "person", key: "v" },
  { label: "Goals and funnels", href: `/websites/${id}/goals`, icon: "goal", key: "o" },
];

export const websiteSettings = (id: string): NavItem => ({ label: "Website settings", href: `/websites/${id}/settings/general`, icon: "settings", key: "s" });
export const allWebsites: NavItem = { label: "All websites", href: "/websites", icon: "home", key: "w" };

/** The pages that belong to no website. */
export const workspaceNav: readonly NavItem[] = [
  { label: "Websites", href: "/websites", icon: "home", key: "w" },
  { label: "Status", href: "/status", icon: "live" },
  { label: "Settings", href: "/settings/account", icon: "settings", key: "s" },
];

/** Whether a page is at `href` or below it. The page of a website itself has no pages below it. */
export function isCurrent(item: NavItem, path: string): boolean {
  if (path === item.href) return true;
  if (/^\/websites(\/[^/]+)?$/.test(item.href)) return false;
  const section = item.href.replace(/\/(general|account)$/, "");
  return path.startsWith(`${section}/`) || (item.icon === "goal" && path.startsWith(`${section.replace(/goals$/, "funnels")}/`));
}
