// What is wrong now, in words, on top; what was, and why thresholds are what they are, at the end.

import { make, scroller, table } from "./dom.js";
import { date, span } from "./format.js";
import { withNames } from "./names.js";

const KINDS = {
  baseline: "what is usual moved",
  accepted: "accepted as usual",
  silenced: "silenced",
  rules: "rules changed",
  profile: "reference frozen",
};

/** @param {HTMLElement} host @param {any} alarms @param {number} now seconds since 1970 */
export function showActive(host, { active, watched }, now) {
  if (active.length === 0) {
    const words = watched ? "No alarm is active." : "No alarm is active, and nobody watches: alarms are switched off here.";
    host.replaceChildren(make("p", { className: watched ? "calm" : "calm off" }, make("span", { className: "dot" }), words));
    return;
  }
  host.replaceChildren(make("ul", { className: "alarms" }, ...active.map((/** @type {any} */ each) => alarm(each, now))));
}

/** @param {any} alarm @param {number} now */
const alarm = ({ alarm, severity, help, lookfor, reason, fired }, now) =>
  make(
    "li",
    { className: `alarm ${severity}` },
    make(
      "header",
      {},
      make("h3", {}, help || alarm),
      make("span", { className: "badge" }, severity),
    ),
    make("p", { className: "words" }, withNames(reason)),
    lookfor ? make("p", {}, make("b", {}, "Look at: "), code(lookfor)) : null,
    make("p", { className: "note" }, make("code", {}, alarm), ` · for ${span(now - fired)}, since ${date(fired)}`),
  );

/** Text with `code` in it. @param {string} text */
function code(text) {
  const whole = document.createDocumentFragment();
  text.split("`").forEach((part, at) => whole.append(at % 2 === 1 ? make("code", {}, part) : part));
  return whole;
}

/** Every alarm there is, and what is said of it now. @param {HTMLElement} host @param {any} alarms */
export function showRules(host, { rules }) {
  const rows = rules.map((/** @type {any} */ { alarm, severity, phase, reason, help }) => [
    make("code", {}, alarm),
    severity,
    phase === "firing" ? make("b", {}, "active") : (phase ?? "not judged here"),
    reason === null ? help : withNames(reason),
  ]);
  host.querySelector(".scroller")?.remove();
  host.append(scroller("Every alarm", table("Every alarm", ["Alarm", "Told as", "State", "Why"], rows)));
}

/** @param {HTMLElement} spells @param {HTMLElement} changes @param {any} alarms */
export function showHistory(spells, changes, alarms) {
  if (alarms.history.length === 0) spells.replaceChildren(make("p", { className: "empty" }, "No alarm has fired so far."));
  else {
    const rows = alarms.history.map((/** @type {any} */ each) => [
      make("code", {}, each.alarm),
      date(each.fired),
      each.cleared === null ? make("b", {}, "still active") : span(each.cleared - each.fired),
      withNames(each.reason),
    ]);
    spells.replaceChildren(scroller("Alarms so far", table("Alarms so far", ["Alarm", "Fired", "Lasted", "Why"], rows)));
  }
  if (alarms.changes.length === 0) changes.replaceChildren(make("p", { className: "empty" }, "Nothing that alarms are judged by has changed."));
  else {
    const items = alarms.changes.map((/** @type {any} */ { at, alarm, kind, reason }) =>
      make(
        "li",
        {},
        make("p", { className: "words" }, withNames(reason)),
        make("p", { className: "note" }, `${date(at)} · `, make("code", {}, alarm), ` · ${KINDS[/** @type {keyof KINDS} */ (kind)] ?? kind}`),
      ),
    );
    changes.replaceChildren(scroller("Changes of what alarms are judged by", make("ol", { className: "changes" }, ...items)));
  }
}
