// What a screen reader is told while the page runs.

import { at } from "../view.js";

/** @param {string} text */
export function announce(text) {
  at("announcer").textContent = text;
}
