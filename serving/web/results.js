// What was found, as cards to choose from.

import { describe } from "./facets.js";
import { found } from "./texts.js";
import { at } from "./view.js";

const TONES = 5; // grounds of a tile, in answer.css

/** @typedef {import("./stream.js").Item} Item */

/**
 * @param {Item[]} items best first
 * @param {string} query what they were found for
 * @param {(item: Item) => void} onChoose
 */
export function showResults(items, query, onChoose) {
  at("results-title").textContent = found(items.length);
  at("cards").replaceChildren(...items.map((item) => card(item, query, onChoose)));
}

/**
 * @param {Item} item
 * @param {string} query
 * @param {(item: Item) => void} onChoose
 */
function card(item, query, onChoose) {
  const button = element("button", "card");
  button.setAttribute("type", "button");
  button.setAttribute("aria-pressed", "false");
  const text = element("span", "");
  const { asked, line } = describe(item.facets ?? {}, query);
  text.append(element("span", "title", item.title));
  if (asked.length > 0) text.append(element("span", "asked", asked.join(" · ")));
  if (line) text.append(element("span", "facets", line));
  const tile = element("span", `tile tone-${tone(item.title)}`, initial(item.title));
  tile.setAttribute("aria-hidden", "true");
  button.append(tile, text, /** @type {HTMLTemplateElement} */ (at("chosen")).content.cloneNode(true));
  button.addEventListener("click", () => {
    if (button.getAttribute("aria-pressed") === "true") return;
    for (const other of at("cards").querySelectorAll(".card")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    onChoose(item);
  });
  const row = element("li", "");
  row.append(button);
  return row;
}

/** @param {string} title filed as a library does: without its article */
const initial = (title) => Array.from(title.replace(/^(the|an?) /i, ""))[0]?.toUpperCase() ?? "";

/** @param {string} title the same title has the same ground */
const tone = (title) => Array.from(title).reduce((sum, letter) => sum + Number(letter.codePointAt(0)), 0) % TONES;

/**
 * @param {string} name
 * @param {string} className
 * @param {string} text
 */
function element(name, className, text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
