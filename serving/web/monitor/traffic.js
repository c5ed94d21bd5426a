// What comes in and how it ends; how long people wait; which stage takes the time.

import { make, scroller, table } from "./dom.js";
import { createFigure } from "./figure.js";
import { milliseconds, number, percent } from "./format.js";

// Drawn from the bottom up; the last is on top.
const OUTCOMES = [
  { name: "ok", label: "understood", colour: "c1" },
  { name: "typed", label: "typed", colour: "c2" },
  { name: "no_speech", label: "no speech in it", colour: "c6" },
  { name: "null", label: "came out empty", colour: "c3" },
  { name: "rejected", label: "refused", colour: "c5" },
  { name: "failed", label: "failed", colour: "c4" },
];
const STAGES = ["queue", "decode", "vad", "level", "model", "beam", "search"];
const NAMES = { vad: "find speech", beam: "find words", decode: "decode audio" };
const STAGE_COLOURS = ["c6", "c3", "c2", "c5", "c1", "c7", "c4"];

/**
 * Parts on top of each other: the drawn columns are sums, the topmost first, so that each covers what is under it.
 * @param {(number | null)[][]} parts from the bottom up
 */
function stacked(parts) {
  const nothing = parts[0].map((_, at) => parts.every((part) => part[at] === null));
  const upTo = (/** @type {number} */ last) =>
    nothing.map((none, at) => (none ? null : parts.slice(0, last + 1).reduce((sum, part) => sum + (part[at] ?? 0), 0)));
  return parts.map((_, last) => upTo(last)).reverse();
}

/** @param {HTMLElement} host */
export function createTraffic(host) {
  const lines = [...OUTCOMES].reverse().map(({ label, colour }) => ({ label, colour, kind: /** @type {const} */ ("area") }));
  const figure = createFigure(
    { title: "Requests a minute", help: "By how they ended." },
    { lines, format: number, fromZero: true, height: 220 },
  );
  host.append(figure.element);
  return (/** @type {any} */ view, /** @type {any} */ time) => {
    const parts = OUTCOMES.map(({ name }) => view.traffic[name]);
    figure.update({ ...time, columns: stacked(parts), told: [...parts].reverse() });
  };
}

/** @param {HTMLElement} host */
export function createLatency(host) {
  const figure = createFigure(
    { title: "Time to the answer", help: "As people feel it: of speech, from its end. Half, 95 % and 99 % had theirs within." },
    {
      lines: [
        { label: "99 %", colour: "c4" },
        { label: "95 %", colour: "c2" },
        { label: "half", colour: "c1" },
      ],
      format: milliseconds,
      fromZero: true,
      atLeast: 520,
      height: 220,
    },
  );
  host.append(figure.element);
  return (/** @type {any} */ { latency }, /** @type {any} */ time) => {
    const rules = [{ at: latency.target_ms, label: "promised: 500 ms" }];
    if (latency.budget_ms !== null && latency.budget_ms <= 10 * latency.target_ms) {
      rules.push({ at: latency.budget_ms, label: `budget of the model: ${milliseconds(latency.budget_ms)}` });
    }
    figure.update({ ...time, rules, columns: [latency.p99.at, latency.p95.at, latency.p50.at] });
  };
}

/** @param {HTMLElement} host */
export function createStages(host) {
  const label = (/** @type {string} */ stage) => NAMES[/** @type {keyof NAMES} */ (stage)] ?? stage;
  const lines = [...STAGES].reverse().map((stage) => ({
    label: label(stage),
    colour: STAGE_COLOURS[STAGES.indexOf(stage)],
    kind: /** @type {const} */ ("area"),
  }));
  const figure = createFigure(
    { title: "Time in each stage", help: "Means, which add up." },
    { lines, format: milliseconds, fromZero: true, height: 220 },
  );
  const sums = make("div", { className: "card" });
  host.append(figure.element, sums);
  return (/** @type {any} */ { stages, times }, /** @type {any} */ time) => {
    const parts = STAGES.map((stage) => stages[stage]?.at ?? times.map(() => null));
    figure.update({ ...time, columns: stacked(parts), told: [...parts].reverse() });
    const all = STAGES.reduce((sum, stage) => sum + (stages[stage]?.mean ?? 0), 0);
    const rows = STAGES.filter((stage) => stage in stages).map((stage) => [
      label(stage),
      milliseconds(stages[stage].mean),
      percent(stages[stage].mean / all),
      milliseconds(stages[stage].p95),
    ]);
    sums.replaceChildren(
      make("h3", {}, "Over all"),
      scroller("Time in each stage over all", table("Time in each stage", ["Stage", "Mean", "Share", "95 % within"], rows)),
    );
  };
}
