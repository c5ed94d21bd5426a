// The pipeline, stage under stage on one time axis: what moved first, and what followed.

import { make } from "./dom.js";
import { createFigure } from "./figure.js";
import { of, percent } from "./format.js";

// In the order of the pipeline. Two a stage at most: more would hide the one that moved.
const ROWS = [
  { stage: "input", feature: "level_dbfs", title: "Level", format: of("dBFS"), colour: "c2" },
  { stage: "input", feature: "snr_db", title: "Signal to noise", format: of("dB"), colour: "c2" },
  { stage: "speech", feature: "speech_ratio", title: "Share of speech", format: percent, colour: "c5" },
  { stage: "text", rate: "null_rate", title: "Came out empty", format: percent, colour: "c3" },
  { stage: "text", feature: "confidence", title: "Confidence", format: percent, colour: "c3" },
  { stage: "search", rate: "no_results_rate", title: "Nothing found", format: percent, colour: "c7" },
  { stage: "people", rate: "redo_rate", title: "Said again", format: percent, colour: "c1" },
  { stage: "people", rate: "click_rate", title: "Opened a result", format: percent, colour: "c1" },
];
const STAGES = {
  input: "What is heard",
  speech: "Finding speech",
  text: "Understanding it",
  search: "Searching",
  people: "What people do",
};

/** @param {HTMLElement} host */
export function createPipeline(host) {
  const figures = ROWS.map(({ title, format, colour, feature }, at) =>
    createFigure(
      { title, strip: true, className: at === ROWS.length - 1 ? "last" : "" },
      {
        lines: [
          { label: feature ? "median" : "", colour },
          { label: "", colour, kind: "edge" },
          { label: "", colour, kind: "edge" },
        ],
        bands: [{ edges: [2, 1], colour }],
        format,
        fromZero: feature === undefined,
        ceiling: format === percent ? 1 : undefined,
        height: at === ROWS.length - 1 ? 104 : 78,
        bare: at < ROWS.length - 1,
      },
    ),
  );
  for (const [stage, name] of Object.entries(STAGES)) {
    const strips = figures.filter((_, at) => ROWS[at].stage === stage).map((figure) => figure.element);
    host.append(make("div", { className: "stage" }, make("h3", {}, name), make("div", {}, ...strips)));
  }
  return (/** @type {any} */ view, /** @type {any} */ time) => {
    ROWS.forEach(({ feature, rate }, at) => {
      if (feature !== undefined) {
        const { p25, p50, p75 } = view.features[feature].quantiles;
        figures[at].update({ ...time, columns: [p50.at, p25.at, p75.at] });
      } else {
        const { at: share, low, high } = view.rates[/** @type {string} */ (rate)];
        const late = ROWS[at].stage === "people" ? time.late : undefined;
        figures[at].update({ ...time, columns: [share, low, high], unsettled: late });
      }
    });
  };
}
