// The whole table of a panel: all rows, with search and sort.
import { useEffect, useRef, useState } from "preact/hooks";
import { peek, useUrls } from "../../api/data";
import * as format from "../../lib/format";
import { useKeys } from "../../lib/keys";
import type { View } from "../../lib/view";
import { Button, classes, CountryTag, Delta, Skeleton } from "../../ui/basic";
import { Tabs, type Column } from "../../ui/data";
import { WindowTable } from "../../ui/window";
import { Icon } from "../../ui/icons";
import { Dialog, Menu } from "../../ui/overlay";
import { numbersUrl, useAnalytics, useNumbers, type Breakdown, type Row } from "./context";
import { isMissing, PANELS, valueLabel, type PanelMeaning } from "./dimensions";
import { countIn, headIn, manyIn, openTab, useExports, viewOf, withTab } from "./panel";
import { NoRows, useSettled } from "./parts";
import { PartRefused } from "./refused";
import { LongQuestion, Waiting } from "../parts/long-question";

const PAGE = 100;

/** Numbers go from the greatest by themselves: `visitors`; the other way round is `-visitors`. Values go from A. */
const toTable = (sort: string): string => (sort.endsWith("value") ? sort : sort.startsWith("-") ? sort.slice(1) : `-${sort}`);

export default function FullTable({ panel: id }: { panel: PanelMeaning["id"] }) {
  const panel = PANELS[id];
  const { view, show, filter, domain, base } = useAnalytics();
  const tab = openTab(panel, view);
  const properties = useNumbers("properties", tab.dimension === "property" ? {} : undefined);
  const asked = view.tabs[id];
  const property = tab.dimension === "property" ? (properties.data?.properties.find((name) => asked === `prop_${name}`) ?? properties.data?.properties[0]) : undefined;
  const dimension = tab.dimension === "property" ? (property === undefined ? undefined : `prop.${property}`) : tab.dimension;
  const events = id === "events";
  const sort = view.sort ?? (events ? "events" : "visitors");
  const [typed, setTyped] = useState(view.q ?? "");
  const query = { ...(sort !== "visitors" && { sort }), ...(view.q && { q: view.q }) };
  const counted = viewOf(view, tab);
  const data = useNumbers("breakdown", dimension === undefined ? undefined : { dimension, limit: PAGE, ...query }, counted);
  const page = (number: number) => numbersUrl(base, "breakdown", counted, { dimension, limit: PAGE, ...query, ...(number > 0 && { offset: number * PAGE }) });
  // The pages that have rows which can be seen, when they have been for a moment.
  const [span, setSpan] = useState({ first: 0, end: 0 });
  const seen = useSettled(`${Math.floor(span.first / PAGE)} ${Math.floor(Math.max(0, span.end - 1) / PAGE)}`, 80);
  const [from = 0, to = 0] = seen.split(" ").map(Number);
  const further = dimension === undefined || data.data === undefined || data.stale ? [] : Array.from({ length: to - from + 1 }, (_, at) => from + at).filter((number) => number > 0);
  const rest = useUrls(further.map(page));
  const scroller = useRef<HTMLDivElement>(null);
  useEffect(() => scroller.current?.scrollTo({ top: 0 }), [page(0)]);
  const exports = useExports(id, tab, { dimension: dimension ?? "page", ...query });
  const input = useRef<HTMLInputElement>(null);
  const close = () => {
    const { show: _, sort: _sort, q: _q, ...rest } = view;
    show(rest);
  };
  const latest = useRef(view);
  latest.current = view;
  useEffect(() => {
    const timer = setTimeout(() => {
      // As it is by then: something else may have been chosen meanwhile.
      const { q, ...rest } = latest.current;
      if (typed.trim() === (q ?? "")) return;
      show(typed.trim() ? { ...rest, q: typed.trim() } : rest, true);
    }, 200);
    return () => clearTimeout(timer);
  }, [typed]);
  useKeys({ "/": () => input.current?.focus() });

  const compares = view.compare !== undefined;
  const pick = (row: Row, operator: "is" | "is_not") => {
    close();
    if (dimension) filter({ dimension: dimension as View["filters"][number]["dimension"], operator, values: [row.value] });
  };
  const cell = (name: "visitors" | "sessions" | "pageviews" | "events", title: string, wide: boolean): Column<Row> => ({
    id: name,
    title,
    num: true,
    sortable: true,
    wide,
    cell: (row) => format.count(row[name]),
  });
  const columns: Column<Row>[] = [
    {
      id: "value",
      title: dimension ? headIn(tab, dimension) : "Property",
      sortable: true,
      class: "valuecell",
      cell: (row) => {
        const name = valueLabel(dimension ?? "", row.value, row.label);
        return (
          <span class="row">
            {dimension === "country" && <CountryTag code={row.value} />}
            <button type="button" class={classes("rowlink", isMissing(row.value) && "dim")} title={name} onClick={(event) => pick(row, event.altKey ? "is_not" : "is")}>
              {name}
            </button>
            <button type="button" class="more" aria-label={`Exclude ${name}`} title="Exclude" onClick={() => pick(row, "is_not")}>
              <Icon name="exclude" size={14} />
            </button>
          </span>
        );
      },
    },
    ...(events ? [cell("events", "Events", false)] : []),
    cell("visitors", "Visitors", false),
    ...(compares
      ? [{ id: "change", title: "Change", num: true, cell: (row: Row) => <Delta now={events ? row.events : row.visitors} before={events ? row.before?.events : row.before?.visitors} /> }]
      : [{ id: "share", title: "Share", num: true, cell: (row: Row) => format.percent(row.share) }]),
    ...(events ? [] : [cell("sessions", "Visits", true), cell("pageviews", "Pageviews", true)]),
    ...(events
      ? []
      : [
          { id: "bounce_rate", title: "Bounce rate", num: true, wide: true, sortable: true, cell: (row: Row) => format.percent(row.bounce_rate) },
          { id: "duration", title: "Duration", num: true, wide: true, sortable: true, cell: (row: Row) => format.duration(row.duration) },
        ]),
  ];
  const total = data.data?.total_rows ?? 0;
  const rowAt = (index: number): Row | undefined => {
    const number = Math.floor(index / PAGE);
    return (number === 0 ? data.data : peek<Breakdown>(page(number)))?.rows[index % PAGE];
  };
  return (
    <Dialog title={panel.title} wide class="full" onClose={close}>
      <div class="fullhead">
        {tab.dimension === "property" ? (
          <Menu
            label="Property"
            align="start"
            items={(properties.data?.properties ?? []).map((name) => ({ label: name, checked: name === property, onSelect: () => show(withTab(view, panel, `prop_${name}`), true) }))}
            trigger={({ buttonRef, ...props }) => (
              <Button {...props} buttonRef={buttonRef}>
                {property ?? "Property"} <Icon name="down" size={12} />
              </Button>
            )}
          />
        ) : (
          <Tabs look="tabs" label={panel.title} value={tab.value} tabs={panel.tabs} onValue={(value) => show(withTab(view, panel, value), true)} controls="full-table" />
        )}
        <span class="grow" />
        <span class="search">
          <Icon name="search" />
          <input
            ref={input}
            class="input"
            type="search"
            autofocus
            aria-label={`Find in ${panel.title.toLowerCase()}`}
            placeholder="Find"
            autocomplete="off"
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
          <kbd>/</kbd>
        </span>
        <Menu
          label="Export"
          items={exports}
          trigger={({ buttonRef, ...props }) => (
            <Button {...props} buttonRef={buttonRef} icon="download" aria-label="Export" title="Export">
              <span class="lab">Export</span>
            </Button>
          )}
        />
      </div>
      <div ref={scroller} id="full-table" role="tabpanel" aria-label={tab.label} aria-busy={data.loading || data.stale} class={classes("fulltable", data.stale && "stale")}>
        <LongQuestion data={data} what={panel.title.toLowerCase()} />
        {data.error ? (
          <div class="card-body">
            <PartRefused error={data.error} what={`${panel.title} could not be counted.`} onRetry={data.reload} />
          </div>
        ) : data.data === undefined ? (
          <Waiting data={data}>
            <div class="card-body">
              <Skeleton lines={12} />
            </div>
          </Waiting>
        ) : total === 0 ? (
          view.q ? (
            <div class="empty">
              <h3>Nothing has “{view.q}” in it</h3>
            </div>
          ) : (
            <NoRows what={manyIn(tab, dimension)} />
          )
        ) : (
          <WindowTable
            caption={`${panel.title}: ${tab.label}, ${domain}`}
            columns={columns}
            count={total}
            total={total}
            rowAt={rowAt}
            rowKey={(row) => row.value}
            scroller={scroller}
            onSpan={(first, end) => setSpan({ first, end })}
            sort={toTable(sort)}
            onSort={(next) => {
              const other = toTable(next);
              const { sort: _, ...rest } = view;
              show(other === (events ? "events" : "visitors") ? rest : { ...rest, sort: other }, true);
            }}
          />
        )}
      </div>
      <div class="dlg-foot fullfoot">
        {rest.error ? (
          <span class="err" role="alert">
            Some rows could not be counted.{" "}
            <Button small onClick={rest.reload}>
              Try again
            </Button>
          </span>
        ) : (
          <span class="dim">{data.data && dimension && countIn(tab, dimension, total)}</span>
        )}
        <span class="grow" />
        <Button onClick={close}>Close</Button>
      </div>
    </Dialog>
  );
}
