// The picture of a page, and over it what was done there.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import * as format from "../../lib/format";
import type { RecordedNode, RecordedPage, Viewport } from "../../lib/recorded";
import { density, marks, shareAt, withRoom, type Density, type Pin, type Spot } from "../../rules/heat";
import { classes } from "../../ui/basic";
import { Icon } from "../../ui/icons";
import type { Target } from "./targets";
import type { Grid, MapKind, PageHeat } from "./view";

/** Where an element stands, in pixels of the page. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** A page that is drawn: its size, and where its elements stand. */
export interface Drawn {
  readonly width: number;
  readonly height: number;
  /** It is dark, so that heat on it must be bright. */
  readonly isDark: boolean;
  readonly boxes: ReadonlyMap<RecordedNode, Box>;
}

/** Where the server has the empty document of the frame, in which nothing runs. */
const FRAME = "/frame";
/** A page is drawn to this height, in pixels. */
const HEIGHT_MAX = 30_000;
/** A cell of the heat, and how far a click reaches, in pixels of what is drawn and in cells. */
const CELL = 3;
const RADIUS = 11;
const PINS_MAX = 40;

/** The page as it was recorded, in a frame without scripts; `onDrawn` is told where everything stands. */
export function RecordedFrame({ page, nodes, viewport, path, onDrawn, onFailed }: {
  page: RecordedPage;
  /** The nodes whose places are wanted. */
  nodes: readonly RecordedNode[];
  viewport: Viewport;
  path: string;
  onDrawn(drawn: Drawn): void;
  /** The frame did not come. */
  onFailed(): void;
}) {
  const frame = useRef<HTMLIFrameElement>(null);
  const shown = useRef<Map<RecordedNode, Element> | undefined>(undefined);
  const size = useRef<{ width: number; height: number } | undefined>(undefined);
  const [ready, setReady] = useState(false);

  const fill = () => {
    const element = frame.current;
    const document = element?.contentDocument;
    if (!element || !document || document.location.pathname !== FRAME || document.contentType !== "text/html") {
      onFailed();
      return;
    }
    shown.current = page.show(document, viewport);
    size.current = settle(element, document, viewport);
    setReady(true);
  };
  useEffect(() => {
    const document = frame.current?.contentDocument;
    if (!ready || !document || !shown.current || !size.current) return;
    const boxes = new Map<RecordedNode, Box>();
    for (const node of nodes) {
      const box = shown.current.get(node)?.getBoundingClientRect();
      if (box && box.width >= 1 && box.height >= 1 && box.right > 0 && box.left < size.current.width && box.bottom > 0 && box.top < size.current.height) {
        boxes.set(node, { x: box.left, y: box.top, width: box.width, height: box.height });
      }
    }
    onDrawn({ ...size.current, isDark: isDark(document), boxes });
  }, [ready, nodes]);
  return <iframe ref={frame} class="recframe" src={FRAME} sandbox="allow-same-origin" title={`Recorded page ${path}`} tabIndex={-1} aria-hidden="true" inert onLoad={fill} />;
}

/** Gives a frame the size of its whole page, while what is as high as the window stays as high as it was. */
function settle(frame: HTMLIFrameElement, document: Document, { width, height }: Viewport): { width: number; height: number } {
  const root = document.documentElement;
  root.style.setProperty("overflow", "hidden", "important");
  const tall = () => root.getBoundingClientRect().height;
  frame.style.width = `${width}px`;
  frame.style.height = `${height}px`;
  const before = tall();
  const probe = 97;
  frame.style.height = `${height + probe}px`;
  if (Math.abs(tall() - before - probe) < 1) root.style.setProperty("height", `${height}px`, "important");
  frame.style.height = `${height}px`;
  const whole = Math.min(HEIGHT_MAX, Math.max(height, root.scrollHeight, document.body?.scrollHeight ?? 0));
  frame.style.height = `${whole}px`;
  return { width, height: whole };
}

/** Whether a page has a dark background. */
function isDark(document: Document): boolean {
  for (const element of [document.body, document.documentElement]) {
    const color = (element && document.defaultView?.getComputedStyle(element).backgroundColor) || "";
    const [red, green, blue, alpha = 1] = /^rgb/.test(color) ? (color.match(/[\d.]+/g) ?? []).map(Number) : [];
    if (red !== undefined && green !== undefined && blue !== undefined && alpha > 0.5) return 0.299 * red + 0.587 * green + 0.114 * blue < 110;
  }
  return false;
}

