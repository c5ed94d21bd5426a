// The page, composed: asks, and hands each answer to those that show it.

import { asProblem } from "../problem.js";
import { askForKey } from "../key.js";
import { at } from "../view.js";
import { showActive, showHistory, showRules } from "./alarms.js";
import { announce } from "./announce.js";
import { onScheme } from "./colours.js";
import { createDrift } from "./drift.js";
import { onSelect, redrawAll } from "./figure.js";
import { clock, span } from "./format.js";
import { createInputs } from "./inputs.js";
import { createLive } from "./live.js";
import { createOutcomes } from "./outcomes.js";
import { createPipeline } from "./pipeline.js";
import { ask } from "./questions.js";
import { createRange, showBetween, shown, showModel } from "./range.js";
import { showTiles } from "./tiles.js";
import { createLatency, createStages, createTraffic } from "./traffic.js";
import { TROUBLE } from "./texts.js";
import { createVersions } from "./versions.js";

const showDrift = createDrift(at("drift-verdicts"), at("drift-features"));
const showVersions = createVersions(at("version-list"), at("version-charts"), showModel);
const overTime = [
  createTraffic(at("traffic")),
  createLatency(at("speed")),
  createPipeline(at("pipeline-strips")),
  createStages(at("stage-times")),
  createInputs(at("input-charts")),
  createOutcomes(at("outcome-charts")),
  showVersions,
];

/** When an answer last came, in seconds since 1970. */
let answeredAt = 0;
/** @type {any} */
let last = {};
/** Alarms that a screen reader was told of. @type {Set<string> | null} */
let told = null;

async function refresh() {
  const { since, until, model } = shown();
  const [view, alarms, drift] = await Promise.all([ask("data", { since, until, model }), ask("alarms"), ask("drift")]);
  answeredAt = Date.now() / 1000;
  at("trouble").hidden = true;
  at("content").hidden = false;
  say();
  if (view !== last.view || alarms !== last.alarms) showView(view, alarms);
  if (alarms !== last.alarms) showAlarms(alarms);
  if (drift !== last.drift) showDrift(drift);
  last = { view, alarms, drift };
  document.body.dataset.state = "shown";
}

/** @param {any} view @param {any} alarms */
function showView(view, alarms) {
  range.update(view);
  const empty = view.requests === 0;
  at("empty").hidden = !empty;
  for (const section of document.querySelectorAll(".over-time")) /** @type {HTMLElement} */ (section).hidden = empty;
  if (empty) return;
  const marks = alarms.history
    .map((/** @type {any} */ { fired, cleared }) => ({ since: fired, until: cleared ?? view.until }))
    .filter((/** @type {any} */ mark) => mark.until > view.since && mark.since < view.until);
  const settled = Date.now() / 1000 - view.settles_s;
  const time = { since: view.since, until: view.until, times: view.times, marks, late: settled < view.until ? settled : undefined };
  showTiles(at("tiles"), view);
  for (const show of overTime) show(view, time);
}

/** @param {any} alarms */
function showAlarms(alarms) {
  showActive(at("active"), alarms, Date.now() / 1000);
  showHistory(at("spells"), at("changes"), alarms);
  showRules(at("rules"), alarms);
  const names = new Set(alarms.active.map((/** @type {any} */ { alarm }) => alarm));
  const fresh = alarms.active.filter((/** @type {any} */ { alarm }) => told !== null && !told.has(alarm));
  if (fresh.length > 0) announce(`Alarm: ${fresh.map((/** @type {any} */ { help, alarm }) => help || alarm).join(" ")}`);
  told = names;
  document.title = `${names.size > 0 ? `(${names.size}) ` : ""}voicesearch: monitor`;
}

/** @param {unknown} error @param {number} againInMs */
function showTrouble(error, againInMs) {
  const { kind } = asProblem(error);
  const { title, detail, key = false } = TROUBLE[kind] ?? TROUBLE.failed;
  const refused = key || answeredAt === 0;
  at("trouble").hidden = !refused;
  at("content").hidden = refused;
  if (refused) {
    at("trouble-title").textContent = title;
    at("trouble-detail").textContent = detail;
    at("trouble-key").hidden = !key;
    document.body.dataset.state = "trouble";
  }
  const news = status.dataset.state !== "stale";
  status.dataset.state = "stale";
  status.textContent = answeredAt === 0 ? title : `${title}. What you see is from ${clock(answeredAt)}; trying again in ${Math.round(againInMs / 1000)} s`;
  if (news) announce(status.textContent);
}

// How fresh it is

const status = at("status");
const pause = /** @type {HTMLButtonElement} */ (at("pause"));

function say() {
  const paused = pause.getAttribute("aria-pressed") === "true";
  status.dataset.state = paused ? "paused" : "live";
  status.textContent = `${paused ? "Paused" : "Live"} · as of ${clock(answeredAt)}`;
}

setInterval(() => {
  const old = Date.now() / 1000 - answeredAt;
  if (answeredAt > 0 && old > 90) {
    status.dataset.state = "stale";
    status.textContent = `As it was ${span(old)} ago`;
  }
}, 15_000);

pause.addEventListener("click", () => {
  const paused = pause.getAttribute("aria-pressed") !== "true";
  pause.setAttribute("aria-pressed", String(paused));
  say();
  live.pause(paused);
});

for (const button of [at("key-open"), at("trouble-key")]) button.addEventListener("click", () => askForKey(() => void live.run()));

onSelect(showBetween);
onScheme(redrawAll);
const live = createLive(refresh, showTrouble);
const range = createRange(() => void live.run());
void live.run();
