// Search and commands: pages, websites, errors, filters of the page that is shown, settings, the theme.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import "../styles/palette.css";
import { useData } from "../api/data";
import { count } from "../lib/format";
import { go } from "../lib/router";
import { atLeast, useMaybeSession } from "../lib/session";
import { useStore } from "../lib/store";
import { useTeam } from "../lib/team";
import { chooseTheme } from "../lib/theme";
import { useFeatures, useWebsites } from "../lib/websites";
import { classes } from "../ui/basic";
import { bold } from "../ui/bold";
import { Icon, type IconName } from "../ui/icons";
import { Dialog } from "../ui/overlay";
import { openHelp, pageCommands } from "./commands";
import { allWebsites, SETTINGS_PARTS, settingsAddress, settingsNav, websiteNav, websiteSettings, workspaceNav, type NavItem } from "./nav";

interface Entry {
  readonly group: string;
  readonly label: string;
  readonly icon: IconName;
  readonly detail?: string;
  readonly keys?: string;
  readonly href?: string;
  readonly run?: () => void;
}

const RECENT = "zenovay.recent";
const MOST_RECENT = 5;

function recent(): string[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(RECENT) ?? "[]");
    return Array.isArray(stored) ? stored.filter((one): one is string => typeof one === "string") : [];
  } catch {
    return [];
  }
}

/** What tells an entry from the others. */
const nameOf = (entry: Entry): string => entry.href ?? entry.label;

function remember(entry: Entry): void {
  try {
    localStorage.setItem(RECENT, JSON.stringify([nameOf(entry), ...recent().filter((one) => one !== nameOf(entry))].slice(0, MOST_RECENT)));
  } catch {
    // Nothing is recent then.
  }
}

/** The errors that are found by their names: the most frequent ones of the last months. */
const ERRORS = { range: "90d", sort: "-occurrences", limit: 50 } as const;

/** The whole id of a visitor, as it is copied and as the API writes it. */
const VISITOR = /^[0-9a-f]{16}$/i;

/** Where every word of `typed` is found in `label`, best first: at its beginning, at that of a word, anywhere. */
function score(label: string, typed: string): number {
  const text = label.toLocaleLowerCase();
  let sum = 0;
  for (const word of typed.toLocaleLowerCase().split(/\s+/).filter(Boolean)) {
    const at = text.indexOf(word);
    if (at < 0) return -1;
    sum += at === 0 ? 0 : /[\s/.-]/.test(text[at - 1] ?? "") ? 1 : 2;
  }
  return sum;
}

