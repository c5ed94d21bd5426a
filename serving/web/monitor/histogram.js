// How often each value occurs: bars of equal width, a bin each, also where bins are not equally wide.

import { draw, make, scroller, table } from "./dom.js";
import { percent } from "./format.js";

const WIDTH = 300;
const HEIGHT = 96;
const FOOT = 16;

/**
 * @param {string} title
 * @param {number[]} edges between bins
 * @param {{label: string, shares: number[]}[]} parts one, or the reference and what is now
 * @param {import("./format.js").Format} format
 */
export function histogram(title, edges, parts, format) {
  const used = parts[0].shares.map((_, at) => parts.some(({ shares }) => shares[at] > 0));
  const first = Math.max(0, used.indexOf(true));
  const last = Math.max(first, used.lastIndexOf(true));
  const bins = last - first + 1;
  const top = Math.max(...parts.flatMap(({ shares }) => shares)) || 1;
  const x = (/** @type {number} */ bin) => ((bin - first) * WIDTH) / bins;
  const height = (/** @type {number} */ share) => ((HEIGHT - FOOT - 4) * share) / top;
  const picture = draw("svg", { class: "histogram", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}: ${inWords(edges, parts, format)}` });
  parts.forEach(({ shares }, part) => {
    for (let bin = first; bin <= last; bin++) {
      const tall = height(shares[bin]);
      const bar = { x: x(bin) + 0.5, y: HEIGHT - FOOT - tall, width: Math.max(1, WIDTH / bins - 1), height: tall, class: `part${part} of${parts.length}` };
      picture.append(draw("rect", bar, draw("title", {}, document.createTextNode(`${binName(edges, bin, format)}: ${percent(shares[bin])}`))));
    }
  });
  picture.append(draw("line", { x1: 0, x2: WIDTH, y1: HEIGHT - FOOT, y2: HEIGHT - FOOT }));
  const marks = [...new Set([first, Math.round((first + last) / 2), last])].filter((bin) => bin > 0);
  for (const bin of marks) {
    const anchor = x(bin) < 20 ? "start" : x(bin) > WIDTH - 40 ? "end" : "middle";
    picture.append(draw("text", { x: x(bin), y: HEIGHT - 3, "text-anchor": anchor }, document.createTextNode(format(edges[bin - 1]))));
  }
  return picture;
}

/**
 * The same as a table that opens.
 * @param {Parameters<typeof histogram>} of
 */
export function histogramTable(...of) {
  const [title, edges, parts, format] = of;
  const details = make("details", { className: "as-table" }, make("summary", {}, "The histogram as a table"));
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const rows = parts[0].shares.map((_, bin) => [binName(edges, bin, format), ...parts.map(({ shares }) => percent(shares[bin]))]);
    details.append(scroller(`${title}, as a table`, table(title, ["Value", ...parts.map(({ label }) => label)], rows)));
  });
  return details;
}

/** @param {number[]} edges @param {number} bin @param {import("./format.js").Format} format */
function binName(edges, bin, format) {
  if (bin === 0) return `under ${format(edges[0])}`;
  if (bin === edges.length) return `from ${format(edges[bin - 1])}`;
  return `${format(edges[bin - 1])} to ${format(edges[bin])}`;
}

/**
 * Where most of it is.
 * @param {number[]} edges
 * @param {{label: string, shares: number[]}[]} parts
 * @param {import("./format.js").Format} format
 */
const inWords = (edges, parts, format) =>
  parts.map(({ label, shares }) => `${label}: most often ${binName(edges, shares.indexOf(Math.max(...shares)), format)}`).join("; ");
