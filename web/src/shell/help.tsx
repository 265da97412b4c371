import { Dialog } from "../ui/overlay";

const KEYS: readonly (readonly [string, string])[] = [
  ["Ctrl K", "Search and commands"],
  ["?", "This list"],
  ["/", "Find in the open list"],
  ["F", "Filter"],
  ["C", "Compare on and off"],
  ["Esc", "Close; then clear the filters"],
  ["← →", "Earlier and later range"],
  ["D E W T Q M Y L A", "Today, yesterday, 7 days, 28 days, 90 days, month, year, 12 months, all"],
  ["1 … 6", "Which number the chart shows"],
  ["B", "The numbers of the chart as a table"],
  ["Space ← → , . [ ]", "In a replay: play, 5 seconds back and on, event before and after, slower and faster"],
  ["G then A L V O H P R S W", "Go to analytics, live, visitors, goals, heatmaps, replays, errors, settings, websites"],
  ["Shift L", "Copy a link to this view"],
  ["F6", "Go to the last message"],
];

/** The keys, and where they are switched off. */
export default function Help({ onClose }: { onClose(): void }) {
  return (
    <Dialog title="Keyboard shortcuts" onClose={onClose}>
      <div class="dlg-body">
        <dl class="shortcuts">
          {KEYS.map(([keys, what]) => (
            <div key={keys}>
              <dt>
                {keys.split(" ").map((key) => (key === "then" || key === "…" ? <span key={key} class="dim">{key}</span> : <kbd key={key}>{key}</kbd>))}
              </dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
        <p class="hint">
          Single keys can be switched off in <a href="/settings/account">your account</a>.
        </p>
      </div>
    </Dialog>
  );
}
