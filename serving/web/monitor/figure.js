// A chart with what belongs to it: a title, a legend that tells the value under the cursor, and the same as a table.

import { announce } from "./announce.js";
import { createChart } from "./chart.js";
import { make, scroller, table } from "./dom.js";
import { date } from "./format.js";

const STEPS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };

/** @type {Set<{redraw: () => void}>} */
const figures = new Set();
/** @type {(since: number, until: number) => void} */
let select = () => {};

/** What dragging over a chart does. @param {typeof select} chosen */
export function onSelect(chosen) {
  select = chosen;
}

/** Draw all again, in other colours. */
export function redrawAll() {
  for (const figure of figures) figure.redraw();
}

/**
 * @typedef {import("./chart.js").Data & {told?: (number | null)[][]}} Data `told`: what the legend and table say, where
 *   that is not what is drawn: parts, drawn as sums
 *
 * @param {object} about
 * @param {string} about.title
 * @param {string} [about.help] one line
 * @param {string} [about.className]
 * @param {boolean} [about.strip] one of several that share the time axis of the last
 * @param {import("./chart.js").Spec} spec
 */
export function createFigure({ title, help = "", className = "", strip = false }, spec) {
  const host = make("div", { className: "plot", tabIndex: 0, role: "img", "aria-roledescription": "chart" });
  const when = make("span", { className: "when" });
  const legend = make("ul", { className: "legend" });
  const note = make("p", { className: "note" });
  const values = spec.lines.map((line) => {
    if (line.kind === "edge") return null;
    const value = make("b", {});
    const swatch = make("i", { className: line.dash ? "swatch dashed" : "swatch" });
    swatch.style.setProperty("--colour", `var(--${line.colour})`);
    legend.append(make("li", {}, swatch, `${line.label} `, value));
    return value;
  });
  const rows = make("details", { className: "as-table" }, make("summary", {}, "As a table"));
  const element = make(
    "figure",
    { className: strip ? `strip ${className}` : `card chart ${className}` },
    make("figcaption", {}, make("h3", {}, title), when, help === "" ? null : make("p", {}, help), legend),
    host,
    note,
    rows,
  );

  /** @type {Data | null} */
  let data = null;
  /** @type {ReturnType<typeof createChart> | null} */
  let chart = null;
  let place = -1; // none told yet

  /** @param {number | null} index under the cursor */
  function tell(index) {
    if (data === null) return;
    const told = data.told ?? data.columns;
    when.textContent = index === null ? "" : date(data.times[index]);
    values.forEach((value, line) => {
      if (value !== null) value.textContent = spec.format(index === null ? latest(told[line]) : told[line][index]);
    });
    if (index !== null) place = index;
  }

  /** In a sentence. @param {number | null} index */
  const sentence = (index) => {
    if (data === null) return "";
    const told = data.told ?? data.columns;
    const said = spec.lines.flatMap((line, at) =>
      line.kind === "edge" ? [] : [`${line.label} ${spec.format(index === null ? latest(told[at]) : told[at][index])}`],
    );
    return `${index === null ? "latest" : date(data.times[index])}: ${said.join(", ")}`;
  };

  function fillTable() {
    if (!rows.open || data === null) return;
    const { times, columns, told = columns } = data;
    const heads = ["Time", ...spec.lines.map((line) => line.label)];
    const cells = times.map((time, at) => [date(time), ...spec.lines.map((_, line) => spec.format(told[line][at]))]);
    rows.querySelector(".scroller")?.remove();
    rows.append(scroller(`${title}, as a table`, table(title, heads, cells.reverse())));
  }

  const draw = () => {
    if (data === null || host.clientWidth === 0) return;
    chart?.destroy();
    chart = createChart(host, spec, data, { cursor: tell, select });
  };

  rows.addEventListener("toggle", fillTable);
  host.addEventListener("keydown", (event) => {
    if (data === null || chart === null) return;
    const last = data.times.length - 1;
    if (event.key === "Home") place = 0;
    else if (event.key === "End") place = last;
    else if (event.key in STEPS) place = Math.min(last, Math.max(0, place + STEPS[/** @type {keyof STEPS} */ (event.key)]));
    else return;
    event.preventDefault();
    chart.point(place);
    announce(sentence(place));
  });

  const figure = {
    element,
    redraw: draw,
    /** @param {Data} next */
    update(next) {
      data = next;
      place = place < 0 ? next.times.length - 1 : Math.min(place, next.times.length - 1);
      if (chart === null) draw();
      else chart.update(next);
      tell(null);
      host.setAttribute("aria-label", `${title}. ${sentence(null)}. Arrow keys tell each point; a table follows.`);
      fillTable();
    },
    /** Under the chart. @param {string} text */
    note(text) {
      note.textContent = text;
    },
    remove() {
      chart?.destroy();
      figures.delete(figure);
      element.remove();
    },
  };
  figures.add(figure);
  return figure;
}

/** @param {(number | null)[]} values */
const latest = (values) => values.findLast((value) => value !== null) ?? null;
