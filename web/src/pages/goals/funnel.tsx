import type { Answer } from "../../api/client";
import { useUrl } from "../../api/data";
import { address } from "../../api/client";
import * as format from "../../lib/format";
import { printQuestion } from "../../lib/view";
import { Badge, Delta, Empty, Failure, Skeleton } from "../../ui/basic";
import { MoreMenu } from "../../ui/overlay";
import { files, useAnalytics, type Funnels } from "../analytics/context";
import { LongQuestion, Waiting } from "../parts/long-question";
import { stepWords } from "./steps";

type Funnel = Funnels["funnels"][number];
type Report = Answer<"/api/websites/{website_id}/funnels/{funnel_id}/report", "get">;

/** A funnel: how many take each step. */
export function FunnelCard({ funnel, onEdit, onDelete }: { funnel: Funnel; onEdit?(): void; onDelete?(): void }) {
  const { base, view, home } = useAnalytics();
  const { interval: _, ...asked } = view;
  const url = (query: object) => address(`${base}/funnels/${encodeURIComponent(funnel.id)}/report`, { raw: printQuestion(asked), query });
  const data = useUrl<Report>(url({}));
  const changes = (onEdit || onDelete) && !funnel.automatic;
  const id = `funnel-${funnel.id}`;
  const report = data.data;
  const reached = report ? report.steps.filter(({ visitors }) => visitors > 0).length : 0;
  return (
    <section class="card" aria-labelledby={id} aria-busy={data.loading || data.stale}>
      <div class="card-head">
        <h2 id={id}>
          <a class="cover plain" href={`${home}/funnels/${encodeURIComponent(funnel.id)}`}>
            {funnel.name}
          </a>
        </h2>
        {funnel.automatic ? <Badge tone="accent">Auto</Badge> : <span class="badge wide-only">{funnel.steps.length} steps, in order, in one visit</span>}
        <span class="grow" />
        {report && report.steps[0] && report.steps[0].visitors > 0 && (
          <span class="nowrap wide-only">
            <b>{format.percent(report.conversion_rate)}</b> <span class="dim">go all the way</span>{" "}
            {report.before && <Delta now={report.conversion_rate} before={report.before.conversion_rate} />}
          </span>
        )}
        <MoreMenu
          label={`${funnel.name}: ${changes ? "menu" : "export"}`}
          items={[
            changes && onEdit && { label: "Edit", icon: "edit", onSelect: onEdit },
            ...files((format) => url({ format })),
            changes && onDelete && "line",
            changes && onDelete && { label: "Delete", icon: "trash", danger: true, onSelect: onDelete },
          ]}
        />
      </div>
      <LongQuestion data={data} what={funnel.name} />
      {data.error ? (
        <div class="card-body">
          <Failure error={data.error} what="The funnel could not be counted." onRetry={data.reload} />
        </div>
      ) : !report ? (
        <Waiting data={data}>
          <Skeleton lines={6} />
        </Waiting>
      ) : reached === 0 ? (
        <Empty icon="funnel" title="No visitor took the first step">
          {funnel.automatic ? (
            <>
              The funnel was made from <code>funnel_step</code> calls of your code. Numbers appear with the next visit.
            </>
          ) : (
            "Nobody came in this range, or the steps have other names."
          )}
        </Empty>
      ) : (
        <Steps funnel={funnel} report={report} stale={data.stale} />
      )}
      {report && reached > 0 && (
        <div class="card-foot">
          <span>Each visitor counts once, in the visit that leads furthest.</span>
        </div>
      )}
    </section>
  );
}

function Steps({ funnel, report, stale }: { funnel: Funnel; report: Report; stale: boolean }) {
  const first = report.steps[0]?.visitors ?? 0;
  return (
    <ol class={stale ? "funnel stale" : "funnel"} style={{ "--steps": String(report.steps.length) }}>
      {report.steps.map((step, index) => {
        const shown = funnel.steps[index];
        const part = first === 0 ? 0 : (step.visitors / first) * 100;
        const next = report.steps[index + 1];
        const nextPart = next && first > 0 ? (next.visitors / first) * 100 : undefined;
        return (
          <li class="fstep" key={index}>
            <div class="fh">
              <h3>
                {index + 1}. {shown?.label}
              </h3>
              {shown && !funnel.automatic && (
                <p class="hint clip mono" title={stepWords(shown)}>
                  {shown.type === "goal" ? "goal" : `${shown.type} ${stepWords(shown)}`}
                </p>
              )}
            </div>
            <svg class="fcol" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
              {nextPart !== undefined && <polygon class="flow" points={`56,${100 - part} 100,${100 - nextPart} 100,100 56,100`} />}
              <rect class="go" x="0" y={100 - part} width="56" height={part} />
            </svg>
            <svg class="fbar" aria-hidden="true">
              <rect width="100%" height="100%" rx="3" class="fbg" />
              <rect width={`${part.toFixed(1)}%`} height="100%" rx="3" class="go" />
            </svg>
            <div class="fx">
              <p class="v">{format.count(step.visitors)}</p>
              {index === 0 ? (
                <p class="dim">{step.visitors === 1 ? "visitor enters" : "visitors enter"}</p>
              ) : (
                <>
                  <p>
                    <b>{format.percent(step.of_previous)}</b> <span class="dim">of the step before</span>
                  </p>
                  <p class="dim">{format.count(step.left)} left</p>
                </>
              )}
            </div>
          </li>
        );
      })}
    </ol>
  );
}
