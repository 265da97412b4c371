// Pages of what websites report beside events: errors, page speed, replays. The same ranges and filters as the numbers have, as far
// as what is reported can be filtered; and why there may be nothing.
import type { ComponentChildren } from "preact";
import { useCallback, useMemo } from "preact/hooks";
import "../../styles/analytics.css";
import { address } from "../../api/client";
import * as format from "../../lib/format";
import { go, usePlace } from "../../lib/router";
import { atLeast, useSession } from "../../lib/session";
import { addFilter, parseView, printQuestion, printView, removeFilter, type Dimension, type View } from "../../lib/view";
import { useWebsite, type Website } from "../../lib/websites";
import type { PageProps } from "../../routes";
import { whoMay } from "../../rules/roles";
import { settingsAddress } from "../../shell/nav";
import { Page, PageState } from "../../shell/page";
import { Button, Note } from "../../ui/basic";
import type { IconName } from "../../ui/icons";
import { toast } from "../../ui/overlay";
import { AnalyticsContext, type Analytics } from "../analytics/context";
import { dimensionLabel, filterLabel } from "../analytics/dimensions";
import { NotInPlan } from "./switched-off";

/** What captures can be filtered by. */
const DIMENSIONS: readonly Dimension[] = ["page", "device", "browser", "browser_version", "os", "country"];

/** Parts of an address that one page has, beside the view. */
type Parts<Name extends string> = Readonly<Partial<Record<Name, string>>>;

/** What a page of captures is given. */
export interface Captured<Name extends string> {
  readonly website: Website;
  /** The address of the page without its query string. */
  readonly home: string;
  readonly parts: Parts<Name>;
  /** The address of the page with other parts; what is `undefined` is left out. */
  at(parts: { readonly [N in Name]?: string | undefined }, view?: View): string;
  /** What of the address is not shown, above everything else. */
  readonly note: ComponentChildren;
  /** Whether the reader may change what is shown. */
  readonly mayChange: boolean;
  /** Why not, in words. */
  readonly why: string | undefined;
}

interface Props<Name extends string> {
  readonly params: PageProps["params"];
  readonly title: string;
  /** The address below that of the website: `errors`. */
  readonly path: string;
  /** Names of parts of the address that the page has for itself. */
  readonly names?: readonly Name[];
  /** What the plan must include. */
  readonly feature?: string;
  readonly icon: IconName;
  readonly children: (captured: Captured<Name>) => ComponentChildren;
}

/** A page of captures, once its website is known. */
export function CapturedPage<Name extends string = never>(props: Props<Name>) {
  const website = useWebsite(props.params.id);
  if (!website.data) return <PageState title={props.title} of={website} />;
  return <Loaded {...props} website={website.data} />;
}

function Loaded<Name extends string>({ website, title, path, names = [], feature, icon, children }: Props<Name> & { website: Website }) {
  const { search } = usePlace();
  const { teams } = useSession();
  const home = `/websites/${website.id}/${path}`;
  const zone = website.settings.time_zone;
  const today = format.dayIn(new Date(), zone);
  const { view, parts } = useMemo(() => {
    const { view } = parseView(search);
    const { compare: _, ...rest } = view;
    const query = new URLSearchParams(search);
    const parts = Object.fromEntries(names.flatMap((name) => (query.get(name) ? [[name, query.get(name)?.slice(0, 200)]] : []))) as Parts<Name>;
    return { view: rest as View, parts };
  }, [search]);
  const unknown = view.filters.filter(({ dimension }) => !DIMENSIONS.includes(dimension));
  const known = useMemo(() => (unknown.length === 0 ? view : { ...view, filters: view.filters.filter((one) => !unknown.includes(one)) }), [view]);
  const write = useCallback(
    (next: View, own: { readonly [N in Name]?: string | undefined }) => {
      const text = printView(next);
      const more = Object.entries(own).flatMap(([name, value]) => (value ? [`${name}=${encodeURIComponent(String(value))}`] : []));
      return home + (more.length === 0 ? text : `${text === "" ? "?" : `${text}&`}${more.join("&")}`);
    },
    [home],
  );
  const show = useCallback((next: View, replace = false) => go(write(next, parts), { replace }), [write, parts]);
  const analytics = useMemo(
    (): Analytics => ({
      base: `/api/websites/${website.id}`,
      home,
      domain: website.domain,
      zone,
      today,
      view: known,
      dimensions: DIMENSIONS,
      shared: false,
      show,
      filter: (filter) => show(addFilter(known, filter)),
      unfilter: (filter) => {
        show(removeFilter(known, filter));
        toast(`Filter “${filterLabel(filter)}” removed.`, () => show(known));
      },
    }),
    [website, home, today, known, show],
  );
  const team = teams.find(({ id }) => id === website.team_id);
  if (feature !== undefined && team !== undefined && !(team.features as readonly string[]).includes(feature)) {
    return (
      <Page title={title} tab={website.domain}>
        <NotInPlan website={website} what={title} icon={icon} />
      </Page>
    );
  }
  const mayChange = atLeast(website.role, "editor");
  const captured: Captured<Name> = {
    website,
    home,
    parts,
    at: (own, other = known) => write(other, own),
    mayChange,
    note: unknown.length > 0 && <Dropped of={[...new Set(unknown.map(({ dimension }) => dimensionLabel(dimension)))]} />,
    why: mayChange ? undefined : `Your role here is ${website.role}. This is done by ${whoMay("change-websites")}.`,
  };
  return (
    <AnalyticsContext.Provider value={analytics}>
      {children(captured)}
    </AnalyticsContext.Provider>
  );
}

/** A link may come from numbers that can be filtered by more. */
function Dropped({ of }: { of: readonly string[] }) {
  return (
    <div class="statenote">
      <Note tone="warn">
        {format.list(of)} {of.length === 1 ? "is" : "are"} not known of what is shown here: {of.length === 1 ? "that filter is" : "those filters are"} left out.
      </Note>
    </div>
  );
}

/** That nothing new comes, above what came before. */
export const OffNote = ({ of: { website, mayChange }, what }: { of: Captured<string>; what: string }) => (
  <div class="statenote">
    <Note tone="warn">
      {what} {mayChange && <a href={settingsAddress(website.id, "features")}>Website settings</a>}
    </Note>
  </div>
);

/** The address of a question about captures in a view. */
export function capturedUrl(base: string, what: string, view: View, query: object = {}): string {
  return address(`${base}/${what}`, { raw: printQuestion(view), query });
}

/** Clears the filters, with a way back. */
export function clearFilters(view: View, show: (view: View) => void): void {
  show({ ...view, filters: [] });
  toast(view.filters.length === 1 ? "Filter removed." : `${view.filters.length} filters removed.`, () => show(view));
}

/** The button that adds a filter. */
export const FilterButton = ({ onClick }: { onClick(): void }) => (
  <Button class="flt" icon="filter" aria-haspopup="dialog" title="Filter" onClick={onClick}>
    <span class="lab">Filter</span>
    <kbd class="wide-only">F</kbd>
  </Button>
);
