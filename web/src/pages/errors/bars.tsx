// How often something happened, bucket by bucket.
import type { Answer } from "../../api/client";
import * as format from "../../lib/format";
import { bucketLabel, bucketStarts } from "../../lib/range";
import type { Interval } from "../../lib/view";
import { classes } from "../../ui/basic";
import { Table } from "../../ui/data";

type Range = Answer<"/api/websites/{website_id}/errors", "get">["range"];

/** Bars without axes, beside a number. */
export function SparkBars({ values }: { values: readonly number[] }) {
  const most = Math.max(1, ...values);
  const width = 100 / Math.max(1, values.length);
  return (
    <svg class="sparkbars" viewBox="0 0 100 28" preserveAspectRatio="none" aria-hidden="true">
      <path class="floor" d="M0 27.5H100" />
      {values.map((value, at) => value > 0 && <rect key={at} x={(at * width + width * 0.1).toFixed(2)} y={(28 - Math.max(2, (value / most) * 26)).toFixed(2)} width={(width * 0.8).toFixed(2)} height={Math.max(2, (value / most) * 26).toFixed(2)} />)}
    </svg>
  );
}

interface Props {
  readonly what: string;
  readonly values: readonly number[];
  readonly range: Range;
  readonly interval: Interval;
  readonly zone: string;
  readonly asTable: boolean;
  /** Something that happened in between, and from when on it counts. */
  readonly mark?: { readonly at: string; readonly label: string } | undefined;
}

const WIDTH = 1120;
const HEIGHT = 70;

/** Occurrences over time: bars, or the same as a table. */
export function Occurrences({ what, values, range, interval, zone, asTable, mark }: Props) {
  const starts = bucketStarts(range.from, interval, zone, values.length);
  const year = format.dayIn(new Date(), zone).slice(0, 4);
  const label = (at: number, axis = false) => bucketLabel(starts[at] ?? range.from, interval, zone, axis, year);
  if (asTable) {
    return (
      <Table
        caption={`${what} by ${interval}`}
        columns={[
          { id: "bucket", title: interval.charAt(0).toUpperCase() + interval.slice(1), cell: ({ at }) => label(at) },
          { id: "value", title: what, num: true, cell: ({ value }) => format.count(value) },
        ]}
        rows={values.map((value, at) => ({ value, at }))}
        rowKey={({ at }) => String(at)}
      />
    );
  }
  const most = Math.max(1, ...values);
  const step = WIDTH / Math.max(1, values.length);
  const gap = Math.min(8, step * 0.2);
  const markAt = mark ? starts.findLastIndex((start) => start <= mark.at) : -1;
  const highest = values.indexOf(Math.max(...values));
  const total = values.reduce((sum, value) => sum + value, 0);
  return (
    <div class="occ">
      {mark && markAt >= 0 && (
        <span class={classes("relmark", markAt / values.length < 0.2 && "after")} style={{ left: `${(markAt / values.length) * 100}%` }}>
          {mark.label}
        </span>
      )}
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`${what} by ${interval}: ${format.count(total)} in all${total > 0 ? `, at most ${format.count(values[highest])} on ${label(highest)}` : ""}`}>
        {markAt >= 0 && <path class="rel" d={`M${(markAt * step).toFixed(1)} 0V${HEIGHT}`} />}
        {values.map((value, at) => {
          const height = value === 0 ? 0 : Math.max(3, (value / most) * (HEIGHT - 4));
          return (
            <g key={at}>
              {value > 0 && <rect class={classes("b", at < markAt && "old")} x={(at * step + gap / 2).toFixed(1)} y={(HEIGHT - height).toFixed(1)} width={(step - gap).toFixed(1)} height={height.toFixed(1)} rx="3" />}
              <rect class="hit" x={(at * step).toFixed(1)} y="0" width={step.toFixed(1)} height={HEIGHT}>
                <title>{`${label(at)}: ${format.count(value)}`}</title>
              </rect>
            </g>
          );
        })}
      </svg>
      <div class="xs flush" aria-hidden="true">
        <span>{label(0, true)}</span>
        {values.length > 1 && <span>{label(values.length - 1, true)}</span>}
      </div>
    </div>
  );
}