/** `typed` is what was typed before it was there. */
export default function Palette({ website, typed: early, onClose }: { website: string | undefined; typed: string; onClose(): void }) {
  const [typed, setTyped] = useState(early);
  const [at, setAt] = useState(0);
  const { data } = useWebsites();
  const session = useMaybeSession();
  const hasStatus = session?.status_page ?? false;
  const seesHealth = session?.server_health ?? false;
  const team = useTeam();
  const features = useFeatures(website);
  const more = useStore(pageCommands);
  // Asked for once, when somebody looks for something.
  const hasErrors = website !== undefined && features?.includes("errors") === true && typed.trim() !== "";
  const errors = useData(hasErrors ? "/api/websites/{website_id}/errors" : undefined, { path: { website_id: website ?? "" }, query: ERRORS }).data?.groups;
  const list = useRef<HTMLDivElement>(null);

  const fixed = useMemo(() => {
    const domain = data?.websites.find(({ id }) => id === website)?.domain;
    const page = (item: NavItem, detail?: string): Entry => ({
      group: "Go to",
      label: item.label,
      icon: item.icon,
      href: item.href,
      ...(detail && { detail }),
      ...(item.key && { keys: `G ${item.key.toUpperCase()}` }),
    });
    const entries: Entry[] = [
      ...(website === undefined ? [] : [...websiteNav(website, features), websiteSettings(website)].map((item) => page(item, domain))),
      page(allWebsites),
      ...workspaceNav(hasStatus).slice(1).map((item) => page(item)),
      ...(data?.websites ?? []).map((one): Entry => ({ group: "Websites", label: one.domain, icon: "home", href: `/websites/${one.id}`, ...(one.name !== one.domain && { detail: one.name }) })),
      ...(website === undefined ? [] : SETTINGS_PARTS.map(({ part, label }): Entry => ({ group: "Website settings", label, icon: "settings", href: settingsAddress(website, part), ...(domain && { detail: domain }) }))),
      ...settingsNav(team?.role, seesHealth).flatMap(({ group, items }) => items.map(({ label, href, icon }): Entry => ({ group: "Settings", label, href, icon, detail: group }))),
      ...(atLeast(team?.role, "editor") ? [{ group: "Commands", label: "Add a website", icon: "plus", href: "/websites/new" } as const] : []),
      { group: "Commands", label: "Light theme", icon: "theme", run: () => chooseTheme("light") },
      { group: "Commands", label: "Dark theme", icon: "theme", run: () => chooseTheme("dark") },
      { group: "Commands", label: "Theme of the system", icon: "theme", run: () => chooseTheme("system") },
      { group: "Commands", label: "Keyboard shortcuts", icon: "info", keys: "?", run: () => setTimeout(openHelp) },
    ];
    return entries;
  }, [data, website, hasStatus, seesHealth, team, features]);

  const entries = useMemo((): Entry[] => {
    const word = typed.trim();
    if (word === "") {
      const last = recent();
      const known = last.flatMap((name) => fixed.find((entry) => nameOf(entry) === name) ?? []);
      return [...known.map((entry) => ({ ...entry, group: "Recent" })), ...fixed.filter((entry) => !known.includes(entry))].slice(0, 14);
    }
    const failures = (errors ?? []).map((one): Entry => ({ group: "Errors", label: `${one.type}: ${one.message}`, icon: "warning", detail: count(one.occurrences), href: `/websites/${website ?? ""}/errors/${one.id}` }));
    const found = [...fixed, ...failures]
      .map((entry) => ({ entry, score: score(`${entry.label} ${entry.detail ?? ""}`, word) }))
      .filter((one) => one.score >= 0)
      .sort((one, other) => one.score - other.score)
      .map(({ entry }) => entry);
    if (website !== undefined && VISITOR.test(word)) found.unshift({ group: "Visitors", label: `Visitor ${word}`, icon: "person", href: `/websites/${website}/visitors/${word.toLowerCase()}` });
    const extra = (more?.(word) ?? []).map((command): Entry => ({ group: command.group, label: command.label, icon: "filter", run: command.run }));
    // Groups in the order in which they first appear.
    const groups = [...new Set(found.map(({ group }) => group))];
    return [...groups.flatMap((group) => found.filter((entry) => entry.group === group)).slice(0, 12), ...extra];
  }, [typed, fixed, errors, more, website]);

  useEffect(() => setAt(0), [typed]);
  useEffect(() => {
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  }, [at]);

  const choose = (entry: Entry | undefined, newTab = false) => {
    if (!entry) return;
    remember(entry);
    onClose();
    if (entry.href === undefined) entry.run?.();
    else if (newTab) open(entry.href, "_blank", "noopener");
    else go(entry.href);
  };

  return (
    <Dialog title="Search and commands" bare class="palette" onClose={onClose}>
      <div class="search">
        <label class="vh" for="palette-input">
          Search or type a command
        </label>
        <Icon name="search" />
        <input
          id="palette-input"
          class="input"
          role="combobox"
          aria-expanded="true"
          aria-controls="palette-list"
          aria-activedescendant={entries.length > 0 ? `palette-${at}` : undefined}
          aria-autocomplete="list"
          autocomplete="off"
          spellcheck={false}
          autofocus
          placeholder="Search or type a command"
          value={typed}
          onInput={(event) => setTyped(event.currentTarget.value)}
          onKeyDown={(event) => {
            const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: typed === "" ? 0 : undefined, End: typed === "" ? -1 : undefined }[event.key];
            if (to !== undefined && entries.length > 0) setAt((to + entries.length) % entries.length);
            else if (event.key === "Enter") choose(entries[at], event.ctrlKey || event.metaKey);
            else return;
            event.preventDefault();
          }}
        />
      </div>
      <div ref={list} class="menu" role="listbox" id="palette-list" aria-label="Results">
        {entries.length === 0 && <p class="group">Nothing is called “{typed.trim()}”.</p>}
        {grouped(entries).map(([group, members]) => (
          <div key={group} role="group" aria-label={group}>
            <div class="group" role="presentation">
              {group}
            </div>
            {members.map(({ entry, index }) => (
              <div
                key={index}
                id={`palette-${index}`}
                role="option"
                aria-selected={index === at}
                class={classes("opt", index === at && "on")}
                onPointerMove={() => index !== at && setAt(index)}
                onClick={(event) => choose(entry, event.ctrlKey || event.metaKey)}
              >
                <Icon name={entry.icon} />
                <span class="grow clip">
                  {bold(entry.label, typed)} {entry.detail && <span class="dim">{entry.detail}</span>}
                </span>
                {entry.keys && <kbd>{entry.keys}</kbd>}
              </div>
            ))}
          </div>
        ))}
      </div>
    </Dialog>
  );
}

function grouped(entries: readonly Entry[]): [string, { entry: Entry; index: number }[]][] {
  const groups = new Map<string, { entry: Entry; index: number }[]>();
  entries.forEach((entry, index) => {
    const group = groups.get(entry.group) ?? [];
    group.push({ entry, index });
    groups.set(entry.group, group);
  });
  return [...groups];
}
