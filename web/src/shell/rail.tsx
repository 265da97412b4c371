// The rail beside every page, and on phones the bars above and below it.
import { Fragment, type TargetedEvent } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Answer } from "../api/client";
import { useUrl } from "../api/data";
import { useLive } from "../api/live";
import { compact } from "../lib/format";
import { place, usePlace } from "../lib/router";
import { signOut, useMaybeSession, useSession } from "../lib/session";
import { chooseTheme, storedTheme, type Theme } from "../lib/theme";
import { chosenTeam, useTeam } from "../lib/team";
import { useFeatures, useWebsite, type WebsiteList } from "../lib/websites";
import { useAfter } from "../pages/parts/long-question";
import { prefetchPage } from "../routes";
import { Avatar } from "../ui/basic";
import { Icon, Mark } from "../ui/icons";
import { Dialog, Menu, type MenuItem } from "../ui/overlay";
import { allWebsites, currentOf, inBar, isCurrent, settingsNav, websiteNav, websiteSettings, workspaceNav, type NavGroup, type NavItem } from "./nav";
import { openHelp, openPalette } from "./commands";

interface Around {
  /** The website whose page is shown. */
  website: string | undefined;
}

const prefetch = (event: TargetedEvent<HTMLAnchorElement>) => prefetchPage(event.currentTarget.pathname);

/** A number beside a page, and what it is of, for those who hear it. */
type Count = readonly [count: number | undefined, of: string];

function NavLink({ item, count: [count, of] = [undefined, ""], current }: { item: NavItem; count?: Count | undefined; current?: boolean }) {
  const { path } = usePlace();
  return (
    <a href={item.href} title={item.label} aria-current={(current ?? isCurrent(item, path)) ? "page" : undefined} onPointerEnter={prefetch} onFocus={prefetch}>
      <Icon name={item.icon} />
      <span>{item.label}</span>
      {count !== undefined && count > 0 && (
        <span class="count">
          {compact(count)}
          <span class="vh"> {of}</span>
        </span>
      )}
    </a>
  );
}

/** The same page of another website, where it has one. */
function sameOf(path: string, from: string, to: string): string {
  const rest = path.slice(`/websites/${from}`.length);
  return `/websites/${to}${/^\/(live|visitors|goals|heatmaps|replays|performance|errors|settings\/\w+)$/.test(rest) ? rest : ""}`;
}

function Switcher({ website }: Around) {
  const { teams } = useSession();
  const { path, search } = usePlace();
  const team = useTeam();
  const current = useWebsite(website).data;
  // The numbers of all websites are counted for it: only for somebody who looks.
  const [wanted, setWanted] = useState(false);
  const all = useUrl<WebsiteList>(wanted ? "/api/websites" : undefined).data?.websites;
  const want = () => website !== undefined && setWanted(true);
  const name = website === undefined ? (team?.name ?? "zenovay") : (current?.domain ?? "…");
  const range = new URLSearchParams(search).get("range");
  const websites: MenuItem[] = (all ?? (current ? [{ ...current, live: 0 }] : [])).map((one) => ({
    label: one.domain,
    checked: one.id === website,
    detail: one.live > 0 ? compact(one.live) : undefined,
    href: (website === undefined ? `/websites/${one.id}` : sameOf(path, website, one.id)) + (range ? `?range=${range}` : ""),
  }));
  const items: MenuItem[] =
    website === undefined
      ? [{ group: "Workspace" }, ...teams.map((one): MenuItem => ({ label: one.name, checked: one.id === team?.id, onSelect: () => chosenTeam.set(one.id) })), "line", { label: "All websites", icon: "home", href: "/websites" }]
      : [{ group: "Website" }, ...websites, "line", { label: "All websites", icon: "home", href: "/websites" }];
  return (
    <Menu
      label={website === undefined ? "Switch workspace" : "Switch website"}
      align="start"
      items={items}
      onOpen={want}
      trigger={({ buttonRef, ...props }) => (
        <button type="button" class="switch-site" {...props} onPointerEnter={want} onFocus={want} ref={buttonRef} title={website === undefined ? "Switch workspace" : "Switch website"}>
          <span class={website === undefined ? "letter grey" : "letter"} aria-hidden="true">
            {name.slice(0, 1)}
          </span>
          <span class="clip grow">
            <span class="vh">{website === undefined ? "Workspace " : "Website "}</span>
            {name}
          </span>
          <Icon name="updown" />
        </button>
      )}
    />
  );
}

const THEMES: readonly { value: Theme; label: string }[] = [
  { value: "system", label: "As the system" },
  { value: "light", label: "Light" },
  { value: "dark", label: "Dark" },
];

const accountItems = (): MenuItem[] => [
  { label: "Account", icon: "person", href: "/settings/account" },
  { label: "Security & access", icon: "shield", href: "/settings/account/security" },
  "line",
  { group: "Theme" },
  ...THEMES.map(({ value, label }): MenuItem => ({ label, checked: storedTheme() === value, onSelect: () => chooseTheme(value) })),
  "line",
  { label: "Keyboard shortcuts", icon: "info", keys: "?", onSelect: openHelp },
  { label: "Sign out", icon: "leave", onSelect: () => void signOut() },
];

function Account({ small }: { small?: boolean }) {
  const { user } = useSession();
  return (
    <Menu
      label="Account menu"
      align={small ? "end" : "start"}
      items={accountItems()}
      trigger={({ buttonRef, ...props }) =>
        small ? (
          <button type="button" class="btn icon quiet" {...props} ref={buttonRef} title="Account menu">
            <span class="vh">Account menu </span>
            <Avatar name={user.email} />
          </button>
        ) : (
          <button type="button" class="who" {...props} ref={buttonRef} title="Account menu">
            <Avatar name={user.email} />
            <span class="clip grow">{user.email}</span>
          </button>
        )
      }
    />
  );
}

