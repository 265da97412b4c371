// All websites: what they have together, and a row or a card for each.
import { useRef } from "preact/hooks";
import "../../styles/websites.css";
import "../../styles/sitecards.css";
import { useData } from "../../api/data";
import { addDays, count, dateOf, dayIn, daysBetween, plural, range as rangeWords, readerZone } from "../../lib/format";
import { useKeys } from "../../lib/keys";
import { daysOf, RANGE_KEYS, RANGE_LABELS } from "../../lib/range";
import { go, usePlace } from "../../lib/router";
import { atLeast } from "../../lib/session";
import { useTeam, type Team } from "../../lib/team";
import { DEFAULT_RANGE, RANGES, type RangeName } from "../../lib/view";
import type { ListedWebsite, WebsiteList } from "../../lib/websites";
import { Page } from "../../shell/page";
import { Badge, Button, Card, classes, Delta, Dot, Empty, figureClass, LinkButton } from "../../ui/basic";
import { Sparkline } from "../../ui/chart";
import { copy, followRow } from "../../ui/data";
import { Segmented } from "../../ui/form";
import { Icon } from "../../ui/icons";
import { Menu, MoreMenu, toast, type MenuItem } from "../../ui/overlay";
import { snippetsOf } from "../../rules/snippets";
import { Loaded } from "../parts/loaded";
import { WithTeam } from "../settings/with-team";

/** What is shown of the list, as its address says. */
interface Shown {
  readonly range: RangeName;
  /** `-visitors` is descending. */
  readonly sort: string;
  readonly layout: "list" | "cards";
  readonly q: string;
}

const DEFAULT: Shown = { range: DEFAULT_RANGE, sort: "-visitors", layout: "list", q: "" };

/** Ranges of elapsed time and of civil days that begin at the same distance for every website. */
const OFFERED = RANGES.filter((name) => name !== "all");

const SORTS: Readonly<Record<string, (website: ListedWebsite) => number | string>> = {
  domain: ({ domain }) => domain,
  online: ({ live }) => live,
  visitors: ({ totals }) => totals.visitors,
  change: ({ totals }) => totals.change ?? Number.NEGATIVE_INFINITY,
};

function readShown(search: string): Shown {
  const asked = new URLSearchParams(search);
  const sort = asked.get("sort") ?? "";
  return {
    range: OFFERED.find((name) => name === asked.get("range")) ?? DEFAULT.range,
    sort: sort.replace(/^-/, "") in SORTS ? sort : DEFAULT.sort,
    layout: asked.get("layout") === "cards" ? "cards" : "list",
    q: asked.get("q") ?? "",
  };
}

/** Equal views have equal addresses: what is the default is left out. */
function addressOf(shown: Shown): string {
  const said = new URLSearchParams();
  for (const name of ["range", "sort", "layout", "q"] as const) {
    if (shown[name] !== DEFAULT[name]) said.set(name, shown[name]);
  }
  const text = said.toString();
  return text === "" ? "/websites" : `/websites?${text}`;
}

function sorted(websites: readonly ListedWebsite[], sort: string): ListedWebsite[] {
  const descending = sort.startsWith("-");
  const of = SORTS[sort.replace(/^-/, "")] ?? (() => 0);
  return [...websites].sort((one, other) => {
    const [a, b] = [of(one), of(other)];
    const order = typeof a === "string" ? a.localeCompare(String(b)) : a - Number(b);
    return (descending ? -order : order) || one.domain.localeCompare(other.domain);
  });
}

export default function WebsitesPage() {
  const team = useTeam();
  return team === undefined ? <WithTeam title="Websites">{() => null}</WithTeam> : <WebsitesOf team={team} />;
}

