// What comes out and what people do with it: shares, with bands as wide as the data are few.

import { createFigure } from "./figure.js";
import { interval, percent, percentFinely } from "./format.js";

const SHARES = [
  { name: "null_rate", title: "Came out empty", help: "Of clips in which somebody spoke.", colour: "c3" },
  { name: "redo_rate", title: "Said again", help: "The same, within 30 seconds: it was misheard.", colour: "c4", late: true },
  { name: "typing_rate", title: "Typed instead", help: "People who gave up speaking.", colour: "c2", late: true },
  { name: "click_rate", title: "Opened a result", help: "Of queries with results.", colour: "c1", late: true },
  { name: "no_results_rate", title: "Nothing found", help: "Of searches.", colour: "c7" },
  { name: "out_of_catalog_rate", title: "Not in the catalogue", help: "No item answers the query well.", colour: "c5" },
  { name: "error_rate", title: "Failed", help: "Our fault: 5xx, or no answer.", colour: "c4" },
  { name: "rejected_rate", title: "Refused", help: "The client’s fault: 4xx.", colour: "c6" },
];

/**
 * A chart of a share with its interval.
 * @param {{title: string, help: string, colour: string}} about
 */
export const shareFigure = ({ title, help, colour }) =>
  createFigure(
    { title, help },
    {
      lines: [
        { label: "", colour },
        { label: "from (95 % sure)", colour, kind: "edge" },
        { label: "to", colour, kind: "edge" },
      ],
      bands: [{ edges: [2, 1], colour }],
      format: percent,
      fromZero: true,
      ceiling: 1,
      height: 150,
    },
  );

/** @param {HTMLElement} host */
export function createOutcomes(host) {
  const figures = SHARES.map((about) => shareFigure(about));
  host.append(...figures.map((figure) => figure.element));
  return (/** @type {any} */ { rates }, /** @type {any} */ time) => {
    SHARES.forEach(({ name, late }, at) => {
      const { at: share, low, high, all } = rates[name];
      const figure = figures[at];
      figure.update({ ...time, columns: [share, low, high], unsettled: late ? time.late : undefined });
      figure.note(`${percentFinely(all.rate)} over all; with 95 % certainty ${interval(all)} (n = ${all.n.toLocaleString("en-GB")})`);
    });
  };
}
