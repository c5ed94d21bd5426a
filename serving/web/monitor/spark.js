// A line without axes: the shape of the last hours beside a number.

import { draw } from "./dom.js";

const WIDTH = 120;
const HEIGHT = 28;

/** @param {(number | null)[]} values */
export function spark(values) {
  const known = values.filter((value) => value !== null);
  const picture = draw("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  if (known.length < 2) return picture;
  const top = Math.max(...known);
  const x = (/** @type {number} */ at) => (WIDTH * at) / (values.length - 1);
  const y = (/** @type {number} */ value) => HEIGHT - 2 - (top === 0 ? 0 : ((HEIGHT - 4) * value) / top);
  const points = values.map((value, at) => (value === null ? null : `${x(at).toFixed(1)} ${y(value).toFixed(1)}`));
  // A gap begins a new line.
  const path = points.map((point, at) => (point === null ? "" : `${at > 0 && points[at - 1] !== null ? "L" : "M"}${point}`)).join("");
  picture.append(draw("path", { d: path }));
  return picture;
}