/** Links to pages, each group below its name. */
function NavGroups({ groups, current, heading: Heading }: { groups: readonly NavGroup[]; current: NavItem | undefined; heading: "h2" | "h3" }) {
  return (
    <>
      {groups.map(({ group, items }) => (
        <Fragment key={group}>
          <Heading>{group}</Heading>
          {items.map((item) => (
            <NavLink key={item.href} item={item} current={item === current} />
          ))}
        </Fragment>
      ))}
    </>
  );
}

function SettingsNav() {
  const { path } = usePlace();
  const groups = settingsNav(useTeam()?.role, useMaybeSession()?.server_health ?? false);
  return (
    <nav class="nav" aria-label="Settings">
      <NavGroups groups={groups} current={currentOf(groups.flatMap(({ items }) => items), path)} heading="h2" />
    </nav>
  );
}

const isSettings = (path: string): boolean => path === "/settings" || path.startsWith("/settings/");

/** How long what is beside the page waits for the page, in milliseconds. */
const BESIDE_MS = 1500;

/** Errors of a website about which nothing was decided, where its plan has them. */
function useUnresolved(website: string | undefined, features: readonly string[] | undefined): number | undefined {
  const isIn = website !== undefined && features?.includes("errors") === true;
  const waited = useAfter(isIn, BESIDE_MS);
  // The counts are of all errors, whatever range is asked for.
  const url = waited && isIn ? `/api/websites/${website}/errors?range=today&limit=1` : undefined;
  return useUrl<Answer<"/api/websites/{website_id}/errors", "get">>(url).data?.counts.unresolved;
}

/** The rail. */
export function Rail({ website }: Around) {
  const inSettings = isSettings(usePlace().path);
  const hasStatus = useMaybeSession()?.status_page ?? false;
  const { count } = useLive(website === undefined ? undefined : `/api/websites/${website}`);
  const features = useFeatures(website);
  const unresolved = useUnresolved(website, features);
  const counts: Readonly<Partial<Record<NavItem["icon"], Count>>> = { live: [count, "online"], warning: [unresolved, "unresolved"] };
  return (
    <header class="rail" aria-label="Application">
      <a class="brand" href="/websites" title="zenovay">
        <Mark />
        <span>zenovay</span>
      </a>
      <Switcher website={website} />
      {inSettings ? (
        <SettingsNav />
      ) : website === undefined ? (
        <nav class="nav" aria-label="Workspace">
          {workspaceNav(hasStatus).map((item) => (
            <NavLink key={item.href} item={item} />
          ))}
        </nav>
      ) : (
        <nav class="nav" aria-label="Website">
          {websiteNav(website, features).map((item, at, all) => (
            <Fragment key={item.href}>
              {item.group !== all[at - 1]?.group && <h2>{item.group}</h2>}
              <NavLink item={item} count={counts[item.icon]} />
            </Fragment>
          ))}
        </nav>
      )}
      <div class="rail-foot">
        {(website !== undefined || inSettings) && (
          <nav class="nav" aria-label="More">
            {website !== undefined && <NavLink item={websiteSettings(website)} />}
            <NavLink item={allWebsites} />
          </nav>
        )}
        <Account />
      </div>
    </header>
  );
}

/** Above the page on phones. */
export function TopBar({ website }: Around) {
  return (
    <header class="topbar" aria-label="Application">
      <Switcher website={website} />
      <button type="button" class="btn icon quiet" aria-label="Search" onClick={openPalette}>
        <Icon name="search" />
      </button>
      <Account small />
    </header>
  );
}

/** Below the page on phones. */
export function TabBar({ website }: Around) {
  const { path } = usePlace();
  const [open, setOpen] = useState(false);
  // Wherever one goes, nothing stays open above it.
  useEffect(() => place.follow(() => setOpen(false)), []);
  const session = useMaybeSession();
  const workspace = workspaceNav(session?.status_page ?? false);
  const settings = settingsNav(useTeam()?.role, session?.server_health ?? false);
  const features = useFeatures(website);
  const { shown, others } = inBar(website === undefined ? [] : websiteNav(website, features));
  const bar = website === undefined ? workspace : shown;
  const more =
    website === undefined
      ? settings
      : [
          { group: "Website", items: [...others, websiteSettings(website)] },
          { group: "Workspace", items: [allWebsites, ...workspace.slice(1)] },
        ];
  const all = more.flatMap(({ items }) => items);
  const current = website === undefined ? currentOf(all, path) : all.find((item) => isCurrent(item, path));
  const isInMore = current !== undefined && !bar.some((item) => isCurrent(item, path));
  return (
    <>
      <nav class="tabbar" aria-label="Main">
        {bar.map((item) => (
          <a key={item.href} href={item.href} aria-current={isCurrent(item, path) ? "page" : undefined}>
            <Icon name={item.icon} size={20} />
            {item.icon === "goal" ? "Goals" : item.label}
          </a>
        ))}
        <button type="button" aria-haspopup="dialog" aria-expanded={open} aria-current={isInMore ? "true" : undefined} onClick={() => setOpen(true)}>
          <Icon name="menu" size={20} />
          More
        </button>
      </nav>
      {open && (
        <Dialog title="More pages" class="morepages" onClose={() => setOpen(false)}>
          <nav class="nav" aria-label="More pages" onClick={(event) => (event.target as Element).closest("a") && setOpen(false)}>
            <NavGroups groups={more} current={current} heading="h3" />
          </nav>
        </Dialog>
      )}
    </>
  );
}
