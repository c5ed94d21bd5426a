// Whether what comes in still looks like the reference: a verdict in words, then feature by feature.

import { make } from "./dom.js";
import { date, number, of, percent } from "./format.js";
import { histogram, histogramTable } from "./histogram.js";
import { titleOf, withNames } from "./names.js";

const STATES = ["changed", "changed once", "changed little", "as before"]; // by rank
const SHARES = ["clipped_ratio", "speech_ratio", "confidence"];

/** @param {HTMLElement} verdicts @param {HTMLElement} features */
export function createDrift(verdicts, features) {
  return (/** @type {any} */ drift) => {
    verdicts.replaceChildren(...drift.reports.map(verdict));
    if (drift.reports.length === 0) {
      const text = "No window has been compared with a reference yet. The first reference is frozen by itself when there are enough records; voicesearch monitor freeze makes one at once.";
      verdicts.append(make("p", { className: "empty" }, text));
    }
    if (features.querySelector("details[open]")) return; // somebody reads it
    // What drifted comes first; otherwise the order of the pipeline.
    const order = [...drift.features].sort((a, b) => rank(a) - rank(b));
    features.replaceChildren(...order.map((each) => card(each, drift.windows)));
  };
}

/** @param {any} feature */
const rank = ({ persistent, drifted, significant }) => (persistent ? 0 : drifted ? 1 : significant ? 2 : 3);

/** @param {any} report */
const verdict = ({ at, words, profile, sittings, drifted, not_judged }) =>
  make(
    "div",
    { className: drifted.length > 0 ? "card verdict moved" : "card verdict" },
    make("p", { className: "words" }, withNames(words)),
    make("p", { className: "note" }, `${date(at)} · ${sittings.toLocaleString("en-GB")} sittings against the reference “${profile}”`),
    Object.keys(not_judged).length === 0
      ? null
      : make("p", { className: "note" }, `Not judged: ${Object.entries(not_judged).map(([name, why]) => `${titleOf(name)} (${why})`).join("; ")}`),
  );

/**
 * @param {any} feature
 * @param {Record<string, {at: number, drifted: string[]}[]>} windows
 */
function card(feature, windows) {
  const title = titleOf(feature.feature);
  const format = feature.binary || SHARES.includes(feature.feature) ? percent : of(feature.unit);
  const { edges, reference, current } = feature.histogram;
  const parts = [
    { label: "reference", shares: reference },
    { label: "now", shares: current },
  ];
  const state = STATES[rank(feature)];
  return make(
    "article",
    { className: `card feature rank${rank(feature)}` },
    make("header", {}, make("h3", {}, title), make("span", { className: "badge" }, state)),
    make("p", { className: "words" }, feature.says),
    feature.binary ? bars(parts) : histogram(title, edges, parts, format),
    strip(feature.feature, windows[feature.alarm] ?? []),
    make("p", { className: "note" }, `Distance ${number(feature.score)}, at most ${number(feature.threshold)} by chance or of no matter · ${chance(feature.p)} · n = ${feature.n}`),
    feature.binary ? null : histogramTable(title, edges, parts, format),
  );
}

/** @param {number} p */
const chance = (p) => (p < 0.001 ? "p < 0.001" : `p = ${number(p)}`);

/** Yes or no: two bars. @param {{label: string, shares: number[]}[]} parts */
function bars(parts) {
  const rates = parts.map(({ shares }) => shares[shares.length - 1]);
  const top = Math.max(...rates, 1e-9);
  return make(
    "div",
    { className: "yesno" },
    ...parts.map(({ label }, at) => {
      const bar = make("span", { className: `bar part${at}` });
      bar.style.setProperty("--share", `${(100 * rates[at]) / top}%`);
      return make("div", {}, make("span", {}, label), bar, make("b", {}, percent(rates[at])));
    }),
  );
}

/**
 * The windows before, oldest first: which ones it drifted in.
 * @param {string} name
 * @param {{drifted: string[]}[]} windows
 */
function strip(name, windows) {
  const times = windows.filter(({ drifted }) => drifted.includes(name)).length;
  const label = `Drifted in ${times} of the last ${windows.length} windows`;
  return make(
    "div",
    { className: "windows", role: "img", "aria-label": label, title: label },
    ...windows.map(({ drifted }) => make("i", { className: drifted.includes(name) ? "on" : "" })),
  );
}
