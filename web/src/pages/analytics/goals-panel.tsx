import { useId } from "preact/hooks";
import * as format from "../../lib/format";
import { printQuestion } from "../../lib/view";
import { Delta, Empty, LinkButton } from "../../ui/basic";
import { MoreMenu } from "../../ui/overlay";
import { files, numbersUrl, useAnalytics, useNumbers } from "./context";
import { BarList, PanelBody } from "./parts";

const ROWS = 7;

/** The goals and how many visits reached them. */
export function GoalsPanel() {
  const { base, home, view, shared, filter } = useAnalytics();
  const data = useNumbers("goals", {});
  const title = useId();
  const compares = view.compare !== undefined;
  const question = printQuestion({ ...view, filters: [] }).join("&");
  const all = `${home}/goals${question && `?${question}`}`;
  return (
    <section class="card panel goalspanel" aria-labelledby={title} aria-busy={data.loading || data.stale}>
      <div class="panel-head">
        <h2 id={title}>Goals</h2>
        <span class="grow" />
        <MoreMenu label="Goals: export" items={files((format) => numbersUrl(base, "goals", view, { format }))} />
      </div>
      <div class="panel-main">
        <PanelBody data={data} what="Goals" rows={ROWS}>
          {({ goals }) =>
            goals.length === 0 ? (
              <Empty title="No goals yet">A goal is a page that is seen or an event that is sent: a sign-up, an order.</Empty>
            ) : (
              <BarList
                label="Goals"
                space={ROWS}
                head={[
                  { title: "Goal" },
                  { title: "Converted", class: "w2" },
                  { title: "Rate", class: "w" },
                  ...(compares ? [{ title: "Change", class: "w2" }] : []),
                ]}
                rows={goals.slice(0, ROWS).map((goal) => ({
                  key: goal.id,
                  name: goal.name,
                  part: goal.numbers.conversions / Math.max(1, ...goals.map(({ numbers }) => numbers.conversions)),
                  cells: [
                    { content: format.count(goal.numbers.conversions) },
                    { content: format.percent(goal.numbers.conversion_rate) },
                    ...(compares ? [{ content: <Delta now={goal.numbers.conversions} before={goal.before?.conversions} /> }] : []),
                  ],
                  onPick: () => filter({ dimension: "goal", operator: "is", values: [goal.name] }),
                  onExclude: () => filter({ dimension: "goal", operator: "is_not", values: [goal.name] }),
                }))}
              />
            )
          }
        </PanelBody>
      </div>
      <div class="panel-foot">
        <span>Rate: converted ÷ visits</span>
        {!shared && (
          <LinkButton small kind="quiet" href={all}>
            All goals
          </LinkButton>
        )}
      </div>
    </section>
  );
}
