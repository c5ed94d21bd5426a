// What the page shows. It knows elements and words, and nothing of microphones or networks.

import { HINTS, NOTICES, tryAgainIn } from "./texts.js";

/**
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export const at = (id) => /** @type {T} */ (document.getElementById(id));

const SETTLE_MS = 400; // how long what has just appeared cannot be clicked: that click was meant for what was there

/** @typedef {"idle" | "asking" | "listening" | "thinking" | "answered" | "editing" | "stopped"} State */

/** @type {ReturnType<typeof setTimeout> | undefined} */
let settling;

/** @param {State} state */
export function setState(state) {
  document.body.dataset.state = state;
  at("hint").textContent = HINTS[state];
  at("microphone").setAttribute("aria-pressed", String(state === "asking" || state === "listening"));
  at("heard").hidden = state !== "answered";
  at("notice").hidden = state !== "stopped";
  at("results").hidden = state !== "answered" && state !== "editing";
  if (state !== "listening" && state !== "thinking") showPartial("");
  clearTimeout(settling);
  document.body.toggleAttribute("data-new", true);
  settling = setTimeout(() => document.body.removeAttribute("data-new"), SETTLE_MS);
}

/** @returns {State} */
export const state = () => /** @type {State} */ (document.body.dataset.state);

/** @param {string} text */
export function showPartial(text) {
  at("partial").textContent = text;
}

/**
 * @param {(Node | string)[]} sentence
 * @param {string} note
 */
export function showHeard(sentence, note) {
  at("heard-text").replaceChildren(...sentence);
  at("heard-note").textContent = note;
}

/**
 * Why there is no answer.
 * @param {string} reason a null reason or the kind of a problem
 * @param {number | null} retryAfterS
 */
export function showNotice(reason, retryAfterS = null) {
  const { title, detail, again = false, key = false } = NOTICES[reason] ?? NOTICES.failed;
  at("notice-title").textContent = title;
  at("notice-detail").textContent = retryAfterS === null ? detail : `${detail} ${tryAgainIn(retryAfterS)}`;
  at("notice-again").hidden = !again;
  at("notice-key").hidden = !key;
  setState("stopped");
  announce(`${title}. ${at("notice-detail").textContent}`);
}

/**
 * Say something to a screen reader. Partial texts are not said: the microphone would hear them.
 * @param {string} text
 */
export function announce(text) {
  // The same words twice would not be news; an empty region in between makes them so.
  at("announcer").textContent = "";
  requestAnimationFrame(() => {
    at("announcer").textContent = text;
  });
}
