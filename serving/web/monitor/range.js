// Which stretch of time is shown, and of which model: chosen above, kept in the address so that it can be shared.

import { at } from "../view.js";
import { short } from "./names.js";

/** @typedef {{since: string, until: string | null, model: string | null}} Shown */

const DEFAULT = "24h";

/** What the address says. @returns {Shown} */
export function shown() {
  const said = new URLSearchParams(location.search);
  return { since: said.get("since") ?? DEFAULT, until: said.get("until"), model: said.get("model") };
}

/** @param {Partial<Shown>} change */
function say(change) {
  const said = Object.entries({ ...shown(), ...change }).filter(([, value]) => value !== null);
  history.pushState(null, "", `?${new URLSearchParams(/** @type {[string, string][]} */ (said))}`);
  dispatchEvent(new PopStateEvent("popstate")); // as going back and forth does
}

/** @param {number} since @param {number} until seconds since 1970 */
export function showBetween(since, until) {
  // Not shorter than two steps of the finest counts.
  const middle = (since + until) / 2;
  const half = Math.max(120, (until - since) / 2);
  say({ since: iso(middle - half), until: iso(middle + half) });
}

/** @param {string | null} model null: all */
export const showModel = (model) => say({ model });

/** @param {number} seconds */
const iso = (seconds) => new Date(1000 * seconds).toISOString().replace(/\.\d+/, "");

/** What a field for local time takes. @param {number} seconds */
const local = (seconds) => new Date(1000 * (seconds - 60 * new Date(1000 * seconds).getTimezoneOffset())).toISOString().slice(0, 16);

/** @param {() => void} change */
export function createRange(change) {
  const form = /** @type {HTMLFormElement} */ (at("range"));
  const custom = /** @type {HTMLFormElement} */ (at("custom"));
  const [from, to] = /** @type {HTMLInputElement[]} */ ([at("custom-from"), at("custom-to")]);
  const model = /** @type {HTMLSelectElement} */ (at("model"));

  const reflect = () => {
    const { since, until } = shown();
    const value = until === null && /^\d+[mhd]$/.test(since) ? since : "custom";
    for (const radio of form.querySelectorAll("input")) radio.checked = radio.value === value;
    custom.hidden = value !== "custom";
  };
  form.addEventListener("change", () => {
    const value = String(new FormData(form).get("since"));
    custom.hidden = value !== "custom";
    if (value !== "custom") say({ since: value, until: null });
    else from.focus();
  });
  custom.addEventListener("submit", (event) => {
    event.preventDefault();
    const [since, until] = [from, to].map((field) => new Date(field.value).getTime() / 1000);
    to.setCustomValidity(until > since ? "" : "The end comes before the beginning.");
    if (custom.reportValidity()) say({ since: iso(since), until: iso(until) });
  });
  to.addEventListener("input", () => to.setCustomValidity(""));
  model.addEventListener("change", () => showModel(model.value || null));
  let before = location.search;
  addEventListener("popstate", () => {
    if (location.search === before) return; // only to another section of the page
    before = location.search;
    reflect();
    change();
  });
  reflect();

  return {
    /** What was answered. @param {any} view */
    update(view) {
      if (document.activeElement !== from && document.activeElement !== to) {
        from.value = local(view.since);
        to.value = local(view.until);
      }
      const served = view.versions.filter((/** @type {any} */ version) => !version.shadow);
      const models = served.map((/** @type {any} */ version) => version.model);
      const chosen = shown().model;
      if (chosen !== null && !models.includes(chosen)) models.push(chosen);
      const wanted = ["", ...models];
      if (wanted.join() !== [...model.options].map((option) => option.value).join()) {
        model.replaceChildren(...wanted.map((value) => new Option(value === "" ? "All models" : short(value), value)));
      }
      model.value = chosen ?? "";
    },
  };
}