function WebsitesOf({ team }: { team: Team }) {
  const shown = readShown(usePlace().search);
  const list = useData("/api/websites", { query: { range: shown.range, compare: "previous", team: team.id } });
  const find = useRef<HTMLInputElement>(null);
  const show = (changes: Partial<Shown>, replace = false): void => go(addressOf({ ...shown, ...changes }), { replace });
  const choose = (range: RangeName): void => show({ range });
  useKeys({
    "/": () => find.current?.focus(),
    ...Object.fromEntries(RANGE_KEYS.filter(([, range]) => range !== "all").map(([key, range]) => [key, () => choose(range)])),
  });
  const mayAdd = atLeast(team.role, "editor");
  return (
    <Page
      title="Websites"
      beside={list.data && list.data.websites.length > 0 && <span class="dim wide-only">{plural(list.data.websites.length, "website")}</span>}
      actions={
        <>
          {list.data?.websites.length !== 0 && <RangeMenu range={shown.range} onRange={choose} />}
          {mayAdd && list.data?.websites.length !== 0 && (
            <LinkButton kind="primary" icon="plus" href="/websites/new">
              <span>
                Add<span class="wide-only"> website</span>
              </span>
            </LinkButton>
          )}
        </>
      }
    >
      <Loaded of={list} what="The websites" lines={6} onPage>
        {(data) =>
          data.websites.length === 0 ? (
            <Card flush label="No websites">
              <Empty
                title={mayAdd ? "Add your first website" : "No websites yet"}
                level={2}
                icon="home"
                action={
                  mayAdd && (
                    <LinkButton kind="primary" icon="plus" href="/websites/new">
                      Add website
                    </LinkButton>
                  )
                }
              >
                {mayAdd ? "It takes its domain and two minutes: you get a tag, and see the first visit arrive." : `Websites of ${team.name} are added by editors, admins and owners.`}
              </Empty>
            </Card>
          ) : (
            <>
              <Together list={data} team={team} />
              <section class="card websites" aria-labelledby="list-of-websites">
                <div class="card-head">
                  <h2 id="list-of-websites" class="vh">
                    List of websites
                  </h2>
                  <div class="search grow">
                    <label class="vh" for="find-website">
                      Find a website
                    </label>
                    <Icon name="search" />
                    <input
                      ref={find}
                      id="find-website"
                      class="input"
                      placeholder="Find a website"
                      autocomplete="off"
                      spellcheck={false}
                      value={shown.q}
                      onInput={(event) => show({ q: event.currentTarget.value }, true)}
                    />
                    <kbd class="wide-only">/</kbd>
                  </div>
                  <Segmented
                    label="Layout"
                    class="wide-only"
                    value={shown.layout}
                    options={[
                      { value: "list", label: "List" },
                      { value: "cards", label: "Cards" },
                    ]}
                    onValue={(layout) => show({ layout }, true)}
                  />
                </div>
                <Found websites={data.websites} shown={shown} show={show} />
              </section>
              <Compared range={shown.range} />
            </>
          )
        }
      </Loaded>
    </Page>
  );
}

function RangeMenu({ range, onRange }: { range: RangeName; onRange: (range: RangeName) => void }) {
  const keyOf = (name: RangeName) => RANGE_KEYS.find(([, of]) => of === name)?.[0].toUpperCase();
  const items = OFFERED.map((name): MenuItem => ({ label: RANGE_LABELS[name], checked: name === range, onSelect: () => onRange(name), ...(keyOf(name) && { keys: keyOf(name) as string }) }));
  return (
    <Menu
      label="Range"
      items={items}
      trigger={(props) => (
        <Button {...props} icon="calendar">
          {RANGE_LABELS[range]}
        </Button>
      )}
    />
  );
}

