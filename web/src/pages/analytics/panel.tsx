import { lazy } from "../../lib/lazy";
import { useId } from "preact/hooks";
import { prefetch } from "../../api/data";
import * as format from "../../lib/format";
import { printView, type Dimension, type View } from "../../lib/view";
import { Button, Delta } from "../../ui/basic";
import { Tabs } from "../../ui/data";
import { Menu, MoreMenu, toast, type MenuItem } from "../../ui/overlay";
import { Icon } from "../../ui/icons";
import { files, numbersUrl, useAnalytics, useNumbers, type Breakdown, type Row } from "./context";
import { countOf, dimensionLabel, isMissing, pageAddress, PANELS, UTM, valueLabel, type PanelMeaning, type PanelTab } from "./dimensions";
import { BarList, NoRows, PanelBody, secondCell, type BarRow } from "./parts";
import { copy } from "../../ui/data";

const DotMap = lazy(() => import("./map"));

/** Rows that a panel has room for. */
const ROWS = 9;
/** Rows that it has on paper. */
const PRINTED = 20;

/** The tab of a panel that is open. */
export function openTab(panel: PanelMeaning, view: View): PanelTab {
  const asked = view.tabs[panel.id];
  if (panel.id === "sources" && UTM.some(({ value }) => value === asked)) {
    return { value: "utm_campaign", dimension: asked as Dimension, label: "UTM" };
  }
  const wanted = panel.id === "events" && asked?.startsWith("prop_") ? "property" : asked;
  return panel.tabs.find(({ value }) => value === wanted) ?? (panel.tabs[0] as (typeof panel.tabs)[number]);
}

/** The view with another tab of a panel. */
export function withTab(view: View, panel: PanelMeaning, value: string): View {
  const { [panel.id]: _, ...tabs } = view.tabs;
  return { ...view, tabs: value === panel.tabs[0]?.value ? tabs : { ...tabs, [panel.id]: value } };
}

/** What a tab asks of the view: the events of its kind alone, where it has one. That is no filter of the view. */
export const viewOf = (view: View, { only }: PanelTab): View =>
  only ? { ...view, filters: [...view.filters, { dimension: "event_type", operator: "is", values: [only.kind] }] } : view;

/** `212 pages`. */
export const countIn = ({ only }: PanelTab, dimension: string, rows: number): string => (only ? format.plural(rows, only.one) : countOf(dimension, rows));

/** What the rows of a tab are called where there are none. */
export const manyIn = ({ only }: PanelTab, dimension: string | undefined): string =>
  only?.many ?? (dimension ? countOf(dimension, 2).replace(/^\S+\s/, "") : "values");

/** The head of the names in a tab. */
export const headIn = ({ only }: PanelTab, dimension: string): string =>
  only ? only.one.charAt(0).toUpperCase() + only.one.slice(1) : dimensionLabel(dimension);

/** The things to do with what a tab of a panel shows. */
export function useExports(what: string, tab: PanelTab, query: object): MenuItem[] {
  const { base, view, home } = useAnalytics();
  return [
    ...files((format) => numbersUrl(base, "breakdown", viewOf(view, tab), { ...query, format })),
    {
      label: "Copy link",
      icon: "link",
      onSelect: () => void copy(location.origin + home + printView({ ...view, show: what })).then((done) => done && toast("Link copied.")),
    },
  ];
}

/** An address without what all addresses have, and of the website itself the path alone. */
export const bareAddress = (address: string, domain: string): string => {
  const bare = address.replace(/^https?:\/\/(www\.)?/i, "");
  return bare.startsWith(`${domain}/`) ? bare.slice(domain.length) : bare.replace(/\/$/, "");
};

/** A row of a breakdown as a bar. */
export function useBarRow(dimension: string, compares: boolean, longest: number): (row: Row) => BarRow {
  const { filter, domain } = useAnalytics();
  return (row) => {
    const name = valueLabel(dimension, row.value, row.label);
    const isPath = dimension === "page" || dimension === "entry_page" || dimension === "exit_page";
    const filterBy = (operator: "is" | "is_not") => () => filter({ dimension: dimension as Dimension, operator, values: [row.value] });
    const events = dimension === "event_name" || dimension.startsWith("prop.");
    const length = events ? row.events : row.visitors;
    return {
      key: row.value,
      name: isPath ? format.shortPath(name, 44) : dimension === "prop.href" ? format.shortPath(bareAddress(name, domain), 44) : name,
      title: name,
      grey: isMissing(row.value),
      ...(dimension === "country" && { code: row.value }),
      part: longest === 0 ? 0 : length / longest,
      cells: events
        ? [{ content: format.count(row.events) }, compares ? { content: <Delta now={row.events} before={row.before?.events} /> } : { content: format.count(row.visitors), soft: true }]
        : [{ content: format.count(row.visitors) }, secondCell(row.share, row.visitors, row.before?.visitors, compares)],
      onPick: filterBy("is"),
      onExclude: filterBy("is_not"),
      open: pageAddress(dimension, row.value, domain),
    };
  };
}

