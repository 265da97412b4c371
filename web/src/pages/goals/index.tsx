// `/websites/:id/goals`, `…/goals/:gid`, `…/funnels/:fid`.
import { useMemo, useState } from "preact/hooks";
import "../../styles/analytics.css";
import "../../styles/goals.css";
import { remove } from "../../api/client";
import { refresh } from "../../api/data";
import * as format from "../../lib/format";
import { go } from "../../lib/router";
import { atLeast } from "../../lib/session";
import { addFilter, printView } from "../../lib/view";
import { useWebsite, type Website } from "../../lib/websites";
import type { PageProps } from "../../routes";
import { Page, PageState } from "../../shell/page";
import { Badge, Button, Delta, Empty, Failure, Skeleton } from "../../ui/basic";
import { Sparkline } from "../../ui/chart";
import { Table, type Column } from "../../ui/data";
import { Confirm, Menu, MoreMenu, toast } from "../../ui/overlay";
import { AnalyticsContext, files, numbersUrl, useAnalytics, useNumbers, useView, type Analytics, type Funnels, type Goals } from "../analytics/context";
import { LongQuestion, Waiting } from "../parts/long-question";
import { RangeBar } from "../analytics/range-bar";
import { FunnelForm, GoalForm } from "./forms";
import { FunnelCard } from "./funnel";
import { stepWords } from "./steps";

type Goal = Goals["goals"][number];
type Funnel = Funnels["funnels"][number];

export default function GoalsPage({ params }: PageProps) {
  const website = useWebsite(params.id);
  if (!website.data) return <PageState title="Goals and funnels" of={website} />;
  return <Loaded website={website.data} goal={params.gid} funnel={params.fid} />;
}

function Loaded({ website, goal, funnel }: { website: Website; goal: string | undefined; funnel: string | undefined }) {
  const root = `/websites/${website.id}`;
  const here = funnel !== undefined ? `${root}/funnels/${encodeURIComponent(funnel)}` : goal !== undefined ? `${root}/goals/${encodeURIComponent(goal)}` : `${root}/goals`;
  const { view, show } = useView(here);
  const today = format.dayIn(new Date(), website.settings.time_zone);
  const analytics = useMemo(
    (): Analytics => ({
      base: `/api/websites/${website.id}`,
      home: root,
      domain: website.domain,
      zone: website.settings.time_zone,
      today,
      view,
      shared: false,
      show,
      // A filter is of the numbers of all visits: that is where it leads.
      filter: (filter) => go(root + printView(addFilter(view, filter))),
      unfilter: () => {},
    }),
    [website, root, today, view, show],
  );
  return (
    <AnalyticsContext.Provider value={analytics}>
      <Content website={website} only={{ goal, funnel }} />
    </AnalyticsContext.Provider>
  );
}

type Open = { kind: "goal"; goal?: Goal } | { kind: "funnel"; funnel?: Funnel } | { kind: "drop goal"; goal: Goal } | { kind: "drop funnel"; funnel: Funnel };

