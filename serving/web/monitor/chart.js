// One chart over time on a canvas (uPlot): lines, areas and bands. Its cursor is shared by all charts of the page.

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { colour, pale } from "./colours.js";
import { tick } from "./format.js";

const SHARED = { key: "monitor", setSeries: false, scales: ["x", null], filters: { pub: isMove } };
const FONT = '11px -apple-system, "Segoe UI", Roboto, Cantarell, Ubuntu, "Noto Sans", Arial, sans-serif';
const LEAST_DRAG_PX = 8;

/** @param {string} type */
function isMove(type) {
  return type === "mousemove" || type === "mouseleave";
}

/**
 * @typedef {object} Line
 * @property {string} label
 * @property {string} colour name of a custom property
 * @property {"line" | "area" | "edge"} [kind] an edge is the bound of a band: neither drawn nor told
 * @property {number[]} [dash]
 *
 * @typedef {object} Spec
 * @property {Line[]} lines
 * @property {{edges: [number, number], colour: string}[]} [bands] between two lines: the upper one, the lower one
 * @property {import("./format.js").Format} format
 * @property {boolean} [fromZero]
 * @property {number} [ceiling] no value is above
 * @property {number} [atLeast] the top is not below
 * @property {number} [height]
 * @property {boolean} [bare] without a time axis: the one below has it
 *
 * @typedef {object} Data
 * @property {number} since
 * @property {number} until
 * @property {number[]} times
 * @property {(number | null)[][]} columns one a line
 * @property {{since: number, until: number}[]} [marks] shaded: an alarm
 * @property {number} [unsettled] from here on more will be known
 * @property {{at: number, label: string}[]} [rules] horizontal lines: what it is measured against
 */

/**
 * @param {HTMLElement} host
 * @param {Spec} spec
 * @param {Data} data
 * @param {{select: (since: number, until: number) => void, cursor: (index: number | null) => void}} on
 */
export function createChart(host, spec, data, on) {
  let now = data;
  const plot = new uPlot(options(host, spec, () => now, on), aligned(data), host);
  const resized = new ResizeObserver(() => plot.setSize({ width: host.clientWidth, height: spec.height ?? 180 }));
  resized.observe(host);
  return {
    /** @param {Data} data */
    update(data) {
      now = data;
      plot.setData(aligned(data));
    },
    /** @param {number} index of the times */
    point(index) {
      const left = plot.valToPos(now.times[index], "x");
      plot.setCursor({ left, top: plot.bbox.height / devicePixelRatio / 2 }, true, true);
    },
    destroy() {
      resized.disconnect();
      plot.destroy();
    },
  };
}

/** @param {Data} data */
const aligned = ({ times, columns }) => [times, ...columns];

/**
 * @param {HTMLElement} host
 * @param {Spec} spec
 * @param {() => Data} data
 * @param {Parameters<typeof createChart>[3]} on
 */