/** Heads of the two columns of numbers. */
export const heads = (dimension: string, compares: boolean): { title: string; class: string }[] =>
  dimension === "event_name" || dimension.startsWith("prop.")
    ? [{ title: "Events", class: "w" }, { title: compares ? "Change" : "Visitors", class: "w2" }]
    : [{ title: "Visitors", class: "w" }, { title: compares ? "Change" : "Share", class: "w2" }];

const sorting = (id: PanelMeaning["id"]): object => (id === "events" ? { sort: "events" } : {});

/** What a panel asks besides the view. */
const panelQuery = (id: PanelMeaning["id"], dimension: string): object => ({ dimension, limit: id === "places" ? 300 : PRINTED, ...sorting(id) });

/** Asks for the panels of the first view, before it is known who is signed in. */
export function askPanels(base: string, view: View): void {
  for (const id of ["pages", "sources", "tech"] as const) {
    const { dimension } = openTab(PANELS[id], view);
    if (dimension !== "property") prefetch(numbersUrl(base, "breakdown", view, panelQuery(id, dimension)));
  }
}

/** A list of the dashboard: pages, sources, places, technology, events. */
export function Panel({ id }: { id: PanelMeaning["id"] }) {
  const panel = PANELS[id];
  const { view, show } = useAnalytics();
  const tab = openTab(panel, view);
  const properties = useNumbers("properties", tab.dimension === "property" ? {} : undefined);
  const asked = view.tabs[id];
  const property = tab.dimension === "property" ? properties.data?.properties.find((name) => asked === `prop_${name}`) ?? properties.data?.properties[0] : undefined;
  const dimension = tab.dimension === "property" ? (property === undefined ? undefined : `prop.${property}`) : tab.dimension;
  const data = useNumbers("breakdown", dimension === undefined ? undefined : panelQuery(id, dimension), viewOf(view, tab));
  const title = useId();
  const body = useId();
  const compares = view.compare !== undefined;
  const exports = useExports(id, tab, { dimension: dimension ?? "page", ...sorting(id) });
  const rows = data.data?.rows ?? [];
  const longest = Math.max(0, ...rows.map((row) => (id === "events" ? row.events : row.visitors)));
  const toBar = useBarRow(dimension ?? "page", compares, longest);
  const place = id === "places";
  const space = place ? ROWS + 1 : ROWS;
  const choose =
    tab.label === "UTM"
      ? { label: "UTM parameter", items: UTM.map(({ value, label }) => ({ label, checked: value === tab.dimension, onSelect: () => show(withTab(view, panel, value), true) })) }
      : tab.dimension === "property" && properties.data
        ? { label: "Property", items: properties.data.properties.map((name) => ({ label: name, checked: name === property, onSelect: () => show(withTab(view, panel, `prop_${name}`), true) })) }
        : undefined;
  const head = choose ? (
    <Menu
      label={choose.label}
      align="start"
      items={choose.items}
      trigger={({ buttonRef, ...props }) => (
        <button type="button" class="headmenu" {...props} ref={buttonRef}>
          {dimension ? dimensionLabel(dimension) : choose.label}
          <Icon name="down" size={12} />
        </button>
      )}
    />
  ) : (
    headIn(tab, tab.dimension)
  );
  const list = (found: Breakdown) =>
    found.rows.length === 0 ? (
      <NoRows what={manyIn(tab, dimension)} />
    ) : (
      <BarList
        label={`${panel.title}: ${tab.label}`}
        head={[{ title: head }, ...heads(dimension ?? "page", compares)]}
        rows={found.rows.slice(0, PRINTED).map(toBar)}
        space={space}
      />
    );
  return (
    <section class={`card panel${place ? " span-2" : ""}`} aria-labelledby={title} aria-busy={data.loading || data.stale}>
      <div class="panel-head">
        <h2 id={title}>{panel.title}</h2>
        <Tabs look="ptabs" labelledBy={title} value={tab.value} tabs={panel.tabs} onValue={(value) => show(withTab(view, panel, value), true)} controls={body} />
        <MoreMenu label={`${panel.title}: export and more`} items={[...exports, "line", { label: "Show all", icon: "table", onSelect: () => show({ ...view, show: id }) }]} />
      </div>
      <div id={body} role="tabpanel" aria-label={`${panel.title}: ${tab.label}`} class="panel-main">
        {tab.dimension === "property" && properties.data?.properties.length === 0 ? (
          <NoRows what="properties" />
        ) : (
          <PanelBody data={data} what={panel.title} rows={space}>
            {(found) =>
              place && tab.dimension === "country" ? (
                <div class="places">
                  <DotMap rows={found.rows} />
                  {list(found)}
                </div>
              ) : (
                list(found)
              )
            }
          </PanelBody>
        )}
      </div>
      <div class="panel-foot">
        <span>
          {rows.length > 0 && dimension && countIn(tab, dimension, data.data?.total_rows ?? 0)}
          {place && (
            <>
              {rows.length > 0 && " · "}
              <a href="https://db-ip.com" rel="noreferrer">
                IP Geolocation by DB-IP
              </a>
            </>
          )}
        </span>
        <Button small kind="quiet" onClick={() => show({ ...view, show: id })}>
          Show all
          <span class="vh"> {panel.title.toLowerCase()}</span>
        </Button>
      </div>
    </section>
  );
}