/** Cells of a grid as spots of a page. */
const spotsOf = ({ columns, rows, cells }: Grid, { width, height }: { width: number; height: number }): Spot[] =>
  cells.map(([column = 0, row = 0, n = 0]) => ({ x: ((column + 0.5) / columns) * width, y: ((row + 0.5) / rows) * height, n }));

/** The clicks on elements, each where it was in its element. */
function clicksOf(targets: readonly Target[], drawn: Drawn, bins: number): Spot[] {
  const spots: Spot[] = [];
  for (const { node, parts } of targets) {
    const box = node && drawn.boxes.get(node);
    if (!box) continue;
    for (const { cells } of parts) {
      for (const [column = 0, row = 0, n = 0] of cells) spots.push({ x: box.x + ((column + 0.5) / bins) * box.width, y: box.y + ((row + 0.5) / bins) * box.height, n });
    }
  }
  return spots;
}

/** What is drawn over the page. Everything in it is told by the table of elements and the numbers, too. */
export function Layer({ map, heat, drawn, targets, recorded, scale, numbers, chosen }: {
  map: MapKind;
  heat: PageHeat;
  drawn: Drawn;
  targets: readonly Target[];
  /** There is a picture, in which elements have their places. */
  recorded: boolean;
  scale: number;
  numbers: boolean;
  chosen: Target | undefined;
}) {
  const spots = useMemo(
    () => (map === "moves" ? spotsOf(heat.moves, drawn) : map === "clicks" ? (recorded ? clicksOf(targets, drawn, heat.bins) : spotsOf(heat.spots, drawn)) : []),
    [map, heat, drawn, targets, recorded],
  );
  const box = chosen && boxOf(chosen, drawn, recorded);
  return (
    <>
      {(map === "clicks" || map === "moves") && <Heat spots={spots} drawn={drawn} scale={scale} />}
      {map === "clicks" && numbers && <Pins targets={targets} drawn={drawn} recorded={recorded} scale={scale} />}
      {map === "scroll" && <Folds heat={heat} height={drawn.height * scale} numbers={numbers} />}
      {map === "attention" && <Attention heat={heat} numbers={numbers} />}
      {box && <Chosen box={box} scale={scale} />}
    </>
  );
}

/** Where a target stands: its element, or where it was clicked. */
function boxOf(target: Target, drawn: Drawn, recorded: boolean): Box | undefined {
  if (recorded) return target.node && drawn.boxes.get(target.node);
  const [x = 0, y = 0] = target.at;
  return x >= 0 && x <= drawn.width && y >= 0 && y <= drawn.height ? { x: x - 24, y: y - 14, width: 48, height: 28 } : undefined;
}

function Chosen({ box, scale }: { box: Box; scale: number }) {
  const mark = useRef<HTMLElement>(null);
  useEffect(() => mark.current?.scrollIntoView({ block: "nearest", behavior: "instant" }), [box.x, box.y]);
  return <i ref={mark} class="chosen" aria-hidden="true" style={{ left: `${box.x * scale}px`, top: `${box.y * scale}px`, width: `${box.width * scale}px`, height: `${box.height * scale}px` }} />;
}

/** Red, green and blue from few to many: one hue, towards the dark on a bright page and towards the bright on a dark one. */
const STOPS = { light: [[171, 210, 208], [56, 144, 143], [6, 62, 65]], dark: [[29, 79, 77], [47, 154, 150], [150, 240, 236]] } as const;

function paint(canvas: HTMLCanvasElement, { columns, rows, values, max }: Density, isDark: boolean): void {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  if (!context || max === 0) return;
  const image = context.createImageData(columns, rows);
  const [few, some, many] = STOPS[isDark ? "dark" : "light"];
  values.forEach((value, at) => {
    // What is clicked a little is seen, too.
    const part = Math.sqrt(value / max);
    if (part < 0.05) return;
    const [from, to, way] = part < 0.5 ? [few, some, part * 2] : [some, many, part * 2 - 1];
    for (const [channel, one] of from.entries()) image.data[at * 4 + channel] = one + (to[channel]! - one) * way;
    image.data[at * 4 + 3] = 255 * Math.min(0.9, 0.15 + 0.9 * part) * Math.min(1, part / 0.2);
  });
  context.putImageData(image, 0, 0);
}

function Heat({ spots, drawn, scale }: { spots: readonly Spot[]; drawn: Drawn; scale: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => {
    const scaled = spots.map(({ x, y, n }) => ({ x: x * scale, y: y * scale, n }));
    if (canvas.current) paint(canvas.current, density(scaled, drawn.width * scale, drawn.height * scale, CELL, RADIUS), drawn.isDark);
  }, [spots, drawn, scale]);
  return <canvas ref={canvas} class="heat" aria-hidden="true" />;
}