function options(host, spec, data, on) {
  const axis = {
    stroke: colour("muted"),
    font: FONT,
    grid: { stroke: colour("line"), width: 1 },
    ticks: { show: false },
  };
  return {
    width: host.clientWidth,
    height: spec.height ?? 180,
    padding: [8, 12, spec.bare ? 4 : 0, 0],
    legend: { show: false },
    cursor: {
      sync: SHARED,
      y: false,
      drag: { x: true, y: false, setScale: false },
      points: { size: 7, width: 2 },
      dataIdx: (_, __, nearest) => nearest,
    },
    scales: {
      x: { time: true, range: () => [data().since, data().until] },
      y: { range: () => heights(spec, data()) },
    },
    axes: [
      { ...axis, show: !spec.bare, size: 26, space: 64, values: (_, at, __, ___, apart) => at.map((each) => tick(each, apart)) },
      { ...axis, size: 58, space: 30, values: (_, at) => at.map((each) => spec.format(each)) },
    ],
    series: [
      {},
      ...spec.lines.map((line) => ({
        label: line.label,
        stroke: line.kind === "edge" ? undefined : colour(line.colour),
        fill: line.kind === "area" ? pale(line.colour) : undefined,
        width: line.kind === "edge" ? 0 : line.kind === "area" ? 1 : 1.75,
        dash: line.dash,
        points: line.kind === undefined || line.kind === "line" ? { size: 4 } : { show: false },
      })),
    ],
    bands: (spec.bands ?? []).map((band) => ({ series: band.edges.map((edge) => edge + 1), fill: colour(band.colour, 0.16) })),
    hooks: {
      drawClear: [(plot) => shade(plot, data())],
      draw: [(plot) => rule(plot, data())],
      setCursor: [(plot) => on.cursor(plot.cursor.left >= 0 ? (plot.cursor.idx ?? null) : null)],
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          if (width === 0) return;
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          if (width >= LEAST_DRAG_PX) on.select(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
        },
      ],
    },
  };
}

/**
 * From where to where the values reach. Of a band only nine tenths count: one lonely night would flatten the rest.
 * @param {Spec} spec
 * @param {Data} data
 */
function heights(spec, { columns }) {
  const told = columns.filter((_, at) => spec.lines[at].kind !== "edge").flat().filter((value) => value !== null);
  const edges = columns.filter((_, at) => spec.lines[at].kind === "edge").flat().filter((value) => value !== null);
  edges.sort((a, b) => a - b);
  const most = [...told, edges[Math.floor(0.9 * (edges.length - 1))] ?? -Infinity].reduce((a, b) => Math.max(a, b), spec.atLeast ?? -Infinity);
  const least = [...told, edges[Math.ceil(0.1 * (edges.length - 1))] ?? Infinity].reduce((a, b) => Math.min(a, b), Infinity);
  if (!Number.isFinite(most) || !Number.isFinite(least)) return [0, spec.ceiling ?? 1];
  const bottom = spec.fromZero ? 0 : least;
  const room = 0.08 * (most - bottom || Math.abs(most) || 1);
  return [spec.fromZero ? 0 : bottom - room, Math.min(most + room, spec.ceiling ?? Infinity)];
}

/**
 * Behind the lines: when an alarm fired, and what is not settled yet.
 * @param {any} plot
 * @param {Data} data
 */
function shade(plot, { marks = [], unsettled, until }) {
  const { ctx, bbox } = plot;
  const stretches = marks.map((mark) => ({ ...mark, fill: colour("alarm", 0.1) }));
  if (unsettled !== undefined) stretches.push({ since: unsettled, until, fill: colour("muted", 0.13) });
  for (const { since, until, fill } of stretches) {
    const left = Math.max(bbox.left, plot.valToPos(since, "x", true));
    const right = Math.min(bbox.left + bbox.width, plot.valToPos(until, "x", true));
    if (right <= left) continue;
    ctx.fillStyle = fill;
    ctx.fillRect(left, bbox.top, right - left, bbox.height);
  }
}

/**
 * Over the lines: what they are measured against.
 * @param {any} plot
 * @param {Data} data
 */
function rule(plot, { rules = [] }) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.font = FONT.replace("11px", `${11 * devicePixelRatio}px`);
  ctx.textAlign = "right";
  for (const { at, label } of rules) {
    const y = plot.valToPos(at, "y", true);
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    ctx.strokeStyle = ctx.fillStyle = colour("muted");
    ctx.lineJoin = "round";
    ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.strokeStyle = colour("card"); // a rim, so that it can be read over lines
    ctx.lineWidth = 4 * devicePixelRatio;
    ctx.strokeText(label, bbox.left + bbox.width - 4, y - 4 * devicePixelRatio);
    ctx.fillText(label, bbox.left + bbox.width - 4, y - 4 * devicePixelRatio);
  }
  ctx.restore();
}
