// Writes src/pages/analytics/dots.ts: the land of the world as dots on a grid, each with its country, from the public-domain
// shapes of Natural Earth. Every country has at least one.
import { readFileSync, writeFileSync } from "node:fs";

const WIDTH = 117;
const NORTH = 80;
const SOUTH = -56;
const STEP = 360 / WIDTH;
/** Rows are closer together in degrees to the poles, as on a Miller projection. */
const project = (latitude) => 1.25 * Math.log(Math.tan(Math.PI / 4 + (0.4 * latitude * Math.PI) / 180)) * (180 / Math.PI);
const unproject = (y) => (2.5 * (Math.atan(Math.exp((0.8 * y * Math.PI) / 180)) - Math.PI / 4) * 180) / Math.PI;
const TOP = project(NORTH);
const HEIGHT = Math.ceil((TOP - project(SOUTH)) / STEP);

const world = JSON.parse(readFileSync(new URL("node_modules/world-atlas/countries-50m.json", import.meta.url), "utf8"));
const { scale, translate } = world.transform;
const arcs = world.arcs.map((arc) => {
  let x = 0;
  let y = 0;
  return arc.map(([dx, dy]) => [(x += dx) * scale[0] + translate[0], (y += dy) * scale[1] + translate[1]]);
});
const ring = (indexes) => indexes.flatMap((index) => (index < 0 ? [...arcs[~index]].reverse() : arcs[index]));

/** Parts of the world that the shapes give no code, by their name. */
const NAMED = { Kosovo: "XK", Somaliland: "SO", "N. Cyprus": "CY" };
const code = (geometry) => {
  if (geometry.id === undefined) return NAMED[geometry.properties.name];
  return new Intl.Locale(`und-${geometry.id}`).region;
};

const countries = new Map();
for (const geometry of world.objects.countries.geometries) {
  const name = code(geometry);
  if (!/^[A-Z]{2}$/.test(name ?? "") || name === "AQ") continue;
  const polygons = (geometry.type === "Polygon" ? [geometry.arcs] : geometry.arcs).map((rings) => rings.map(ring));
  countries.set(name, [...(countries.get(name) ?? []), ...polygons]);
}

const inRing = ([x, y], points) => {
  let inside = false;
  for (let at = 0, before = points.length - 1; at < points.length; before = at++) {
    const [x1, y1] = points[at];
    const [x2, y2] = points[before];
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
  }
  return inside;
};
const box = (points) => {
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
};
const shapes = [...countries].flatMap(([name, polygons]) => polygons.map(([outer, ...holes]) => ({ name, outer, holes, box: box(outer) })));
const countryAt = (point) =>
  shapes.find(
    ({ outer, holes, box: [west, south, east, north] }) =>
      point[0] >= west && point[0] <= east && point[1] >= south && point[1] <= north && inRing(point, outer) && !holes.some((hole) => inRing(point, hole)),
  )?.name;

const cells = new Map();
for (let row = 0; row < HEIGHT; row++) {
  for (let column = 0; column < WIDTH; column++) {
    const found = countryAt([(column + 0.5) * STEP - 180, unproject(TOP - (row + 0.5) * STEP)]);
    if (found) cells.set(row * WIDTH + column, found);
  }
}
// Countries that lie between the points get the nearest free place, or else one of a neighbour that has more.
const dotsOf = (name) => [...cells.values()].filter((one) => one === name).length;
for (const [name, polygons] of countries) {
  if (dotsOf(name) > 0) continue;
  const [largest] = polygons.map(([outer]) => box(outer)).sort((a, b) => (b[2] - b[0]) * (b[3] - b[1]) - (a[2] - a[0]) * (a[3] - a[1]));
  const column = ((largest[0] + largest[2]) / 2 + 180) / STEP - 0.5;
  const row = (TOP - project((largest[1] + largest[3]) / 2)) / STEP - 0.5;
  if (row < -0.5 || row > HEIGHT) continue;
  const places = [];
  for (let r = Math.floor(row) - 2; r <= row + 3; r++) {
    for (let c = Math.floor(column) - 2; c <= column + 3; c++) {
      if (r >= 0 && r < HEIGHT && c >= 0 && c < WIDTH) places.push([Math.hypot(r - row, c - column), r * WIDTH + c]);
    }
  }
  places.sort(([a], [b]) => a - b);
  const place = places.find(([, at]) => !cells.has(at)) ?? places.find(([, at]) => dotsOf(cells.get(at)) > 1);
  const near = places.find(([distance, at]) => distance < 1.1 && cells.has(at) && dotsOf(cells.get(at)) > 1);
  cells.set((place[0] < 1.5 ? place : (near ?? place))[1], name);
}

const lists = new Map();
for (const [at, name] of [...cells].sort(([a], [b]) => a - b)) lists.set(name, [...(lists.get(name) ?? []), at]);
const text = [...lists]
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .map(([name, places]) => {
    let last = 0;
    const steps = places.map((at) => [at - last, (last = at)][0].toString(36));
    return name + steps.join(",");
  })
  .join(" ");
const missing = [...countries.keys()].filter((name) => !lists.has(name));
if (missing.length > 0) throw new Error(`no dot for ${missing}`);
writeFileSync(
  new URL("src/pages/analytics/dots.ts", import.meta.url),
  `// Made by dots.mjs.\nexport const WIDTH = ${WIDTH};\nexport const HEIGHT = ${HEIGHT};\n/** For each country its dots on the grid, each as the distance from the one before, in base 36. */\nexport const DOTS = ${JSON.stringify(text)};\n`,
);
console.log(`dots: ${cells.size} of ${lists.size} countries, ${text.length} bytes`);