/** The numbers of all websites together. */
function Together({ list: { websites, totals }, team }: { list: WebsiteList; team: Team }) {
  const usage = useData(atLeast(team.role, "admin") ? "/api/teams/{team_id}/usage" : undefined, { path: { team_id: team.id } }).data;
  const online = websites.filter(({ live }) => live > 0).length;
  return (
    <section class="card" aria-label="All websites together">
      <dl class="stats">
        <div>
          <dt>Online now</dt>
          <dd>
            <span class="row">
              <Dot {...(totals.live > 0 ? { pulse: true } : { tone: "off" as const })} />
              {count(totals.live)}
            </span>
            <small>on {plural(online, "website")}</small>
          </dd>
        </div>
        <Sum name="Visitors" now={totals.visitors} before={totals.visitors_before} />
        <Sum name="Pageviews" now={totals.pageviews} />
        {usage && (
          <div>
            <dt>Events this month</dt>
            <dd class={figureClass(count(usage.events.used))}>
              {count(usage.events.used)}
              <small>{usage.events.limit == null ? "without a limit" : `of ${count(usage.events.limit)} in the plan`}</small>
            </dd>
          </div>
        )}
      </dl>
    </section>
  );
}

function Sum({ name, now, before = null }: { name: string; now: number; before?: number | null }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd class={figureClass(count(now))}>
        {count(now)}
        {before !== null && (
          <small>
            <Delta now={now} before={before} /> {before > 0 && `from ${count(before)}`}
          </small>
        )}
      </dd>
    </div>
  );
}

interface FoundProps {
  readonly websites: readonly ListedWebsite[];
  readonly shown: Shown;
  readonly show: (changes: Partial<Shown>, replace?: boolean) => void;
}

function Found({ websites, shown, show }: FoundProps) {
  const word = shown.q.trim().toLocaleLowerCase();
  const found = sorted(
    websites.filter(({ domain, name }) => domain.includes(word) || name.toLocaleLowerCase().includes(word)),
    shown.sort,
  );
  if (found.length === 0) {
    return (
      <Empty title={`No website has “${shown.q.trim()}” in its name`} action={<Button onClick={() => show({ q: "" }, true)}>Show all</Button>}>
        Domains and names are searched.
      </Empty>
    );
  }
  return shown.layout === "cards" ? <Cards websites={found} range={shown.range} /> : <Rows websites={found} shown={shown} show={show} />;
}

/** The state of a website in a word, where it is not the usual one. */
function StateBadge({ website }: { website: ListedWebsite }) {
  const { state, last_event_at: last } = website;
  if (state === "no_events") return <Badge tone="warn">Waiting for the first event</Badge>;
  if (state === "paused") return <Badge>Paused</Badge>;
  if (state !== "silent" || last == null) return null;
  const days = Math.max(1, Math.floor((Date.now() - Date.parse(last)) / 86_400_000));
  return (
    <span title={`Last event ${dateOf(last)}`}>
      <Badge tone="bad">Silent for {plural(days, "day")}</Badge>
    </span>
  );
}

const isQuiet = ({ state }: ListedWebsite): boolean => state !== "live";

/** A change that is known is a share of what was before; without one, nobody was there before. */
const VisitorChange = ({ website: { totals } }: { website: ListedWebsite }) => {
  if (totals.change != null) return <Delta now={1 + totals.change} before={1} />;
  return totals.visitors > 0 ? <Delta now={totals.visitors} before={0} /> : <span class="delta">–</span>;
};

