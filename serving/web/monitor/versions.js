// Each model that served: its numbers in a table, and the busiest drawn over one another.

import { make, scroller, table } from "./dom.js";
import { createFigure } from "./figure.js";
import { count, date, interval, milliseconds, percent, percentFinely } from "./format.js";
import { short } from "./names.js";

const COLOURS = ["c1", "c2", "c3", "c4"];
const COMPARED = [
  { name: "null_rate", title: "Came out empty", format: percent },
  { name: "redo_rate", title: "Said again", format: percent, late: true },
  { name: "click_rate", title: "Opened a result", format: percent, late: true },
  { name: "p95", title: "95 % answered within", format: milliseconds },
];
const RATES = [
  { name: "null_rate", head: "Came out empty" },
  { name: "redo_rate", head: "Said again" },
  { name: "typing_rate", head: "Typed instead" },
  { name: "click_rate", head: "Opened a result" },
  { name: "error_rate", head: "Failed" },
];

/**
 * @param {HTMLElement} list
 * @param {HTMLElement} charts
 * @param {(model: string) => void} choose
 */
export function createVersions(list, charts, choose) {
  /** @type {ReturnType<typeof createFigure>[]} */
  let figures = [];
  let drawn = "";

  /** @param {string[]} models */
  function prepare(models) {
    if (models.join() === drawn) return;
    drawn = models.join();
    for (const figure of figures) figure.remove();
    figures = [];
    if (models.length === 0) return;
    figures = COMPARED.map(({ title, format }) =>
      createFigure(
        { title },
        { lines: models.map((model, at) => ({ label: model, colour: COLOURS[at] })), format, fromZero: true, ceiling: format === percent ? 1 : undefined, height: 150 },
      ),
    );
    charts.append(...figures.map((figure) => figure.element));
  }

  return (/** @type {any} */ { versions }, /** @type {any} */ time) => {
    const compared = versions.filter((/** @type {any} */ version) => "at" in version);
    charts.hidden = compared.length < 2;
    prepare(compared.length < 2 ? [] : compared.map(nameOf));
    figures.forEach((figure, at) => {
      const { name, late } = COMPARED[at];
      figure.update({ ...time, columns: compared.map((/** @type {any} */ version) => version.at[name]), unsettled: late ? time.late : undefined });
    });
    if (list.contains(document.activeElement)) return; // not under somebody's fingers
    const rows = versions.map((/** @type {any} */ version) => [
      version.shadow ? nameOf(version) : button(version.model, choose),
      count(version.requests),
      ...RATES.map(({ name }) => cell(version.rates[name])),
      milliseconds(version.p95),
      date(version.first),
    ]);
    const heads = ["Model", "Requests", ...RATES.map(({ head }) => head), "95 % within", "First seen here"];
    list.replaceChildren(scroller("Models side by side", table("Models side by side", heads, rows)));
  };
}

/** @param {{model: string, shadow: boolean}} version */
const nameOf = ({ model, shadow }) => (shadow ? `${short(model)} (shadow)` : short(model));

/** @param {string} model @param {(model: string) => void} choose */
const button = (model, choose) =>
  make("button", { type: "button", className: "plain", title: `Show only ${model}`, onclick: () => choose(model) }, short(model));

/** @param {any} share */
const cell = (share) => make("span", {}, percentFinely(share.rate), make("small", {}, interval(share)));