function Content({ website, only }: { website: Website; only: { goal: string | undefined; funnel: string | undefined } }) {
  const { view, show, zone, today, home } = useAnalytics();
  const [open, setOpen] = useState<Open>();
  const goals = useNumbers("goals", {});
  const funnels = useNumbers("funnels", {});
  const totals = useNumbers("totals", {});
  // What the plan does not include is absent.
  const hasFunnels = funnels.error?.status !== 403;
  const edits = atLeast(website.role, "editor");
  const why = edits ? undefined : `Your role here is ${website.role}. Goals are made by editors, admins and owners.`;
  const range = goals.data?.range;
  const days = range && { from: format.dayIn(new Date(range.from), zone), to: format.dayIn(new Date(range.to), zone) };
  const shownGoals = goals.data?.goals.filter(({ id }) => only.goal === undefined || id === only.goal);
  const shownFunnels = funnels.data?.funnels.filter(({ id }) => only.funnel === undefined || id === only.funnel);
  const title = only.funnel !== undefined ? (shownFunnels?.[0]?.name ?? "Funnel") : only.goal !== undefined ? (shownGoals?.[0]?.name ?? "Goal") : hasFunnels ? "Goals and funnels" : "Goals";
  const lost = (only.goal !== undefined && shownGoals?.length === 0) || (only.funnel !== undefined && shownFunnels?.length === 0);
  const close = () => setOpen(undefined);

  return (
    <Page
      title={title}
      tab={website.domain}
      {...((only.goal ?? only.funnel) !== undefined && { crumbs: [{ label: "Goals and funnels", href: `${home}/goals` }] })}
      actions={
        <>
          <RangeBar view={view} show={show} zone={zone} today={today} days={days} />
          <Menu
            label="New"
            items={[
              { label: "New goal", icon: "goal", onSelect: () => setOpen({ kind: "goal" }) },
              ...(hasFunnels ? [{ label: "New funnel", icon: "funnel" as const, onSelect: () => setOpen({ kind: "funnel" }) }] : []),
            ]}
            trigger={({ buttonRef, ...props }) => (
              <Button {...props} buttonRef={buttonRef} kind="primary" icon="plus" disabledReason={why}>
                New
              </Button>
            )}
          />
        </>
      }
    >
      {lost ? (
        <section class="card">
          <Empty title="It is not there any more" level={2} icon="goal">
            Somebody deleted it, or it belongs to another website.
          </Empty>
        </section>
      ) : (
        <div class="stack stack-16">
          {only.funnel === undefined && (
            <section class="card" aria-labelledby="goals-h" aria-busy={goals.loading || goals.stale}>
              <div class="card-head">
                <h2 id="goals-h">Goals</h2>
                <span class="dim">
                  rate = converted ÷ visits{totals.data && ` (${format.count(totals.data.now.sessions)})`}
                </span>
                <span class="grow" />
                <MoreMenu
                  label="Goals and funnels: export"
                  items={[
                    ...files((kind) => numbersUrl(`/api/websites/${website.id}`, "goals", view, { format: kind }), "Goals"),
                    "line",
                    ...files((kind) => numbersUrl(`/api/websites/${website.id}`, "funnels", view, { format: kind }), "Funnels"),
                  ]}
                />
              </div>
              <LongQuestion data={goals} what="goals" />
              {goals.error ? (
                <div class="card-body">
                  <Failure error={goals.error} what="Goals could not be counted." onRetry={goals.reload} />
                </div>
              ) : !shownGoals ? (
                <Waiting data={goals}>
                  <Skeleton lines={5} />
                </Waiting>
              ) : shownGoals.length === 0 ? (
                <Empty
                  title="No goals yet"
                  icon="goal"
                  action={
                    <Button kind="primary" disabledReason={why} onClick={() => setOpen({ kind: "goal" })}>
                      New goal
                    </Button>
                  }
                >
                  A goal is something that you want visitors to do, such as seeing <code>/thank-you</code> or sending the event <code>signup_completed</code>.
                </Empty>
              ) : (
                <GoalTable goals={shownGoals} compares={view.compare !== undefined} edits={edits} onOpen={setOpen} />
              )}
            </section>
          )}
          {only.goal === undefined &&
            hasFunnels &&
            (funnels.error ? (
              <Failure error={funnels.error} what="Funnels could not be counted." onRetry={funnels.reload} />
            ) : shownFunnels?.length === 0 ? (
              <section class="card" aria-labelledby="funnels-h">
                <div class="card-head">
                  <h2 id="funnels-h">Funnels</h2>
                </div>
                <Empty
                  title="No funnels yet"
                  icon="funnel"
                  action={
                    <Button disabledReason={why} onClick={() => setOpen({ kind: "funnel" })}>
                      New funnel
                    </Button>
                  }
                >
                  A funnel is two to seven steps in order, such as <code>/pricing</code>, <code>signup_started</code>, <code>signup_completed</code>. It shows where visitors leave.
                </Empty>
              </section>
            ) : shownFunnels === undefined ? (
              <section class="card" aria-label="Funnels" aria-busy="true">
                <Skeleton lines={6} />
              </section>
            ) : (
              shownFunnels.map((funnel) => (
                <FunnelCard
                  key={funnel.id}
                  funnel={funnel}
                  {...(edits && { onEdit: () => setOpen({ kind: "funnel", funnel }), onDelete: () => setOpen({ kind: "drop funnel", funnel }) })}
                />
              ))
            ))}
        </div>
      )}
      {open?.kind === "goal" && <GoalForm website={website.id} goal={open.goal} onClose={close} />}
      {open?.kind === "funnel" && <FunnelForm website={website.id} funnel={open.funnel} goals={goals.data?.goals ?? []} onClose={close} />}
      {open?.kind === "drop goal" && (
        <Confirm
          title={`Delete “${open.goal.name}”?`}
          action="Delete"
          onClose={close}
          onConfirm={async () => {
            await remove("/api/websites/{website_id}/goals/{goal_id}", { path: { website_id: website.id, goal_id: open.goal.id } });
            refresh(`/api/websites/${website.id}/`);
            toast(`Goal “${open.goal.name}” deleted.`);
          }}
        >
          Its numbers are counted from events, which stay: a new goal with the same rule shows the same.
        </Confirm>
      )}
      {open?.kind === "drop funnel" && (
        <Confirm
          title={`Delete “${open.funnel.name}”?`}
          action="Delete"
          onClose={close}
          onConfirm={async () => {
            await remove("/api/websites/{website_id}/funnels/{funnel_id}", { path: { website_id: website.id, funnel_id: open.funnel.id } });
            refresh(`/api/websites/${website.id}/`);
            toast(`Funnel “${open.funnel.name}” deleted.`);
          }}
        >
          Its numbers are counted from events, which stay.
        </Confirm>
      )}
    </Page>
  );
}