function Rows({ websites, shown, show }: FoundProps) {
  const head = (id: string, title: string, more?: string) => {
    const direction = shown.sort === id ? "ascending" : shown.sort === `-${id}` ? "descending" : undefined;
    return (
      <th scope="col" class={more} aria-sort={direction}>
        <button type="button" class="sort" onClick={() => show({ sort: direction === "descending" ? id : `-${id}` }, true)}>
          {title}
          {direction && <Icon name={direction === "descending" ? "down" : "up"} size={12} />}
        </button>
      </th>
    );
  };
  return (
    <div class="scroll-x" tabIndex={0} role="region" aria-label="Websites, table">
      <table class="table">
        <thead>
          <tr>
            {head("domain", "Website")}
            {head("online", "Online", "num wide-only")}
            <th scope="col" class="sparkcol">
              By day
            </th>
            {head("visitors", "Visitors", "num")}
            {head("change", "Change", "num wide-only")}
            <th scope="col" class="num wide-only">
              <span class="vh">Menu</span>
            </th>
          </tr>
        </thead>
        <tbody onClick={followRow}>
          {websites.map((website) => (
            <tr key={website.id}>
              <td>
                <span class="row">
                  <span class={classes("letter", isQuiet(website) && "grey")} aria-hidden="true">
                    {website.domain.slice(0, 1)}
                  </span>
                  <span class="row wrap namecell grow">
                    <a class="cover" href={hrefOf(website, shown.range)} title={website.domain}>
                      {website.domain}
                    </a>
                    <StateBadge website={website} />
                  </span>
                </span>
              </td>
              <td class="num wide-only">
                {website.live > 0 ? (
                  <span class="row on">
                    <Dot />
                    {count(website.live)}
                  </span>
                ) : (
                  "–"
                )}
              </td>
              <td class="sparkcol">{website.state === "no_events" ? null : <Sparkline values={website.series} />}</td>
              <td class="num strong">{website.state === "no_events" ? "–" : count(website.totals.visitors)}</td>
              <td class="num wide-only">{website.state === "no_events" ? null : <VisitorChange website={website} />}</td>
              <td class="num wide-only">
                <WebsiteMenu website={website} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The dashboard, in the range of the list. */
const hrefOf = ({ id }: ListedWebsite, range: RangeName): string => `/websites/${id}${range === DEFAULT_RANGE ? "" : `?range=${range}`}`;

function Cards({ websites, range }: { websites: readonly ListedWebsite[]; range: RangeName }) {
  return (
    <ul class="sitecards">
      {websites.map((website) => (
        <li key={website.id} class="card">
          <div class="row">
            <a class="cover grow clip strong" href={hrefOf(website, range)}>
              {website.domain}
            </a>
            <WebsiteMenu website={website} />
          </div>
          <div class="row wrap">
            <span class="figure">{website.state === "no_events" ? "–" : count(website.totals.visitors)}</span>
            <span class="dim">visitors</span>
            {website.state !== "no_events" && <VisitorChange website={website} />}
            <span class="grow" />
            {website.live > 0 ? (
              <span class="row">
                <Dot />
                {count(website.live)} online
              </span>
            ) : (
              <StateBadge website={website} />
            )}
          </div>
          {website.state !== "no_events" && <Sparkline values={website.series} />}
        </li>
      ))}
    </ul>
  );
}

function WebsiteMenu({ website }: { website: ListedWebsite }) {
  const { id, domain, tracking_code: code } = website;
  return (
    <MoreMenu
      label={`Menu of ${domain}`}
      items={[
        { label: "Analytics", icon: "analytics", href: `/websites/${id}` },
        { label: "Live", icon: "live", href: `/websites/${id}/live` },
        {
          label: "Copy the tag",
          icon: "copy",
          onSelect: async () => {
            const [html] = snippetsOf({ origin: location.origin, code, domain });
            if (html && (await copy(html.text))) toast("Tag copied.");
          },
        },
        "line",
        { label: "Settings", icon: "settings", href: `/websites/${id}/settings/general` },
      ]}
    />
  );
}

/** Which days the changes compare with, where they are whole days. */
function Compared({ range }: { range: RangeName }) {
  const today = dayIn(new Date(), readerZone());
  const { from, to } = daysOf({ name: range }, today);
  const days = daysBetween(from, to);
  const isWhole = range === "yesterday" || range === "28d";
  const before = isWhole ? rangeWords(addDays(from, -days), addDays(to, -days), today.slice(0, 4)) : "the period before";
  return (
    <footer class="foot">
      <span>Changes compare with {before}; each website in its own time zone</span>
    </footer>
  );
}
