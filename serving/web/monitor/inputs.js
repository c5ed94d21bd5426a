// What people send: each feature of a clip over time, and how often each value occurs.

import { make } from "./dom.js";
import { createFigure } from "./figure.js";
import { of, percent } from "./format.js";
import { histogram, histogramTable } from "./histogram.js";
import { shareFigure } from "./outcomes.js";

const COLOUR = "c2";
const SPREADS = [
  { name: "duration_s", title: "Length", format: of("s") },
  { name: "level_dbfs", title: "Level", format: of("dBFS") },
  { name: "snr_db", title: "Signal to noise", format: of("dB") },
  { name: "speech_ratio", title: "Share of speech", format: percent },
  { name: "leading_silence_s", title: "Silence before speech", format: of("s") },
];
const CLIPPING = { title: "Clipping", help: "Of clips, those with any sample at full scale.", colour: COLOUR };

/** @param {HTMLElement} host */
export function createInputs(host) {
  const cards = SPREADS.map(({ name, title, format }) => {
    const figure = createFigure(
      { title },
      {
        lines: [
          { label: "90 % below", colour: COLOUR, kind: "edge" },
          { label: "75 % below", colour: COLOUR, kind: "edge" },
          { label: "median", colour: COLOUR },
          { label: "25 % below", colour: COLOUR, kind: "edge" },
          { label: "10 % below", colour: COLOUR, kind: "edge" },
        ],
        bands: [
          { edges: [0, 4], colour: COLOUR },
          { edges: [1, 3], colour: COLOUR },
        ],
        format,
        ceiling: format === percent ? 1 : undefined,
        height: 150,
      },
    );
    return { name, title, format, figure, below: addBelow(figure.element) };
  });
  const clipping = shareFigure(CLIPPING);
  const clippingBelow = addBelow(clipping.element);
  host.append(...cards.map(({ figure }) => figure.element), clipping.element);

  return (/** @type {any} */ view, /** @type {any} */ time) => {
    for (const { name, title, format, figure, below } of cards) {
      const { quantiles: q } = view.features[name];
      figure.update({ ...time, columns: [q.p90.at, q.p75.at, q.p50.at, q.p25.at, q.p10.at] });
      figure.note(`${format(q.p10.all)} to ${format(q.p90.all)} in four of five clips`);
      showBins(below, title, view.features[name], format);
    }
    const { at, low, high, all } = view.clipped;
    clipping.update({ ...time, columns: [at, low, high] });
    clipping.note(`${percent(all.rate)} of ${all.n.toLocaleString("en-GB")} clips`);
    showBins(clippingBelow, "Share of clipped samples", view.features.clipped_ratio, percent);
  };
}

/** A place under the chart, above its table. @param {HTMLElement} figure */
function addBelow(figure) {
  const below = make("div", { className: "bins" });
  figure.querySelector(".as-table")?.before(below);
  return below;
}

/**
 * @param {HTMLElement} host
 * @param {string} title
 * @param {{n: number, bins: number[], edges: number[]}} feature
 * @param {import("./format.js").Format} format
 */
function showBins(host, title, { n, bins, edges }, format) {
  if (host.querySelector("details[open]")) return; // somebody reads it
  const shares = bins.map((count) => (n === 0 ? 0 : count / n));
  /** @type {Parameters<typeof histogram>} */
  const of = [title, edges, [{ label: "share of clips", shares }], format];
  host.replaceChildren(histogram(...of), histogramTable(...of));
}