function GoalTable({ goals, compares, edits, onOpen }: { goals: readonly Goal[]; compares: boolean; edits: boolean; onOpen(open: Open): void }) {
  const { home } = useAnalytics();
  const [sort, setSort] = useState("-conversions");
  const value = (goal: Goal): number | string => {
    switch (sort.replace("-", "")) {
      case "name": return goal.name.toLowerCase();
      case "rate": return goal.numbers.conversion_rate ?? -1;
      default: return goal.numbers.conversions;
    }
  };
  const rows = [...goals].sort((a, b) => {
    const [one, other] = [value(a), value(b)];
    const order = typeof one === "string" ? one.localeCompare(String(other)) : one - Number(other);
    return sort.startsWith("-") ? -order : order;
  });
  const columns: Column<Goal>[] = [
    {
      id: "name",
      title: "Goal",
      sortable: true,
      cell: (goal) => (
        <a class="cover" href={`${home}/goals/${goal.id}`}>
          {goal.name}
        </a>
      ),
    },
    {
      id: "rule",
      title: "Counts when",
      wide: true,
      cell: (goal) => (
        <span class="row">
          <Badge>{goal.type === "page" ? "Page" : "Event"}</Badge>
          <span class="mono mid clip">{stepWords(goal)}</span>
        </span>
      ),
    },
    { id: "series", title: "Over time", wide: true, class: "sparkcell", cell: (goal) => <Sparkline values={goal.series} /> },
    { id: "conversions", title: "Converted", num: true, sortable: true, class: "strong", cell: (goal) => format.count(goal.numbers.conversions) },
    { id: "rate", title: "Rate", num: true, sortable: true, cell: (goal) => format.percent(goal.numbers.conversion_rate) },
    ...(compares ? [{ id: "change", title: "Change", num: true, wide: true, cell: (goal: Goal) => <Delta now={goal.numbers.conversions} before={goal.before?.conversions} /> }] : []),
    ...(edits
      ? [
          {
            id: "menu",
            title: "Menu",
            hideTitle: true,
            num: true,
            cell: (goal: Goal) => (
              <MoreMenu
                label={`${goal.name}: menu`}
                items={[
                  { label: "Analytics of these visits", icon: "filter", href: `${home}?f=goal:is:${encodeURIComponent(goal.name)}` },
                  { label: "Edit", icon: "edit", onSelect: () => onOpen({ kind: "goal", goal }) },
                  "line",
                  { label: "Delete", icon: "trash", danger: true, onSelect: () => onOpen({ kind: "drop goal", goal }) },
                ]}
              />
            ),
          },
        ]
      : []),
  ];
  return <Table caption="Goals, table" columns={columns} rows={rows} rowKey={(goal) => goal.id} sort={sort} onSort={setSort} />;
}