function Pins({ targets, drawn, recorded, scale }: { targets: readonly Target[]; drawn: Drawn; recorded: boolean; scale: number }) {
  const pins: Pin[] = [];
  const worse: Pin[] = [];
  for (const target of targets) {
    const box = boxOf(target, drawn, recorded);
    if (!box) continue;
    const x = (box.x + box.width / 2) * scale;
    pins.push({ x, y: (box.y + box.height) * scale + 12, text: format.compact(target.clicks), kind: "clicks" });
    if (target.rage > 0) worse.push({ x, y: box.y * scale - 12, text: `${format.compact(target.rage)} rage`, kind: "rage" });
    else if (target.dead > 0) worse.push({ x, y: box.y * scale - 12, text: `${format.compact(target.dead)} dead`, kind: "dead" });
  }
  // What is wrong somewhere is of more interest than how often somebody clicked.
  const all = [...pins.slice(0, 3), ...worse, ...pins.slice(3)];
  return (
    <ul class="pins" aria-hidden="true">
      {withRoom(all, drawn.width * scale, drawn.height * scale, PINS_MAX).map(({ x, y, text, kind }) => (
        <li key={`${kind} ${x} ${y}`} class={kind === "clicks" ? undefined : kind} style={{ left: `${x}px`, top: `${y}px` }}>
          {kind === "rage" && <Icon name="warning" size={12} />}
          {text}
        </li>
      ))}
    </ul>
  );
}

const at = (share: number): string => `${(share * 100).toFixed(2)}%`;

/** How many saw the page so far down: darker where fewer did. */
function Folds({ heat, height, numbers }: { heat: PageHeat; height: number; numbers: boolean }) {
  const steps = heat.reach.length - 1;
  return (
    <div class="folds" aria-hidden="true">
      {Array.from({ length: steps }, (_, step) => (
        <i key={step} style={{ top: at(step / steps), height: at(1 / steps), opacity: String(0.6 * (1 - shareAt(heat.reach, (step + 0.5) / steps))) }} />
      ))}
      {numbers && (
        <>
          <p style={{ top: "0" }} class="first">
            <span>100% see this</span>
          </p>
          {marks(heat.reach, heat.fold, height).map(({ depth, share, isFold, isAbove }) => (
            <p key={depth} class={classes(isFold && "fold", isAbove && "above", depth === 1 && "last")} style={{ top: at(depth) }}>
              <span>
                {format.wholePercent(share)}
                {isFold && " · average fold"}
              </span>
            </p>
          ))}
        </>
      )}
    </div>
  );
}

/** How long each part of the page was looked at: darker where longer. */
function Attention({ heat, numbers }: { heat: PageHeat; numbers: boolean }) {
  const most = Math.max(1, ...heat.attention);
  const parts = heat.attention.length;
  return (
    <div class="folds" aria-hidden="true">
      {heat.attention.map((ms, part) => (
        <i key={part} style={{ top: at(part / parts), height: at(1 / parts), opacity: String((0.6 * ms) / most) }} />
      ))}
      {numbers &&
        heat.attention.map((ms, part) =>
          // Every second one: there is room on short pages, too.
          part % 2 === 0 && ms > 0 ? (
            <p key={part} class="plain" style={{ top: at(part / parts) }}>
              <span>{seconds(ms / Math.max(1, heat.views))}</span>
            </p>
          ) : null,
        )}
    </div>
  );
}

/** Time per view: with a tenth below ten seconds. */
export const seconds = (ms: number): string => (ms < 9_950 ? `${(ms / 1000).toFixed(1)}s` : format.duration(ms / 1000));

/** Scales what is in it from `width` pixels to the room that there is. */
export function Scaled({ width, height, label, children }: { width: number; height: number; label: string; children: (scale: number) => ComponentChildren }) {
  const room = useRef<HTMLDivElement>(null);
  const [wide, setWide] = useState<number>();
  useLayoutEffect(() => {
    const element = room.current;
    if (!element) return;
    const look = () => setWide(element.clientWidth);
    look();
    const observer = new ResizeObserver(look);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  // A phone is not drawn larger than it is.
  const scale = wide === undefined ? 1 : Math.min(1, wide / width);
  return (
    <div ref={room} class="stageroom">
      {wide !== undefined && (
        <div class="rec" role="img" aria-label={label} style={{ width: `${width * scale}px`, height: `${height * scale}px` }}>
          {children(scale)}
        </div>
      )}
    </div>
  );
}
